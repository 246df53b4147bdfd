"""The movie that a session's stimuli are part of, also where they are flashed images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.recordings.video import frame_size, read_grey
from workflow_scripts.stores.errors import InputError


@dataclass(frozen=True)
class StimulusVideo:
    """Frames as they were shown.

    Attributes
    ----------
    frames : uint8 array, (time, y, x)
        Scaled down from the size that was shown.
    frame_rate_hz : float
    shown_height_px : float
        Height as it was shown: receptive-field outlines are in these pixels.
    onset_s : array, (stimulus,), optional
        Start of each stimulus, where the video was made here.
    """

    frames: NDArray[np.uint8]
    frame_rate_hz: float
    shown_height_px: float
    onset_s: NDArray[np.float64] | None = None


def read_movie(movie: Path, scale_px: float) -> StimulusVideo:
    """Read a movie in grey.

    Parameters
    ----------
    movie : Path
        File that PyAV opens.
    scale_px : float
        Shown pixels per pixel of the frames.
    """
    height, width = frame_size(movie)
    shown = read_grey(movie, round(height / scale_px), round(width / scale_px))
    return StimulusVideo(shown.frames, shown.frame_rate_hz, height)


def flashed_images(
    session: xr.Dataset, scale_px: float, frame_rate_hz: float, blank_s: float
) -> StimulusVideo:
    """Make the movie of a session of flashed images, with grey before each.

    Parameters
    ----------
    session : xr.Dataset
        Trial session with ``image`` and ``time_course``.
    scale_px : float
        Shown pixels per pixel of the frames; an image is averaged over whole numbers of pixels.
    frame_rate_hz : float
    blank_s : float
        Grey, the images' mean, before each: at least as long as a model looks back.

    Raises
    ------
    InputError
        The session holds no images, or none with a time course.
    """
    name = session.attrs["session_id"]
    if "image" not in session or "time_course" not in session:
        raise InputError(f"{name}: neither a movie nor images with time courses; name a movie")
    bin_time_s = session["bin_time_s"].to_numpy()
    shown_s = float(bin_time_s[-1] + np.median(np.diff(bin_time_s)))
    images = session["image"].to_numpy().mean(axis=1)
    height = images.shape[1]
    images = _averaged(images, max(1, round(scale_px)))
    n_blank, n_shown = (round(length * frame_rate_hz) for length in (blank_s, shown_s))
    frames = np.full(
        (len(images), n_blank + n_shown, *images.shape[1:]), images.mean(), dtype=np.float64
    )
    frames[:, n_blank:] = images[:, None]
    starts = np.arange(len(images)) * (n_blank + n_shown) + n_blank
    flat = np.rint(frames).astype(np.uint8).reshape(-1, *images.shape[1:])
    # Rows that do not fill a pixel are cut off at the bottom.
    kept_px = images.shape[1] * max(1, round(scale_px))
    return StimulusVideo(flat, frame_rate_hz, min(kept_px, height), starts / frame_rate_hz)


def _averaged(images: NDArray, px: int) -> NDArray[np.float64]:
    height, width = (size // px for size in images.shape[1:])
    cut = images[:, : height * px, : width * px]
    return cut.reshape(len(images), height, px, width, px).mean(axis=(2, 4))
