"""The responses of a trial session laid on the frames of the movie that its stimuli are part of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.stores.errors import InputError


@dataclass(frozen=True)
class MovieResponses:
    """Responses at the frame rate of a movie.

    Attributes
    ----------
    rate_hz : array, (unit, frame)
        Mean over trials; NaN where nothing was recorded.
    stimulus : int array, (frame,)
        The session's stimulus that a frame belongs to; −1 where nothing was recorded.
    split : array of str, (stimulus,)
        Split of each stimulus: train, validation, test or gap.
    """

    rate_hz: NDArray[np.float32]
    stimulus: NDArray[np.int64]
    split: NDArray[np.object_]

    @property
    def pieces(self) -> list[tuple[int, int]]:
        """First frame and number of frames of every stimulus that is not hidden."""
        stimuli, first, count = np.unique(self.stimulus, return_index=True, return_counts=True)
        found = zip(stimuli, first, count, strict=True)
        return [(int(start), int(n)) for one, start, n in found if one >= 0]

    def without(self, *splits: str) -> MovieResponses:
        """Forget all responses of some splits."""
        hidden = np.isin(self.stimulus, np.flatnonzero(np.isin(self.split, splits)))
        return self.hiding(hidden)

    def hiding(self, frames: NDArray[np.bool_]) -> MovieResponses:
        """Forget the responses in some frames."""
        rate_hz = np.where(frames, np.float32(np.nan), self.rate_hz)
        return MovieResponses(rate_hz, np.where(frames, -1, self.stimulus), self.split)


def responses_on_frames(
    session: xr.Dataset, onset_s: ArrayLike, frame_rate_hz: float, n_frames: int
) -> MovieResponses:
    """Average a session's trials and lay their bins on the frames of its movie.

    A bin belongs to the frame whose middle is nearest to its own; where two bins share a frame,
    the frame has their mean.

    Parameters
    ----------
    session : xr.Dataset
        Trial session with ``time_course`` and ``split``.
    onset_s : array, (stimulus,)
        Start of each stimulus in the movie, s.
    frame_rate_hz : float
    n_frames : int
        Frames of the movie.

    Returns
    -------
    MovieResponses

    Raises
    ------
    InputError
        There is no time course, a stimulus was never shown, two stimuli share a frame, or one
        lies beyond the movie.
    """
    name = session.attrs["session_id"]
    if "time_course" not in session:
        raise InputError(f"{name}: no time courses within the trials; a movie model needs them")
    onset = np.asarray(onset_s, dtype=float)
    bin_time_s = session["bin_time_s"].to_numpy()
    bin_s = float(np.median(np.diff(bin_time_s)))
    middle_s = onset[:, None] + bin_time_s + bin_s / 2
    frame = np.rint(middle_s * frame_rate_hz - 0.5).astype(int)
    if frame.min() < 0 or frame.max() >= n_frames:
        raise InputError(
            f"{name}: stimuli from {middle_s.min():.2f} to {middle_s.max():.2f} s do not fit a "
            f"movie of {n_frames / frame_rate_hz:.2f} s; check the column stimuli of the sheet"
        )
    stimulus = np.full(n_frames, -1)
    for one, frames in enumerate(frame):
        if (stimulus[frames] >= 0).any():
            raise InputError(f"{name}: stimuli {one - 1} and {one} overlap in the movie")
        stimulus[frames] = one
    means, split = _trial_means(session)
    total = np.zeros((len(means), n_frames))
    np.add.at(total.T, frame.ravel(), means.reshape(len(means), -1).T / bin_s)
    count = np.bincount(frame.ravel(), minlength=n_frames)
    rate_hz = np.divide(total, count, where=count > 0, out=np.full_like(total, np.nan))
    return MovieResponses(rate_hz.astype(np.float32), stimulus, split)


def _trial_means(session: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    """Mean counts (unit, stimulus, bin), and the split of each stimulus."""
    shown = session["stimulus_id"].to_numpy()
    n_shown = np.bincount(shown, minlength=session.sizes["stimulus"])
    if not n_shown.all():
        raise InputError(
            f"{session.attrs['session_id']}: stimulus {int(np.argmin(n_shown))} was never shown"
        )
    counts = session["time_course"].to_numpy().astype(float)
    total = np.zeros((counts.shape[0], len(n_shown), counts.shape[2]))
    np.add.at(total.transpose(1, 0, 2), shown, counts.transpose(1, 0, 2))
    split = np.empty(len(n_shown), dtype=object)
    split[shown] = session["split"].to_numpy()
    return total / n_shown[:, None], split


@dataclass(frozen=True)
class Outlines:
    """Where the cells look, in pixels of the stimulus as it was shown.

    Attributes
    ----------
    centre_px : array, (unit, 2)
        Row and column of each outline's centre of mass.
    inside : array, (unit, y, x)
        Share of a pixel inside the outline, in the resolution of the session's masks.
    px : float
        Shown pixels per pixel of `inside`.
    """

    centre_px: NDArray[np.float64]
    inside: NDArray[np.float32]
    px: float


def outlines_of(session: xr.Dataset, shown_height_px: float) -> Outlines:
    """Read the outlines of a session.

    Raises
    ------
    InputError
        The session has no outlines, or one is empty.
    """
    name = session.attrs["session_id"]
    if "receptive_field" not in session:
        raise InputError(f"{name}: no receptive-field outlines; give the column outlines")
    masks = session["receptive_field"].to_numpy()
    area = masks.sum(axis=(1, 2))
    if not area.all():
        raise InputError(f"{name}: the outline of cell {int(np.argmin(area))} holds no pixel")
    px = shown_height_px / masks.shape[1]
    axes: Any = np.indices(masks.shape[1:])
    centre = np.stack([(masks * axis).sum(axis=(1, 2)) / area for axis in axes], axis=1)
    return Outlines((centre + 0.5) * px, masks.astype(np.float32), px)
