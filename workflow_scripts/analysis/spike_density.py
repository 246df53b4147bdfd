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


def spike_density_kl(prediction: ArrayLike, recorded: ArrayLike) -> Floats:
    """Divergence of the densities of peak widths, KL(predicted ‖ recorded).

    Parameters
    ----------
    prediction, recorded : array, (unit, time)
        Spikes per sample, mean over trials; negative ones count as 0.

    Returns
    -------
    array, (unit,)
        In nats; 0 for equal rates; NaN with fewer than two peaks or peaks of one width in either,
        infinite where the recorded density is zero to rounding and the predicted is not.
    """
    pairs = zip(np.atleast_2d(prediction), np.atleast_2d(recorded), strict=True)
    return np.array([_divergence(p, r) for p, r in pairs])


def peak_base_widths(rate: ArrayLike) -> Floats:
    """Widths of a rate's peaks, samples, (peak,), from a rate (time,)."""
    positive = np.maximum(np.asarray(rate, dtype=float), 0)
    peaks, _ = find_peaks(positive, height=0)
    clipped = np.minimum(positive, _HIGHEST)
    with warnings.catch_warnings():
        # A peak that is flat once clipped has no prominence there; its width is then 0.
        warnings.simplefilter("ignore", RuntimeWarning)
        return peak_widths(clipped, peaks, rel_height=_HIGHEST)[0]


def _divergence(prediction: Floats, recorded: Floats) -> float:
    ours, theirs = peak_base_widths(prediction), peak_base_widths(recorded)
    if min(len(ours), len(theirs)) < 2 or not (np.ptp(ours) and np.ptp(theirs)):
        return np.nan
    pooled = np.concatenate([ours, theirs])
    kernel = gaussian_kde(pooled)
    spread = float(kernel.scotts_factor()) * _BANDWIDTH * pooled.std(ddof=1)
    margin = _GRID_MARGIN * spread
    grid = np.linspace(pooled.min() - margin, pooled.max() + margin, _GRID_POINTS)
    p, q = (gaussian_kde(widths, _BANDWIDTH**2)(grid) for widths in (ours, theirs))
    return float(rel_entr(p / p.sum(), q / q.sum()).sum())
