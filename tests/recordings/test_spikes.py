import numpy as np
import pandas as pd
import pytest

from workflow_scripts.recordings.spikes import (
    SpikeTrains,
    bin_edges,
    count_in_trials,
    session_from_spikes,
)
from workflow_scripts.recordings.trials import check_trials
from workflow_scripts.stores.errors import InputError


@pytest.fixture
def trains():
    rng = np.random.default_rng(0)
    return [np.sort(rng.uniform(0, 100, n)) for n in (500, 50, 0)]


def trials_at(onset_s, stimulus=None):
    names = stimulus if stimulus is not None else ["a"] * len(onset_s)
    return check_trials(pd.DataFrame({"onset_s": onset_s, "stimulus": names}), "trials.tsv")


def test_counts_agree_with_a_histogram_of_each_trial(trains):
    onset_s, edges_s = np.array([3.0, 50.0, 50.1]), np.linspace(-0.5, 1.0, 7)
    counts = count_in_trials(trains, onset_s, edges_s)
    assert counts.shape == (3, 3, 6)
    for unit, times in enumerate(trains):
        for trial, onset in enumerate(onset_s):
            np.testing.assert_array_equal(
                counts[unit, trial], np.histogram(times, onset + edges_s)[0]
            )


def test_a_spike_on_an_edge_counts_once():
    counts = count_in_trials([np.array([0.0, 1.0, 2.0])], [0.0], [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(counts, [[[1, 1]]])


def test_bins_must_fill_the_window():
    np.testing.assert_allclose(bin_edges((-0.1, 0.2), 0.1), [-0.1, 0, 0.1, 0.2], atol=1e-12)
    with pytest.raises(InputError, match=r"not a whole number of bins of 0.07"):
        bin_edges((0, 0.3), 0.07)


def test_session_holds_counts_and_time_course(trains):
    units = {"unit_id": ["a", "b", "c"]}
    session = session_from_spikes(
        SpikeTrains(trains, units), trials_at([10.0, 20.0, 30.0], ["x", "y", "x"]),
        (0.0, 1.0), 0.25, {"session_id": "s"},
    )  # fmt: skip
    np.testing.assert_array_equal(session["time_course"].sum("bin"), session["response"])
    expected = [((t >= 20) & (t < 21)).sum() for t in trains]
    np.testing.assert_array_equal(session["response"][:, 1], expected)
    assert session["unit_id"].to_numpy().tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([np.array([])], "not one spike"),
        ([np.array([1.0, np.nan])], "negative, NaN or infinite"),
        ([np.array([-1.0, 1.0])], "negative, NaN or infinite"),
        ([np.array([2.0, 1.0])], "not in ascending order"),
        ([np.linspace(0, 0.1, 500)], "not the times of a neuron in seconds"),
    ],
)
def test_impossible_trains_are_refused(times, message):
    with pytest.raises(InputError, match=message):
        SpikeTrains(times)


def test_trials_on_another_clock_are_refused(trains):
    with pytest.raises(InputError, match=r"no spike falls into any trial.*check clock and unit"):
        session_from_spikes(
            SpikeTrains(trains), trials_at([1e4, 2e4]), (0.0, 1.0), 0.5, {"session_id": "s"}
        )
