"""Wiring length: how far from a unit those lie that prefer the same."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from workflow_scripts.analysis.smoothness import ChannelGrid

Floats = NDArray[np.floating]

MOST_SOURCES = 200  # more change a mean over channels by less than its interval
LIKE = 1 / 16  # of the period: preferences that differ by no more are alike


def wiring_length(
    x_mm: Floats,
    y_mm: Floats,
    grid: ChannelGrid,
    period_deg: float,
    *,
    n_targets: int = 20,
    n_permutations: int = 50,
    seed: int = 0,
) -> dict[str, float]:
    """Measure the mean distance from units to the nearest ones of like preference.

    If a unit connects to the `n_targets` nearest units of other channels whose preference is
    within `LIKE` of a period of its own, this is the mean length of a connection: the cost
    that a smooth map saves (Koulakov & Chklovskii 2001).

    Parameters
    ----------
    x_mm, y_mm : np.ndarray, (unit,)
    grid : ChannelGrid
        Preferences by channel and anchor.
    period_deg : float
        360 for directions, 180 for axes.
    n_targets : int
        Connections of a unit.
    n_permutations, seed : int
        Of the null, which permutes channels jointly over all anchors.

    Returns
    -------
    dict
        ``mm`` (NaN with too few units), ``null_mean_mm``, ``null_sd_mm`` and ``saved``, 1 − mm /
        null mean, with ``p``, one-sided, the observed order counted in (NaN where any order,
        observed or permuted, has no length).
    """
    rng = np.random.default_rng(seed)
    observed = np.arange(grid.n_channels)
    orders = np.stack([observed, *(rng.permutation(observed) for _ in range(n_permutations))])
    n_units = len(grid.channel)
    sources = rng.permutation(n_units)[:MOST_SOURCES]
    lengths = np.array([
        _mean_length(
            np.stack([x_mm, y_mm]), (grid.permuted(order) / period_deg % 1).astype(np.float32),
            grid.channel, sources, n_targets,
        )
        for order in orders
    ])  # fmt: skip
    null, measured = lengths[1:], np.isfinite(lengths).all()
    return {
        "mm": float(lengths[0]),
        "null_mean_mm": float(null.mean()),
        "null_sd_mm": float(null.std()),
        "saved": float(1 - lengths[0] / null.mean()),
        "p": float((lengths <= lengths[0] * (1 + 1e-9)).mean()) if measured else np.nan,
    }


@njit(parallel=True, cache=True)
def _mean_length(places, cycles, channel, sources, n_targets):  # noqa: ANN001, ANN202 - by numba
    x, y = places
    total = np.full(len(sources), np.nan)
    for k in prange(len(sources)):
        i = sources[k]
        if np.isnan(cycles[i]):
            continue
        nearest = np.full(n_targets, np.inf)
        for j in range(len(x)):
            difference = abs(cycles[i] - cycles[j])
            alike = min(difference, 1 - difference) <= LIKE
            if not alike or channel[i] == channel[j]:
                continue
            square = (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2
            if square < nearest[-1]:
                place = n_targets - 1
                while place > 0 and nearest[place - 1] > square:
                    nearest[place] = nearest[place - 1]
                    place -= 1
                nearest[place] = square
        if np.isfinite(nearest[-1]):
            total[k] = np.sqrt(nearest).mean()
    return np.nanmean(total)
