"""Raw two-photon movies of any format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from workflow_scripts.recordings.raw_movie import RawMovie
from workflow_scripts.recordings.readers.nwb import open_nwb_movie
from workflow_scripts.recordings.readers.tiff import open_tiff
from workflow_scripts.stores.errors import InputError


@dataclass(frozen=True)
class MovieSource:
    """What the sample sheet says of a movie.

    Attributes
    ----------
    format : str
        "two_photon_tiff": a stack or a folder of stacks; "two_photon_nwb": a TwoPhotonSeries.
    sampling_rate_hz : float, optional
        Frames per second. TIFF files do not say; where an NWB file does, the two must agree.
    um_per_px : float, optional
        Side of a pixel, µm; the same holds.
    series : str, optional
        Which TwoPhotonSeries of an NWB file that has several.
    """

    format: Literal["two_photon_tiff", "two_photon_nwb"]
    sampling_rate_hz: float | None = None
    um_per_px: float | None = None
    series: str | None = None


@contextmanager
def open_movie(path: Path, source: MovieSource) -> Iterator[RawMovie]:
    """Open a movie, whose frames are read when they are asked for.

    Raises
    ------
    InputError
        The file is damaged or not of this format, its rate is unknown, or it disagrees with the
        sample sheet.
    """
    if source.format == "two_photon_tiff":
        opened = open_tiff(path, source.sampling_rate_hz)
    else:
        opened = open_nwb_movie(path, source.series)
    with opened as movie:
        _agree("sampling_rate_hz", source.sampling_rate_hz, movie.rate_hz, path)
        _agree("um_per_px", source.um_per_px, movie.um_per_px, path)
        yield replace(movie, um_per_px=movie.um_per_px or source.um_per_px)


def _agree(name: str, given: float | None, stated: float | None, path: Path) -> None:
    if given is not None and stated is not None and abs(stated / given - 1) > 0.01:
        raise InputError(
            f"{path}: states {name} {stated:g}, the sample sheet {given:g}; correct the sheet, or "
            "leave its cell empty"
        )
