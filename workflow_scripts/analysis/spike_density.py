"""Spike-density divergence: how the widths of peaks in predicted rates are distributed.

As published with Vi-ST (Wu et al. 2024) and its code: peaks of each rate, their widths at the base
on rates clipped at 1, a Gaussian kernel density of either's widths on one grid of 200 points, and
the Kullback–Leibler divergence of the two densities. Where the public code puts 1000 for what is
not finite, it stays NaN or infinite here, to be counted.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import find_peaks, peak_widths
from scipy.special import rel_entr
from scipy.stats import gaussian_kde

Floats = NDArray[np.float64]

_GRID_POINTS, _GRID_MARGIN = 200, 3.0
# Rates above it are clipped before widths are measured, and widths are taken at this share of a
# peak's prominence, as in the public code.
_HIGHEST = 1.0
# Factor of the kernel's width, which the public code applies twice to the densities and once to the
# grid.
_BANDWIDTH = 0.5


def spike_density_kl(
    prediction: ArrayLike, recorded: ArrayLike, frame: ArrayLike | None = None
) -> Floats:
    """Divergence of the densities of peak widths, KL(predicted ‖ recorded).

    Parameters
    ----------
    prediction, recorded : array, (unit, time)
        Spikes per sample, mean over trials; negative ones count as 0.
    frame : int array, (time,), optional
        Number of each sample, where some are missing: peaks are sought within runs of consecutive
        ones, and their widths, which end where a run does, pooled.

    Returns
    -------
    array, (unit,)
        In nats; 0 for equal rates; NaN with fewer than two peaks or peaks of one width in either,
        infinite where the recorded density is zero to rounding and the predicted is not.
    """
    pairs = zip(np.atleast_2d(prediction), np.atleast_2d(recorded), strict=True)
    return np.array(
        [_divergence(*(np.concatenate(_widths(one, frame)) for one in pair)) for pair in pairs]
    )


def runs_without_peak(rate: ArrayLike, frame: ArrayLike) -> Floats:
    """Share of the runs of consecutive frames that hold no peak to measure.

    Parameters
    ----------
    rate : array, (unit, time)
    frame : int array, (time,)
        Number of each sample.

    Returns
    -------
    array, (unit,)
    """
    return np.array([
        float(np.mean([not len(one) for one in _widths(unit, frame)]))
        for unit in np.atleast_2d(rate)
    ])  # fmt: skip


def _widths(rate: Floats, frame: ArrayLike | None) -> list[Floats]:
    """Widths of the peaks of each run of consecutive frames."""
    number = np.arange(len(rate)) if frame is None else np.asarray(frame)
    runs = np.split(rate, np.flatnonzero(np.diff(number) != 1) + 1)
    return [peak_base_widths(one) for one in runs]


def peak_base_widths(rate: ArrayLike) -> Floats:
    """Widths of a rate's peaks, samples, (peak,), from a rate (time,)."""
    positive = np.maximum(np.asarray(rate, dtype=float), 0)
    peaks, _ = find_peaks(positive, height=0)
    clipped = np.minimum(positive, _HIGHEST)
    with warnings.catch_warnings():
        # A peak that is flat once clipped has no prominence there; its width is then 0.
        warnings.simplefilter("ignore", RuntimeWarning)
        return peak_widths(clipped, peaks, rel_height=_HIGHEST)[0]


def _divergence(ours: Floats, theirs: Floats) -> float:
    if min(len(ours), len(theirs)) < 2 or not (np.ptp(ours) and np.ptp(theirs)):
        return np.nan
    pooled = np.concatenate([ours, theirs])
    kernel = gaussian_kde(pooled)
    spread = float(kernel.scotts_factor()) * _BANDWIDTH * pooled.std(ddof=1)
    margin = _GRID_MARGIN * spread
    grid = np.linspace(pooled.min() - margin, pooled.max() + margin, _GRID_POINTS)
    p, q = (gaussian_kde(widths, _BANDWIDTH**2)(grid) for widths in (ours, theirs))
    return float(rel_entr(p / p.sum(), q / q.sum()).sum())
