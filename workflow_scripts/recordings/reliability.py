"""How much of each unit's response the stimulus determines, from repeated presentations."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import variable

Floats = NDArray[np.float64]

# Random divisions of the repeats into halves that are averaged over, and their seed.
_N_SPLITS, _SEED = 20, 0


def repeat_array(response: ArrayLike, stimulus_id: ArrayLike) -> Floats:
    """Arrange responses by stimulus and repeat.

    Parameters
    ----------
    response : array, (unit, trial)
    stimulus_id : integer array, (trial,)

    Returns
    -------
    array, (unit, stimulus, repeat)
        Stimuli shown at least twice; NaN where one has fewer repeats than another.
    """
    values, stimulus = np.asarray(response, dtype=float), np.asarray(stimulus_id)
    order = np.argsort(stimulus, kind="stable")
    _, first, counts = np.unique(stimulus[order], return_index=True, return_counts=True)
    repeats = np.full((len(values), (counts > 1).sum(), counts.max(initial=0)), np.nan)
    for row, (start, count) in enumerate(zip(first[counts > 1], counts[counts > 1], strict=True)):
        repeats[:, row, :count] = values[:, order[start : start + count]]
    return repeats


def split_half_correlation(repeats: ArrayLike) -> Floats:
    """Correlate, across stimuli, the mean over one half of the repeats with that over the other.

    Parameters
    ----------
    repeats : array, (unit, stimulus, repeat)
        NaN where a repeat is missing.

    Returns
    -------
    array, (unit,)
        Pearson r of *half* the repeats; `spearman_brown` gives that of all. NaN without variance.
    """
    array = np.asarray(repeats, dtype=float)
    rng = np.random.default_rng(_SEED)
    correlations = []
    for _ in range(_N_SPLITS):
        # Each stimulus' own repeats are divided, so that a missing one costs only its stimulus.
        keys = np.where(np.isnan(array[0]), np.inf, rng.random(array.shape[1:]))
        order = np.argsort(keys, axis=-1)
        shuffled = np.take_along_axis(array, order[None], axis=-1)
        correlations.append(pearson(_mean(shuffled[..., ::2]), _mean(shuffled[..., 1::2])))
    return np.mean(correlations, axis=0)


def spearman_brown(half: ArrayLike) -> Floats:
    """Reliability of all repeats from that of half of them: 2r / (1 + r)."""
    r = np.asarray(half, dtype=float)
    return 2 * r / (1 + r)


def oracle_correlation(repeats: ArrayLike) -> Floats:
    """Correlate every single trial with the mean of the stimulus' other trials.

    Parameters
    ----------
    repeats : array, (unit, stimulus, repeat)
        NaN where a repeat is missing.

    Returns
    -------
    array, (unit,)
        Pearson r over all trials: the leave-one-out oracle of Walker et al. (2019).
    """
    array = np.asarray(repeats, dtype=float)
    n = (~np.isnan(array)).sum(axis=-1, keepdims=True)
    others = (np.nansum(array, axis=-1, keepdims=True) - array) / (n - 1)
    return pearson(array.reshape(len(array), -1), others.reshape(len(array), -1))


def fraction_explainable_variance(repeats: ArrayLike) -> Floats:
    """Share of the variance over trials that the stimulus can explain.

    ``FEV = (total − noise) / total`` with the noise the mean over stimuli of the variance over
    repeats (Cadena et al. 2019). It can be slightly negative for a unit without signal.

    Parameters
    ----------
    repeats : array, (unit, stimulus, repeat)
        NaN where a repeat is missing.

    Returns
    -------
    array, (unit,)
        NaN for a unit that never varies.
    """
    array = np.asarray(repeats, dtype=float)
    total = np.nanvar(array.reshape(len(array), -1), axis=-1, ddof=1)
    noise = np.nanvar(array, axis=-1, ddof=1).mean(axis=-1)
    return _ratio(total - noise, total)


def noise_ceiling(repeats: ArrayLike) -> tuple[Floats, Floats]:
    """Correlation that a perfect model of the mean would reach.

    With the signal power of Sahani & Linden (2003), the ceiling is the square root of its share
    in the variance of single trials or of the average (Schoppe et al. 2016, eq. 6).

    Parameters
    ----------
    repeats : array, (unit, stimulus, repeat)
        NaN where a repeat is missing.

    Returns
    -------
    single_trial, average : array, (unit,)
        Ceilings for single trials and for the mean over repeats; 0 without signal power.
    """
    array = np.asarray(repeats, dtype=float)
    noise_power = np.nanvar(array, axis=-1, ddof=1)
    n = (~np.isnan(array)).sum(axis=-1)
    average = _mean(array).var(axis=-1, ddof=1)
    signal = np.maximum(average - (noise_power / n).mean(axis=-1), 0.0)
    single = signal + noise_power.mean(axis=-1)
    return np.sqrt(_ratio(signal, single)), np.sqrt(_ratio(signal, average))


def add_reliability(session: xr.Dataset) -> xr.Dataset:
    """Add every unit's reliability to a trial session, from all its repeated stimuli.

    Pieces of a movie are compared bin by bin of their time courses, all others by their response.

    Raises
    ------
    InputError
        The session holds no trials.
    """
    if "stimulus_id" not in session:
        raise InputError(f"{session.attrs['session_id']}: not a trial session; cut it into trials")
    stimulus = session["stimulus_id"].to_numpy()
    by_bin = "onset_s" in session and "time_course" in session
    per_unit = [
        _reliability_of(responses, stimulus)
        for responses in session["time_course" if by_bin else "response"].to_numpy()
    ]
    over = "bins of the pieces" if by_bin else "stimuli"
    described = {
        "split_half_r": f"split-half correlation over {over}, half the repeats",
        "split_half_corrected_r": f"split-half correlation over {over}, Spearman-Brown corrected",
        "oracle_r": f"correlation of a trial with the mean of the others, over {over}",
        "fev": f"fraction of explainable variance over {over}",
        "ceiling_single_trial_r": "noise ceiling of a model's correlation with single trials",
        "ceiling_average_r": "noise ceiling of a model's correlation with the average",
    }
    columns = np.array(per_unit, dtype=np.float64).reshape(-1, len(described)).T
    return session.assign(
        {
            name: variable("unit", column, "1", long_name)
            for (name, long_name), column in zip(described.items(), columns, strict=True)
        }
    )


def _reliability_of(responses: NDArray, stimulus: NDArray) -> list[float]:
    """Measure one unit, so that only its responses are copied; (trial,) or (trial, bin)."""
    bins = responses.reshape(len(stimulus), -1).T
    repeats = repeat_array(bins, stimulus)  # (bin, stimulus, repeat)
    if not repeats.size:
        return [np.nan] * 6
    repeats = repeats.reshape(1, -1, repeats.shape[-1])
    half = split_half_correlation(repeats)
    measures = (half, spearman_brown(half), oracle_correlation(repeats),
                fraction_explainable_variance(repeats), *noise_ceiling(repeats))  # fmt: skip
    return [float(measure[0]) for measure in measures]


def _mean(repeats: Floats) -> Floats:
    n = (~np.isnan(repeats)).sum(axis=-1)
    return np.nansum(repeats, axis=-1) / n


def pearson(a: Floats, b: Floats) -> Floats:
    """Pearson r of each row, over the entries that are not NaN in either."""
    valid = ~(np.isnan(a) | np.isnan(b))
    n = valid.sum(axis=-1, keepdims=True)
    a, b = np.where(valid, a, 0.0), np.where(valid, b, 0.0)
    a = np.where(valid, a - a.sum(-1, keepdims=True) / n, 0.0)
    b = np.where(valid, b - b.sum(-1, keepdims=True) / n, 0.0)
    return _ratio((a * b).sum(-1), np.sqrt((a**2).sum(-1) * (b**2).sum(-1)))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide; NaN where the denominator is not positive."""
    positive = denominator > 0
    return np.where(positive, numerator / np.where(positive, denominator, 1.0), np.nan)
