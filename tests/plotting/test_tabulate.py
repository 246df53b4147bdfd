"""The tables of a study hold the numbers of its records, and captions count them."""

import json
import re
from html import unescape

import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_doctree

from workflow_scripts.analysis.encoder_measures import MEASURES, summarise_groups, summarise_measure
from workflow_scripts.plotting.tables import WithInterval, shown
from workflow_scripts.record_provenance import (
    RecordProvenanceOptions,
    Source,
    record_provenance,
)
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import write_json, write_table
from workflow_scripts.tabulate import TabulateOptions, tabulate

HOSTILE = "<script>alert(1)</script> | *a*_"


class Tabulated:
    """A page read back."""

    def __init__(self, folder, name, records, names=()):
        page, caption = folder / f"{name}.html", folder / f"{name}.rst"
        tabulate(records, page, caption, TabulateOptions(name, list(names)))
        self.caption = caption.read_text()
        publish_doctree(self.caption, settings_overrides={"report_level": 1, "halt_level": 2})
        self.html = page.read_text()
        self.tables = [_rows(one) for one in self.html.split("<section>")[1:]]
        self.rows = self.tables[0]

    def where(self, **cells):
        [row] = [row for row in self.rows if cells.items() <= row.items()]
        return row


def _rows(section):
    heads = re.findall(r"<button>(.*?)</button>", section)
    lines = re.findall(r"<tr>(<td.*?)</tr>", section)
    cells = [map(unescape, re.findall(r"<td[^>]*>(.*?)</td>", line)) for line in lines]
    return [dict(zip(map(unescape, heads), line, strict=True)) for line in cells]


def test_verdicts_and_maps_are_those_of_the_summary(tmp_path, summary_file):
    summary = json.loads(summary_file.read_text())
    found = Tabulated(tmp_path, "verdicts", [summary_file])
    first = summary["verdicts"][0]
    row = found.where(layer=first["layer"], preference=first["preference"])
    assert row["verdict"] == first["level"]
    assert row["largest p of a seed"] == shown(max(first["p"].values()))
    assert row["p of random positions"] == shown(first["control_p"]["random_positions"])
    assert found.caption.splitlines()[0] == f"**Verdict.** {summary['verdict']}."

    found = Tabulated(tmp_path, "maps", [summary_file])
    assert len(found.rows) == 8 * 2 * 3
    name = "full_s1_on_optimised_s1"
    near = summary["maps"][name]["layers"]["layer2"]["axis"]["near"]
    row = found.where(network="full_s1", layer="layer2", preference="axis", role="spatial")
    assert row["difference (°)"].startswith(shown(near["mean_deg"]))
    assert row["p"] == shown(near["p"])
    assert "Of 4 direction maps of networks with a spatial loss, 4 are smoother" in found.caption


def test_training_stands_beside_chance_and_tuning_by_layer(tmp_path, summary_file):
    summary = json.loads(summary_file.read_text())["networks"]["full_s0"]
    row = Tabulated(tmp_path, "training", [summary_file]).where(network="full_s0")
    assert row["loss at chance"] == "6.93"
    assert row["spatial loss layer1"] == shown(
        summary["training"]["last_tenth"]["spatial_loss_layer1"]
    )
    row = Tabulated(tmp_path, "tuning", [summary_file]).where(network="full_s0", layer="layer2")
    assert row["DSI"] == shown(WithInterval.of(summary["tuning"]["layer2"]["dsi"]))


@pytest.fixture
def scored(tmp_path):
    """Records of two encoders and two mice, one with a name that nobody should have."""
    rng = np.random.default_rng(0)
    groups = {"all": 40, "mouse0": 20, HOSTILE: 20}
    paths = []
    for name in ("v1t_s0", "cnn_s0"):
        units = pd.DataFrame(rng.uniform(0, 1, (40, len(MEASURES))), columns=list(MEASURES))
        record = {
            group: summarise_groups(units[:n].assign(condition="intact"), "condition",
                                    list(MEASURES), 20)
            for group, n in groups.items()
        }  # fmt: skip
        write_json(tmp_path / f"{name}.json", record, {})
        paths.append(tmp_path / f"{name}.json")
    return paths


def test_encoders_are_listed_by_mouse_and_names_do_not_run(tmp_path, scored):
    found = Tabulated(tmp_path, "encoders", scored, ["v1t_s0", "cnn_s0"])
    assert len(found.rows) == 6
    record = json.loads(scored[1].read_text())
    row = found.where(encoder="cnn_s0", mouse=HOSTILE)
    assert row["FEVE"] == shown(WithInterval.of(record[HOSTILE]["intact"]["feve"]))
    assert row["neurons"] == "20"
    assert list(row)[4:] == [
        "single-trial r",
        "r to average",
        "FEVE",
        "Poisson NLL",
        "normalised r",
    ]
    assert found.html.count("<script>") == 1
    assert "2 encoders, 2 mice" in found.caption
    with pytest.raises(InputError, match="--records: 1 files for the 2"):
        Tabulated(tmp_path, "encoders", scored[:1], ["v1t_s0", "cnn_s0"])


def test_a_record_of_something_else_is_named(tmp_path, scored):
    with pytest.raises(InputError, match=r"v1t_s0.json: not what the table 'maps' is made of"):
        tabulate(scored[:1], tmp_path / "a.html", tmp_path / "a.rst", TabulateOptions("maps", []))
    assert not (tmp_path / "a.html").exists()


def test_fits_of_the_retina_stand_beside_ceiling_and_null(tmp_path):
    paths = []
    for value in (0.3, 0.6, None):
        r = {"value": value, "low": value, "high": value, "n": 19, "n_undefined": 1}
        record = {
            "session": "movie2", "onsets": "inferred", "n_weights": 7,
            "fold_correlation": [0.2, 0.4], "r": r, "sd_kl": r,
            "split_half_r": {**r, "value": 0.81}, "ceiling_r": {**r, "value": 0.9},
            "null": {"mean": 0.1, "high": 0.2, "p": 0.5},
        }  # fmt: skip
        paths.append(tmp_path / f"{value}.json")
        write_json(paths[-1], record, {})
    found = Tabulated(tmp_path, "vist", paths, ["a/ln_s0", "a/vist_s0", "b/ln_s0"])
    row = found.where(task="a", encoder="vist_s0")
    assert (row["training folds"], row["cells"], row["p"]) == ("0.300", "20", "0.500")
    assert (row["ceiling"].split()[0], row["reliability"].split()[0]) == ("0.900", "0.810")
    items = [line for line in found.caption.splitlines() if line.startswith("- ")]
    assert items == [r"- a: highest of 2: vist\_s0 0.600 [0.600, 0.600]", "- b: not measured"]


def test_decoders_stand_beside_chance_and_permutations(tmp_path):
    one = {"value": 0.5, "low": 0.4, "high": 0.6}
    measured = {"top1": one, "top5": one}
    record = {
        "n_candidates": 60, "chance": {"top1": 1 / 60, "top5": 5 / 60},
        "permuted": {"dina": {"average": {key: {"low": 0, "high": 0.05} for key in measured}}},
        "decoding": {
            "all": {"dina": {"average": measured}, "probe_latent": {"single": measured}},
            "mouse0": {"dina": {"average": measured | {"ssim": one}}},
        },
    }  # fmt: skip
    write_json(tmp_path / "decoding.json", record, {})
    found = Tabulated(tmp_path, "decoding", [tmp_path / "decoding.json"], ["mice_s0"])
    row = found.where(session="all", decoder="dina")
    assert (row["top-1"], row["top-1, permuted"]) == ("0.500 [0.400, 0.600]", "0.0500")
    row = found.where(session="mouse0")
    assert (row["top-1, permuted"], row["SSIM"]) == ("–", "0.500 [0.400, 0.600]")
    assert found.where(decoder="probe latent")["from"] == "single trials"


def test_values_in_vivo_keep_their_source(tmp_path):
    row = {"property": "dsi", "label": "DSI", "value": 0.7, "low": np.nan, "high": np.nan,
           "n": np.nan, "source": HOSTILE, "certainty": "abstract", "kind": "in vivo",
           "subject": "macaque MT", "layer": ""}  # fmt: skip
    write_table(tmp_path / "in_vivo.parquet", pd.DataFrame([row]), {})
    found = Tabulated(tmp_path, "in_vivo", [tmp_path / "in_vivo.parquet"])
    assert found.where(property="DSI")["source"] == HOSTILE
    assert (found.rows[0]["n"], found.rows[0]["value"]) == ("–", "0.700")


@pytest.fixture
def record(tmp_path):
    """A record as its stage writes it, of three jobs and a source with a hostile name."""
    folder = tmp_path / "benchmarks"
    for job, (wall, cpu, mb) in {"train/a": (60.0, 50, 900), "train/b": (30.0, 20, 1000),
                                 "plot": (10, "-", "-")}.items():  # fmt: skip
        file = folder / f"{job}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"s\tmax_rss\tcpu_time\n{wall}\t{mb}\t{cpu}\n")
    references = tmp_path / "citations.tsv"
    references.write_text("used_by\tcitation\tlink\n")
    options = RecordProvenanceOptions(
        {"tdann": {"seeds": [0, 1]}}, [Source("video", HOSTILE, "", ""),
                                       Source("simulated_mouse", "v1", "", "")], [],
    )  # fmt: skip
    files = tmp_path / "provenance.json", tmp_path / "CITATIONS.md"
    record_provenance([], references, folder, *files, options)
    return files[0]


def test_performance_adds_up(tmp_path, record):
    found = Tabulated(tmp_path, "performance", [record])
    assert [row["rule"] for row in found.rows] == ["train", "plot"]
    train = found.where(rule="train")
    assert (train["jobs"], train["wall time (s)"], train["share of wall time (%)"]) == (
        "2", "90.0", "90.0",
    )  # fmt: skip
    assert found.where(rule="plot")["largest memory (MB)"] == "–"
    assert "3 jobs of 2 rules: 1.7 min of wall time" in found.caption
    assert "Largest memory: 1000 MB, train" in found.caption


def test_provenance_lists_what_the_study_was_made_from(tmp_path, record):
    found = Tabulated(tmp_path, "provenance", [record])
    made = json.loads(record.read_text())["provenance"]
    run, seeds, sources, files, software = found.tables
    assert {row["what"]: row["value"] for row in run}["Python"] == made["software"]["python"]
    assert seeds == [{"field": "tdann.seeds", "seeds": "0, 1"}]
    assert sources[0]["names"] == HOSTILE
    assert files == []
    assert {row["package"]: row["version"] for row in software} == made["packages"]
    assert "no licence in their sheet: <script>" in found.caption
    assert found.html.count("<script>") == 1


def test_an_unmeasured_summary_is_a_dash(tmp_path):
    measured = summarise_measure(np.full(3, np.nan), "feve", 20)._asdict()
    assert shown(WithInterval.of(measured)) == "–"


@pytest.mark.parametrize(("n", "text"), [(1, "3.32"), (2, "3.32 [3.32, 3.32]")])
def test_one_value_has_no_interval(n, text):
    values = [3.32] * n + [np.nan] * (5 - n)
    measured = summarise_measure(values, "sd_kl", 20)._asdict()
    assert shown(WithInterval.of(measured)) == text
