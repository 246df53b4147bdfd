"""Overlapping blocks of an image, and the displacement field that their centres span."""

from __future__ import annotations

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
    if len(centres_px) == 1:
        return np.ones((len(at_px), 1), np.float32)
    unit = np.eye(len(centres_px))
    index = np.clip(np.searchsorted(centres_px, at_px) - 1, 0, len(centres_px) - 2)
    before, after = centres_px[index], centres_px[index + 1]
    part = ((at_px - before) / (after - before))[:, None]
    return (unit[index] * (1 - part) + unit[index + 1] * part).astype(np.float32)


def neighbour_weights(n_rows: int, n_columns: int) -> Image:
    """Gaussian weights (block, block) of one block's distance, rows adding up to 1."""
    place = np.stack(np.divmod(np.arange(n_rows * n_columns), n_columns), 1)
    weights = np.exp(-0.5 * ((place[:, None] - place) ** 2).sum(-1))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def roughness(n_rows: int, n_columns: int) -> NDArray[np.float64]:
    """Quadratic form (block, block): squared differences between neighbouring blocks."""
    rows, columns = (np.diff(np.eye(n), axis=0) for n in (n_rows, n_columns))
    return np.kron(rows.T @ rows, np.eye(n_columns)) + np.kron(np.eye(n_rows), columns.T @ columns)


@nb.njit(cache=True, nogil=True, fastmath=True)
def sample(frame: Image, displacement_px: Image, in_view: NDArray[np.int32]) -> Image:
    """Interpolate a frame (y, x) at each pixel plus its displacement (2, y, x)."""
    height, width = frame.shape
    result = np.empty_like(frame)
    for i in range(height):
        for j in range(width):
            y, x = i + displacement_px[0, i, j], j + displacement_px[1, i, j]
            if 0 <= y <= height - 1 and 0 <= x <= width - 1:
                in_view[i, j] += 1
            y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
            top, left = min(int(y), height - 2), min(int(x), width - 2)
            down, right = y - top, x - left
            upper = frame[top, left] * (1 - right) + frame[top, left + 1] * right
            lower = frame[top + 1, left] * (1 - right) + frame[top + 1, left + 1] * right
            result[i, j] = upper * (1 - down) + lower * down
    return result
