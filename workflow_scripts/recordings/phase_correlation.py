"""Displacements of images by whitened cross-correlation, to a fraction of a pixel."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray
from scipy import fft

Image = NDArray[np.float32]

# Standard deviation, px, of the Gaussian that the whitened correlation is smoothed with.
PEAK_SIGMA_PX = 1.15
# The outermost pixels fade into the mean, so that the image's edges do not correlate.
TAPER_PX = 4.0
# A peak's clearness is measured against the highest value more than this far away.
NEAR_PX = 3


class Correlator:
    """Whitened cross-correlation of images (image, y, x) with as many reference images.

    Only the lags that are looked for are transformed back, by two small matrix products.
    """

    def __init__(self, reference: Image, largest_px: int) -> None:
        height, width = reference.shape[-2:]
        self.taper = np.outer(_taper(height), _taper(width)).astype(np.float32)
        rows, columns = fft.fftfreq(height), fft.rfftfreq(width)
        low_pass = np.exp(-2 * (np.pi * PEAK_SIGMA_PX) ** 2 * (rows[:, None] ** 2 + columns**2))
        self.filter = np.ones((len(reference), *low_pass.shape), np.complex64)
        self.filter = (self._whitened(reference).conj() * low_pass).astype(np.complex64)
        lags = np.arange(-largest_px, largest_px + 1)
        self.to_row_lags = np.exp(2j * np.pi * np.outer(lags, rows)).astype(np.complex64)
        # The half spectrum stands for both halves, but for the mean (the highest is filtered out).
        twice = np.where(columns > 0, 2, 1)[:, None] / (height * width)
        to_column_lags = np.exp(2j * np.pi * np.outer(columns, lags)) * twice
        self.to_column_lags = to_column_lags.astype(np.complex64)

    def __call__(self, images: Image) -> Image:
        """Correlation (image, 2 largest + 1, 2 largest + 1) at each displacement (row, column)."""
        spectrum = self._whitened(images)
        return np.ascontiguousarray((self.to_row_lags @ spectrum @ self.to_column_lags).real)

    def _whitened(self, images: Image) -> NDArray[np.complex64]:
        spectrum: Any = fft.rfft2(_tapered(images, self.taper), overwrite_x=True, workers=1)
        _whiten(spectrum, self.filter)
        return spectrum


@nb.njit(cache=True, nogil=True, fastmath=True)
def _tapered(images: Image, taper: Image) -> Image:
    """Subtract each image's mean and fade its edges out."""
    result = np.empty_like(images)
    for index in range(len(images)):
        mean = images[index].mean()
        for row in range(images.shape[1]):
            for column in range(images.shape[2]):
                value = images[index, row, column] - mean
                result[index, row, column] = value * taper[row, column]
    return result


@nb.njit(cache=True, nogil=True, fastmath=True)
def _whiten(spectrum: NDArray[np.complex64], kernel: NDArray[np.complex64]) -> None:
    """Set every amplitude to 1, then multiply by the kernel, in place; 0 stays 0."""
    flat, factors = spectrum.reshape(-1), kernel.reshape(-1)
    for index in range(len(flat)):
        power = flat[index].real ** 2 + flat[index].imag ** 2
        scale = np.float32(1 / np.sqrt(power)) if power > 0 else np.float32(0)
        flat[index] = flat[index] * factors[index] * scale


def _taper(n: int) -> NDArray[np.float64]:
    edge = np.minimum(np.arange(n), np.arange(n)[::-1])
    return 1 / (1 + np.exp(-(edge - 2 * TAPER_PX) / (TAPER_PX / 2)))


@nb.njit(cache=True, nogil=True)
def find_peaks(correlation: Image) -> Image:
    """Highest peak of each map (map, lag, lag): (map, 4) of row, column, height and clearness.

    Places are relative to the centre and sub-pixel: the logarithm of a Gaussian peak is a parabola,
    so that three points give its top. Clearness is the height relative to the highest value that is
    more than `NEAR_PX` away.
    """
    n, side = correlation.shape[0], correlation.shape[1]
    result = np.zeros((n, 4), np.float32)
    for index in range(n):
        image = correlation[index]
        row, column = side // 2, side // 2
        # The outermost lags are kept out of the search: the parabola needs both neighbours.
        for i in range(1, side - 1):
            for j in range(1, side - 1):
                if image[i, j] > image[row, column]:
                    row, column = i, j
        height = image[row, column]
        if height <= 0:
            continue
        elsewhere = np.float32(1e-3) * height
        for i in range(side):
            for j in range(side):
                if abs(i - row) > NEAR_PX or abs(j - column) > NEAR_PX:
                    elsewhere = max(elsewhere, image[i, j])
        result[index, 0] = row - side // 2 + _top(image[row - 1 : row + 2, column])
        result[index, 1] = column - side // 2 + _top(image[row, column - 1 : column + 2])
        result[index, 2], result[index, 3] = height, height / elsewhere
    return result


@nb.njit(cache=True, nogil=True)
def _top(values: Image) -> float:
    """Place of the top of a Gaussian through three values, relative to the middle one."""
    floor = 1e-3 * values[1]
    before, middle, after = (
        np.log(max(values[0], floor)), np.log(values[1]), np.log(max(values[2], floor)),
    )  # fmt: skip
    curvature = max(2 * middle - before - after, 1e-6)
    return min(max((after - before) / (2 * curvature), -0.5), 0.5)
