"""Direction fractures: lines along which the preferred direction jumps to its opposite."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.analysis.maps import closed_plaquettes
from workflow_scripts.stores.errors import InputError

Bools = NDArray[np.bool_]
Complexes = NDArray[np.complexfloating]
Floats = NDArray[np.floating]


class Fractures(NamedTuple):
    """Fractures of one map.

    Attributes
    ----------
    length_px : np.ndarray, (row − 1, column − 1)
        Length of the line in each plaquette (2 × 2 pixels); sum it, times the pixel's side.
    ends : np.ndarray of bool, (row − 1, column − 1)
        Plaquettes in which a line ends: the pinwheels of the axis, of half a turn each.
    """

    length_px: Floats
    ends: Bools


def find_fractures(z1: ArrayLike, z2: ArrayLike, roi: ArrayLike | None = None) -> Fractures:
    """Find where a map of direction changes sides on its axis of motion.

    On either side of a fracture the axis is the same and the direction is not: with u a root
    of the axis z2, Re(z1 conj(u)) changes its sign. Between two neighbouring pixels the
    root is chosen continuously, so no choice is needed over the map: around half a turn of the axis
    it cannot be, and there, at a pinwheel of the axis, a fracture must end (Shmuel & Grinvald
    1996). A line is followed through each plaquette as the zero contour of the linear interpolant
    along its edges.

    Parameters
    ----------
    z1 : array of complex, (row, column)
        Map of direction, period 360°.
    z2 : array of complex, (row, column)
        Map of the axis, the angle doubled, measured and smoothed by itself: it is smooth where
        direction jumps.
    roi : array of bool, (row, column), optional
        As in `analysis.maps.find_pinwheels`.

    Raises
    ------
    InputError
        The maps have different shapes, or are no complex matrices.
    """
    z1, z2 = np.asarray(z1), np.asarray(z2)
    if z1.shape != z2.shape:
        raise InputError(f"z1 has shape {z1.shape}, z2 {z2.shape}; they must agree")
    closed = closed_plaquettes(z1, roi) & closed_plaquettes(z2)
    root = np.sqrt(np.where(np.isfinite(z2), z2, 0))
    side = np.real(np.where(np.isfinite(z1), z1, 0) * root.conj())
    left_right = _crossings(side[:, :-1], side[:, 1:], root[:, :-1], root[:, 1:])
    up_down = _crossings(side[:-1], side[1:], root[:-1], root[1:])
    edges = np.stack([left_right[:-1], up_down[:, 1:], left_right[1:], up_down[:, :-1]])
    n_crossings = np.isfinite(edges).sum(axis=0)
    return Fractures(
        np.where(closed, _length_px(edges, n_crossings), 0), closed & (n_crossings % 2 == 1)
    )


def _crossings(side: Floats, other: Floats, root: Complexes, other_root: Complexes) -> Floats:
    """Where between two pixels the sign changes, 0–1; NaN where it does not."""
    same_root = np.where((root * other_root.conj()).real < 0, -1.0, 1.0)
    other = other * same_root
    crossed = (side < 0) != (other < 0)
    return np.where(crossed, side / np.where(crossed, side - other, 1), np.nan)


def _length_px(edges: Floats, n_crossings: NDArray[np.integer]) -> Floats:
    """Length in each plaquette of the line through its crossings (top, right, bottom, left)."""
    zero, one = np.zeros_like(edges[0]), np.ones_like(edges[0])
    places = np.stack([
        np.stack([zero, edges[0]]), np.stack([edges[1], one]),
        np.stack([one, edges[2]]), np.stack([edges[3], zero]),
    ])  # fmt: skip
    lengths = np.zeros_like(edges[0])
    top, right, bottom, left = places

    def between(a: Floats, b: Floats) -> Floats:
        return np.hypot(*(a - b))

    pairs = np.stack([
        between(places[i], places[j]) for i in range(4) for j in range(i + 1, 4)
    ])  # fmt: skip
    two = n_crossings == 2
    lengths[two] = np.nansum(pairs[:, two], axis=0)
    four = n_crossings == 4
    saddle = np.minimum(
        between(top, left) + between(right, bottom), between(top, right) + between(left, bottom)
    )
    lengths[four] = saddle[four]
    # A line that ends here is taken to end in the middle.
    odd = n_crossings % 2 == 1
    to_middle = np.hypot(*(places - 0.5).transpose(1, 0, 2, 3))
    lengths[odd] = np.nansum(to_middle[:, odd], axis=0) / n_crossings[odd]
    return lengths
