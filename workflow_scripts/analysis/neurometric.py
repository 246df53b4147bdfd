"""Neurometric functions: how well a unit tells its preferred from the opposite direction."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.stores.errors import InputError

Floats = NDArray[np.floating]

N_REFINEMENTS, SHRINK = 18, 0.7
BLOCK = 10_000  # units at once, so that a block stays in memory


def share_correct(preferred: ArrayLike, null: ArrayLike) -> Floats:
    """Area under the ROC curve: how often the preferred direction gives the larger response.

    Parameters
    ----------
    preferred, null : array, (unit, coherence, repeat)
        Responses to dots that move in the unit's preferred direction and in the opposite one.

    Returns
    -------
    np.ndarray, (unit, coherence)
        Ties count half (Britten et al. 1992).
    """
    a, b = (np.ascontiguousarray(values, np.float32) for values in (preferred, null))
    return _area_under_curve(a, b)


@njit(parallel=True, cache=True)
def _area_under_curve(a, b):  # noqa: ANN001, ANN202 - typed by numba
    n_units, n_coherences, n = a.shape
    area = np.empty((n_units, n_coherences))
    for unit in prange(n_units):
        for coherence in range(n_coherences):
            other = np.sort(b[unit, coherence])
            total = 0
            for value in a[unit, coherence]:
                below = np.searchsorted(other, value)
                total += below + np.searchsorted(other, value, side="right")
            area[unit, coherence] = total / (2 * n * len(other))
    return area


def fit_weibull(correct: ArrayLike, coherences: ArrayLike, n_trials: int) -> pd.DataFrame:
    """Fit ``1 − ½ exp(−(c / α)^β)`` by maximum likelihood; α is the threshold of 82 % correct.

    Parameters
    ----------
    correct : array, (unit, coherence)
        Shares of correct choices.
    coherences : array, (coherence,)
        Within (0, 1], increasing.
    n_trials : int
        Choices behind each share.

    Returns
    -------
    pd.DataFrame
        One row per unit: ``threshold`` (infinite where the unit never reaches 82 %: beyond twice
        the largest coherence shown; NaN where a share is), ``slope`` β (0.3–10, NaN without a
        threshold) and whether the threshold is ``at_edge``, a quarter of the smallest coherence
        shown or less.

    Raises
    ------
    InputError
        The shapes do not agree, or a coherence is 0.
    """
    shares, shown = np.asarray(correct, float), np.asarray(coherences, float)
    if shares.ndim != 2 or shares.shape[1:] != shown.shape or shown.min() <= 0:
        raise InputError(
            f"shares {shares.shape} at coherences {shown.tolist()}; give (unit, coherence) and "
            "coherences above 0"
        )
    blocks = [
        _fit_block(shares[start : start + BLOCK], shown, n_trials)
        for start in range(0, len(shares), BLOCK)
    ]
    threshold, slope, at_edge = np.concatenate(blocks, axis=1) if blocks else np.empty((3, 0))
    return pd.DataFrame({"threshold": threshold, "slope": slope, "at_edge": at_edge > 0})


def _fit_block(shares: Floats, shown: Floats, n_trials: int) -> Floats:
    least, most = np.log(shown[0] / 4), np.log(2 * shown[-1])
    log_alpha, slope = (
        axis.ravel()
        for axis in np.meshgrid(np.linspace(least, most, 40), np.geomspace(0.3, 10, 24))
    )
    score = _log_likelihood(shares, _weibull(log_alpha, slope, shown), n_trials)
    pick = score.argmax(axis=1)
    best = np.stack([log_alpha[pick], np.log(slope[pick])])
    steps = np.array([(most - least) / 39, np.log(10 / 0.3) / 23])
    moves = np.stack([axis.ravel() for axis in np.meshgrid([-1, 0, 1], [-1, 0, 1])])
    for _ in range(N_REFINEMENTS):
        steps = steps * SHRINK
        alpha = np.clip(best[0][:, None] + moves[0] * steps[0], least, most)
        beta = np.clip(best[1][:, None] + moves[1] * steps[1], np.log(0.3), np.log(10))
        curves = _weibull(alpha, np.exp(beta), shown)
        pick = _log_likelihood(shares[:, None], curves, n_trials).argmax(axis=1)[:, None]
        best = np.stack([np.take_along_axis(axis, pick, axis=1)[:, 0] for axis in (alpha, beta)])
    reached, at_edge = best[0] < most - 1e-9, best[0] < least + 1e-9
    threshold = np.where(reached, np.exp(best[0]), np.inf)
    fit = np.stack([threshold, np.where(reached, np.exp(best[1]), np.nan), at_edge])
    return np.where(np.isfinite(shares).all(axis=1), fit, np.nan)


def _weibull(log_alpha: Floats, slope: Floats, coherences: Floats) -> Floats:
    scaled = np.exp(slope[..., None] * (np.log(coherences) - log_alpha[..., None]))
    return 1 - 0.5 * np.exp(-scaled)


def _log_likelihood(shares: Floats, curves: Floats, n_trials: int) -> Floats:
    """Of each unit under each curve: (unit, coherence) and (curve, coherence) → (unit, curve)."""
    # half a choice at either end keeps a perfect share from deciding alone
    p = np.clip(curves, 0.5 / (n_trials + 1), 1 - 0.5 / (n_trials + 1))
    if shares.ndim == 2:
        return shares @ np.log(p).T + (1 - shares) @ np.log(1 - p).T
    return (shares * np.log(p) + (1 - shares) * np.log(1 - p)).sum(axis=-1)
