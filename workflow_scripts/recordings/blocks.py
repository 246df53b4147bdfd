"""Overlapping blocks of an image, and the displacement field that their centres span."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


def block_starts(extent: int, block_px: int) -> NDArray[np.int64]:
    """First pixels of blocks that overlap by half or more and cover the extent."""
    if not block_px:
        return np.zeros(0, np.int64)
    n = -(-2 * (extent - block_px) // block_px) + 1
    return np.rint(np.linspace(0, extent - block_px, n)).astype(np.int64)


@nb.njit(cache=True, nogil=True)
def cut_blocks(
    frame: Image,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    size: int,
    row_shift: int,
    column_shift: int,
) -> Image:
    """Blocks (block, y, x) of a frame, displaced by whole pixels; edges repeat."""
    height, width = frame.shape
    blocks = np.empty((len(rows) * len(columns), size, size), np.float32)
    for block in range(len(blocks)):
        top = rows[block // len(columns)] + row_shift
        left = columns[block % len(columns)] + column_shift
        for i in range(size):
            row = min(max(top + i, 0), height - 1)
            for j in range(size):
                blocks[block, i, j] = frame[row, min(max(left + j, 0), width - 1)]
    return blocks


def interpolation(at_px: NDArray[np.floating], centres_px: NDArray[np.floating]) -> Image:
    """Matrix (place, block) of linear interpolation between centres, and beyond the last."""
    before, part = _between(at_px, centres_px)
    unit = np.eye(len(centres_px), dtype=np.float32)
    after = np.minimum(before + 1, len(centres_px) - 1)
    weights = unit[before] * (1 - part[:, None]) + unit[after] * part[:, None]
    return weights.astype(np.float32)


def _between(
    at_px: NDArray[np.floating], centres_px: NDArray[np.floating]
) -> tuple[NDArray[np.int64], Image]:
    """Block before each place, (place,), and how far it is on the way to the next, (place,)."""
    if len(centres_px) < 2:
        return np.zeros(len(at_px), np.int64), np.zeros(len(at_px), np.float32)
    before = np.clip(np.searchsorted(centres_px, at_px) - 1, 0, len(centres_px) - 2)
    part = (at_px - centres_px[before]) / (centres_px[before + 1] - centres_px[before])
    return before, part.astype(np.float32)


def neighbour_weights(n_rows: int, n_columns: int) -> Image:
    """Gaussian weights (block, block) of one block's distance, rows adding up to 1."""
    place = np.stack(np.divmod(np.arange(n_rows * n_columns), n_columns), 1)
    weights = np.exp(-0.5 * ((place[:, None] - place) ** 2).sum(-1))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def roughness(n_rows: int, n_columns: int) -> NDArray[np.float64]:
    """Quadratic form (block, block): squared differences between neighbouring blocks."""
    rows, columns = (np.diff(np.eye(n), axis=0) for n in (n_rows, n_columns))
    return np.kron(rows.T @ rows, np.eye(n_columns)) + np.kron(np.eye(n_rows), columns.T @ columns)


class Grid(NamedTuple):
    """Where the places of an image lie between blocks, for linear interpolation.

    Attributes
    ----------
    before, after : (place,)
        The two blocks that a place lies between, or is extrapolated from.
    part : (place,)
        Weight of `after`.
    """

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    part: Image


def grid(extent: int, centres_px: NDArray[np.floating]) -> Grid:
    """Places 0 to `extent` − 1 between the centres; without two of them, nothing bends."""
    before, part = _between(np.arange(extent, dtype=float), centres_px)
    return Grid(before, np.minimum(before + 1, max(len(centres_px) - 1, 0)), part)


@nb.njit(cache=True, nogil=True, fastmath=True)
def sample(
    frame: Image, shift_px: Image, bend_px: Image, rows: Grid, columns: Grid,
    in_view: NDArray[np.int32],
) -> Image:  # fmt: skip
    """Interpolate a frame (y, x) at each pixel plus its displacement.

    That is the shift (2,) and what lies between the bends (block row, block column, 2). Pixels that
    were out of view repeat the nearest ones; the others are counted in `in_view` (y, x).
    """
    height, width = frame.shape
    zero, last_row, last_column = np.float32(0), np.float32(height - 1), np.float32(width - 1)
    result = np.empty_like(frame)
    at = np.empty((bend_px.shape[1], 2), np.float32)
    ys, xs = np.empty(width, np.float32), np.empty(width, np.float32)
    for i in range(height):
        # of this row, the displacement at each column of blocks
        before, after, part = rows.before[i], rows.after[i], rows.part[i]
        for block in range(len(at)):
            for axis in range(2):
                first, second = bend_px[before, block, axis], bend_px[after, block, axis]
                at[block, axis] = shift_px[axis] + first + part * (second - first)
        # three loops, of which the compiler makes vector instructions of the second
        for j in range(width):
            before, after, part = columns.before[j], columns.after[j], columns.part[j]
            ys[j] = np.float32(i) + at[before, 0] + part * (at[after, 0] - at[before, 0])
            xs[j] = np.float32(j) + at[before, 1] + part * (at[after, 1] - at[before, 1])
        for j in range(width):
            y, x = ys[j], xs[j]
            in_view[i, j] += (y >= zero) & (y <= last_row) & (x >= zero) & (x <= last_column)
            ys[j], xs[j] = min(max(y, zero), last_row), min(max(x, zero), last_column)
        for j in range(width):
            # an unsigned index needs no check for counting from the end
            top, left = np.uint32(min(ys[j], last_row - 1)), np.uint32(min(xs[j], last_column - 1))
            below, beside = top + np.uint32(1), left + np.uint32(1)
            down, right = ys[j] - np.float32(top), xs[j] - np.float32(left)
            upper = frame[top, left] + right * (frame[top, beside] - frame[top, left])
            lower = frame[below, left] + right * (frame[below, beside] - frame[below, left])
            result[i, j] = upper + down * (lower - upper)
    return result
