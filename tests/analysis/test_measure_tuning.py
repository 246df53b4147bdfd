import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workflow_scripts.analysis.conditions import direction_responses
from workflow_scripts.measure_tuning import MeasureTuningOptions, measure_tuning
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_table
from workflow_scripts.stores.zarr_store import open_store, variable, write_store


@pytest.fixture(scope="module")
def network(plant_network):
    return plant_network(lambda x, y: 70 * x + 20 * y, {"layer1": (6, 6), "layer2": (8, 4)})


@pytest.fixture(scope="module")
def table(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("tuning") / "tuning.parquet"
    measure_tuning(network.gratings, network.dots, path, MeasureTuningOptions())
    return read_table(path)


def test_every_unit_has_the_tuning_that_was_planted(table, network):
    units = ["layer", "channel", "row", "column", "border"]
    pd.testing.assert_frame_equal(table[units], network.units[units], check_dtype=False)
    for column, tolerance in (("preferred_direction_deg", 4), ("fit_direction_deg", 4),
                              ("dots_preferred_direction_deg", 6)):  # fmt: skip
        error = (table[column] - network.units.direction_deg + 180) % 360 - 180
        assert np.sqrt((error**2).mean()) < tolerance
    assert (table.preferred_spatial_frequency_cpd == 0.2).mean() > 0.99
    assert set(table.preferred_temporal_frequency_hz) == {2.0, 4.0}  # equally good
    assert (table.dots_preferred_speed_deg_s == 8).mean() > 0.99
    assert table.vector_strength.mean() == pytest.approx(0.75, abs=0.03)
    assert table.bandwidth_fwhm_deg.median() == pytest.approx(90, abs=5)
    assert table.null_lobe_weight.median() < 0.05
    assert (table.reliability > 0.9).all()
    assert (table.vector_strength_p < 0.01).all()
    assert (table.channel_vector_strength_q < 0.02).all()


def test_the_blank_is_subtracted(table):
    curves = table.filter(regex="^response_at_")
    assert curves.shape[1] == len(table.attrs["directions_deg"]) == 16
    assert curves.min(axis=1).mean() == pytest.approx(0, abs=0.15)
    assert curves.max(axis=1).mean() == pytest.approx(2, abs=0.15)


def test_dots_drive_the_preferred_direction_in_proportion_to_coherence(table):
    assert table.attrs["coherences"] == [0, 0.5, 1]
    means = table[[f"dots_preferred_at_{c:g}" for c in table.attrs["coherences"]]].mean()
    assert means.to_numpy() == pytest.approx(means.iloc[2] * np.array([0, 0.5, 1]), abs=0.02)
    assert 1.7 < means.iloc[2] < 2
    null = table[[f"dots_null_at_{c:g}" for c in table.attrs["coherences"]]].mean()
    assert null.to_numpy() == pytest.approx([0, 0, 0], abs=0.03)


def test_a_channel_chooses_its_direction_as_a_whole(table):
    """One direction for all units of a channel, and a curve with less noise than theirs."""
    names = [f"channel_dots_preferred_at_{c:g}" for c in table.attrs["coherences"]]
    assert (table.groupby(["layer", "channel"])[names].nunique() == 1).all(axis=None)
    channels = table.groupby(["layer", "channel"])[names].first()
    full = channels[names[2]].to_numpy()
    assert (full > 0).all()
    assert channels[names[1]].to_numpy() == pytest.approx(full / 2, abs=0.1)
    assert set(table.attrs["display_error"]) == set(table.layer)


def test_channels_are_tested_without_their_border(network, tmp_path):
    with open_store(network.gratings, load=True) as store:
        inner_only = store.copy(deep=True)
    flat = 1 + 0.1 * np.random.default_rng(0).normal(size=store.response.shape)
    inner_only["response"] = store.response.copy(
        data=np.where(store.border.to_numpy()[:, None, None], store.response, flat)
    )
    write_store(tmp_path / "gratings.zarr", inner_only, {})
    measure_tuning(
        tmp_path / "gratings.zarr", network.dots, tmp_path / "t.parquet", MeasureTuningOptions()
    )
    assert read_table(tmp_path / "t.parquet").channel_vector_strength_q.median() > 0.2


def test_noise_is_tuned_as_often_as_the_level_says(plant_network, tmp_path):
    """The setting of the largest peak, of four, is chosen on noise as well."""
    network = plant_network(lambda x, y: 0 * x, {"layer1": (50, 8)})
    with open_store(network.gratings, load=True) as store:
        shape = (store.sizes["unit"], store.sizes["condition"], 8)
        noise = store.drop_vars("response")
    values = np.random.default_rng(3).normal(5, 1, shape).astype(np.float32)
    values[:, 0] = 0  # the blank
    noise["response"] = variable(("unit", "condition", "repeat"), values, "1", "response")
    write_store(tmp_path / "gratings.zarr", noise, {})
    options = MeasureTuningOptions(n_permutations=99)
    measure_tuning(tmp_path / "gratings.zarr", network.dots, tmp_path / "t.parquet", options)
    table = read_table(tmp_path / "t.parquet")
    for column in ("vector_strength_p", "orientation_strength_p"):
        for level in (0.05, 0.5):
            tolerance = 4 * np.sqrt(level * (1 - level) / len(table))
            assert (table[column] <= level).mean() == pytest.approx(level, abs=tolerance)


def test_conditions_become_axes(network):
    store = open_store(network.gratings)
    shuffled = store.isel(condition=np.random.default_rng(0).permutation(store.sizes["condition"]))
    for each in (store, shuffled):
        responses = direction_responses(each, "drifting_grating")
        assert responses.values.shape == (len(store.unit), 4, 16, 4)
        assert responses.directions_deg.tolist() == [22.5 * i for i in range(16)]
        assert list(responses.settings) == ["spatial_frequency_cpd", "temporal_frequency_hz"]
        is_shown = (
            (store.direction_deg == 45)
            & (store.spatial_frequency_cpd == 0.2)
            & (store.temporal_frequency_hz == 4)
        )
        setting = responses.settings.to_numpy().tolist().index([0.2, 4.0])
        expected = store.response.isel(condition=int(np.flatnonzero(is_shown)[0])) - 1
        assert np.allclose(responses.values[:, setting, 2], expected, atol=1e-6)


def broken(store: xr.Dataset, kind: str) -> xr.Dataset:
    family = store.family.to_numpy()
    keep = {
        "no blank": family != "blank",
        "no gratings": family == "blank",
        "a direction short": np.arange(len(family)) != 7,
    }
    return store.isel(condition=np.flatnonzero(keep[kind]))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("no blank", "family 'blank'"),
        ("no gratings", "family 'drifting_grating'"),
        ("a direction short", "no full grid of spatial_frequency_cpd"),
    ],
)
def test_broken_batteries_are_named_with_their_file(network, tmp_path, kind, message):
    path = tmp_path / "broken.zarr"
    write_store(path, broken(open_store(network.gratings, load=True), kind), {})
    with pytest.raises(InputError, match=f"{path}.*{message}"):
        measure_tuning(path, network.dots, tmp_path / "t.parquet", MeasureTuningOptions())
    assert not (tmp_path / "t.parquet").exists()


def test_stores_of_other_units_are_refused(network, tmp_path):
    fewer = tmp_path / "dots.zarr"
    write_store(fewer, open_store(network.dots, load=True).isel(unit=slice(10)), {})
    with pytest.raises(InputError, match="other units"):
        measure_tuning(network.gratings, fewer, tmp_path / "t.parquet", MeasureTuningOptions())
