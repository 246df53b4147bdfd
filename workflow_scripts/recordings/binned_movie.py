"""Registered movies averaged over bins: written bin by bin, read tile by tile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from workflow_scripts.recordings.raw_movie import RawMovie
from workflow_scripts.stores.zarr_store import add_array

Window = tuple[slice, slice]

# More bins than this are not worth waiting for.
MOST_BYTES = 32_000_000
# Side of the store's chunks: a tile of some hundred pixels reads little that it does not need.
CHUNK_PX = 128


class BinWriter:
    """Averages registered frames over bins and writes them, some at a time.

    Parameters
    ----------
    group : zarr.Group
        Store that gets ``binned (bin, y, x)``.
    raw : RawMovie
        The movie whose frames will be added; those after the last whole bin are left out.
    bin_s : float
        Length of a bin, s.
    memory_bytes : float
        Memory for the bins that wait to be written together.

    Attributes
    ----------
    bin_s : float
        A bin's true length, which is a whole number of frames.
    """

    def __init__(self, group: zarr.Group, raw: RawMovie, bin_s: float, memory_bytes: float) -> None:
        self._per_bin = max(1, round(bin_s * raw.rate_hz))
        self.bin_s = self._per_bin / raw.rate_hz
        size = (raw.height, raw.width)
        self._n_bins = raw.n_frames // self._per_bin
        # The others are copies on the way to the disk.
        most = int(min(memory_bytes / 4, MOST_BYTES) // (4 * raw.height * raw.width))
        self._waiting = np.zeros((max(1, min(most, self._n_bins)), *size), np.float32)
        self._array = add_array(
            group,
            "binned",
            ("bin", "y", "x"),
            (self._n_bins, *size),
            (len(self._waiting), min(CHUNK_PX, size[0]), min(CHUNK_PX, size[1])),
            units="counts",
            long_name="mean of the bin's registered frames",
        )

    def add(self, number: int, frame: NDArray[np.float32]) -> None:
        """Add registered frame `number`; frames come one after the other."""
        index, of_bin = divmod(number, self._per_bin)
        if index >= self._n_bins:
            return
        slot = index % len(self._waiting)
        self._waiting[slot] += frame
        last_of_bin = of_bin == self._per_bin - 1
        if last_of_bin and (slot == len(self._waiting) - 1 or index == self._n_bins - 1):
            self._waiting /= self._per_bin
            self._array[index - slot : index + 1] = self._waiting[: slot + 1]
            self._waiting[:] = 0


@dataclass(frozen=True)
class BinnedMovie:
    """A binned movie on disk.

    Attributes
    ----------
    binned : xr.DataArray, (bin, y, x)
        Of a store that is open.
    bin_s : float
        Length of a bin, s.
    """

    binned: xr.DataArray
    bin_s: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Bins, rows and columns."""
        n_bins, height, width = self.binned.shape
        return n_bins, height, width

    def read(self, window: Window) -> NDArray[np.float32]:
        """Read the bins of a window (rows, columns) into an array of its own, (bin, y, x)."""
        size = (side.stop - side.start for side in window)
        bins = np.empty((self.shape[0], *size), np.float32)
        at_once = self.binned.encoding["chunks"][0]  # more would be decoded side by side
        for start in range(0, len(bins), at_once):
            piece = slice(start, start + at_once)
            bins[piece] = self.binned[piece, *window]
        return bins
