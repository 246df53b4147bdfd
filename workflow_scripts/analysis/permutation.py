"""Tests of tuning against responses whose direction labels are shuffled."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numba import njit, prange
from numpy.typing import ArrayLike
from scipy.stats import false_discovery_control

from workflow_scripts.analysis.direction_curves import Floats, checked_curves, phasors


def permutation_test(
    responses: ArrayLike, directions_deg: ArrayLike, n_permutations: int, seed: int
) -> pd.DataFrame:
    """Test tuning against responses whose direction labels are shuffled.

    Without tuning, the labels may change places within any repeat (a grating's phase, a seed of
    the dots). Each permutation draws an order of the directions for every repeat on its own;
    all units share it, so that their statistics stay comparable.

    Parameters
    ----------
    responses : array, (unit, direction, repeat)
        Baseline-subtracted responses.
    directions_deg : array, (direction,)
    n_permutations : int
    seed : int

    Returns
    -------
    pd.DataFrame
        One row per unit: ``vector_strength_p`` and ``orientation_strength_p`` (one-sided, the
        observed order counted in), and ``vector_strength_floor`` and
        ``orientation_strength_floor``, the means over the permutations: what noise alone gives.
        NaN where the total response is not positive.

    Raises
    ------
    InputError
        The shapes do not agree.
    """
    values = np.asarray(responses, np.float32)
    _, directions = checked_curves(values.mean(axis=2), directions_deg)
    rng = np.random.default_rng(seed)
    n_repeats = values.shape[2]
    orders = np.tile(np.arange(len(directions)), (n_permutations + 1, n_repeats, 1))
    orders[1:] = rng.permuted(orders[1:], axis=2)  # order 0 is the observed one
    vectors = np.stack([phasors(directions, harmonic) for harmonic in (1, 2)])
    by_repeat = np.ascontiguousarray(values.transpose(0, 2, 1))
    strengths = np.stack([vectors.real, vectors.imag]).astype(np.float32)
    p, floor = _permuted_strengths(by_repeat, orders.astype(np.int32), strengths)
    return pd.DataFrame({
        "vector_strength_p": p[:, 0],
        "orientation_strength_p": p[:, 1],
        "vector_strength_floor": floor[:, 0],
        "orientation_strength_floor": floor[:, 1],
    })  # fmt: skip


def permuted_sd(*parts: Floats) -> Floats:
    """Standard deviation of a direction's mean response over all orders of the labels.

    Labels change places within every repeat, each on its own, as in `permutation_test`; so the
    variances of the repeats, each over its directions, add up.

    Parameters
    ----------
    parts : np.ndarray, (unit, direction, repeat)
        Sets of repeats whose means are averaged, each set having the same weight.

    Returns
    -------
    np.ndarray, (unit,)
    """
    variances = [part.var(axis=1).sum(axis=-1) / part.shape[-1] ** 2 for part in parts]
    return np.sqrt(np.sum(variances, axis=0)) / len(parts)


@njit(parallel=True, cache=True, fastmath={"reassoc", "contract", "arcp"})
def _permuted_strengths(responses, orders, phasors):  # noqa: ANN001, ANN202 - typed by numba
    """(unit, repeat, direction), (permutation, …), (re|im, harmonic, direction) → p and floor."""
    n_units, n_repeats, n_directions = responses.shape
    n_orders = len(orders)
    p = np.full((n_units, 2), np.nan)
    floor = np.full((n_units, 2), np.nan)
    for unit in prange(n_units):
        strengths = np.zeros((n_orders, 2), np.float32)
        for order in range(n_orders):
            sums = np.zeros((2, 2), np.float32)
            total = np.float32(0)
            for place in range(n_directions):
                response = np.float32(0)
                for repeat in range(n_repeats):
                    response += responses[unit, repeat, orders[order, repeat, place]]
                response = max(response, np.float32(0))
                total += response
                for harmonic in range(2):
                    sums[0, harmonic] += response * phasors[0, harmonic, place]
                    sums[1, harmonic] += response * phasors[1, harmonic, place]
            if total > 0:
                for harmonic in range(2):
                    length = math.sqrt(sums[0, harmonic] ** 2 + sums[1, harmonic] ** 2)
                    strengths[order, harmonic] = length / total
            elif order == 0:
                break
        else:
            for harmonic in range(2):
                # Orders that restate the observed one differ from it by rounding alone.
                least = strengths[0, harmonic] - np.float32(1e-6)
                p[unit, harmonic] = (strengths[:, harmonic] >= least).sum() / n_orders
                floor[unit, harmonic] = strengths[1:, harmonic].mean()
    return p, floor


def false_discovery_rate(p: ArrayLike) -> Floats:
    """Adjust p-values for their number (Benjamini & Hochberg 1995); NaN stays NaN."""
    p = np.asarray(p, float)
    q = np.full(p.shape, np.nan)
    tested = np.isfinite(p)
    if tested.any():
        q[tested] = false_discovery_control(p[tested])
    return q
