import json
from pathlib import Path

import numpy as np
import pytest

from workflow_scripts.measure_session_tuning import (
    MeasureSessionTuningOptions,
    measure_session_tuning,
)
from workflow_scripts.recordings.readers.park import read_park
from workflow_scripts.recordings.sessions import add_time_course, trial_session
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_table
from workflow_scripts.stores.zarr_store import variable, write_store

PARK = Path(__file__).parents[2] / "resources" / "v1_gratings_park2024"
DIRECTIONS = np.arange(0, 360, 30.0)
PREFERRED = np.array([0.0, 90.0, 240.0])
OPTIONS = MeasureSessionTuningOptions(n_permutations=200, n_bootstraps=200)


def planted(path, repeats=20, noise=0.3, named=True):
    """Direction-tuned cells on a baseline of 5; the last one is not tuned."""
    rng = np.random.default_rng(0)
    stimulus = np.tile(np.arange(len(DIRECTIONS)), repeats)
    difference = np.deg2rad(DIRECTIONS[stimulus] - PREFERRED[:, None])
    tuned = np.exp(2 * (np.cos(difference) - 1))
    signal = np.vstack([tuned, np.full_like(tuned[:1], 0.3)])
    response = 5 + signal + rng.normal(0, noise, signal.shape)
    before = 5 + rng.normal(0, noise, (*signal.shape, 4))
    session = trial_session(
        response, stimulus, response_units="a.u.",
        stimulus_names=[f"{one:g}" for one in DIRECTIONS], attributes={"session_id": "s"},
    )  # fmt: skip
    courses = np.concatenate([before, response[..., None]], axis=2)
    session = add_time_course(session, courses, np.arange(-4, 1) * 0.25, 0.25)
    if named:
        session["direction_deg"] = variable("stimulus", DIRECTIONS, "deg", "direction")
    write_store(path, session, {"stage": "test"})
    return path


def measure(session, folder):
    measure_session_tuning(session, folder / "t.parquet", folder / "t.json", OPTIONS)
    return read_table(folder / "t.parquet"), json.loads((folder / "t.json").read_text())


def test_planted_tuning_is_recovered(tmp_path):
    table, statistics = measure(planted(tmp_path / "s.zarr"), tmp_path)
    difference = (table["preferred_direction_deg"][:3] - PREFERRED + 180) % 360 - 180
    assert np.abs(difference).max() < 8
    assert (table["vector_strength_p"][:3] < 0.01).all()
    assert table["vector_strength_p"][3] > 0.05
    assert (table["reliability"][:3] > 0.9).all()
    assert abs(table["reliability"][3]) < 0.7
    # Without its baseline of 5 a cell would hardly be selective.
    assert (table["dsi"][:3] > 0.8).all()
    assert statistics["n_cells"] == 4
    reliability = statistics["reliability"]
    assert reliability["low"] <= reliability["value"] <= reliability["high"]


def test_a_real_session_is_as_reliable_as_known(tmp_path):
    """230809_mrcuts28_fov4: median split-half of the direction curves about .8."""
    session = read_park(PARK / "230809_mrcuts28_fov4.mat", (0.25, 2.0), {"session_id": "park"})
    write_store(tmp_path / "s.zarr", session, {"stage": "test"})
    _, statistics = measure(tmp_path / "s.zarr", tmp_path)
    assert statistics["reliability"]["value"] == pytest.approx(0.8, abs=0.02)
    assert statistics["n_cells"] == 56


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"named": False}, "have no direction_deg"), ({"repeats": 1}, "shown only once")],
)
def test_sessions_without_directions_or_repeats_are_refused(tmp_path, changes, message):
    session = planted(tmp_path / "s.zarr", **changes)
    with pytest.raises(InputError, match=message):
        measure(session, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["s.zarr"]
