"""TIFF movies: one stack, or a folder of them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffFileError

from workflow_scripts.recordings.raw_movie import RawMovie
from workflow_scripts.recordings.readers.checks import DAMAGED, require, require_rate
from workflow_scripts.stores.errors import InputError

_DAMAGED = (*DAMAGED, TiffFileError, RuntimeError)


@contextmanager
def open_tiff(path: Path, rate_hz: float | None) -> Iterator[RawMovie]:
    """Open a TIFF stack, or all the TIFF files of a folder one after the other.

    Parameters
    ----------
    path : Path
        A file of grey pages, or a folder of such files, which are ordered by the numbers in
        their names (``img2`` before ``img10``).
    rate_hz : float
        Frames per second, which TIFF files do not say.

    Yields
    ------
    RawMovie
        Pages are read when they are asked for.

    Raises
    ------
    InputError
        No file, a damaged one, colour, or pages of different sizes.
    """
    rate = require_rate(rate_hz, path)
    files = _files(require(path, "file or folder"))
    with ExitStack() as stack:
        stacks = [_open_stack(file, stack) for file in files]
        shape, dtype = stacks[0].pages[0].shape, stacks[0].pages[0].dtype
        for file, opened in zip(files, stacks, strict=True):
            _check_pages(file, opened, shape, dtype)
        ends = np.cumsum([_n_frames(opened) for opened in stacks]).tolist()
        if ends[-1] < 2:
            raise InputError(f"{path}: one frame is no movie")

        def read(start: int, stop: int) -> NDArray:
            parts, at = [], start
            while at < min(stop, ends[-1]):
                which = bisect_right(ends, at)
                first = ends[which - 1] if which else 0
                last = min(stop, ends[which])
                parts.append(_read_pages(files[which], stacks[which], at - first, last - first))
                at = last
            if len(parts) == 1:
                return parts[0]
            return np.concatenate(parts) if parts else np.empty((0, *shape), dtype)

        yield RawMovie(ends[-1], shape[0], shape[1], rate, read)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = [one for one in path.iterdir() if one.suffix.lower() in {".tif", ".tiff"}]
    if not files:
        raise InputError(f"{path}: no .tif file in this folder")
    return sorted(files, key=lambda one: ([int(n) for n in re.findall(r"\d+", one.name)], one.name))


def _open_stack(file: Path, stack: ExitStack) -> TiffFile:
    try:
        opened = stack.enter_context(TiffFile(file))
        for _ in opened.pages:  # reads every page's header; a list would keep them all in memory
            pass
        _n_frames(opened)  # reads the description of the series
    except _DAMAGED as error:
        raise InputError(f"{file}: not a readable TIFF file ({error}); copy it again") from error
    return opened


def _n_frames(opened: TiffFile) -> int:
    """Count frames; a large ImageJ stack has one page and its frames behind each other."""
    return max(len(opened.pages), int(np.prod(opened.series[0].shape[:-2])))


def _check_pages(
    file: Path, opened: TiffFile, shape: tuple[int, ...], dtype: np.dtype | None
) -> None:
    size, series = file.stat().st_size, opened.series[0]
    if series.dataoffset is not None and series.dataoffset + series.nbytes > size:
        raise InputError(f"{file}: truncated; copy it again")
    for number, page in enumerate(opened.pages):
        if len(page.shape) != 2 or page.dtype is None or page.dtype.kind not in "uif":
            raise InputError(f"{file}: page {number} is {page.shape} {page.dtype}; expected grey")
        if page.shape != shape or page.dtype != dtype:
            raise InputError(
                f"{file}: page {number} is {page.shape} {page.dtype}, "
                f"the movie's first {shape} {dtype}"
            )
        # A page whose bytes are missing would be read as zeros.
        ends = (o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True))
        if max(ends, default=size + 1) > size:
            raise InputError(f"{file}: truncated at page {number}; copy it again")


def _read_pages(file: Path, opened: TiffFile, start: int, stop: int) -> NDArray:
    try:
        if _n_frames(opened) > len(opened.pages):
            frames = opened.series[0].asarray(out="memmap").reshape(-1, *opened.pages[0].shape)
            return np.array(frames[start:stop])
        pages = opened.asarray(key=range(start, stop))
    except _DAMAGED as error:
        raise InputError(f"{file}: pages {start} to {stop} are damaged ({error})") from error
    return pages.reshape(stop - start, *opened.pages[0].shape)
