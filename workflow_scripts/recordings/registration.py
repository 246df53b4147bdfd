"""Rigid and non-rigid registration of two-photon movies by sub-pixel phase correlation.

Each frame is aligned to a reference image as a whole, then in overlapping blocks, and sampled at
the displacement that the blocks' centres span (the scheme of NoRMCorre, Pnevmatikakis & Giovannucci
2017, J Neurosci Methods 291:83; correlations are whitened, and shared between neighbouring blocks
where one alone has no clear peak, as in suite2p, Pachitariu et al. 2017, bioRxiv 061507). A last
least-squares step moves all blocks together. Frames are taken one by one, so that memory does not
depend on the movie's length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.recordings.blocks import (
    Image,
    block_starts,
    cut_blocks,
    grid,
    interpolation,
    neighbour_weights,
    roughness,
    sample,
)  # fmt: skip
from workflow_scripts.recordings.phase_correlation import Correlator, find_peaks
from workflow_scripts.stores.errors import InputError

Shifts = NDArray[np.float32]

# A block's peak this much above the highest value away from it stands on its own.
CLEAR_PEAK = 1.3
LARGEST_CORRECTION_PX = 1.0
# A frame that holds less than this share of the reference's contrast is not corrected further.
LEAST_GAIN = 0.1
# Weight of squared differences between neighbouring blocks, and of the blocks' own squares, against
# the texture of the mean block. Chosen on simulated movies of 4 photons per pixel.
STIFFNESS, LEAST_STIFFNESS = 0.05, 1e-3


@dataclass(frozen=True)
class RegistrationParameters:
    """How far and how finely frames are aligned.

    Attributes
    ----------
    largest_shift_px : int
        Largest rigid shift looked for, along each axis.
    block_px : int
        Side of a block; 0 aligns rigidly only.
    largest_bend_px : int
        Largest displacement of a block on top of the rigid shift.
    """

    largest_shift_px: int = 20
    block_px: int = 64
    largest_bend_px: int = 5

    def __post_init__(self) -> None:
        if self.largest_shift_px < 1 or self.largest_bend_px < 1:
            raise InputError("registration: largest_shift_px and largest_bend_px are at least 1")
        if self.block_px and self.block_px < 4 * self.largest_bend_px:
            raise InputError(
                f"registration: block_px {self.block_px} is under four times largest_bend_px "
                f"{self.largest_bend_px}; give larger blocks, or 0 for rigid registration only"
            )


class Motion(NamedTuple):
    """Displacement of the tissue in one frame, pixels (row, column).

    Attributes
    ----------
    shift_px : (2,)
        Rigid shift.
    bend_px : (block row, block column, 2)
        Displacement of each block on top of the shift.
    peak : float
        Height of the rigid correlation peak: low where a frame does not look like the reference,
        0 where it is blank.
    """

    shift_px: Shifts
    bend_px: Shifts
    peak: float


class Registration:
    """Registration of frames to one reference image.

    Parameters
    ----------
    reference : (y, x)
        Image to align to, for example from `recordings.reference`.
    parameters : RegistrationParameters

    Attributes
    ----------
    block_rows_px, block_columns_px : (block row,), (block column,)
        Centres of the blocks.

    Raises
    ------
    InputError
        If the image is smaller than a block or than twice the largest shift.
    """

    def __init__(self, reference: Image, parameters: RegistrationParameters) -> None:
        _check(reference.shape, parameters)
        self.parameters = parameters
        size = parameters.block_px
        whole = np.ascontiguousarray(reference, np.float32)[None]
        self._whole = Correlator(whole, parameters.largest_shift_px)
        height, width = reference.shape
        self._starts = (block_starts(height, size), block_starts(width, size))
        centres = [starts + (size - 1) / 2 for starts in self._starts]
        self.block_rows_px, self.block_columns_px = centres
        self.n_blocks = (len(centres[0]), len(centres[1]))
        self._grids = grid(height, centres[0]), grid(width, centres[1])
        if size:
            blocks = cut_blocks(whole[0], *self._starts, size, 0, 0)
            self._blocks = Correlator(blocks, parameters.largest_bend_px)
            self._share = neighbour_weights(*self.n_blocks)
            self._rows, self._columns = (
                interpolation(np.arange(extent), at)
                for extent, at in zip(reference.shape, centres, strict=True)
            )
            self._prepare_correction(whole[0])

    def motion(self, frame: Image) -> Motion:
        """Displacement of a frame (y, x) relative to the reference."""
        peaks = find_peaks(self._whole(frame[None]))[0]
        shift = peaks[:2]
        bend = np.zeros((*self.n_blocks, 2), np.float32)
        if self.parameters.block_px and peaks[2] > 0:
            whole_px = np.rint(shift)
            down, right = int(whole_px[0]), int(whole_px[1])
            blocks = cut_blocks(frame, *self._starts, self.parameters.block_px, down, right)
            found = _peaks_with_neighbours(self._blocks(blocks), self._share)
            bend = found.reshape(bend.shape) + whole_px - shift
            bend += self._correction(frame, Motion(shift, bend, 0.0))
        return Motion(shift, bend, float(peaks[2]))

    def align(self, frame: Image, motion: Motion, in_view: NDArray[np.int32]) -> Image:
        """Frame (y, x) with the displacement undone, bilinearly interpolated.

        Pixels that were out of view repeat the nearest ones; the others are counted in `in_view`
        (y, x).
        """
        bend = motion.bend_px if self.parameters.block_px else np.zeros((1, 1, 2), np.float32)
        return sample(frame, motion.shift_px, bend, *self._grids, in_view)

    def _correction(self, frame: Image, motion: Motion) -> Shifts:
        """One Gauss-Newton step of all blocks together, which also reaches the image's edges.

        It lowers the squared difference from the reference, plus the roughness of the bend. The
        gradient is that of the reference (inverse compositional, Baker & Matthews 2004, Int J
        Comput Vis 56:221), so that the normal matrix is the same for all frames.
        """
        difference = self.align(frame, motion, self._unused)
        difference -= difference.mean()
        gain = (difference * self._reference).sum() / (self._reference**2).sum()
        difference = self._reference - difference / max(gain, LEAST_GAIN)
        slope = (self._rows.T @ (self._gradient * difference) @ self._columns).reshape(2, -1)
        slope -= np.moveaxis(motion.bend_px, -1, 0).reshape(2, -1) @ self._penalty
        step = (self._solve @ slope.ravel()).reshape(2, *self.n_blocks)
        return np.clip(np.moveaxis(step, 0, -1), -LARGEST_CORRECTION_PX, LARGEST_CORRECTION_PX)

    def _prepare_correction(self, reference: Image) -> None:
        self._unused = np.zeros(reference.shape, np.int32)
        self._reference = reference - reference.mean()
        self._gradient = np.stack(np.gradient(self._reference))
        n = self.n_blocks[0] * self.n_blocks[1]
        matrix = np.zeros((2, n, 2, n), np.float32)
        for a, b in ((0, 0), (0, 1), (1, 1)):
            product = self._gradient[a] * self._gradient[b]
            pairs = np.einsum(
                "yi,yk,yx,xj,xl->ijkl", self._rows, self._rows, product, self._columns,
                self._columns, optimize=True,
            )  # fmt: skip
            matrix[a, :, b] = matrix[b, :, a] = pairs.reshape(n, n)
        matrix = matrix.reshape(2 * n, 2 * n)
        stiffness = max(STIFFNESS * np.trace(matrix) / (2 * n), np.finfo(np.float32).tiny)
        penalty = stiffness * (roughness(*self.n_blocks) + LEAST_STIFFNESS * np.eye(n))
        self._penalty = penalty.astype(np.float32)
        self._solve = np.linalg.inv(matrix + np.kron(np.eye(2), penalty)).astype(np.float32)


def displacement_at(
    motion: Motion,
    blocks_px: tuple[NDArray[np.floating], NDArray[np.floating]],
    rows_px: NDArray[np.floating],
    columns_px: NDArray[np.floating],
) -> NDArray[np.floating]:
    """Displacement of the tissue at `rows_px` × `columns_px` of the reference, (…, 2, row, column).

    Parameters
    ----------
    motion : Motion
        Of one frame or, with a leading axis (time, …), of many.
    blocks_px : (block row,), (block column,)
        Centres of the blocks.
    rows_px, columns_px : (row,), (column,)
        Where the displacement is wanted.
    """
    rows, columns = map(interpolation, (rows_px, columns_px), blocks_px)
    bend = rows @ np.moveaxis(motion.bend_px, -1, -3).astype(float) @ columns.T
    return motion.shift_px[..., None, None] + bend


def _check(size: tuple[int, ...], parameters: RegistrationParameters) -> None:
    if len(size) != 2:
        raise InputError(f"the reference has shape {size}; registration needs one (y, x) image")
    if min(size) < max(parameters.block_px, 2 * parameters.largest_shift_px + 1):
        raise InputError(
            f"frames of {size[0]} × {size[1]} px are too small for block_px {parameters.block_px} "
            f"and largest_shift_px {parameters.largest_shift_px}: lower them"
        )


def _peaks_with_neighbours(correlation: Image, share: Image) -> Image:
    """Peak (block, 2) of each block, averaged with its neighbours as often as it needs (≤ 2 ×)."""
    found = find_peaks(correlation)
    flat = correlation.reshape(len(correlation), -1)
    for _ in range(2):
        unclear = found[:, 3] < CLEAR_PEAK
        if not unclear.any():
            break
        flat = share @ flat
        found[unclear] = find_peaks(flat[unclear].reshape(-1, *correlation.shape[1:]))
    return found[:, :2]
