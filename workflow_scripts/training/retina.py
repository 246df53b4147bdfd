"""Movies as a retina sees them: features, responses and outlines on one clock; their batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from workflow_scripts.models.processes import share
from workflow_scripts.recordings.movie_responses import (
    MovieResponses,
    Outlines,
    outlines_of,
    responses_on_frames,
)
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import open_store


@dataclass(frozen=True)
class ViewOptions:
    """What part of the frame an encoder sees.

    Parameters
    ----------
    grid : int
        Rows and columns.
    bin_px : float, optional
        Shown pixels per bin of a window centred on each cell's outline; None for the whole frame.
    """

    grid: int
    bin_px: float | None


class Batch(NamedTuple):
    """Windows of frames and what was recorded in them."""

    features: Tensor
    """(batch · cell, time, channel, row, column), or (batch, …) where the whole frame is seen."""
    maps: Tensor
    """(batch · cell, row, column) or (cell, row, column)."""
    cell: Tensor
    """(cell,)"""
    rate: Tensor
    """Of the frames that count, in units of each cell's standard deviation, (batch, cell, frame); 0
    where unknown."""
    known: Tensor
    """Whether it is known, (batch, frame)."""
    ahead: int
    """Frames of the windows after those that count."""


class Recording:
    """One movie, and what one set of cells did.

    Parameters
    ----------
    session, features : Path
        Session store, and the store of its movie's features.
    view : ViewOptions
    """

    def __init__(self, session: Path, features: Path, view: ViewOptions) -> None:
        self.session = open_store(session)
        store = open_store(features)
        self.frame_rate_hz = float(store.attrs["frame_rate_hz"])
        self.px = float(store.attrs["shown_px_per_row"])
        self.prior_look_back = int(store.attrs["look_back_frames"])
        self.features = torch.from_numpy(store["feature"].to_numpy())
        onset_s = (store if "onset_s" in store else self.session)["onset_s"].to_numpy()
        self.responses: MovieResponses = responses_on_frames(
            self.session, onset_s, self.frame_rate_hz, len(self.features)
        )
        self.view = view
        self.outlines: Outlines = outlines_of(self.session, self.px * self.features.shape[2])
        self.maps = self._maps()

    @property
    def n_cells(self) -> int:
        """Cells of the recording."""
        return len(self.outlines.centre_px)

    def windows(self, frames: Tensor, cells: Tensor, shift_px: Tensor | None = None) -> Tensor:
        """Cut what the cells see in some frames.

        Parameters
        ----------
        frames : torch.Tensor of int, (time,)
            Before the movie its first frame is shown.
        cells : torch.Tensor of int, (cell,)
        shift_px : torch.Tensor, (cell, 2), optional
            Rows and columns by which the windows lie off the outlines, shown pixels.

        Returns
        -------
        torch.Tensor, (cell, time, channel, row, column)
            Without the first dimension where the view is of the whole frame.
        """
        shown = self.features[frames.clamp(0, len(self.features) - 1)].float()
        if self.view.bin_px is None:
            return functional.adaptive_avg_pool2d(shown, self.view.grid)
        centre = torch.as_tensor(self.outlines.centre_px[cells.numpy()], dtype=torch.float32)
        centre = centre if shift_px is None else centre + shift_px
        return sample_windows(shown, centre / self.px, self.view.grid, self.view.bin_px / self.px)

    def _maps(self) -> Tensor:
        """Outlines on the grid that the encoder sees, (cell, row, column)."""
        inside = torch.from_numpy(self.outlines.inside)[:, None]
        if self.view.bin_px is None:
            return functional.adaptive_avg_pool2d(inside, self.view.grid)[:, 0]
        px = self.outlines.px
        centre = torch.as_tensor(self.outlines.centre_px / px, dtype=torch.float32)
        # The mean within a bin, from a grid so fine that a sample is at most a mask's pixel wide.
        fine = max(1, int(np.ceil(self.view.bin_px / px)))
        n_bins, bin_masks = self.view.grid * fine, self.view.bin_px / px / fine
        maps = [
            sample_windows(one[None], at[None], n_bins, bin_masks)[0, 0, 0]
            for one, at in zip(inside, centre, strict=True)
        ]
        return functional.avg_pool2d(torch.stack(maps), fine)


def sample_windows(frames: Tensor, centre: Tensor, grid: int, step: float) -> Tensor:
    """Sample square windows by bilinear interpolation; beyond a frame its edge goes on.

    Parameters
    ----------
    frames : torch.Tensor, (time, channel, row, column)
    centre : torch.Tensor, (cell, 2)
        Row and column, in pixels of the frames; (0, 0) is the corner of the first pixel.
    grid : int
        Rows and columns of a window.
    step : float
        Pixels of the frames between two of its rows.

    Returns
    -------
    torch.Tensor, (cell, time, channel, row, column)
    """
    n_frames, n_channels, height, width = frames.shape
    offset = (torch.arange(grid) - (grid - 1) / 2) * step
    row = (centre[:, :1] + offset) * 2 / height - 1
    column = (centre[:, 1:] + offset) * 2 / width - 1
    shape = (len(centre), grid, grid)
    at = torch.stack((column[:, None].expand(shape), row[:, :, None].expand(shape)), dim=-1)
    sampled = functional.grid_sample(
        frames.flatten(0, 1)[None], at.flatten(0, 1)[None], padding_mode="border",
        align_corners=False,
    )  # fmt: skip
    sampled = sampled[0].unflatten(1, (len(centre), grid)).movedim(1, 0)
    return sampled.unflatten(1, (n_frames, n_channels))


def hold_out(
    responses: MovieResponses, fold: int, n_folds: int, gap_frames: int
) -> tuple[MovieResponses, MovieResponses]:
    """Divide the stimuli of a recording into what trains and what selects.

    Parameters
    ----------
    responses : MovieResponses
    fold, n_folds : int
        Which of so many runs of neighbouring stimuli selects.
    gap_frames : int
        Training frames nearer than this to one of a selecting stimulus are left out.

    Returns
    -------
    (MovieResponses, MovieResponses)
        For training and for selection.

    Raises
    ------
    InputError
        One of them is empty.
    """
    present = np.unique(responses.stimulus[responses.stimulus >= 0])
    selecting = np.array_split(present, n_folds)[fold]
    chosen = np.isin(responses.stimulus, selecting)
    training = responses.hiding(_near(chosen, gap_frames))
    selection = responses.hiding(~chosen)
    if not (training.stimulus >= 0).any() or not chosen.any():
        raise InputError(
            f"vist: fold {fold} of {n_folds} over {len(present)} stimuli leaves nothing to train "
            "on or to select by; take fewer folds or a smaller gap"
        )
    return training, selection


def _near(chosen: NDArray[np.bool_], gap: int) -> NDArray[np.bool_]:
    return np.convolve(chosen, np.ones(2 * gap + 1))[gap : gap + len(chosen)] > 0


@dataclass(frozen=True)
class BatchOptions:
    """How training batches are drawn.

    Parameters
    ----------
    frames : int
        Frames of a batch's windows whose rates count.
    cells : int
        Cells drawn for each batch; all where there are fewer.
    jitter_px : float
        Standard deviation of a random displacement of each window, shown pixels.
    mirror : bool
        Turn and mirror each batch's windows, with the outlines in them, in one of the eight ways
        that keep the square.
    """

    frames: int = 30
    cells: int = 1000
    jitter_px: float = 0.0
    mirror: bool = False


class BatchSource:
    """Draws batches from recordings of the same cells, from (seed, step) alone.

    Parameters
    ----------
    recordings : sequence of Recording
    responses : sequence of MovieResponses
        Of each recording, what may be trained on.
    scale_hz : torch.Tensor, (cell,)
        What rates are divided by.
    before, ahead : int
        Frames that windows hold before and after those that count.
    options : BatchOptions
    batch_size : int
        Windows of frames, each with all of the batch's cells.
    seed : int
    cells : int array
        Cells to draw from.
    """

    def __init__(
        self, recordings: Sequence[Recording], responses: Sequence[MovieResponses],
        scale_hz: Tensor, before: int, ahead: int, options: BatchOptions, batch_size: int,
        seed: int, cells: NDArray[np.integer],
    ) -> None:  # fmt: skip
        self.cells = cells
        self.recordings, self.scale_hz = recordings, scale_hz
        self.before, self.ahead = before, ahead
        self.options, self.batch_size, self.seed = options, batch_size, seed
        self.rates = [torch.from_numpy(one.rate_hz) for one in responses]
        self.pieces = [one.pieces for one in responses]
        self.n_frames = np.array([sum(n for _, n in pieces) for pieces in self.pieces])

    def __call__(self, step: int) -> Batch:
        """Draw this process's share of the batch of a step."""
        rng = np.random.default_rng((self.seed, step))
        n_cells = min(self.options.cells, len(self.cells))
        cells = torch.from_numpy(np.sort(rng.choice(self.cells, n_cells, replace=False)))
        # A batch is of one recording, drawn by its share of the recorded frames: batch norm then
        # never mixes movies with flashed images.
        index = int(rng.choice(len(self.recordings), p=self.n_frames / self.n_frames.sum()))
        recording = self.recordings[index]
        places = [self._place(index, n_cells, rng) for _ in range(self.batch_size)]
        own = places[share(self.batch_size)]
        parts = [self._window(index, cells, *place) for place in own]
        features, rates, known = (list(one) for one in zip(*parts, strict=True))
        whole = recording.view.bin_px is None
        maps = recording.maps if whole else recording.maps[cells].repeat(len(own), 1, 1)
        shown = torch.stack(features) if whole else torch.cat(features)
        if self.options.mirror and not whole:
            way = int(rng.integers(8))
            shown, maps = turned(shown, way), turned(maps, way)
        return Batch(shown, maps, cells, torch.stack(rates), torch.stack(known), self.ahead)

    def _place(
        self, index: int, n_cells: int, rng: np.random.Generator
    ) -> tuple[int, Tensor | None]:
        """First frame that counts, and by how many pixels each cell's window is displaced."""
        n = self.options.frames
        # A random stimulus lies wholly in the window, or the window wholly in it.
        start, length = self.pieces[index][int(rng.integers(len(self.pieces[index])))]
        slack = int(rng.integers(abs(length - n) + 1))
        first = start + slack if length > n else start - slack
        if not self.options.jitter_px or self.recordings[index].view.bin_px is None:
            return first, None
        return first, torch.from_numpy(rng.normal(0, self.options.jitter_px, (n_cells, 2))).float()

    def _window(
        self, index: int, cells: Tensor, first: int, shift: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        recording, n = self.recordings[index], self.options.frames
        counted = first + torch.arange(n)
        inside = (counted >= 0) & (counted < len(recording.features))
        rate = self.rates[index][cells][:, counted.clamp(0, len(recording.features) - 1)]
        known = inside & torch.isfinite(rate[0])
        scaled = torch.where(known, rate, 0) / self.scale_hz[cells, None]
        shown = first + torch.arange(-self.before, n + self.ahead)
        return recording.windows(shown, cells, shift), scaled, known


def turned(windows: Tensor, way: int) -> Tensor:
    """Turn and mirror (…, row, column) in one of eight ways; 0 changes nothing."""
    windows = windows.mT if way & 4 else windows
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if way & bit]
    return windows.flip(axes) if axes else windows


def chunks(frames: NDArray[np.integer], longest: int) -> Iterator[NDArray[np.integer]]:
    """Cut sorted frame numbers into spans of at most `longest` frames, without long gaps."""
    start = 0
    for end in range(1, len(frames) + 1):
        if (
            end == len(frames)
            or frames[end] - frames[start] >= longest
            or frames[end] - frames[end - 1] > longest // 2
        ):
            yield frames[start:end]
            start = end
