"""Binned movies in units of each pixel's noise, free of drift and neuropil."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter, uniform_filter1d

Bins = NDArray[np.float32]

# Side of the square whose mean is a place's neuropil, in somata; and how much brighter neuropil may
# be than that mean. More would take the cells for their neuropil: they are part of the square.
SURROUND_TILES = 5
LARGEST_SLOPE = 2.0


def surround_tile_px(diameter_px: float) -> int:
    """Side of the tiles, of about a soma's size, that the surround is averaged over."""
    return max(1, round(diameter_px))


def standardise(
    binned: Bins, bin_s: float, diameter_px: float, drift_s: float
) -> NDArray[np.float32]:
    """Free the bins of drift and neuropil and scale each pixel to unit noise, in place.

    A pixel's neuropil is the regression of its signal on that of its surround: where the neuropil
    is bright it fluctuates more. Returns the noise, (y, x).
    """
    drift_bins = max(3, round(drift_s / bin_s))
    tile = surround_tile_px(diameter_px)
    surround = _surround(binned, tile)
    surround -= uniform_filter1d(surround, drift_bins, axis=0)
    power = np.maximum((surround**2).sum(0), np.finfo(np.float32).tiny)
    column_tile = np.arange(binned.shape[2]) // tile
    noise = np.empty(binned.shape[1:], np.float32)
    for row in range(binned.shape[1]):
        pixels, around = binned[:, row], surround[:, row // tile][:, column_tile]
        pixels -= uniform_filter1d(pixels, drift_bins, axis=0)
        slope = (pixels * around).sum(0) / power[row // tile, column_tile]
        pixels -= np.clip(slope, 0, LARGEST_SLOPE) * around
        noise[row] = np.maximum(noise_of(pixels), np.finfo(np.float32).tiny)
        pixels /= noise[row]
    return noise


def _surround(binned: Bins, tile: int) -> Bins:
    """Mean over a square around each tile of `tile` pixels, (bin, tile row, tile column)."""
    height, width = binned.shape[1:]
    rows, columns = np.arange(0, height, tile), np.arange(0, width, tile)
    pixels = np.outer(np.diff(rows, append=height), np.diff(columns, append=width))
    sums = [np.add.reduceat(np.add.reduceat(image, rows, 0), columns, 1) for image in binned]
    means = (np.stack(sums) / pixels).astype(np.float32)
    return np.array([uniform_filter(image, SURROUND_TILES) for image in means], np.float32)


def noise_of(signals: NDArray[np.floating]) -> NDArray[np.floating]:
    """Standard deviation of the noise of signals (bin, ...), from successive differences."""
    steps = np.abs(np.diff(signals, axis=0))
    return np.median(steps, axis=0) / (0.6745 * np.sqrt(2))
