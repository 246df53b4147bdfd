"""Spike trains, and their counts in trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.recordings.sessions import (
    add_stimulus_parameters,
    add_time_course,
    trial_session,
)
from workflow_scripts.stores.errors import InputError

# Faster than any neuron: times that give such a rate are in another unit.
_FASTEST_HZ = 1000.0


@dataclass(frozen=True)
class SpikeTrains:
    """Spike times of a recording's units.

    Attributes
    ----------
    times_s : sequence of float array
        Spike times of each unit, s, ascending.
    units : mapping of str to array (unit,)
        Coordinates of the units, see `recordings.sessions.trial_session`.

    Raises
    ------
    InputError
        A time is negative or not finite, or a rate is beyond 1 kHz.
    """

    times_s: Sequence[NDArray[np.float64]]
    units: Mapping[str, ArrayLike] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not any(len(times) for times in self.times_s):
            raise InputError(f"spike times: {len(self.times_s)} units, but not one spike")
        for unit, times in enumerate(self.times_s):
            if not np.isfinite(times).all() or (times < 0).any():
                raise InputError(f"spike times of unit {unit}: a time is negative, NaN or infinite")
            if (np.diff(times) < 0).any():
                raise InputError(
                    f"spike times of unit {unit} are not in ascending order; sort them"
                )
            if len(times) > 100 and len(times) > _FASTEST_HZ * (times[-1] - times[0]):
                raise InputError(
                    f"spike times of unit {unit}: {len(times)} spikes within "
                    f"{times[-1] - times[0]:.3g} s are not the times of a neuron in seconds; "
                    "check their unit"
                )


def count_in_trials(
    times_s: Sequence[NDArray[np.float64]], onset_s: ArrayLike, edges_s: ArrayLike
) -> NDArray[np.uint16]:
    """Count each unit's spikes in bins about each onset.

    Parameters
    ----------
    times_s : sequence of array
        Spike times of each unit, s, ascending.
    onset_s : array, (trial,)
        Onset of each trial, s; windows may overlap.
    edges_s : array, (bin + 1,)
        Edges of the half-open bins from the onset, s.

    Returns
    -------
    array, (unit, trial, bin)
    """
    edges = np.asarray(onset_s)[:, None] + np.asarray(edges_s)
    return np.stack(
        [np.diff(np.searchsorted(times, edges), axis=1).astype(np.uint16) for times in times_s]
    )


def bin_edges(window_s: tuple[float, float], bin_s: float) -> NDArray[np.float64]:
    """Edges of the bins that fill a window.

    Raises
    ------
    InputError
        The window is not a whole number of bins.
    """
    length_s = window_s[1] - window_s[0]
    n = round(length_s / bin_s)
    if n < 1 or abs(n * bin_s - length_s) > 1e-6 * length_s:
        raise InputError(f"window {window_s} s is not a whole number of bins of {bin_s} s")
    return np.linspace(window_s[0], window_s[1], n + 1)


def session_from_spikes(
    trains: SpikeTrains,
    trials: pd.DataFrame,
    window_s: tuple[float, float],
    bin_s: float,
    attributes: Mapping[str, str],
) -> xr.Dataset:
    """Bin spike trains into a trial session.

    Parameters
    ----------
    trains : SpikeTrains
    trials : pd.DataFrame
        From `recordings.trials.check_trials`.
    window_s : (start, stop)
        Window of the response about the onset, s.
    bin_s : float
        Bin of the time course, s; divides the window.
    attributes : mapping
        Session attributes.

    Raises
    ------
    InputError
        No spike falls into any window.
    """
    edges_s = bin_edges(window_s, bin_s)
    counts = count_in_trials(trains.times_s, trials["onset_s"].to_numpy(), edges_s)
    if not counts.any():
        last_s = max(times[-1] for times in trains.times_s if len(times))
        raise InputError(
            f"{attributes['session_id']}: no spike falls into any trial: spikes end at "
            f"{last_s:.3f} s, trials start at {trials['onset_s'].min():.3f} s; check clock and unit"
        )
    session = trial_session(
        counts.sum(axis=2),
        trials["stimulus"].cat.codes.to_numpy(),
        response_units="spikes",
        stimulus_names=list(trials["stimulus"].cat.categories),
        attributes=attributes,
        units=trains.units,
    )
    return add_stimulus_parameters(add_time_course(session, counts, edges_s[:-1], bin_s), trials)
