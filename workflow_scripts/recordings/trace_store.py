"""Traces of all cells on disk: light comes frame by frame, all else cell by cell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import zarr
from numpy.typing import NDArray

from workflow_scripts.stores.zarr_store import add_array

_OVER_TIME = {
    "response": ("ΔF/F/s", "response"),
    "fluorescence": ("counts", "mean light of the cell"),
    "neuropil": ("counts", "mean light around the cell"),
    "delta_f_over_f": ("1", "ΔF/F after the neuropil is subtracted"),
    "denoised": ("1", "ΔF/F that the spike rate explains"),
}
# Of one cell on its way from light to spike rate, all in all.
_BYTES_PER_SAMPLE = 100
# Part of the memory that light takes before it is written; writing it takes as much again.
_LIGHT_SHARE = 0.2
# More light than this is not worth keeping before it is written.
_MOST_BYTES = 32_000_000


class TraceStore:
    """The arrays (unit, time) of a continuous session that is being written.

    Parameters
    ----------
    group : zarr.Group
        Store that gets ``response fluorescence neuropil delta_f_over_f denoised``.
    n_units, n_frames : int
    memory_bytes : float
        Memory to work in.
    """

    def __init__(self, group: zarr.Group, n_units: int, n_frames: int, memory_bytes: float) -> None:
        together = int(memory_bytes // (_BYTES_PER_SAMPLE * n_frames))
        self._units_at_once = min(max(1, together), n_units)
        waiting = int(min(_LIGHT_SHARE * memory_bytes, _MOST_BYTES) // (8 * n_units))
        self._light = np.empty((2 * n_units, min(max(1, waiting), n_frames)), np.float32)
        self._shape = (n_units, n_frames)
        chunks = (self._units_at_once, self._light.shape[1])
        self._arrays = {
            name: add_array(
                group, name, ("unit", "time"), self._shape, chunks, units=units, long_name=long_name
            )
            for name, (units, long_name) in _OVER_TIME.items()
        }

    def add(self, number: int, light: NDArray[np.float32]) -> None:
        """Add frame `number`, one after the other: the cells' light, then that around them."""
        n_units, n_frames = self._shape
        place = number % self._light.shape[1]
        self._light[:, place] = light
        if place == self._light.shape[1] - 1 or number == n_frames - 1:
            frames = slice(number - place, number + 1)
            self._arrays["fluorescence"][:, frames] = self._light[:n_units, : place + 1]
            self._arrays["neuropil"][:, frames] = self._light[n_units:, : place + 1]

    def batches(self) -> Iterator[tuple[slice, NDArray[np.float32], NDArray[np.float32]]]:
        """Units that are worked on together, their light, and that around them, (unit, time)."""
        for first in range(0, self._shape[0], self._units_at_once):
            units = slice(first, min(first + self._units_at_once, self._shape[0]))
            cell, around = (
                np.asarray(self._arrays[name][units]) for name in ("fluorescence", "neuropil")
            )
            yield units, cell, around

    def write(self, units: slice, **traces: NDArray[np.float32]) -> None:
        """Write what was inferred of some units, (unit, time) each."""
        for name, values in traces.items():
            self._arrays[name][units] = values
