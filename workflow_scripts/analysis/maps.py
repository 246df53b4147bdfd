"""Maps of direction and axis preference over a cortical sheet, and their pinwheels.

A preference is a complex unit vector, exp(i · 360° · preference / period): smoothing vectors needs
no care at the wrap, and their mean shrinks where preferences disagree. z1 is the map of
direction (period 360°), z2 that of the axis of motion (period 180°).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from workflow_scripts.analysis.smoothness import smoothness_curve
from workflow_scripts.analysis.spacing import ColumnSpacing, column_spacing
from workflow_scripts.stores.errors import InputError

__all__ = [
    "ColumnSpacing",
    "MapGrid",
    "PreferenceMap",
    "closed_plaquettes",
    "column_spacing",
    "find_pinwheels",
    "preference_map",
    "preference_vectors",
    "smoothness_curve",
]

Bools = NDArray[np.bool_]
Complexes = NDArray[np.complexfloating]
Floats = NDArray[np.floating]

LEAST_DENSITY = 0.5  # of the median over the sheet: what a straight edge of the units leaves


@dataclass(frozen=True)
class PreferenceMap:
    """A smoothed map of preferences.

    Attributes
    ----------
    z : np.ndarray of complex, (row, column)
        Mean of the units' vectors under the kernel: angle = preference, length = agreement (0–1).
        Row and column count along y and x; the centre of a pixel is at (index + ½) · `pixel_mm`.
    density : np.ndarray, (row, column)
        Units per mm² under the same kernel.
    roi : np.ndarray of bool, (row, column)
        Where the map may be measured.
    pixel_mm : float
        Side of a pixel.
    """

    z: Complexes
    density: Floats
    roi: Bools
    pixel_mm: float


def preference_vectors(preference_deg: ArrayLike, period_deg: float) -> Complexes:
    """Turn preferences into complex unit vectors; NaN stays NaN."""
    return np.exp(2j * np.pi * np.asarray(preference_deg, float) / period_deg)


def preference_map(
    x_mm: ArrayLike,
    y_mm: ArrayLike,
    preference_deg: ArrayLike,
    *,
    period_deg: float = 360.0,
    sheet_mm: float,
    kernel_mm: float,
    n_pixels: int = 128,
) -> PreferenceMap:
    """Smooth the units' preferences over their sheet.

    Parameters
    ----------
    x_mm, y_mm, preference_deg : array, (unit,)
        Positions on the sheet, and preferences; units whose preference is NaN are left out.
    period_deg : float
        360 for directions, 180 for axes.
    sheet_mm : float
        Side of the square sheet.
    kernel_mm : float
        Standard deviation of the Gaussian kernel.
    n_pixels : int
        Pixels along a side of the map.

    Raises
    ------
    InputError
        No unit has a preference, a position lies outside the sheet, or the pixels are wider than
        half the kernel.
    """
    vectors = preference_vectors(preference_deg, period_deg)
    tuned = np.isfinite(vectors)
    if not tuned.any():
        raise InputError("preference_deg: no unit has a preference; is the network's output zero?")
    grid = MapGrid(
        np.asarray(x_mm, float)[tuned],
        np.asarray(y_mm, float)[tuned],
        sheet_mm=sheet_mm,
        kernel_mm=kernel_mm,
        n_pixels=n_pixels,
    )
    density = grid.density()
    return PreferenceMap(grid.smooth(vectors[tuned]), density, grid.roi(density), grid.pixel_mm)


class MapGrid:
    """The pixels of a sheet and a set of units on them, to be smoothed by a Gaussian kernel.

    Kept apart from `preference_map` because resampling smooths the same units hundreds of times.

    Parameters
    ----------
    x_mm, y_mm : np.ndarray, (unit,)
    sheet_mm, kernel_mm : float
    n_pixels : int
        As in `preference_map`.
    """

    def __init__(
        self, x_mm: Floats, y_mm: Floats, *, sheet_mm: float, kernel_mm: float, n_pixels: int
    ) -> None:
        self.pixel_mm = sheet_mm / n_pixels
        if kernel_mm < 2 * self.pixel_mm:
            raise InputError(
                f"kernel_mm is {kernel_mm:g} on a sheet of {sheet_mm:g} mm; n_pixels must be "
                f"{int(np.ceil(2 * sheet_mm / kernel_mm))} or more, not {n_pixels}"
            )
        places = np.stack([y_mm, x_mm])
        rounding_mm = 1e-5 * sheet_mm  # positions are stored in single precision
        if places.min() < -rounding_mm or places.max() > sheet_mm + rounding_mm:
            raise InputError(
                f"positions span {places.min():g} to {places.max():g} mm; "
                f"the sheet is 0 to {sheet_mm:g} mm"
            )
        self.centres_mm = (np.arange(n_pixels) + 0.5) * self.pixel_mm
        self._kernel_mm, self._sheet_mm = kernel_mm, sheet_mm
        row, column = np.minimum(places / self.pixel_mm, n_pixels - 1).astype(int)
        self._pixel = row * n_pixels + column

    def density(self, weights: Floats | None = None) -> Floats:
        """Units per mm² (row, column), each unit counted `weights` times."""
        weights = np.ones(len(self._pixel)) if weights is None else weights
        return self._smoothed(weights) / self.pixel_mm**2

    def smooth(self, vectors: Complexes, weights: Floats | None = None) -> Complexes:
        """Mean of the units' `vectors` under the kernel, (row, column); 0 where no unit is near."""
        weights = np.ones(len(vectors)) if weights is None else weights
        total = self._smoothed(weights)
        z = self._smoothed(vectors.real * weights) + 1j * self._smoothed(vectors.imag * weights)
        return z / np.where(total > 0, total, 1)

    def roi(self, density: Floats) -> Bools:
        """Pixels with units all around: dense enough, and a kernel's width off the sheet's edge."""
        to_edge_mm = np.minimum(self.centres_mm, self._sheet_mm - self.centres_mm)
        inside = to_edge_mm >= self._kernel_mm
        return (density >= LEAST_DENSITY * np.median(density)) & inside & inside[:, None]

    def _smoothed(self, weights: Floats) -> Floats:
        n_pixels = len(self.centres_mm)
        image = np.bincount(self._pixel, weights, n_pixels**2).reshape(n_pixels, n_pixels)
        return gaussian_filter(image, self._kernel_mm / self.pixel_mm, mode="constant")


def find_pinwheels(z: ArrayLike, roi: ArrayLike | None = None) -> pd.DataFrame:
    """Find the phase singularities of a complex map.

    A plaquette (2 × 2 neighbouring pixels) holds one where the phase winds once around it. Steps
    are wrapped to ±180°, which is how the phase of the bilinear interpolant winds; hence the
    zero contours of its real and imaginary parts cross exactly once in such a plaquette, and the
    crossing is the position.

    Parameters
    ----------
    z : array of complex, (row, column)
        For an axis map the phase is twice the axis: a winding of ±1 is a pinwheel of charge ±½.
    roi : array of bool, (row, column), optional
        Only plaquettes whose four pixels lie in it are looked at; by default, and in addition,
        those whose pixels are finite.

    Returns
    -------
    pd.DataFrame
        One row per pinwheel: ``row`` and ``column`` (float; integers are centres of pixels) and
        ``sign``: +1 where the phase grows from the column axis towards the row axis.

    Raises
    ------
    InputError
        `z` is not a complex matrix, or `roi` has another shape.
    """
    z = _checked_map(z)
    turns = _full_turns(np.angle(np.where(np.isfinite(z), z, 0)))
    row, column = np.nonzero(turns * closed_plaquettes(z, roi))
    down, right = _bilinear_zero(
        z[row, column], z[row, column + 1], z[row + 1, column], z[row + 1, column + 1]
    )
    return pd.DataFrame({
        "row": row + down, "column": column + right, "sign": turns[row, column].astype(int)
    })  # fmt: skip


def closed_plaquettes(z: ArrayLike, roi: ArrayLike | None = None) -> Bools:
    """Mark the plaquettes whose four pixels are finite and in `roi`, (row − 1, column − 1).

    Their number times the area of a pixel is the area that `find_pinwheels` has searched.
    """
    z = _checked_map(z)
    inside = np.isfinite(z)
    if roi is not None:
        roi = np.asarray(roi, bool)
        if roi.shape != z.shape:
            raise InputError(f"roi has shape {roi.shape}, the map {z.shape}; they must agree")
        inside &= roi
    return inside[:-1, :-1] & inside[:-1, 1:] & inside[1:, :-1] & inside[1:, 1:]


def _checked_map(z: ArrayLike) -> Complexes:
    z = np.asarray(z)
    if z.ndim != 2 or not np.iscomplexobj(z):
        raise InputError(f"z has shape {z.shape} and type {z.dtype}; give a complex matrix")
    return z


def _full_turns(phase: Floats) -> NDArray[np.signedinteger]:
    """Windings (−1, 0 or 1) around each plaquette.

    Steps sum to 0 around a loop, and wrapping adds whole turns to them: counting those needs
    integers only, and gives a pixel of length 0, whose phase is arbitrary, to one plaquette.
    """
    across = np.rint(np.diff(phase, axis=1) / (2 * np.pi)).astype(np.int8)
    down = np.rint(np.diff(phase, axis=0) / (2 * np.pi)).astype(np.int8)
    return across[1:] + down[:, :-1] - across[:-1] - down[:, 1:]


def _bilinear_zero(
    corner: Complexes, right: Complexes, below: Complexes, across: Complexes
) -> tuple[Floats, Floats]:
    """Solve corner + u (right − corner) + v (below − corner) + u v c = 0 for v, u in [0, 1]."""
    a, b, c = right - corner, below - corner, across - right - below + corner
    # u = −(corner + b v) / (a + c v) is real where the imaginary part of the product with the
    # conjugate vanishes: a quadratic in v.
    square = (b * c.conj()).imag
    linear = (corner * c.conj() + b * a.conj()).imag
    constant = (corner * a.conj()).imag
    root = np.sqrt(np.maximum(linear**2 - 4 * square * constant, 0))
    q = -(linear + np.copysign(root, linear)) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        v = np.stack([constant / q, q / square])
        u = (-(corner + b * v) / (a + c * v)).real
    outside = np.nan_to_num(np.maximum(np.abs(u - 0.5), np.abs(v - 0.5)), nan=np.inf, posinf=np.inf)
    best = outside.argmin(axis=0)[None]
    v, u = (np.take_along_axis(root, best, axis=0)[0] for root in (v, u))
    # Corners of length 0 make lines of zeros, of which no point is the pinwheel's: take the middle.
    point = np.isfinite(u) & np.isfinite(v)
    return np.clip(np.where(point, v, 0.5), 0, 1), np.clip(np.where(point, u, 0.5), 0, 1)
