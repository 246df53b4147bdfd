"""Figures of recordings, drawn from sessions whose content is planted."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from docutils.core import publish_doctree
from matplotlib.figure import Figure
from matplotlib.image import imread

from workflow_scripts.measure_session_tuning import (
    MeasureSessionTuningOptions,
    measure_session_tuning,
)
from workflow_scripts.plot_onsets import _highest, plot_onsets
from workflow_scripts.plot_session import plot_session
from workflow_scripts.plot_session_tuning import plot_session_tuning
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.sessions import (
    best_units,
    draw_averages,
    draw_reliability,
    draw_split,
)
from workflow_scripts.recordings.reliability import add_reliability
from workflow_scripts.recordings.sessions import (
    add_behaviour,
    add_images,
    add_time_course,
    continuous_session,
    trial_session,
)
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_table, write_table
from workflow_scripts.stores.zarr_store import variable, write_store

DPI = 60
N_UNITS, N_STIMULI, N_REPEATS = 6, 8, 10


@pytest.fixture
def session():
    """Units whose noise grows with their number, shown `N_STIMULI` directions."""
    rng = np.random.default_rng(0)
    stimulus = np.tile(np.arange(N_STIMULI), N_REPEATS)
    tuning = np.cos(np.deg2rad(45 * stimulus[None] - 60 * np.arange(N_UNITS)[:, None]))
    noise = 0.02 * 3.0 ** np.arange(N_UNITS)[:, None]
    response = 5 + tuning + noise * rng.standard_normal((N_UNITS, len(stimulus)))
    made = trial_session(
        response, stimulus, response_units="a.u.", stimulus_names=list("abcdefgh"),
        attributes={"session_id": "made_up", "species": "mouse", "onsets": "published"},
    )  # fmt: skip
    made["direction_deg"] = variable("stimulus", np.arange(8) * 45.0, "deg", "direction")
    split = np.where(np.arange(len(stimulus)) < 64, "train", "test").astype(object)
    made = made.assign_coords(split=variable("trial", split, "1", "split"))
    return add_reliability(made)


def draw(session, out, tmp_path):
    store = tmp_path / "session.zarr"
    write_store(store, session, {})
    plot_session(store, **out, options=FigureOptions(DPI))
    text = out["caption"].read_text()
    publish_doctree(text, settings_overrides={"report_level": 1, "halt_level": 2})
    image = imread(out["figure"])[..., :3]
    assert (image.min(axis=-1) < 0.9).mean() > 0.02
    return text.replace("\\", "")


def test_the_caption_tells_sizes_split_and_reliability(session, out, tmp_path):
    text = draw(session, out, tmp_path)
    assert "made_up" in text
    assert f"{N_UNITS} units, 80 trials of 8 stimuli" in text
    assert "train 64, test 16" in text
    assert f"{np.median(session['oracle_r']):.3f} [" in text
    assert "SIMULATED" not in text
    assert "INFERRED" not in text


def test_what_was_inferred_or_simulated_is_said(session, out, tmp_path):
    session["truth_rate"] = variable("unit", np.ones(N_UNITS), "Hz", "rate")
    text = draw(session.assign_attrs(onsets="inferred"), out, tmp_path)
    assert "SIMULATED" in text
    assert "ONSETS INFERRED" in text


def test_everything_that_a_session_may_hold_is_drawn(session, out, tmp_path):
    rng = np.random.default_rng(1)
    session = add_time_course(session, rng.random((N_UNITS, 80, 5)), np.arange(5) * 0.1, 0.1)
    session = add_images(session, rng.integers(0, 255, (8, 1, 12, 16), np.uint8))
    session = add_behaviour(session, rng.random((80, 2)), ["speed", "pupil"])
    draw(session, out, tmp_path / "averages")
    masks = np.zeros((N_UNITS, 12, 16), bool)
    masks[:, 3:6, 4:8] = True
    session["receptive_field"] = variable(("unit", "y", "x"), masks, "1", "outline")
    draw(session, out, tmp_path / "outlines")


def test_a_continuous_recording_is_drawn_without_trials(out, tmp_path):
    traces = np.random.default_rng(0).random((4, 50))
    recording = continuous_session(
        traces, np.arange(50) / 10, response_units="a.u.", attributes={"session_id": "traces"}
    )
    assert "4 units, 50 samples, not cut into trials" in draw(recording, out, tmp_path)


def test_units_are_ordered_by_reliability_with_the_unknown_last(session):
    session["split_half_corrected_r"][0] = np.nan
    assert list(best_units(session)) == [*np.argsort(-session["split_half_corrected_r"][1:]) + 1, 0]
    assert best_units(session)[0] == 1


def test_every_unit_is_in_the_histogram_of_reliability(session):
    session["split_half_corrected_r"][:2] = [-2.6, -1.2]
    figure = Figure()
    draw_reliability(figure.subfigures(1, 1), session)
    axes = figure.axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == N_UNITS
    assert axes.get_xlim() == (-1, 1)
    assert "2 below −1" in axes.get_title(loc="left")


def test_the_average_shows_what_a_unit_responds_to():
    rng = np.random.default_rng(2)
    images = rng.integers(0, 255, (400, 1, 6, 8), np.uint8)
    response = np.maximum(images[None, :, 0, 2, 5] / 255.0 + np.zeros((2, 1)), 0)
    made = trial_session(
        response, np.arange(400), response_units="a.u.",
        stimulus_names=[str(number) for number in range(400)], attributes={"session_id": "pixel"},
    )  # fmt: skip
    made = add_images(made, images).assign(
        split_half_corrected_r=variable("unit", np.ones(2), "1", "r")
    )
    made = made.assign_coords(split=variable("trial", np.full(400, "train", object), "1", "split"))
    figure = Figure()
    draw_averages(figure.subfigures(1, 1), made)
    average = figure.axes[0].get_images()[0].get_array()
    assert np.unravel_index(np.argmax(average), average.shape) == (2, 5)


def test_splits_are_drawn_by_trial_where_stimuli_recur(session):
    by_trial, by_stimulus = Figure().subplots(1, 2)
    draw_split(by_trial, session)
    assert by_trial.get_xlabel() == "trial"
    split = np.where(session["stimulus_id"] < 6, "train", "test").astype(object)
    draw_split(by_stimulus, session.assign_coords(split=("trial", split)))
    assert by_stimulus.get_xlabel() == "stimulus"


def test_tuning_of_the_cells_and_its_two_halves_are_told(session, out, tmp_path):
    store, table, record = (tmp_path / name for name in ("s.zarr", "t.parquet", "t.json"))
    write_store(store, session, {})
    measure_session_tuning(store, table, record, MeasureSessionTuningOptions(99, 50))
    plot_session_tuning(table, record, **out, options=FigureOptions(DPI))
    text = out["caption"].read_text()
    publish_doctree(text, settings_overrides={"report_level": 1, "halt_level": 2})
    cells = read_table(table)
    assert f"{N_UNITS} cells, 8 directions" in text
    assert f"correlate at a median of {cells['reliability'].median():.2f}" in text
    write_table(table, pd.DataFrame({"unit_id": ["0"]}), {})
    with pytest.raises(InputError, match="no column reliability"):
        plot_session_tuning(table, record, **out, options=FigureOptions(DPI))


def test_evidence_for_onsets_is_told(out, tmp_path):
    rng = np.random.default_rng(0)
    score = rng.normal(0, 0.01, (30, 40))
    score[12, 20] = 0.5
    made = xr.Dataset({
        "kept": variable("piece", np.arange(10) < 9, "1", "kept"),
        "score": variable(("interval", "first"), score, "1", "score"),
        "held_out_score": variable((), 0.4, "1", "held out"),
        "null_score": variable("permutation", rng.normal(0.1, 0.01, 99), "1", "null"),
        "unit_score": variable("unit", rng.random(5), "1", "r"),
        "block_shift_s": variable("block", np.array([0.0, -0.012]), "s", "shift"),
        "best_score": variable((), 0.5, "1", "best"),
        "first_onset_s": variable((), 3.75, "s", "first"),
        "interval_length_s": variable((), 0.8055, "s", "interval"),
        "candidate_first_s": variable("first", np.arange(40) / 10, "s", "first"),
        "candidate_interval_s": variable("interval", 0.3 + np.arange(30) / 100, "s", "interval"),
    })  # fmt: skip
    store = tmp_path / "onsets.zarr"
    write_store(store, made, {})
    plot_onsets(store, **out, options=FigureOptions(DPI))
    text = out["caption"].read_text()
    assert "3.750 + 0.80550 · k s" in text
    assert "9 of 10 pieces" in text
    assert "0 of 99 permutations reach it (p = .010)" in text
    assert "at most 12 ms" in text


def test_a_narrow_peak_survives_being_drawn_small():
    score = np.zeros((1234, 777))
    score[1001, 333] = 1.0
    small = _highest(score)
    assert max(small.shape) <= 500
    row, column = np.unravel_index(small.argmax(), small.shape)
    assert small.max() == 1.0
    assert abs(row / small.shape[0] - 1001 / 1234) < 0.01
    assert abs(column / small.shape[1] - 333 / 777) < 0.01
