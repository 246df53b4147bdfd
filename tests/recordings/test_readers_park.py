"""The real V1 sessions, and damaged ones."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from workflow_scripts.recordings.readers.park import read_park
from workflow_scripts.stores.errors import InputError

PARK = Path(__file__).parents[2] / "resources" / "v1_gratings_park2024"
REAL = PARK / "230809_mrcuts28_fov4.mat"
ATTRIBUTES = {"session_id": "park"}
TIME_S = np.arange(-4, 9) * 0.25


def test_reads_the_real_session():
    session = read_park(REAL, (0.25, 2.0), ATTRIBUTES)
    raw = loadmat(REAL, squeeze_me=True, struct_as_record=False)
    window = (raw["t"] >= 0.25) & (raw["t"] < 2.0)
    assert session["response"].shape == (56, 128)
    assert session["direction_deg"].to_numpy().tolist() == list(range(0, 360, 45))
    np.testing.assert_allclose(
        session["response"][16, 3], raw["D"].neuron17[3][window].mean(), rtol=1e-5
    )
    np.testing.assert_allclose(session["time_course"][16, 3], raw["D"].neuron17[3], rtol=1e-5)
    np.testing.assert_allclose(
        session["behaviour"][5, 1], raw["D"].speed[5][window].mean(), rtol=1e-5
    )
    shown = session["direction_deg"].to_numpy()[session["stimulus_id"].to_numpy()]
    np.testing.assert_array_equal(shown, raw["TE"].direction)
    assert session.attrs["sampling_rate_hz"] == 16
    np.testing.assert_allclose(session["bin_time_s"], raw["t"])


def cells(values):
    array = np.empty((1, len(values)), object)
    array[0] = [one[None] for one in values]
    return array


@pytest.fixture
def write(tmp_path):
    """Writes a session of two neurons and four trials, changed by a function."""

    def write(change=lambda content: None):
        rng = np.random.default_rng(0)
        names = ("neuron1", "neuron2", "pupil_zscore", "speed")
        content = {
            "D": {name: cells(list(rng.random((4, len(TIME_S))))) for name in names},
            "TE": {"direction": np.array([0, 90, 0, 90]), "dt": 0.25},
            "t": TIME_S,
        }
        change(content)
        savemat(tmp_path / "session.mat", content)
        return tmp_path / "session.mat"

    return write


def test_the_small_session_itself_is_read(write):
    session = read_park(write(), (0.0, 1.0), ATTRIBUTES)
    assert session["response"].shape == (2, 4)
    assert session["repeat"].to_numpy().tolist() == [0, 0, 1, 1]


def nan_bin(content):
    content["D"]["neuron2"][0, 1][0, 3] = np.nan


def short_trial(content):
    content["D"]["neuron2"][0, 1] = np.ones((1, 5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("D"), r"no struct 'D'; it has \['TE', 't'\]"),
        (lambda c: c.update(D=1), "no struct 'D'"),
        (lambda c: c.pop("t"), "no variable 't'"),
        (lambda c: c["TE"].pop("direction"), "no field 'direction'"),
        (lambda c: c["D"].pop("speed"), "no field 'speed'"),
        (lambda c: [c["D"].pop("neuron1"), c["D"].pop("neuron2")], "expected one per neuron"),
        (lambda c: c["TE"].update(dt=16.0), r"TE\.dt is 16\.0 s, which is not the step of 't'"),
        (lambda c: c["TE"].update(direction=np.arange(5)), "not 5 trials of 13 bins each"),
        (short_trial, r"D\.neuron2: not 4 trials of 13 bins each"),
        (nan_bin, r"D\.neuron2 is empty, or holds NaN"),
        (lambda c: c["D"].update(speed=cells([np.array(["fast"])] * 4)), r"D\.speed .* no numbers"),
        (
            lambda c: c["TE"].update(direction=np.array([0, 90, np.nan, 90])),
            r"TE\.direction .* NaN",
        ),
        (lambda c: c["TE"].update(dt=np.empty(0)), r"TE\.dt is empty"),
        (lambda c: c.update(t="soon"), "t is empty, or holds NaN, infinity or no numbers"),
    ],
)
def test_unusable_sessions_are_refused(write, change, message):
    path = write(change)
    with pytest.raises(InputError, match=message):
        read_park(path, (0.0, 1.0), ATTRIBUTES)


def test_windows_outside_the_trial_are_refused(write):
    with pytest.raises(InputError, match="no bin lies in the window"):
        read_park(write(), (5.0, 6.0), ATTRIBUTES)


def test_truncated_sessions_are_refused(tmp_path):
    (tmp_path / "cut.mat").write_bytes(REAL.read_bytes()[:100_000])
    with pytest.raises(InputError, match=r"cut\.mat: not a readable \.mat file"):
        read_park(tmp_path / "cut.mat", (0.0, 1.0), ATTRIBUTES)
