"""What every reader asks of its files, with errors that name file, field and remedy."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.stores.errors import InputError

# What NumPy and its archives raise of damaged files; a header is parsed as Python's own text.
DAMAGED = (
    OSError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError, MemoryError,
    SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def require(path: Path, kind: str) -> Path:
    """Return the path if there is a file or folder there."""
    if not path.exists():
        raise InputError(f"{path}: no such {kind}; correct the path in the sample sheet")
    return path


def load_npy(path: Path | Traversable, shape: Sequence[int | None]) -> NDArray:
    """Read a numeric .npy file, of which nothing is ever unpickled.

    Parameters
    ----------
    path : Path or Traversable
        File on disk or in an archive.
    shape : sequence of int or None
        Expected length of each axis; None for any.

    Raises
    ------
    InputError
        The file is missing, truncated, holds Python objects, or has another shape.
    """
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except DAMAGED as error:
        raise InputError(f"{path}: not a readable numeric .npy file ({error})") from error
    fits = array.ndim == len(shape) and all(
        expected is None or expected == actual
        for expected, actual in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = " × ".join("any" if axis is None else str(axis) for axis in shape)
        raise InputError(f"{path}: shape {array.shape}, expected {wanted}")
    return array


def npy_shape(path: Path, ndim: int) -> tuple[int, ...]:
    """Read the shape of a numeric .npy file from its header.

    Raises
    ------
    InputError
        The file is missing, shorter than its header says, or has another number of axes.
    """
    try:
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    except DAMAGED as error:
        raise InputError(f"{path}: not a readable numeric .npy file ({error})") from error
    if len(shape) != ndim:
        raise InputError(f"{path}: shape {shape}, expected {ndim} axes")
    return shape


def load_npz(path: Path, *names: str) -> list[NDArray]:
    """Read named arrays of an .npz file, of which nothing is ever unpickled.

    Raises
    ------
    InputError
        The file is missing, truncated, holds Python objects, or has no such array.
    """
    try:
        with np.load(require(path, "file"), allow_pickle=False) as file:
            return [file[name] for name in names]
    except DAMAGED as error:
        wanted = " and ".join(repr(name) for name in names)
        raise InputError(f"{path}: not an .npz file with {wanted} ({error})") from error


def load_images(path: Path) -> NDArray[np.uint8]:
    """Read grey images, (image, y, x): ``images`` of an .npz file, or an .npy file."""
    images = load_npz(path, "images")[0] if path.suffix == ".npz" else load_npy(path, [None] * 3)
    if images.ndim != 3 or not images.size:
        raise InputError(f"{path}: images of shape {images.shape}; expected image × y × x")
    return as_grey_levels(images, path)


def require_rate(rate_hz: float | None, path: Path) -> float:
    """Return the sampling rate if it is one that a recording can have."""
    if rate_hz is None:
        raise InputError(f"{path}: the file does not say its rate; give sampling_rate_hz")
    if not 0.1 <= rate_hz <= 1e5:
        raise InputError(f"{path}: sampling rate {rate_hz} Hz is not between 0.1 Hz and 100 kHz")
    return float(rate_hz)


def as_grey_levels(images: NDArray, path: Path | Traversable) -> NDArray[np.uint8]:
    """Turn images into uint8 if they hold grey levels from 0 to 255.

    Raises
    ------
    InputError
        A value is not finite or outside 0–255, or all are so small that the scale is another.
    """
    if images.dtype == np.uint8:
        return images
    low, high = float(images.min()), float(images.max())
    if not (np.isfinite(images).all() and low >= 0 and 1 < high <= 255):
        raise InputError(
            f"{path}: image values from {low:.3g} to {high:.3g}; expected grey levels 0 to 255, "
            "not normalised"
        )
    return np.rint(images).astype(np.uint8)
