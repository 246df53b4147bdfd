"""From frames to ΔF/F: the light of each cell, of the neuropil around it, and its baseline."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, percentile_filter
from scipy.sparse import csr_array

from workflow_scripts.recordings.footprints import footprint_areas

Traces = NDArray[np.float64]

# Neuropil is taken this far from the cell's own edge, and from pixels of no other cell.
GAP_PX = 2
# Pixels of neuropil per cell, in areas of the median cell.
RING_AREAS = 5.0
BASELINE_BIN_S = 1.0
# Drift slower than this is bleaching, which cell and neuropil share.
DRIFT_S = 60.0
# A cell's baseline is not taken to be smaller than this part of the light at its place: where it
# seems so, too much neuropil was subtracted, and ΔF/F would grow without bound.
SMALLEST_BASELINE = 0.1
# A cell's activity only adds light, so that the line through the lower part of its light is that of
# its neuropil: the line that this share of the values lies below.
LOWER_SHARE = 0.3
# Where the neuropil changes too little for a slope as certain as this, the field's usual ratio is
# taken (0.7: Chen et al. 2013, Nature 499:295; Pachitariu et al. 2017).
LARGEST_STANDARD_ERROR, USUAL_RATIO = 0.15, 0.7


class Contamination(NamedTuple):
    """How much of the surrounding neuropil's light each cell holds.

    Attributes
    ----------
    ratio : (unit,)
        0 to 1.
    standard_error : (unit,)
        Of the estimated ratio; where it is above `LARGEST_STANDARD_ERROR`, the ratio is
        `USUAL_RATIO`.
    """

    ratio: Traces
    standard_error: Traces


def demixing_weights(footprints: csr_array) -> csr_array:
    """Weights (unit, pixel) of the least-squares light of each cell, given all the footprints.

    A cell without overlap is the average over its pixels, weighted by the footprint; where cells
    share pixels, the light of each is free of the others'. Each row adds up to 1, so that light
    that is the same everywhere passes unchanged.
    """
    gram = (footprints @ footprints.T).toarray()
    # A thousandth of the diagonal keeps footprints that are nearly the same apart.
    inverse = np.linalg.inv(gram + 1e-3 * np.diag(np.diag(gram)))
    inverse[np.abs(inverse) < 1e-6 * np.abs(inverse).max(initial=0)] = 0
    weights = csr_array(csr_array(inverse) @ footprints)
    sums = np.asarray(weights.sum(axis=1)).ravel()
    own = np.asarray(footprints.sum(axis=1)).ravel() / np.maximum(np.diag(gram), 1e-12)
    # A cell that others cover almost whole has weights of both signs that nearly cancel.
    return _scaled(weights, 1 / np.where(sums > 0.2 * own, sums, own))


def ring_weights(footprints: csr_array, size: tuple[int, int]) -> csr_array:
    """Weights (unit, pixel) that average the neuropil around each cell.

    The nearest pixels to the cell's edge, from `GAP_PX` on, that belong to no cell.
    """
    areas = footprint_areas(footprints)
    occupied = np.asarray(areas.sum(axis=0)).reshape(size) > 0
    free = np.logical_not(binary_dilation(occupied, iterations=GAP_PX))
    n_units = len(areas.indptr) - 1
    n_pixels = np.diff(areas.indptr)
    wanted = min(int(RING_AREAS * np.median(n_pixels)) if n_units else 0, int(free.sum()))
    indices = [np.zeros(0, np.int64)]
    for unit in range(n_units):
        pixels = areas.indices[areas.indptr[unit] : areas.indptr[unit + 1]]
        indices.append(_nearest(np.array(np.unravel_index(pixels, size)), free, wanted))
    pointers = np.arange(n_units + 1) * wanted
    entries = (np.full(pointers[-1], 1 / max(wanted, 1)), np.concatenate(indices), pointers)
    return csr_array(entries, shape=areas.shape)


def _nearest(cell: NDArray[np.int64], free: NDArray[np.bool_], wanted: int) -> NDArray[np.int64]:
    """Flat indices of the free pixels (y, x) that are nearest to a cell (2, pixel)."""
    size, reach_px = np.array(free.shape), int(np.sqrt(wanted)) + GAP_PX
    while True:
        low = np.maximum(cell.min(1) - reach_px, 0)
        high = np.minimum(cell.max(1) + reach_px + 1, size)
        outside = np.ones(high - low, bool)
        outside[tuple(cell - low[:, None])] = False
        near = free[low[0] : high[0], low[1] : high[1]]
        distance = np.where(near, cast("Traces", distance_transform_edt(outside)), np.inf)
        chosen = np.argpartition(distance, min(wanted, distance.size) - 1, axis=None)[:wanted]
        # what lies beyond the window is further away than its margin
        if distance.flat[chosen].max(initial=0) <= reach_px or (high - low == size).all():
            row, column = np.unravel_index(chosen, distance.shape)
            return (row + low[0]) * size[1] + column + low[1]
        reach_px *= 2


def estimate_contamination(
    fluorescence: NDArray[np.floating], neuropil: NDArray[np.floating], rate_hz: float
) -> Contamination:
    """Regress each cell's light on the neuropil's, robustly.

    The slope of the line that `LOWER_SHARE` of the 1 s means lie below (quantile regression), after
    drift slower than `DRIFT_S` is taken out.

    Parameters
    ----------
    fluorescence, neuropil : (unit, time)
        Mean light of the cells and of the neuropil around them.
    rate_hz : float
        Frames per second.
    window_s : float
        Not the window of the baseline of ΔF/F: bleaching within a long one enters the slope
        (simulated, a ratio of 0.3 is found as 0.38 within 600 s, as 0.29 within 60 s).
    """
    cell, ring = (
        means - _running_percentile(means, 50, DRIFT_S)
        for means in (_binned(traces, rate_hz) for traces in (fluorescence, neuropil))
    )
    scale = np.maximum(cell.std(1, keepdims=True), np.finfo(float).tiny)
    weight = np.ones_like(cell)
    slope = np.zeros((len(cell), 1))
    residual, power = cell, weight
    for _ in range(50):  # iteratively reweighted least squares
        total = weight.sum(1, keepdims=True)
        d_ring = ring - (weight * ring).sum(1, keepdims=True) / total
        d_cell = cell - (weight * cell).sum(1, keepdims=True) / total
        power = (weight * d_ring**2).sum(1, keepdims=True)
        product = (weight * d_ring * d_cell).sum(1, keepdims=True)
        slope = np.divide(product, power, out=np.zeros_like(slope), where=power > 0)
        residual = d_cell - slope * d_ring
        weight = np.where(residual > 0, LOWER_SHARE, 1 - LOWER_SHARE) / np.maximum(
            np.abs(residual), 1e-3 * scale
        )
    error = _slope_error(residual, ring)
    known = error <= LARGEST_STANDARD_ERROR
    return Contamination(np.where(known, np.clip(slope[:, 0], 0, 1), USUAL_RATIO), error)


def _slope_error(residual: Traces, ring: Traces) -> Traces:
    """Standard error of a quantile regression's slope: √(τ(1 − τ)) / (density at 0 · spread · √n).

    The density of the residuals at 0 is that of a Gaussian of the lower half's spread (Koenker
    2005, Quantile Regression, § 3.2).
    """
    below = np.where(residual < 0, residual**2, np.nan)
    spread = np.sqrt(np.nanmean(below, axis=1))
    density = 1 / (np.sqrt(2 * np.pi) * np.maximum(spread, np.finfo(float).tiny))
    asymmetry = np.sqrt(LOWER_SHARE * (1 - LOWER_SHARE))
    scale = density * ring.std(1) * np.sqrt(ring.shape[1])
    return np.divide(asymmetry, scale, out=np.full(len(scale), np.inf), where=scale > 0)


def delta_f_over_f(
    fluorescence: NDArray[np.floating],
    neuropil: NDArray[np.floating],
    ratio: NDArray[np.floating],
    rate_hz: float,
    window_s: float = 60.0,
    percentile: float = 10.0,
) -> NDArray[np.float32]:
    """ΔF/F of each cell after its neuropil is subtracted, (unit, time).

    The baseline is a running percentile of 1 s means over `window_s`.
    """
    corrected = fluorescence - ratio[:, None] * neuropil
    running = _running_percentile(_binned(corrected, rate_hz), percentile, window_s)
    centres = (np.arange(running.shape[1]) + 0.5) * _frames_per_bin(rate_hz) - 0.5
    frames = np.arange(corrected.shape[1])
    baseline = np.stack([np.interp(frames, centres, unit) for unit in running])
    floor = SMALLEST_BASELINE * np.median(fluorescence, axis=1, keepdims=True)
    return ((corrected - baseline) / np.maximum(baseline, floor)).astype(np.float32)


def _running_percentile(means: Traces, percentile: float, window_s: float) -> Traces:
    length = max(1, round(window_s / BASELINE_BIN_S))
    return percentile_filter(means, percentile, size=(1, length), mode="nearest")


def _frames_per_bin(rate_hz: float) -> int:
    return max(1, round(BASELINE_BIN_S * rate_hz))


def _binned(traces: NDArray[np.floating], rate_hz: float) -> Traces:
    """Means (unit, bin) over 1 s; the last bin takes the frames that are left."""
    per_bin = _frames_per_bin(rate_hz)
    n_frames = traces.shape[1]
    starts = np.arange(max(1, n_frames // per_bin)) * per_bin
    counts = np.diff(np.append(starts, n_frames))
    return np.add.reduceat(traces.astype(np.float64), starts, axis=1) / counts


def _scaled(weights: csr_array, factors: NDArray[np.floating]) -> csr_array:
    """Multiply each row by a factor."""
    return csr_array(weights.multiply(factors[:, None]))
