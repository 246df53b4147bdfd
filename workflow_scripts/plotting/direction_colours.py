"""Colours of directions: a disk in a perceptually uniform space.

A map's complex value z is placed on a plane through a mid grey of Oklab, so that the difference
between two colours is proportional to the distance between their vectors, in length and in angle.
The plane is tilted towards lightness: eyes without red–green vision see opposite directions as
yellow and blue (0° and 180°), light and dark (90° and 270°).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.stores.errors import InputError

Floats = NDArray[np.floating]

FULL_COLOUR_PERCENTILE = 95  # of the vector lengths of all maps drawn

# Centre, radius and tilt of the largest disk found inside sRGB; coordinates are L, a, b of Oklab.
_CENTRE = np.array([0.70, 0.0, 0.0])
_RADIUS, _TILT = 0.14, np.deg2rad(60)
_RIGHT = _RADIUS * np.array([0.0, 0.0, 1.0])
_UP = _RADIUS * np.array([np.sin(_TILT), np.cos(_TILT), 0.0])
# Oklab → cone responses (cube roots) → linear sRGB: Ottosson 2020, "A perceptual color space".
_CONE_ROOTS = np.array([
    [1.0, 0.3963377774, 0.2158037573],
    [1.0, -0.1055613458, -0.0638541728],
    [1.0, -0.0894841775, -1.2914855480],
])  # fmt: skip
_LINEAR_RGB = np.array([
    [4.0767416621, -3.3077115913, 0.2309699292],
    [-1.2684380046, 2.6097574011, -0.3413193965],
    [-0.0041960863, -0.7034186147, 1.7076147010],
])  # fmt: skip


def direction_colours(z: ArrayLike, full_at: float = 1.0) -> Floats:
    """Colour complex preference vectors.

    Parameters
    ----------
    z : array of complex, any shape
        Angle = direction (0 rightward, counter-clockwise), or twice the axis; length = agreement.
    full_at : float
        Length that is drawn with full colour; longer vectors look alike. 0 is grey.

    Returns
    -------
    np.ndarray, (…, 3)
        sRGB in [0, 1].

    Raises
    ------
    InputError
        `full_at` is not positive.
    """
    if not full_at > 0:
        raise InputError(f"full_at is {full_at}; the length of full colour must be positive")
    vectors = np.asarray(z) / full_at
    vectors = vectors / np.maximum(np.abs(vectors), 1)
    lab = _CENTRE + vectors.real[..., None] * _RIGHT + vectors.imag[..., None] * _UP
    linear = np.clip((lab @ _CONE_ROOTS.T) ** 3 @ _LINEAR_RGB.T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def full_colour(maps: Iterable[np.ndarray]) -> float:
    """Length with full colour, one for several maps, so that their colours compare.

    Parameters
    ----------
    maps : iterable of np.ndarray of complex
        The vectors inside their regions, any shapes.
    """
    lengths = np.concatenate([np.abs(z).ravel() for z in maps])
    largest = float(np.percentile(lengths, FULL_COLOUR_PERCENTILE)) if lengths.size else 0.0
    return largest or 1.0


def map_pixels(z: np.ndarray, inside: np.ndarray, full_at: float) -> Floats:
    """Colour a map, transparent outside its region: (row, column, 4)."""
    return np.dstack([direction_colours(z, full_at), inside.astype(float)])


def draw_wheel(axes: Axes, period_deg: float, full_at: float, n_pixels: int = 181) -> None:
    """Draw the legend of the colours: a disk whose radius is the vector's length.

    Parameters
    ----------
    axes : Axes
        Emptied of ticks and frame.
    period_deg : float
        360 for directions, 180 for orientations: the colours then go round twice.
    full_at : float
        Length at the rim, as in `direction_colours`.
    """
    side = np.linspace(-1, 1, n_pixels)
    vectors = side - 1j * side[:, None]
    length = np.abs(vectors)
    angle = np.angle(vectors) * 360 / period_deg
    colours = direction_colours(length * np.exp(1j * angle))
    opaque = np.clip((1 - length) * n_pixels / 2, 0, 1)
    axes.imshow(np.dstack([colours, opaque]), extent=(-1, 1, -1, 1), interpolation="bilinear")
    axes.set(xlim=(-1.6, 1.6), ylim=(-1.4, 1.4), aspect="equal")
    axes.set_axis_off()
    for degrees, x, y in ((0, 1, 0), (90, 0, 1), (180, -1, 0), (270, 0, -1)):
        axes.text(1.4 * x, 1.22 * y, f"{degrees % period_deg:g}°", ha="center", va="center")
    name = "direction of motion" if period_deg == 360 else "orientation of bars"
    axes.set_title(f"{name}\n(rim: vector length ≥ {full_at:.2g})", pad=1)
