"""How well a model predicts responses, unit by unit.

All measures take responses and predictions of the same held-out trials, (unit, trial), and give
one value per unit: NaN where it is not defined, which `summaries.summarise_sample` counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.analysis.spike_density import spike_density_kl
from workflow_scripts.recordings.reliability import (
    fraction_explainable_variance,
    oracle_correlation,
    pearson,
    repeat_array,
)
from workflow_scripts.stores.errors import InputError

__all__ = [
    "correlation_to_average",
    "feve",
    "normalised_correlation",
    "poisson_nll",
    "single_trial_correlation",
    "spike_density_kl",
]

Floats = NDArray[np.float64]

# Below this share of explainable variance FEVE divides by little more than noise (Cadena 2019).
LEAST_FEV = 0.15
LEAST_RATE = 1e-8  # of a prediction, where its logarithm is taken


def single_trial_correlation(response: ArrayLike, prediction: ArrayLike) -> Floats:
    """Correlate responses and predictions over single trials.

    Parameters
    ----------
    response, prediction : array, (unit, trial)

    Returns
    -------
    array, (unit,)
        Pearson r; NaN where either does not vary.

    Raises
    ------
    InputError
        The shapes differ.
    """
    r, p = _checked(response, prediction)
    # A constant less its mean is rounding error, and no variance.
    varies = (np.ptp(r, axis=1) > 0) & (np.ptp(p, axis=1) > 0)
    return np.where(varies, pearson(r, p), np.nan)


def correlation_to_average(
    response: ArrayLike, prediction: ArrayLike, stimulus_id: ArrayLike
) -> Floats:
    """Correlate, over stimuli, the means over repeats of responses and of predictions.

    Parameters
    ----------
    response, prediction : array, (unit, trial)
    stimulus_id : integer array, (trial,)
        Stimuli shown once are left out.

    Returns
    -------
    array, (unit,)
        Pearson r; NaN where either does not vary.
    """
    r, p = _checked(response, prediction)
    means = [np.nanmean(repeat_array(values, stimulus_id), axis=2) for values in (r, p)]
    return single_trial_correlation(*means)


def feve(response: ArrayLike, prediction: ArrayLike, stimulus_id: ArrayLike) -> Floats:
    """Fraction of the explainable variance that is explained.

    ``FEVE = 1 − (MSE − σ²) / (Var − σ²)`` with Var the variance over all trials and the noise σ²
    the mean over stimuli of the variance over repeats (Cadena et al. 2019, eq. 6).

    Parameters
    ----------
    response, prediction : array, (unit, trial)
        Predictions are averaged over the repeats of a stimulus first: behaviour that explains
        part of σ² would otherwise carry the value above 1.
    stimulus_id : integer array, (trial,)
        Stimuli shown once are left out.

    Returns
    -------
    array, (unit,)
        1 for a perfect prediction of the mean, 0 for the grand mean, negative for worse; NaN
        where the fraction of explainable variance is below `LEAST_FEV`.
    """
    r, p = _checked(response, prediction)
    repeats = repeat_array(r, stimulus_id)
    predicted = np.nanmean(repeat_array(p, stimulus_id), axis=2, keepdims=True)
    error = np.nanmean((repeats - predicted) ** 2, axis=(1, 2))
    total = np.nanvar(repeats, axis=(1, 2), ddof=1)
    fev = fraction_explainable_variance(repeats)
    explainable = np.where(fev >= LEAST_FEV, fev * total, np.nan)
    return 1 - (error - (total - explainable)) / explainable


def poisson_nll(response: ArrayLike, prediction: ArrayLike) -> Floats:
    """Negative log-likelihood of a Poisson process, mean over trials.

    Parameters
    ----------
    response, prediction : array, (unit, trial)
        Responses need not be whole numbers; predictions are not negative.

    Returns
    -------
    array, (unit,)
        Mean of ``p − r ln p``, without ln r!, which no model changes: nats.
    """
    r, p = _checked(response, prediction)
    p = np.maximum(p, LEAST_RATE)
    return (p - r * np.log(p)).mean(axis=1)


def normalised_correlation(
    response: ArrayLike, prediction: ArrayLike, stimulus_id: ArrayLike
) -> Floats:
    """Divide the correlation with single trials by that which the other repeats reach.

    The oracle is the jackknife of Walker et al. (2019): each trial's response against the mean of
    its stimulus' other trials. It knows the stimulus and no behaviour, so predictions are averaged
    over repeats. Its mean is of few trials: a good model may pass 1.

    Parameters
    ----------
    response, prediction : array, (unit, trial)
    stimulus_id : integer array, (trial,)
        Stimuli shown once are left out.

    Returns
    -------
    array, (unit,)
        NaN where the oracle's correlation is not positive.
    """
    r, p = _checked(response, prediction)
    repeats = repeat_array(r, stimulus_id)
    predicted = np.nanmean(repeat_array(p, stimulus_id), axis=2, keepdims=True)
    shown = ~np.isnan(repeats[0]).ravel()
    flat = [
        np.broadcast_to(one, repeats.shape).reshape(len(r), -1)[:, shown]
        for one in (repeats, predicted)
    ]
    oracle = oracle_correlation(repeats)
    return single_trial_correlation(*flat) / np.where(oracle > 0, oracle, np.nan)


def _checked(response: ArrayLike, prediction: ArrayLike) -> tuple[Floats, Floats]:
    r, p = np.asarray(response, dtype=float), np.asarray(prediction, dtype=float)
    if r.shape != p.shape or r.ndim != 2:
        raise InputError(
            f"responses of shape {r.shape} and predictions of shape {p.shape}; expected the same "
            "(unit, trial)"
        )
    return r, p
