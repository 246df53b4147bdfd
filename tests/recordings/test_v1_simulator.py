import hashlib
import zipfile

import numpy as np
import pytest

from workflow_scripts.recordings.readers.sensorium import read_sensorium2022
from workflow_scripts.recordings.reliability import add_reliability
from workflow_scripts.recordings.v1_simulator import (
    draw_behaviour,
    draw_population,
    drive,
    expected_response,
    gabor_filters,
    natural_crops,
    shift_by_gaze,
    shift_images,
)
from workflow_scripts.simulate_mouse import SimulateMouseOptions, simulate_mouse
from workflow_scripts.stores.errors import InputError

SHAPE = (1, 36, 64)
STILL = np.zeros((1, 2))


@pytest.fixture(scope="module")
def population():
    return draw_population(60, SHAPE, np.random.default_rng(0))


def gratings(axis_deg, cycles_per_px, phase_deg, shape=SHAPE):
    """Full-field gratings, grey levels."""
    y, x = np.mgrid[: shape[1], : shape[2]]
    axis, phase = np.deg2rad(axis_deg), np.deg2rad(np.asarray(phase_deg))[:, None, None]
    wave = np.cos(2 * np.pi * cycles_per_px * (x * np.cos(axis) - y * np.sin(axis)) + phase)
    return np.rint(127.5 + 127 * wave).astype(np.uint8)[:, None]


def test_filters_have_unit_length_and_no_mean(population):
    filters = gabor_filters(population, *SHAPE[1:])
    np.testing.assert_allclose((filters**2).sum(axis=(2, 3)), 1)
    np.testing.assert_allclose(filters.sum(axis=(2, 3)), 0, atol=1e-12)


def test_cells_prefer_their_axis_and_frequency(population):
    axes = np.arange(0, 180, 10.0)
    phases = np.arange(0, 360, 30.0)
    for cell in (3, 11, 27):
        frequency = population.spatial_frequency[cell]
        images = np.concatenate([gratings(axis, frequency, phases) for axis in axes])
        driven = drive(population, images, np.zeros((len(images), 2)))[cell]
        best = axes[driven.reshape(len(axes), -1).mean(axis=1).argmax()]
        difference = (best - population.axis_deg[cell] + 90) % 180 - 90
        assert abs(difference) <= 10


def test_complex_cells_ignore_phase_and_simple_cells_do_not(population):
    spread = []
    for cell in range(30):
        images = gratings(population.axis_deg[cell], population.spatial_frequency[cell],
                          np.arange(0, 360, 15.0))  # fmt: skip
        driven = drive(population, images, np.zeros((len(images), 2)))[cell]
        spread.append(driven.std() / driven.mean())
    complexity = population.complexity[:30].astype(bool)
    assert np.max(np.array(spread)[complexity]) < 0.15
    assert np.min(np.array(spread)[~complexity]) > 0.8


def test_receptive_fields_follow_cortex(population):
    assert np.corrcoef(population.x_um, population.receptive_field_column)[0, 1] > 0.98
    assert np.corrcoef(population.y_um, population.receptive_field_row)[0, 1] > 0.95


def test_whole_pixel_shifts_are_exact():
    images = np.random.default_rng(0).random((2, 1, 20, 30))
    moved = shift_images(images, np.array([[2.0, -3.0], [0.0, 0.0]]))
    np.testing.assert_allclose(moved[0, 0, :-2, 3:], images[0, 0, 2:, :-3])
    np.testing.assert_allclose(moved[1], images[1])


def test_gaze_moves_the_receptive_field(population):
    """An image moved with the eye drives the cells as the image at rest does."""
    image = natural_crops(np.random.default_rng(0).integers(0, 255, (1, 200, 200), np.uint8), 6,
                          (1, 60, 90), np.random.default_rng(1))  # fmt: skip
    inner = image[:, :, 10:46, 12:76]
    moved = image[:, :, 7:43, 16:80]
    still = drive(population, inner, np.repeat(STILL, 6, axis=0))
    followed = drive(population, moved, np.repeat([[3.0, -4.0]], 6, axis=0))
    inside = (np.abs(population.receptive_field_row - 18) < 6) & (
        np.abs(population.receptive_field_column - 32) < 10
    )
    inside &= population.width < 4  # the Gabor's ends are within the image
    assert inside.sum() > 3
    np.testing.assert_allclose(followed[inside], still[inside], rtol=0.15, atol=0.02)
    up_and_right = shift_by_gaze(np.array([[130.0, 95.0]]))[0]
    assert up_and_right[0] < 0 < up_and_right[1]


def test_arousal_multiplies_the_rate(population):
    driven = np.ones((60, 2))
    low, high = expected_response(population, driven, np.array([-1.0, 1.0])).T
    np.testing.assert_allclose(np.log(high / low), 2 * population.gain)


def test_arousal_can_be_read_off_the_behaviour():
    behaviour = draw_behaviour(3000, np.random.default_rng(0))
    design = np.column_stack([behaviour.variables, np.ones(3000)])
    fitted = design @ np.linalg.lstsq(design, behaviour.arousal, rcond=None)[0]
    assert np.corrcoef(fitted, behaviour.arousal)[0, 1] > 0.999
    assert behaviour.arousal.std() == pytest.approx(1)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Blobs of all sizes stand in for natural images."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:120, :140]
    pictures = np.full((20, 120, 140), 128.0)
    for picture in pictures:
        for _ in range(60):
            radius, row, column = rng.uniform(2, 25), *rng.uniform(0, 140, 2)
            picture[(y - row) ** 2 + (x - column) ** 2 < radius**2] = rng.uniform(0, 255)
    path = tmp_path_factory.mktemp("images") / "images.npz"
    np.savez(path, images=pictures.astype(np.uint8))
    return path


SMALL = {"n_neurons": 40, "n_train": 300, "n_validation": 20, "n_test": 30, "n_repeats": 8}


@pytest.fixture(scope="module")
def mouse(images, tmp_path_factory):
    path = tmp_path_factory.mktemp("mouse") / "mouse0.zip"
    simulate_mouse(images, path, SimulateMouseOptions(seed=0, **SMALL))
    return path


@pytest.fixture(scope="module")
def session(mouse):
    return read_sensorium2022(mouse, {"session_id": "mouse0"})


def test_the_archive_is_read_as_the_published_layout(session):
    split = session["split"].to_numpy().tolist()
    counts = {name: split.count(name) for name in set(split)}
    assert counts == {"train": 300, "validation": 20, "test": 240}
    assert session.sizes["stimulus"] == 350
    assert session.attrs["truth"] == "simulated"
    assert session["truth_receptive_field_row"].attrs["units"] == "px"


def test_the_truth_explains_the_responses(session):
    expected, counts = session["truth_expected_response"], session["response"]
    residual = (counts - expected) / np.sqrt(expected)  # Poisson: variance 1
    assert residual.mean() == pytest.approx(0, abs=0.02)
    assert residual.var() == pytest.approx(1, abs=0.05)


def test_behaviour_gain_costs_what_it_should(session):
    """Without the arousal of the trial, the truth explains less: by the cells' gains."""
    tested = (session["split"] == "test").to_numpy()
    expected = session["truth_expected_response"].to_numpy()[:, tested]
    counts = session["response"].to_numpy()[:, tested]
    stimulus = session["stimulus_id"].to_numpy()[tested]
    averaged = np.stack([expected[:, stimulus == one].mean(axis=1) for one in stimulus], axis=1)

    def r(model):
        return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(model, counts, strict=True)])

    loss = r(expected) - r(averaged)
    assert loss.mean() > 0.02
    assert np.corrcoef(loss, session["truth_gain"])[0, 1] > 0.4


def test_responses_are_reliable_but_noisy(session):
    reliability = add_reliability(session)
    assert 0.1 < reliability["fev"].median() < 0.8
    assert reliability["ceiling_average_r"].median() > 0.7


def test_mice_share_only_their_test_images(images, session, tmp_path):
    simulate_mouse(images, tmp_path / "mouse1.zip", SimulateMouseOptions(seed=1, **SMALL))
    other = read_sensorium2022(tmp_path / "mouse1.zip", {"session_id": "mouse1"})

    def digests(one, split):
        chosen = np.unique(one["stimulus_id"].to_numpy()[(one["split"] == split).to_numpy()])
        return {
            hashlib.sha256(image.tobytes()).digest() for image in one["image"].to_numpy()[chosen]
        }

    assert digests(session, "test") == digests(other, "test")
    assert len(digests(session, "train") & digests(other, "train")) < 30
    for one in (session, other):
        assert not digests(one, "train") & digests(one, "test")


def test_equal_seeds_give_equal_bytes(images, mouse, tmp_path):
    again = tmp_path / "again.zip"
    simulate_mouse(images, again, SimulateMouseOptions(seed=0, **SMALL))
    assert again.read_bytes() == mouse.read_bytes()


def test_two_channels(images, tmp_path):
    options = SimulateMouseOptions(seed=0, image_shape=(2, 36, 64), **SMALL)
    simulate_mouse(images, tmp_path / "two.zip", options)
    session = read_sensorium2022(tmp_path / "two.zip", {"session_id": "two"})
    assert session["image"].shape[1] == 2
    with zipfile.ZipFile(tmp_path / "two.zip") as archive:
        assert "meta/trials/colorframeprojector_image_id.npy" in archive.namelist()
    # A cell that weighs only one channel follows that channel's drive.
    channel_0, channel_1 = (session["image"].to_numpy()[:, c].astype(float) for c in (0, 1))
    assert 0.5 < np.corrcoef(channel_0.ravel(), channel_1.ravel())[0, 1] < 0.99


def test_unusable_images_are_refused_and_nothing_is_written(tmp_path):
    np.savez(tmp_path / "few.npz", images=np.zeros((3, 100, 100), np.uint8))
    with pytest.raises(InputError, match="3 images cannot be divided into three splits"):
        simulate_mouse(tmp_path / "few.npz", tmp_path / "m.zip", SimulateMouseOptions(seed=0))
    np.savez(tmp_path / "tiny.npz", images=np.zeros((30, 20, 20), np.uint8))
    with pytest.raises(InputError, match="smaller than 36 × 64"):
        simulate_mouse(tmp_path / "tiny.npz", tmp_path / "m.zip", SimulateMouseOptions(seed=0))
    with pytest.raises(InputError, match="2 repeats"):
        SimulateMouseOptions(seed=0, n_repeats=1)
    np.savez(tmp_path / "grey.npz", images=np.full((30, 90, 90), 128, np.uint8))
    with pytest.raises(InputError, match="do not give 60 different crops"):
        simulate_mouse(tmp_path / "grey.npz", tmp_path / "m.zip", SimulateMouseOptions(seed=0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.npz", "grey.npz", "tiny.npz"]
