"""Where a transformer attends, and whether what it follows is more than chance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.analysis.encoding import single_trial_correlation

Floats = NDArray[np.float64]


def attention_rollout(attention: list[torch.Tensor]) -> torch.Tensor:
    """Follow attention back through the blocks to the input tokens (Abnar & Zuidema 2020).

    Each block passes on half of what a token was (the residual path) and half of what it attended
    to, averaged over heads; the product over blocks says how much of each input token is in each
    output token.

    Parameters
    ----------
    attention : list of torch.Tensor, (batch, head, token, token)
        Of each block, the first one first; rows sum to 1.

    Returns
    -------
    torch.Tensor, (batch, token, token)
        Rows (output tokens) sum to 1.
    """
    rollout = None
    for weights in attention:
        mixed = 0.5 * (weights.mean(dim=1) + torch.eye(weights.shape[-1], device=weights.device))
        rollout = mixed if rollout is None else mixed @ rollout
    if rollout is None:
        raise ValueError("no block")
    return rollout


def attention_maps(rollout: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Average what the image's output tokens draw from each place of the image.

    Parameters
    ----------
    rollout : torch.Tensor, (batch, 1 + row · column, 1 + row · column)
        The first token is the class token, which no readout sees.
    shape : (row, column)

    Returns
    -------
    torch.Tensor, (batch, row, column)
        Each map sums to 1.
    """
    drawn = rollout[:, 1:, 1:].mean(dim=1)
    return (drawn / drawn.sum(dim=1, keepdim=True)).unflatten(1, shape)


class MapMoments(NamedTuple):
    """Middle and contrast of maps, each (map,)."""

    row: Floats
    column: Floats
    contrast: Floats
    """Standard deviation over mean: 0 where attention is even."""


def map_moments(maps: ArrayLike) -> MapMoments:
    """Centre of mass (rows and columns from 0) and contrast of maps, (map, row, column)."""
    values = np.asarray(maps, dtype=float)
    total = values.sum(axis=(1, 2))
    rows, columns = (np.arange(n) for n in values.shape[1:])
    return MapMoments(
        np.einsum("mrc,r->m", values, rows) / total,
        np.einsum("mrc,c->m", values, columns) / total,
        values.std(axis=(1, 2)) / values.mean(axis=(1, 2)),
    )


class NullTest(NamedTuple):
    """A correlation against its null."""

    r: float
    null_mean: float
    null_std: float
    null_bound: float
    """How far from 0 reach the 95 % of the null that are nearest: p < .05 where r lies beyond."""
    p: float
    """Share of the null, and of the observed value itself, that is at least as far from 0."""


def series_test(a: ArrayLike, b: ArrayLike, n_shifts: int, seed: int) -> NullTest:
    """Correlate two series; the null turns one of them around by random numbers of trials.

    Slow series of few independent samples correlate by chance; turning keeps how slow they are,
    which shuffling would not.

    Parameters
    ----------
    a, b : array, (trial,)
        In the order of recording.
    n_shifts, seed : int
        Of the null.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    shifts = np.random.default_rng(seed).integers(1, len(x), n_shifts)
    return _against(x, y, [np.roll(y, shift) for shift in shifts])


def map_test(a: ArrayLike, b: ArrayLike) -> NullTest:
    """Correlate two maps, (row, column); the null is every turn of one of them around a torus."""
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    turned = [
        np.roll(y, (row, column), axis=(0, 1)).ravel()
        for row in range(y.shape[0])
        for column in range(y.shape[1])
        if row or column
    ]
    return _against(x.ravel(), y.ravel(), turned)


def _against(x: Floats, y: Floats, others: list[Floats]) -> NullTest:
    rows = np.stack([y, *others])
    r = single_trial_correlation(np.broadcast_to(x, rows.shape), rows)
    distance = np.abs(r)
    far = distance >= distance[0] - 1e-12
    # The observed value is one of those that p counts.
    bound = np.quantile(distance, 0.95, method="higher")
    return NullTest(
        float(r[0]), float(r[1:].mean()), float(r[1:].std()), float(bound), float(far.mean())
    )
