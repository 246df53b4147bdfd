"""Channels of planted physiology, shown a small battery of every family."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workflow_scripts.in_silico.battery import battery_table
from workflow_scripts.in_silico.grids import (
    ApertureGrid,
    BarGrid,
    DotGrid,
    GratingGrid,
    NaturalGrid,
    PlaidGrid,
    SecondOrderGrid,
)
from workflow_scripts.measure_physiology import measure_physiology
from workflow_scripts.stimuli.display import Display
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_table
from workflow_scripts.stores.zarr_store import variable, write_store

DISPLAY = Display(8.0, 15.0, 64, 8)
BATTERY = [
    GratingGrid(12, [0.5], [2.0]),
    GratingGrid(6, [0.25, 1.0, 2.0], [2.0]),
    GratingGrid(6, [0.5], [1.0, 4.0]),
    GratingGrid(6, [0.5], [2.0], contrast=[0.1, 0.2, 0.5]),
    PlaidGrid(12, [0.5], [2.0]),
    DotGrid(6, [1.0, 2.0, 4.0, 8.0], [1.0]),
    ApertureGrid(6, [0.5], [2.0], diameter_deg=[[0, 1], [0, 2], [0, 4], [2, 4]]),
    SecondOrderGrid(6, [0.25], [2.0]),
    BarGrid(6, [4.0], [0.5]),
    NaturalGrid(2),
]
THRESHOLDS = [DotGrid(6, [4.0], [0.1, 0.2, 0.4, 0.8])]
PREFERRED_DEG = np.array([0.0, 60.0, 120.0, 240.0])  # by channel; the even ones are pattern cells
PATTERN = np.array([True, False, True, False])


def tuned(direction_deg):
    away = np.deg2rad(direction_deg - PREFERRED_DEG[:, None])
    return np.exp(2.4 * (np.cos(away) - 1))


def planted(battery):
    """Mean response of each channel, (channel, condition)."""
    family = battery.family.to_numpy()
    direction = battery.direction_deg.fillna(0).to_numpy()
    gain = np.ones(len(battery))
    sf, tf = battery.spatial_frequency_cpd.to_numpy(), battery.temporal_frequency_hz.to_numpy()
    in_series = family == "drifting_grating"
    gain[in_series] *= np.exp(-(np.log(sf / 0.7) ** 2) / 2)[in_series]
    gain[in_series] *= np.exp(-(np.log(tf / 1.6) ** 2) / 2)[in_series]
    contrast = battery.contrast.to_numpy() ** 2
    gain[in_series] *= (contrast / (contrast + 0.3**2))[in_series]
    speed = np.log((battery.speed_deg_s.to_numpy() + 0.3) / 3.3)
    gain[family == "dots"] *= np.exp(-(speed**2) / 2)[family == "dots"]
    gain[family == "aperture"] = battery.outer_diameter_deg.map({1: 0.5, 2: 1.0, 4: 0.4})[
        family == "aperture"
    ]
    response = tuned(direction) * gain
    plaid = (tuned(direction - 60) + tuned(direction + 60)) / 2
    component = ~PATTERN[:, None] & (family == "plaid")
    response = np.where(component, plaid, response)
    response[:, family == "blank"] = 0
    response[:, family == "natural"], response[:, family == "scrambled"] = 0.9, 0.3
    return response


def write_responses(path, grids, n_repeats, response_of=planted, noise=0.01):
    battery = battery_table(grids, DISPLAY, n_repeats)
    channel, row, column = (i.ravel() for i in np.indices((4, 5, 5)))
    units = pd.DataFrame({
        "layer": "layer1", "channel": channel, "row": row, "column": column,
        "border": np.isin(row, (0, 4)) | np.isin(column, (0, 4)),
    })  # fmt: skip
    rng = np.random.default_rng(0)
    mean = response_of(battery)[channel][..., None]
    values = 0.2 + mean + noise * rng.normal(size=(*mean.shape[:2], n_repeats))
    values[units.border] = 9  # must not count
    coords = {
        name: variable(dim, table[name].to_numpy(), "1", name)
        for dim, table in (("unit", units), ("condition", battery)) for name in table
    }  # fmt: skip
    response = variable(("unit", "condition", "repeat"), values.astype("f4"), "1", "response")
    write_store(path, xr.Dataset({"response": response}, coords), {})
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("physiology")

    def rising(battery):
        return (
            tuned(battery.direction_deg.fillna(0).to_numpy())
            * battery.coherence.fillna(0).to_numpy()
        )

    stores = [
        write_responses(folder / "physiology.zarr", BATTERY, 4),
        write_responses(folder / "thresholds.zarr", THRESHOLDS, 200, rising, noise=0.9),
    ]
    measure_physiology(stores, folder / "p.parquet")
    return read_table(folder / "p.parquet")


def test_one_row_per_channel_of_units_off_the_border(table):
    assert table.channel.tolist() == [0, 1, 2, 3]
    assert (table.n_units == 9).all()


def test_planted_curves_are_recovered(table):
    assert table.sf_preferred.to_numpy() == pytest.approx(0.7, rel=0.05)
    assert table.tf_preferred.to_numpy() == pytest.approx(1.6, rel=0.05)
    assert table.sf_sigma_log.to_numpy() == pytest.approx(1, rel=0.06)
    assert table.speed_preferred.to_numpy() == pytest.approx(3.0, rel=0.05)
    assert table.speed_sigma_log.to_numpy() == pytest.approx(1, rel=0.06)
    assert table.contrast_c50.to_numpy() == pytest.approx(0.3, rel=0.1)
    assert table.surround_index.to_numpy() == pytest.approx(0.6, abs=0.05)
    assert (table.preferred_diameter_deg == 2).all()
    assert table.natural_index.to_numpy() == pytest.approx(0.5, abs=0.02)


def test_pattern_and_component_channels_are_told_apart(table):
    expected = np.where(PATTERN, "pattern", "component")
    assert (table.plaid_class == expected).all()
    assert (table.n_plaid_directions == 12).all()


def test_other_motion_is_compared_with_gratings(table):
    assert table.bar_r.min() > 0.95
    assert table.second_order_dsi.min() > 0.8


def test_thresholds_fall_where_responses_leave_the_noise(table):
    assert table.n_seeds.eq(200).all()  # shown and measured
    # responses rise as coherence, channel means have σ = .9 / 3: 82 % correct at d' = 1.29
    assert table.threshold.to_numpy() == pytest.approx(1.29 * 0.3, rel=0.25)


def test_two_coherences_make_no_threshold(tmp_path):
    store = write_responses(tmp_path / "p.zarr", [DotGrid(6, [4.0], [0.5, 1.0])], 4)
    measure_physiology([store], tmp_path / "p.parquet")
    assert list(read_table(tmp_path / "p.parquet")) == ["layer", "channel", "n_units"]


def test_a_battery_without_a_series_is_refused(tmp_path):
    store = write_responses(tmp_path / "p.zarr", [GratingGrid(6, [0.5], [2.0])], 2)
    with pytest.raises(InputError, match="series of three values of spatial_frequency_cpd"):
        measure_physiology([store], tmp_path / "p.parquet")
