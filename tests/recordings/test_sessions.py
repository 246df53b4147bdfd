import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workflow_scripts.recordings.sessions import (
    add_behaviour,
    add_images,
    add_time_course,
    add_training_statistics,
    continuous_session,
    cut_trials,
    trial_session,
)
from workflow_scripts.recordings.trials import check_trials, read_trials
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import open_store, variable, write_store

ATTRIBUTES = {"session_id": "s1", "species": "mouse"}


def small_session(stimulus=(0, 1, 0, 2), **units):
    response = np.arange(3 * len(stimulus), dtype=float).reshape(3, -1)
    names = [f"image{number}" for number in range(max(stimulus) + 1)]
    return trial_session(
        response,
        stimulus,
        response_units="spikes",
        stimulus_names=names,
        attributes=ATTRIBUTES,
        units=units,
    )


def table(**columns):
    return check_trials(pd.DataFrame(columns), "trials.tsv")


def test_repeat_counts_earlier_presentations():
    session = small_session((2, 0, 2, 2, 0, 1))
    assert session["repeat"].to_numpy().tolist() == [0, 0, 1, 2, 1, 0]


def test_a_session_survives_its_store(tmp_path):
    session = small_session(unit_id=["a", "b", "c"], x_um=[1.0, 2.0, 3.0], area=["V1", "LM", "V1"])
    session = add_time_course(session, np.ones((3, 4, 2)), [0.0, 0.1], 0.1)
    session = add_images(session, np.zeros((3, 1, 4, 5), np.uint8))
    write_store(tmp_path / "s.zarr", session, {"stage": "test"})
    opened = open_store(tmp_path / "s.zarr", load=True)
    xr.testing.assert_equal(
        opened.drop_vars(["area", "unit_id"]), session.drop_vars(["area", "unit_id"])
    )
    assert opened["area"].to_numpy().tolist() == ["V1", "LM", "V1"]
    assert opened["unit_id"].to_numpy().tolist() == ["a", "b", "c"]
    assert np.isnan(opened["y_um"]).all()
    assert opened.attrs["species"] == "mouse"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_responses_must_be_finite(bad):
    response = np.ones((2, 3))
    response[1, 2] = bad
    with pytest.raises(
        InputError, match=r"s1: response holds NaN or infinity in 1 of 2 rows.*row 1"
    ):
        trial_session(
            response, [0, 0, 0], response_units="1", stimulus_names=["a"], attributes=ATTRIBUTES
        )


def test_shapes_and_stimuli_must_fit():
    with pytest.raises(InputError, match="do not fit 4 trials"):
        trial_session(
            np.ones((2, 3)),
            [0] * 4,
            response_units="1",
            stimulus_names=["a"],
            attributes=ATTRIBUTES,
        )
    with pytest.raises(InputError, match="names stimulus 1, but there are 1 stimuli"):
        trial_session(
            np.ones((2, 2)), [0, 1], response_units="1", stimulus_names=["a"], attributes=ATTRIBUTES
        )
    with pytest.raises(InputError, match="not strictly increasing"):
        continuous_session(np.ones((1, 3)), [0, 1, 1], response_units="1", attributes=ATTRIBUTES)


def ramp(rate_hz=10.0, n=100):
    time = 5 + np.arange(n) / rate_hz
    return continuous_session(
        np.stack([np.arange(n), -2.0 * np.arange(n)]),
        time,
        response_units="a.u.",
        attributes=ATTRIBUTES,
    )


def test_cutting_averages_the_window_of_each_trial():
    trials = table(onset_s=[6.0, 8.0, 7.0], stimulus=["b", "a", "b"], direction_deg=[90, 0, 90])
    cut = cut_trials(ramp(), trials, (0.0, 0.5))
    # By onset: 6 s is sample 10, so samples 10 … 14; then 7 s and 8 s.
    np.testing.assert_allclose(cut["response"], [[12, 22, 32], [-24, -44, -64]])
    assert cut["stimulus_name"].to_numpy().tolist() == ["a", "b"]
    assert cut["stimulus_id"].to_numpy().tolist() == [1, 1, 0]
    assert cut["direction_deg"].to_numpy().tolist() == [0, 90]
    assert cut["direction_deg"].attrs["units"] == "deg"


def test_windows_tile_the_recording_without_loss():
    trials = table(onset_s=5 + np.arange(0, 10, 0.5), stimulus=["a"] * 20)
    cut = cut_trials(ramp(), trials, (0.0, 0.5))
    np.testing.assert_allclose(cut["response"].sum("trial") * 5, ramp()["response"].sum("time"))


@pytest.mark.parametrize("onset_s", [4.0, 14.8, 1e6])
def test_trials_outside_the_recording_are_refused(onset_s):
    with pytest.raises(InputError, match=r"not within the recording, 5.000 to 14.900 s.*clock"):
        cut_trials(ramp(), table(onset_s=[6.0, onset_s], stimulus=["a", "a"]), (0.0, 0.5))


def test_a_window_without_samples_is_refused():
    with pytest.raises(InputError, match="holds no sample"):
        cut_trials(ramp(), table(onset_s=[6.01], stimulus=["a"]), (0.0, 0.05))


def test_trial_columns_are_behaviour_or_constant_per_stimulus():
    trials = table(onset_s=[6.0, 7.0, 8.0], stimulus=list("aab"), behaviour_speed=[1.0, 2.0, 3.0])
    cut = cut_trials(ramp(), trials, (0.0, 0.5))
    assert cut["behaviour"].to_numpy().ravel().tolist() == [1.0, 2.0, 3.0]
    assert cut["variable"].to_numpy().tolist() == ["speed"]
    mixed = table(onset_s=[6.0, 7.0], stimulus=list("aa"), contrast=[0.1, 0.2])
    with pytest.raises(
        InputError, match="column 'contrast' differs between trials of one stimulus"
    ):
        cut_trials(ramp(), mixed, (0.0, 0.5))


def with_split(session, labels):
    return session.assign_coords(split=variable("trial", np.array(labels, object), "1", "split"))


def test_statistics_see_training_trials_only():
    labels = ["train", "validation", "train", "test", "gap", "train"]
    session = small_session((0, 1, 2, 3, 4, 0))
    images = np.random.default_rng(0).integers(0, 255, (5, 1, 4, 6), np.uint8)
    session = add_images(add_behaviour(session, np.arange(12.0).reshape(6, 2), ["a", "b"]), images)
    clean = add_training_statistics(with_split(session, labels))

    poisoned = session.copy(deep=True)
    held_out = np.array(labels) != "train"
    poisoned["response"][:, held_out] = 1e6
    poisoned["behaviour"][held_out] = 1e6
    poisoned["image"][[1, 3, 4]] = 255
    poisoned = add_training_statistics(with_split(poisoned, labels))

    names = [
        f"{what}_{how}" for what in ("response", "behaviour", "image") for how in ("mean", "std")
    ]
    xr.testing.assert_identical(clean[names], poisoned[names])
    np.testing.assert_allclose(clean["image_mean"], images[[0, 2]].mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(
        clean["response_std"], session["response"][:, [0, 2, 5]].std("trial")
    )


def test_statistics_need_a_training_trial():
    with pytest.raises(InputError, match="no training trial"):
        add_training_statistics(with_split(small_session(), ["test"] * 4))


def test_read_trials_sorts_by_onset(tmp_path):
    path = tmp_path / "trials.tsv"
    path.write_text("onset_s\tstimulus\tcontrast\n2.5\tb\t1\n0.5\t7\t0.5\n")
    trials = read_trials(path)
    assert trials["onset_s"].tolist() == [0.5, 2.5]
    assert list(trials["stimulus"]) == ["7", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("onset\tstimulus\n1\ta\n", "no column onset_s; it has"),
        ("onset_s\n1\n", "no column stimulus"),
        ("onset_s\tstimulus\n", "no trial at all"),
        ("onset_s\tstimulus\n1\t\n", "a trial without a stimulus"),
        ("onset_s\tstimulus\n1\ta\nsoon\ta\n", "column onset_s, row 3: 'soon' is no number"),
        ("onset_s\tstimulus\tcontrast\n1\ta\t\n", "column contrast, row 2: 'nan' is no number"),
        ("", "not a readable tab-separated table"),
    ],
)
def test_read_trials_refuses_bad_tables(tmp_path, text, message):
    path = tmp_path / "trials.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_trials(path)


def test_read_trials_names_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.tsv"):
        read_trials(tmp_path / "none.tsv")
