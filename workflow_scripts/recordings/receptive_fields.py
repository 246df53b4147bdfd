"""Receptive fields: masks from measured outlines, and spike-triggered averages."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.stores.errors import InputError


def outline_mask(outline_px: ArrayLike, height: int, width: int) -> NDArray[np.bool_]:
    """Mark the pixels whose centres lie inside a closed outline.

    Parameters
    ----------
    outline_px : array, (vertex, 2)
        Row and column of each vertex; pixel (0, 0) has its centre at (0, 0).
    height, width : int
        Size of the image, pixels.

    Returns
    -------
    array, (y, x)
        By the even-odd rule.

    Raises
    ------
    InputError
        The outline has fewer than three vertices or one that is not finite.
    """
    vertices = np.asarray(outline_px, dtype=float)
    if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 3:
        raise InputError(f"outline of shape {vertices.shape}; expected at least 3 × (row, column)")
    if not np.isfinite(vertices).all():
        raise InputError("outline with a vertex that is NaN or infinite")
    row, column = vertices.T
    next_row, next_column = np.roll(vertices, -1, axis=0).T
    crosses = (row <= np.arange(height)[:, None]) != (next_row <= np.arange(height)[:, None])
    slope = np.divide(
        next_column - column, next_row - row, where=next_row != row, out=np.zeros(len(row))
    )
    mask = np.zeros((height, width), dtype=bool)
    for y in np.flatnonzero(crosses.any(axis=1)):
        edges = crosses[y]
        crossing = np.sort(column[edges] + (y - row[edges]) * slope[edges])
        # An odd number of crossings to the left of a pixel means that it is inside.
        mask[y] = np.searchsorted(crossing, np.arange(width)) % 2 == 1
    return mask


def mean_in_masks(frames: ArrayLike, masks: ArrayLike) -> NDArray[np.float32]:
    """Average grey levels inside each mask.

    Parameters
    ----------
    frames : array, (frame, y, x)
    masks : bool array, (unit, y, x)

    Returns
    -------
    array, (unit, frame)
        NaN for an empty mask.
    """
    inside = np.asarray(masks).reshape(len(np.asarray(masks)), -1)
    n = inside.sum(axis=1, keepdims=True)
    weights = np.divide(inside, n, where=n > 0, out=np.full(inside.shape, np.nan), dtype=float)
    flat = np.asarray(frames).reshape(len(np.asarray(frames)), -1)
    return (weights.astype(np.float32) @ flat.T.astype(np.float32)).astype(np.float32)


def spike_triggered_average(
    stimulus: ArrayLike, counts: ArrayLike, n_lags: int
) -> NDArray[np.float64]:
    """Average the stimulus before each unit's spikes, less its mean over all times.

    For a Gaussian white stimulus and a linear–nonlinear unit it is proportional to the filter
    (Chichilnisky 2001).

    Parameters
    ----------
    stimulus : array, (time, …)
        Frames, or any features of them.
    counts : array, (unit, time)
        Spikes in each frame.
    n_lags : int
        Frames to look back, the spike's own included.

    Returns
    -------
    array, (unit, lag, …)
        Lag 0 is the spike's own frame. NaN for a unit without a spike after the first
        ``n_lags − 1`` frames, which have no whole past and are left out.

    Raises
    ------
    InputError
        Times of stimulus and counts differ, or are fewer than the lags.
    """
    frames, spikes = np.asarray(stimulus, dtype=float), np.asarray(counts, dtype=float)
    if len(frames) != spikes.shape[1] or len(frames) < n_lags:
        raise InputError(
            f"{len(frames)} frames and {spikes.shape[1]} counts a unit; expected the same number, "
            f"at least {n_lags}"
        )
    flat = frames.reshape(len(frames), -1)
    used = spikes[:, n_lags - 1 :]
    total = used.sum(axis=1, keepdims=True)
    weights = np.divide(used, total, where=total > 0, out=np.full(used.shape, np.nan))
    average = np.empty((len(spikes), n_lags, flat.shape[1]))
    for lag in range(n_lags):
        past = flat[n_lags - 1 - lag : len(flat) - lag]
        average[:, lag] = weights @ past - past.mean(axis=0)
    return average.reshape(len(spikes), n_lags, *frames.shape[1:])
