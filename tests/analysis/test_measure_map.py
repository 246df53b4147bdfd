import numpy as np
import pandas as pd
import pytest

from workflow_scripts.analysis.maps import find_pinwheels
from workflow_scripts.measure_map import MeasureMapOptions, measure_map
from workflow_scripts.measure_tuning import MeasureTuningOptions, measure_tuning
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_json, read_table
from workflow_scripts.stores.zarr_store import open_store

CENTRE_MM = (2.3, 1.8)
OPTIONS = MeasureMapOptions(
    kernel_mm={"layer1": 0.15}, n_pixels=64, n_permutations=199, n_resamples=200, n_maps=5
)


def around_a_pinwheel(x, y):
    return np.rad2deg(np.arctan2(y - CENTRE_MM[1], x - CENTRE_MM[0])) % 360


def run(network, folder, options=OPTIONS):
    tuning = folder / "tuning.parquet"
    if not tuning.exists():
        measure_tuning(network.gratings, network.dots, tuning, MeasureTuningOptions(10))
    measure_map(
        tuning, network.positions, map_store=folder / "map.zarr",
        pinwheels=folder / "pinwheels.parquet", smoothness=folder / "smoothness.parquet",
        statistics=folder / "statistics.json", options=options,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def network(plant_network):
    return plant_network(around_a_pinwheel, {"layer1": (40, 9), "layer2": (4, 4)})


@pytest.fixture(scope="module")
def results(network, tmp_path_factory):
    return run(network, tmp_path_factory.mktemp("map"))


def test_the_planted_pinwheel_is_in_the_map_and_in_the_table(results):
    pinwheels = read_table(results / "pinwheels.parquet")
    found = pinwheels[pinwheels["map"] == "direction"]
    assert found[["x_mm", "y_mm"]].to_numpy() == pytest.approx(np.array([CENTRE_MM]), abs=0.1)
    assert found[["sign", "charge"]].to_numpy().tolist() == [[1, 1]]
    # around it the axis turns twice: two half pinwheels side by side
    axes = pinwheels[pinwheels["map"] == "axis"]
    assert axes.charge.sum() == 1
    assert np.hypot(axes.x_mm - CENTRE_MM[0], axes.y_mm - CENTRE_MM[1]).max() < 0.4
    store = open_store(results / "map.zarr", load=True)
    assert dict(store.sizes) == {"layer": 1, "y": 64, "x": 64}
    y, x = np.meshgrid(store.y_mm[0], store.x_mm[0], indexing="ij")
    roi = store.roi[0].to_numpy() & (np.hypot(x - CENTRE_MM[0], y - CENTRE_MM[1]) > 0.5)
    for name, factor in (("z1", 1), ("z2", 2)):
        expected = np.exp(1j * factor * np.deg2rad(around_a_pinwheel(x, y)))
        assert np.rad2deg(np.abs(np.angle(store[name][0] * expected.conj()))[roi]).max() < 15
    inner_density = 40 * 7**2 / 4.0**2
    assert store.density_per_mm2.to_numpy()[0][roi].mean() == pytest.approx(inner_density, rel=0.1)


def test_statistics_state_size_smoothness_and_pattern(results):
    layer = read_json(results / "statistics.json")["layers"]["layer1"]
    assert layer["n_units"] == 40 * 7**2
    assert layer["n_border_units"] == 40 * (81 - 49)
    assert (layer["n_untuned_units"], layer["n_channels"]) == (0, 40)
    for statistic, chance in (("direction", 90), ("axis", 45)):
        near = layer[statistic]["near"]
        assert near["p"] == pytest.approx(1 / 200)
        assert near["low_deg"] < near["mean_deg"] < near["high_deg"] < near["null_low_deg"]
        assert near["smoothness_index"] == pytest.approx(
            1 - near["mean_deg"] / near["null_mean_deg"]
        )
        assert near["null_mean_deg"] < chance + 2
        pattern = layer[statistic]["pattern"]
        assert pattern["n_pinwheels"]["value"] == (1 if statistic == "direction" else 2)
        # one pinwheel on the sheet is no periodic map
        assert not pattern["density_conditions"]["roi_large_enough"]
        assert not pattern["density_conditions"]["all"]
        assert pattern["peak_p"] <= 1 / 6


def test_the_smoothness_table_has_a_row_per_bin_and_statistic(results):
    table = read_table(results / "smoothness.parquet")
    n_bins = len(OPTIONS.distance_edges_mm) - 1
    assert table.groupby(["layer", "statistic"]).size().to_dict() == {
        ("layer1", name): n_bins for name in ("axis", "direction", "orientation")
    }  # fmt: skip
    direction = table[table.statistic == "direction"]
    assert (direction.mean_deg.diff().dropna() > 0)[:5].all()
    assert direction.same_channel_share.between(0.01, 0.05).all()


def test_random_preferences_give_a_map_at_chance(plant_network, tmp_path):
    # evenly spread: where all prefer one direction, shuffled maps have fewer pinwheels than 4
    channel_preference = np.random.default_rng(1).permutation(40) * 9.0
    network = plant_network(
        lambda x, _: np.repeat(channel_preference, len(x) // 40), {"layer1": (40, 9)}, seed=2
    )
    options = MeasureMapOptions(**vars(OPTIONS) | {"n_maps": 30})
    layer = read_json(run(network, tmp_path, options) / "statistics.json")["layers"]["layer1"]
    near, pattern = layer["direction"]["near"], layer["direction"]["pattern"]
    assert near["p"] > 0.02
    assert near["low_deg"] < near["null_mean_deg"] < near["high_deg"]
    assert pattern["peak_p"] > 0.02
    assert not pattern["density_conditions"]["spacing_stable"]
    density = pattern["density_per_squared_spacing"]
    assert density["shuffled"]["mean"] == pytest.approx(4, abs=0.4)
    assert density["permuted"]["mean"] == pytest.approx(4, abs=0.4)
    assert 2.5 < density["value"] < 5.5


def test_a_periodic_map_gets_its_density_reported(plant_network, tmp_path, ring_field):
    z = ring_field(256, 32.0, 0.1, seed=3).z  # 8 columns of 0.5 mm on the sheet of 4 mm

    def direction_of(x, y):
        return np.rad2deg(np.angle(z[(y * 64).astype(int), (x * 64).astype(int)])) % 360

    network = plant_network(direction_of, {"layer1": (64, 12)}, seed=4)
    options = MeasureMapOptions(**vars(OPTIONS) | {"kernel_mm": {"layer1": 0.08}, "n_maps": 20,
                                                   "n_pixels": 128})  # fmt: skip
    layer = read_json(run(network, tmp_path, options) / "statistics.json")["layers"]["layer1"]
    pattern = layer["direction"]["pattern"]
    assert pattern["density_conditions"] == {
        "spacing_stable": True, "peak_above_surrogates": True, "roi_large_enough": True, "all": True
    }  # fmt: skip
    for spacing in ("spacing_wavelet_mm", "spacing_spectrum_mm"):
        assert pattern[spacing]["value"] == pytest.approx(0.5, rel=0.08)
        assert pattern[spacing]["low"] <= pattern[spacing]["high"]
    per_mm2 = pattern["density_per_mm2"]["value"]
    assert per_mm2 == pytest.approx(len(find_pinwheels(z)) / 4.0**2, rel=0.15)
    density = pattern["density_per_squared_spacing"]["value"]
    assert density == pytest.approx(per_mm2 * pattern["spacing_spectrum_mm"]["value"] ** 2)
    assert 2.5 < density < 3.4 < pattern["density_per_squared_spacing"]["shuffled"]["low"] + 0.5


def test_the_same_inputs_give_the_same_bytes(network, results, tmp_path):
    (tmp_path / "tuning.parquet").write_bytes((results / "tuning.parquet").read_bytes())
    again = run(network, tmp_path)
    for name in ("pinwheels.parquet", "smoothness.parquet"):
        pd.testing.assert_frame_equal(read_table(results / name), read_table(again / name))
    first, second = (read_json(folder / "statistics.json") for folder in (results, again))
    assert first["layers"] == second["layers"]


def test_layers_must_be_the_same_in_both_inputs(network, results, plant_network, tmp_path):
    (tmp_path / "tuning.parquet").write_bytes((results / "tuning.parquet").read_bytes())
    with pytest.raises(InputError, match=r"layer 'layer9' has 0 units"):
        run(network, tmp_path, MeasureMapOptions(kernel_mm={"layer9": 0.2}))
    other = plant_network(around_a_pinwheel, {"layer1": (40, 8)})
    with pytest.raises(InputError, match=r"3240 units.*2560.*2560 in both"):
        run(other, tmp_path)
