"""MATLAB files of both kinds, as plain Python."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from workflow_scripts.recordings.readers.checks import require
from workflow_scripts.stores.errors import InputError


def load_mat(path: Path) -> dict[str, Any]:
    """Read a .mat file, version 5 to 7 (scipy) or 7.3 (HDF5).

    Returns
    -------
    dict
        Variable → numeric array as MATLAB shapes it; cell arrays are object arrays, structs dicts,
        text is str.

    Raises
    ------
    InputError
        The file is missing, truncated or no .mat file.
    """
    require(path, "file")
    try:
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                names = [str(name) for name in file if not str(name).startswith("#")]
                return {name: _from_hdf5(file, file[name]) for name in names}
        variables = loadmat(path, chars_as_strings=True)
        return {name: _plain(value) for name, value in variables.items() if name[:2] != "__"}
    except (OSError, ValueError, TypeError, IndexError, KeyError, MatReadError, zlib.error,
            NotImplementedError, OverflowError, MemoryError) as error:  # fmt: skip
        raise InputError(f"{path}: not a readable .mat file ({error}); copy it again") from error


def cell_array(variables: dict[str, Any], name: str, path: Path) -> NDArray[np.object_]:
    """Return a variable that must be a cell array, as an object array of MATLAB's shape."""
    if name not in variables:
        raise InputError(f"{path}: no variable {name!r}; it has {sorted(variables)}")
    value = variables[name]
    if not isinstance(value, np.ndarray) or value.dtype != object:
        raise InputError(f"{path}: variable {name!r} is no cell array")
    return value


def _plain(value: Any) -> Any:
    """Turn scipy's structured arrays into dicts and its text arrays into str."""
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.names:
        structs = [{name: _plain(one[name]) for name in value.dtype.names} for one in value.flat]
        return structs[0] if len(structs) == 1 else _objects(structs, value.shape)
    if value.dtype.kind == "U":
        return str(value.flat[0]) if value.size == 1 else value
    if value.dtype == object:
        return _objects([_plain(one) for one in value.flat], value.shape)
    return value


def _from_hdf5(file: h5py.File, node: h5py.Group | h5py.Dataset | Any) -> Any:
    if isinstance(node, h5py.Group):
        return {name: _from_hdf5(file, node[name]) for name in node}
    kind = node.attrs.get("MATLAB_class", b"").decode()
    if node.attrs.get("MATLAB_empty", 0):
        return np.empty((0, 0), dtype=object if kind == "cell" else float)
    values = node[()].T  # MATLAB stores columns first
    if h5py.check_ref_dtype(node.dtype):
        return _objects([_from_hdf5(file, file[one]) for one in values.flat], values.shape)
    return "".join(map(chr, values.T.flat)) if kind == "char" else values


def _objects(values: list[Any], shape: tuple[int, ...]) -> NDArray[np.object_]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)
