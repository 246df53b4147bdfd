"""The sweep and the comparison with in-vivo values, on the planted study."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_doctree
from matplotlib.image import imread

from workflow_scripts.analysis.in_vivo import PROPERTIES
from workflow_scripts.analysis.tradeoff import SweepPoint, beyond_alpha0, over_seeds
from workflow_scripts.compare_in_vivo import CompareInVivoOptions, compare_in_vivo
from workflow_scripts.in_silico.battery import battery_table
from workflow_scripts.in_silico.grids import BarGrid, DotGrid, GratingGrid
from workflow_scripts.measure_tradeoff import MeasureTradeoffOptions, measure_tradeoff
from workflow_scripts.plot_in_vivo import plot_in_vivo
from workflow_scripts.plot_physiology import PlotPhysiologyOptions, plot_physiology
from workflow_scripts.plot_stimuli import plot_stimuli
from workflow_scripts.plot_tradeoff import plot_tradeoff
from workflow_scripts.plotting.options import FigureOptions, NetworksFigureOptions
from workflow_scripts.stimuli.display import Display
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_table, write_table

DPI = 60


def caption_of(out) -> str:
    assert (imread(out["figure"])[..., :3].min(axis=-1) < 0.9).mean() > 0.01
    publish_doctree(
        out["caption"].read_text(), settings_overrides={"report_level": 1, "halt_level": 2}
    )
    return out["caption"].read_text().replace("\\", "")


@pytest.fixture(scope="module")
def tradeoff(study, tmp_path_factory):
    points = [SweepPoint(one.network, one.positions, by_alpha=True) for one in study.maps[:4]]
    path = tmp_path_factory.mktemp("tradeoff") / "t.parquet"
    measure_tradeoff(
        study.tuning, study.statistics[:4], study.metrics, path, MeasureTradeoffOptions(points)
    )
    return path


def test_outcomes_are_those_of_the_files(study, tradeoff):
    table = read_table(tradeoff)
    smooth = table.query("outcome == 'smoothness_index' and layer == 'layer2'").set_index("variant")
    measured = json.loads(study.statistics[2].read_text())["layers"]["layer2"]["direction"]["near"]
    full = smooth.loc["full"].query("seed == 0").iloc[0]
    assert full.value == pytest.approx(measured["smoothness_index"])
    assert full.low == pytest.approx(1 - measured["high_deg"] / measured["null_mean_deg"])
    assert full.low < full.value < full.high
    accuracy = table.query("outcome == 'contrastive_accuracy'")
    assert accuracy.value.to_numpy() == pytest.approx(0.6 * 100 / 160)


def test_positions_carry_what_alpha_0_has_on_them():
    def row(variant, alpha, by_alpha, positions, value, half):
        return {"variant": variant, "alpha": alpha, "by_alpha": by_alpha, "positions": positions,
                "layer": "layer1", "outcome": "smoothness_index", "value": value,
                "low": value - half, "high": value + half}  # fmt: skip

    table = pd.DataFrame([
        row("alpha0", 0.0, True, "optimised_s0", 0.2, 0.04),
        row("alpha0", 0.0, True, "optimised_s1", 0.5, 0.04),
        row("untrained", 0.0, False, "optimised_s0", 0.0, 0.03),
        row("full", 1.0, True, "optimised_s1", 0.6, 0.03),
        row("elsewhere", 1.0, False, "random_s0", 0.9, 0.01),
    ])  # fmt: skip
    beyond = beyond_alpha0(table).set_index("variant")
    assert beyond["value"].to_dict() == pytest.approx({"untrained": -0.2, "full": 0.1})
    full = beyond.loc["full"]
    assert (full.high - full.value, full.value - full.low) == pytest.approx((0.05, 0.05))
    assert set(beyond["outcome"]) == {"smoothness_beyond"}


def test_means_over_seeds_by_hand():
    base = {"variant": "full", "alpha": 1.0, "by_alpha": True, "layer": "layer1", "outcome": "dsi"}
    rows = [{**base, "value": v, "low": v - 1, "high": v + 1} for v in (0.1, 0.3, 0.2)]
    three = over_seeds(pd.DataFrame(rows)).iloc[0]
    assert three["mean"] == pytest.approx(0.2)
    t = 4.3027  # of two degrees of freedom
    assert three["high"] - three["mean"] == pytest.approx(t * 0.1 / np.sqrt(3), rel=1e-4)
    two = over_seeds(pd.DataFrame(rows[:2])).iloc[0]
    assert two["high"] - two["mean"] == pytest.approx(1 / np.sqrt(2))  # over channels alone
    alone = over_seeds(pd.DataFrame(rows[:1])).iloc[0]
    assert (alone["low"], alone["high"]) == pytest.approx((-0.9, 1.1))


def test_the_tradeoff_is_drawn_and_told(tradeoff, out):
    plot_tradeoff(tradeoff, **out, options=FigureOptions(DPI))
    caption = caption_of(out)
    assert "(2 a variant)" in caption
    assert caption.count("- full") == 2


@pytest.fixture(scope="module")
def comparison(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("in_vivo")
    references = folder / "r.csv"
    references.write_text(
        "property,area,species,value,low,high,unit,n,source,certainty,note\n"
        "direction_tuning_fwhm,MT,macaque,95,90,100,deg,,Albright 1984,check_original,x\n"
        "mt_surface_area,MT,macaque,33,,,mm^2,,someone,abstract,no property of ours\n"
    )
    cells = read_table(study.tuning[0]).head(30)
    write_table(folder / "cells.parquet", cells, {})
    channels = pd.DataFrame({
        "layer": "mt", "channel": range(8), "n_units": 4, "speed_preferred": np.arange(1.0, 9),
        "speed_at_edge": [True] + [False] * 6 + [True], "speed_lowest": 1.0, "speed_highest": 8.0,
        "speed_sigma_log": 1.0, "surround_index": [0.5, 0] * 4,
        "plaid_class": ["pattern"] * 6 + ["component", ""], "z_pattern": 3.0, "z_component": 1.0,
        "n_plaid_directions": 12,
    })  # fmt: skip
    write_table(folder / "physiology.parquet", channels, {})
    compare_in_vivo(
        references, study.tuning, [folder / "physiology.parquet"], [folder / "cells.parquet"],
        folder / "c.parquet", CompareInVivoOptions(study.networks, ["cascade_s0"], ["park"]),
    )  # fmt: skip
    return folder


@pytest.fixture
def of_networks(study):
    return NetworksFigureOptions(DPI, networks=study.networks)


def test_everything_is_measured_by_the_same_functions(study, comparison):
    table = read_table(comparison / "c.parquet").set_index(["property", "subject"])
    inner = read_table(study.tuning[2]).query("not border and layer == 'layer2'")
    shown = table.loc[("direction_selectivity", "full_s0")].query("layer == 'layer2'").iloc[0]
    assert shown.value == pytest.approx(inner.groupby("channel").dsi.median().median())
    cells = read_table(study.tuning[0]).head(30)
    assert table.loc[("direction_selectivity", "park")].value.item() == pytest.approx(
        cells.dsi.median()
    )
    pattern = table.loc[[("pattern_fraction", "cascade_s0")]].iloc[0]
    assert (pattern.value, pattern.n) == (pytest.approx(6 / 7), 7)


def test_properties_without_a_source_say_none(comparison, of_networks, out):
    table = read_table(comparison / "c.parquet")
    in_vivo = table[table.kind == "in vivo"].set_index("property").certainty
    assert set(in_vivo.index) == set(PROPERTIES)
    assert in_vivo["axial_component"] == "none"
    assert in_vivo["direction_tuning_fwhm"] == "check_original"
    plot_in_vivo(comparison / "c.parquet", **out, options=of_networks)
    assert "Albright 1984 (check_original)" in caption_of(out)


def test_speeds_that_were_not_shown_are_not_mistaken_for_preferences(comparison, of_networks, out):
    table = read_table(comparison / "c.parquet").set_index("property")
    speed = table.loc[["preferred_speed"]].query("subject == 'cascade_s0'").iloc[0]
    assert (speed.value, speed.n, speed.n_at_edge) == (4.5, 8, 2)
    plot_in_vivo(comparison / "c.parquet", **out, options=of_networks)
    caption = " ".join(caption_of(out).split())
    assert "within those shown, 1–8 °/s" in caption
    assert caption.count("; 2 at an end") == 1
    assert "share with a surround is no agreement with MT" in caption


def test_a_table_that_holds_no_references_is_named(study, comparison, tmp_path):
    (tmp_path / "r.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"r\.csv.*no column property"):
        compare_in_vivo(
            tmp_path / "r.csv", study.tuning, [comparison / "physiology.parquet"], [],
            tmp_path / "c.parquet", CompareInVivoOptions(study.networks, ["cascade_s0"], []),
        )  # fmt: skip


def test_medians_of_thresholds_count_those_that_were_never_reached(tmp_path, out):
    few, most = [0.1, 0.2, 0.3, *[np.inf] * 5], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, np.inf, np.nan]
    table = pd.DataFrame({
        "layer": ["v1"] * 8 + ["mt"] * 8, "channel": [*range(8)] * 2, "threshold": few + most,
        "threshold_at_edge": [True, *[False] * 15], "slope": 1.0, "n_seeds": 100,
        **dict.fromkeys(["bar_r", "second_order_r", "natural_index"], np.linspace(-1, 1, 16)),
    })  # fmt: skip
    write_table(tmp_path / "p.parquet", table, {})
    options = PlotPhysiologyOptions(networks=[], physiology_networks=["cascade_s0"], dpi=DPI)
    plot_physiology([tmp_path / "p.parquet"], **out, options=options)
    caption = caption_of(out)
    assert re.search(r"- – \[0\.\d\d, –\]; reached by 3 of 8, 1 at the lower end\n", caption)
    assert re.search(r"- 0\.40 \[0\.\d\d, 0\.\d\d\]; reached by 6 of 7\n", caption)


def test_physiology_is_drawn_and_told(comparison, out):
    files = [comparison / "physiology.parquet"]
    options = PlotPhysiologyOptions(networks=[], physiology_networks=["cascade_s0"], dpi=DPI)
    plot_physiology(files, **out, options=options)
    caption = caption_of(out)
    assert "4.50 [" in caption  # median of 1…8
    assert "n = 12 directions" in caption


def test_every_family_is_on_the_contact_sheet(tmp_path, out):
    display = Display(8.0, 15.0, 32, 6)
    grids = [GratingGrid(4, [0.5], [2.0]), DotGrid(4, [4.0], [1.0]), BarGrid(4, [4.0], [0.5])]
    write_table(tmp_path / "all.parquet", battery_table(grids, display, 2), {})
    plot_stimuli([tmp_path / "all.parquet"], [], **out, options=FigureOptions(DPI))
    caption = caption_of(out)
    for name in ("drifting grating", "dots", "bar"):
        assert f"- {name}" in caption
