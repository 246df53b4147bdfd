"""Spike times in .mat, .npy and .npz files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.recordings.readers.checks import load_npy, load_npz, require
from workflow_scripts.recordings.readers.matlab import cell_array, load_mat
from workflow_scripts.recordings.spikes import SpikeTrains
from workflow_scripts.stores.errors import InputError

_SECONDS = {"s": 1.0, "ms": 1e-3}


def read_spike_times(path: Path, time_unit: Literal["s", "ms"] = "s") -> SpikeTrains:
    """Read spike times of all units of a recording.

    Parameters
    ----------
    path : Path
        ``.npy``: (spikes, 2) numbers, unit and time. ``.npz``: arrays ``unit`` and ``time``, one
        entry per spike. ``.mat``: a cell array ``spike_times`` of one vector per unit.
    time_unit : str
        Unit of the times in the file.

    Returns
    -------
    SpikeTrains

    Raises
    ------
    InputError
        The file is not one of these, or its times are none of a neuron in this unit.
    """
    require(path, "file")
    readers = {".npy": _from_npy, ".npz": _from_npz, ".mat": _from_mat}
    if path.suffix not in readers:
        raise InputError(f"{path}: ending {path.suffix!r}; expected one of {', '.join(readers)}")
    by_unit = readers[path.suffix](path)
    for unit, times in by_unit.items():
        if times.dtype.kind not in "iuf" or not np.isfinite(times).all():
            raise InputError(f"{path}: unit {unit}: a spike time is NaN, infinite or no number")
    try:
        return SpikeTrains(
            [np.sort(times.astype(float)) * _SECONDS[time_unit] for times in by_unit.values()],
            {"unit_id": np.array(list(by_unit), dtype=object)},
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _from_npy(path: Path) -> dict[str, NDArray]:
    table = load_npy(path, (None, 2))
    return _by_unit(table[:, 0], table[:, 1], path)


def _from_npz(path: Path) -> dict[str, NDArray]:
    unit, time = load_npz(path, "unit", "time")
    if unit.ndim != 1 or unit.shape != time.shape:
        raise InputError(f"{path}: unit has shape {unit.shape}, time {time.shape}; one per spike")
    return _by_unit(unit, time, path)


def _from_mat(path: Path) -> dict[str, NDArray]:
    cells = cell_array(load_mat(path), "spike_times", path).ravel()
    return {str(number): np.asarray(times).ravel() for number, times in enumerate(cells)}


def _by_unit(unit: NDArray, time: NDArray, path: Path) -> dict[str, NDArray]:
    if unit.dtype.kind == "f" and not (np.isfinite(unit).all() and (unit == np.rint(unit)).all()):
        raise InputError(f"{path}: units (first column) are not whole numbers; columns swapped?")
    names = unit.astype(np.int64) if unit.dtype.kind == "f" else unit
    return {str(name): time[names == name] for name in np.unique(names)}
