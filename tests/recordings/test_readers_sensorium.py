"""Folders and archives in the published layouts."""

import shutil
import zipfile

import numpy as np
import pytest

from workflow_scripts.read_session import ReadSessionOptions, read_session
from workflow_scripts.recordings.readers.sensorium import (
    check_sensorium,
    read_sensorium2022,
    read_sensorium2023,
)
from workflow_scripts.recordings.splits import SplitOptions
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import open_store

ATTRIBUTES = {"session_id": "mouse"}
TIERS = np.array(["train"] * 5 + ["validation"] * 2 + ["test"] * 4 + ["final_test"] * 2)
TIERS_2023 = np.array(["train"] * 3 + ["oracle", "live_test_main", "live_test_bonus"])
N_NEURONS, N_FRAMES = 4, 20


def save(root, name, values):
    path = root / f"{name}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


@pytest.fixture
def static(tmp_path):
    """Sensorium 2022: test images shown twice, final test responses withheld (zeros)."""
    root, rng = tmp_path / "static1-1-1-GrayImageNet-0123", np.random.default_rng(0)
    image_id = np.array([10, 11, 12, 13, 14, 15, 16, 17, 18, 17, 18, 19, 20])
    images = {one: rng.integers(0, 255, (1, 9, 16)).astype(np.uint8) for one in set(image_id)}
    for trial, tier in enumerate(TIERS):
        save(root, f"data/images/{trial}", images[image_id[trial]])
        response = np.zeros(N_NEURONS) if tier == "final_test" else rng.random(N_NEURONS)
        save(root, f"data/responses/{trial}", response)
        save(root, f"data/behavior/{trial}", rng.random((1, 3)))
        save(root, f"data/pupil_center/{trial}", rng.random(2))
    save(root, "meta/trials/tiers", TIERS)
    save(root, "meta/trials/frame_image_id", image_id)
    save(root, "meta/neurons/cell_motor_coordinates", rng.random((N_NEURONS, 3)) * 100)
    save(root, "meta/neurons/unit_ids", np.arange(5, 5 + N_NEURONS))
    save(root, "meta/neurons/layer", np.array(["L2/3"] * N_NEURONS))
    save(root, "meta/statistics/responses/all/std", np.ones(N_NEURONS))
    return root


def test_reads_what_was_published(static):
    session = read_sensorium2022(static, ATTRIBUTES)
    assert session["response"].shape == (N_NEURONS, 11)
    assert session.attrs["n_trials_withheld"] == 2
    assert session["split"].to_numpy().tolist() == TIERS[:11].tolist()
    assert session["stimulus_name"].to_numpy().tolist() == [str(k) for k in range(10, 19)]
    assert session["stimulus_id"].to_numpy()[7:].tolist() == [7, 8, 7, 8]
    for trial in range(11):
        shown = session["image"].to_numpy()[session["stimulus_id"].to_numpy()[trial]]
        np.testing.assert_array_equal(shown, np.load(static / f"data/images/{trial}.npy"))
        recorded = np.load(static / f"data/responses/{trial}.npy")
        np.testing.assert_allclose(session["response"][:, trial], recorded, rtol=1e-6)
    coordinates = np.load(static / "meta/neurons/cell_motor_coordinates.npy")
    np.testing.assert_allclose(session["z_um"], coordinates[:, 2])
    assert session["unit_id"].to_numpy().tolist() == ["5", "6", "7", "8"]
    assert set(session["layer"].to_numpy()) == {"L2/3"}
    assert session["behaviour"].shape == (11, 3)
    assert session["pupil_centre"].shape == (11, 2)


@pytest.mark.parametrize("nested", [True, False])
def test_an_archive_reads_like_its_folder(static, tmp_path, nested):
    path = tmp_path / "mouse.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in static.rglob("*.npy"):
            archive.write(file, file.relative_to(static.parent if nested else static))
    from_folder = read_sensorium2022(static, ATTRIBUTES)
    assert read_sensorium2022(path, ATTRIBUTES).identical(from_folder)


def test_two_channels_of_franke(static):
    for trial in range(len(TIERS)):
        image = np.load(static / f"data/images/{trial}.npy")
        save(static, f"data/images/{trial}", np.concatenate([image, 255 - image]))
    (static / "meta/trials/frame_image_id.npy").rename(
        static / "meta/trials/colorframeprojector_image_id.npy"
    )
    session = read_sensorium2022(static, ATTRIBUTES)
    assert session["image"].shape == (9, 2, 9, 16)
    np.testing.assert_array_equal(session["image"][:, 0], 255 - session["image"][:, 1])
    assert session["stimulus_name"][0] == "10"


def test_equal_pixels_are_one_stimulus_whatever_their_id(static, tmp_path):
    """Else a test image could be trained on under another id."""
    save(static, "data/images/0", np.load(static / "data/images/7.npy"))
    stimulus = read_sensorium2022(static, ATTRIBUTES)["stimulus_id"].to_numpy()
    assert stimulus[0] == stimulus[7] == stimulus[9]

    def read(rule):
        options = ReadSessionOptions("mouse", "sensorium2022", split=SplitOptions(rule=rule))
        read_session(static, tmp_path / f"{rule}.zarr", options)
        return open_store(tmp_path / f"{rule}.zarr", load=True)

    with pytest.raises(InputError, match="stimulus 10 in test and train; set split_rule"):
        read("published")
    session = read("stimulus")
    assert len(set(session["split"].to_numpy()[[0, 7, 9]])) == 1


def test_withheld_behaviour_is_left_out(static):
    for trial in range(len(TIERS)):
        save(static, f"data/behavior/{trial}", np.zeros(3))
    assert "behaviour" not in read_sensorium2022(static, ATTRIBUTES)


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def test_an_archive_whose_bytes_changed_is_refused(static, tmp_path):
    path, response = tmp_path / "mouse.zip", (static / "data/responses/3.npy").read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for file in static.rglob("*.npy"):
            archive.write(file, file.relative_to(static))
    content = path.read_bytes()
    assert content.count(response) == 1
    changed = response[:-4] + bytes(255 - byte for byte in response[-4:])
    path.write_bytes(content.replace(response, changed))
    with pytest.raises(InputError, match=r"responses/3\.npy: not a readable .*Bad CRC-32"):
        read_sensorium2022(path, ATTRIBUTES)


def not_an_archive(root):
    shutil.rmtree(root)
    root.write_bytes(b"PK\x03\x04 and then nothing")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "no such folder or .zip file"),
        (not_an_archive, "not a readable .zip file"),
        (lambda f: shutil.rmtree(f / "meta"), "no folders data/ and meta/"),
        (lambda f: (f / "meta/trials/tiers.npy").unlink(), r"tiers\.npy: not a readable"),
        (lambda f: save(f, "meta/trials/tiers", np.array(["train", "exam"])), r"tiers \['exam'\]"),
        (lambda f: (f / "data/responses/3.npy").unlink(), r"responses/3\.npy: not a readable"),
        (lambda f: cut(f / "data/images/2.npy"), r"images/2\.npy: not a readable"),
        (lambda f: save(f, "data/responses/1", np.ones(7)), r"responses/1\.npy: shape \(7,\)"),
        (lambda f: save(f, "data/responses/1", np.full(4, np.nan)), r"responses/1\.npy: holds NaN"),
        (lambda f: save(f, "data/images/1", np.ones((1, 5, 5), np.uint8)), r"images/1\.npy: shape"),
        (lambda f: save(f, "data/images/1", np.full((1, 9, 16), -0.3)), "expected grey levels"),
        (lambda f: save(f, "meta/neurons/cell_motor_coordinates", np.ones((4, 2))), "any × 3"),
        (lambda f: save(f, "meta/trials/frame_image_id", np.arange(3)), r"shape \(3,\)"),
        (lambda f: save(f, "meta/neurons/area", np.array([{}] * 4)), r"area\.npy: not a readable"),
    ],
)  # fmt: skip
def test_damaged_folders_are_refused(static, damage, message):
    damage(static)
    with pytest.raises(InputError, match=message):
        read_sensorium2022(static, ATTRIBUTES)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: save(f, "meta/trials/tiers", np.array(["train", "exam"])), r"tiers \['exam'\]"),
        (lambda f: (f / "data/responses/3.npy").unlink(), "12 files for 13 trials"),
        (lambda f: save(f, "data/responses/0", np.ones(7)), r"responses/0\.npy: shape \(7,\)"),
        (lambda f: save(f, "meta/neurons/cell_motor_coordinates", np.ones((4, 2))), "any × 3"),
    ],
)
def test_the_layout_is_checked_before_any_work(static, damage, message):
    check_sensorium(static, 2022)
    damage(static)
    with pytest.raises(InputError, match=message):
        check_sensorium(static, 2022)


@pytest.fixture
def dynamic(tmp_path):
    """Sensorium 2023: the second video ends after 15 frames, the bonus responses are withheld."""
    root, rng = tmp_path / "dynamic1-1-1-Video-0123", np.random.default_rng(0)
    for trial in range(len(TIERS_2023)):
        end = 15 if trial == 1 else N_FRAMES
        for name, shape, withheld in (
            ("videos", (6, 8), False), ("responses", (N_NEURONS,), trial == 5),
            ("behavior", (2,), False), ("pupil_center", (2,), False),
        ):  # fmt: skip
            values = rng.integers(0, 255, (*shape, N_FRAMES)).astype(np.float32)
            values[..., end:] = np.nan
            save(root, f"data/{name}/{trial}", 0 * values if withheld else values)
    save(root, "meta/trials/tiers", TIERS_2023)
    save(root, "meta/neurons/cell_motor_coordinates", rng.random((N_NEURONS, 3)))
    save(root, "meta/neurons/unit_ids", np.arange(N_NEURONS))
    return root


def test_videos_end_where_they_end(dynamic):
    session = read_sensorium2023(dynamic, 30.0, ATTRIBUTES)
    assert session["n_bins"].to_numpy().tolist() == [20, 15, 20, 20, 20]
    assert session["movie"].dims == ("stimulus", "frame", "y", "x")
    assert session["split"].to_numpy().tolist() == ["train"] * 3 + ["validation", "test"]
    for trial, n in enumerate(session["n_bins"].to_numpy()):
        recorded = np.load(dynamic / f"data/responses/{trial}.npy")[:, :n]
        np.testing.assert_array_equal(session["time_course"][:, trial, :n], recorded)
        assert (session["time_course"][:, trial, n:] == 0).all()
        np.testing.assert_allclose(session["response"][:, trial], recorded.mean(axis=1), rtol=1e-6)
        video = np.load(dynamic / f"data/videos/{trial}.npy")[..., :n]
        np.testing.assert_array_equal(session["movie"][trial, :n], np.moveaxis(video, -1, 0))
        behaviour = np.load(dynamic / f"data/behavior/{trial}.npy")[:, :n]
        np.testing.assert_allclose(session["behaviour"][trial], behaviour.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(np.diff(session["bin_time_s"]), 1 / 30)


def nan_inside(root):
    values = np.load(root / "data/responses/2.npy")
    values[1, 4] = np.nan
    np.save(root / "data/responses/2.npy", values)


def nan_behaviour(root):
    values = np.load(root / "data/behavior/2.npy")
    values[1, 4] = np.nan
    np.save(root / "data/behavior/2.npy", values)


def normalised(root):
    for file in (root / "data/videos").iterdir():
        np.save(file, np.load(file) / 255)


def all_withheld(root):
    for file in (root / "data/responses").iterdir():
        np.save(file, np.zeros((N_NEURONS, N_FRAMES)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (nan_inside, "NaN within the trial, not only after its end"),
        (nan_behaviour, "behaviour holds NaN"),
        (normalised, "expected grey levels 0 to 255, not normalised"),
        (all_withheld, "every response is zero"),
        (lambda f: (f / "data/videos/1.npy").unlink(), r"videos/1\.npy: not a readable"),
        (lambda f: cut(f / "data/behavior/0.npy"), r"behavior/0\.npy: not a readable"),
        (lambda f: save(f, "data/responses/2", np.ones((N_NEURONS, 7))), r"expected 4 × 20"),
        (lambda f: save(f, "data/videos/2", np.ones((6, 8, 7))), r"videos/2\.npy: shape"),
        (lambda f: save(f, "meta/trials/tiers", np.array(["train", "test"])), r"tiers \['test'\]"),
    ],
)
def test_damaged_dynamic_folders_are_refused(dynamic, damage, message):
    damage(dynamic)
    with pytest.raises(InputError, match=message):
        read_sensorium2023(dynamic, 30.0, ATTRIBUTES)


@pytest.mark.parametrize("rate_hz", [0.0, -30.0, 1e6, float("nan")])
def test_rates_that_no_camera_has_are_refused(dynamic, rate_hz):
    with pytest.raises(InputError, match=r"sampling rate .* is not between"):
        read_sensorium2023(dynamic, rate_hz, ATTRIBUTES)
