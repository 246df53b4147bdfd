"""Stimuli for encoders that see a window about each cell, and what the cells say to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from workflow_scripts.models.backbones import normalise_pixels
from workflow_scripts.recordings.receptive_fields import spike_triggered_average
from workflow_scripts.stimuli.display import Display
from workflow_scripts.stimuli.dots import DotField, random_dot_kinematogram
from workflow_scripts.stimuli.gratings import drifting_grating

Floats = NDArray[np.float64]

# Pixels rendered for each bin of a window: gratings and dots are averaged down to the bins.
FINE = 4
FRAMES_AT_ONCE = 20_000  # of all cells together: about 1 GB of activations


class Viewer(NamedTuple):
    """Encoders, and the window through which they look.

    Attributes
    ----------
    members : list of nn.Module
        From `models.retina_encoders.load_ensemble`; they see pixels. Predictions are averaged.
    maps : torch.Tensor, (cell, row, column)
        Outlines in the window.
    scale_hz : array, (cell,)
        What rates were divided by.
    field : int
        Frames that an output depends on: the first ones are not read.
    frame_rate_hz : float
    bins_per_degree : float
        Bins of the window per degree of the stimuli.
    """

    members: list[nn.Module]
    maps: Tensor
    scale_hz: Floats
    field: int
    frame_rate_hz: float
    bins_per_degree: float

    @torch.no_grad()
    def rates_hz(self, clip: Tensor) -> Floats:
        """Luminance (time, row, column) in [0, 1], the same for all cells → rates (cell, time).

        Only frames with their whole past.
        """
        seen = normalise_pixels(clip[:, None])
        cells = torch.arange(len(self.maps)).split(max(1, FRAMES_AT_ONCE // len(clip)))
        mean = torch.cat([self._mean(seen, some) for some in cells]).numpy()
        return mean[:, self.field - 1 :] * self.scale_hz[:, None]

    def _mean(self, seen: Tensor, cells: Tensor) -> Tensor:
        windows = seen.expand(len(cells), -1, -1, -1, -1)
        rates = [member(windows, self.maps[cells], cells) for member in self.members]
        return torch.stack(rates).double().mean(dim=0)

    def show(self, clips: Tensor) -> Floats:
        """Rendered clips (clip, time, y, x) → mean rate of each cell, Hz, (cell, clip)."""
        bins = functional.avg_pool2d(clips, FINE)
        return np.stack([self.rates_hz(clip).mean(axis=1) for clip in bins], axis=1)

    def display(self, n_frames: int) -> Display:
        """The display that fills the window."""
        return Display(
            pixels_per_degree=FINE * self.bins_per_degree,
            frame_rate_hz=self.frame_rate_hz,
            size_px=FINE * self.maps.shape[-1],
            n_frames=n_frames + self.field - 1,
        )


def temporal_filters(
    viewer: Viewer, n_frames: int, n_lags: int, contrast: float, seed: int
) -> Floats:
    """Recover temporal filters by reverse correlation with flicker of the whole window.

    Parameters
    ----------
    viewer : Viewer
    n_frames : int
        Frames of Gaussian flicker, each drawn anew: white, so that the average of the luminance
        before a spike is proportional to the filter (Chichilnisky 2001).
    n_lags : int
        Frames to look back, the present one included.
    contrast : float
        Standard deviation of the luminance in units of the mean grey.
    seed : int

    Returns
    -------
    array, (cell, lag)
        Lag 0 is the present frame; of length 1.
    """
    rng = np.random.default_rng(seed)
    flicker = np.clip(0.5 + 0.5 * contrast * rng.standard_normal(n_frames), 0, 1)
    side = viewer.maps.shape[-1]
    clip = torch.from_numpy(flicker).float()[:, None, None].expand(-1, side, side)
    rates = viewer.rates_hz(clip)
    average = spike_triggered_average(flicker[viewer.field - 1 :, None], rates, n_lags)[..., 0]
    length = np.linalg.norm(average, axis=1, keepdims=True)
    return np.divide(average, length, where=length > 0, out=np.full_like(average, np.nan))


def grating_responses(
    viewer: Viewer, directions_deg: Floats, frequencies_cpd: Sequence[float], frequency_hz: float,
    n_frames: int,
) -> Floats:  # fmt: skip
    """Mean rates to drifting gratings, Hz, (cell, direction, spatial frequency)."""
    direction, frequency = np.meshgrid(directions_deg, frequencies_cpd, indexing="ij")
    clips = drifting_grating(
        torch.from_numpy(direction.ravel()), torch.from_numpy(frequency.ravel()), frequency_hz,
        0.0, 1.0, display=viewer.display(n_frames),
    )  # fmt: skip
    return viewer.show(clips).reshape(-1, *direction.shape)


def dot_responses(
    viewer: Viewer, directions_deg: Floats, coherences: Sequence[float], speed_deg_s: float,
    n_seeds: int, field: DotField, n_frames: int,
) -> Floats:  # fmt: skip
    """Mean rates to random dots, Hz, (cell, direction, coherence, seed)."""
    grid = np.meshgrid(directions_deg, coherences, np.arange(n_seeds), indexing="ij")
    direction, coherence, _ = (torch.from_numpy(one.ravel().astype(float)) for one in grid)
    clips = random_dot_kinematogram(
        direction, speed_deg_s, coherence, 1.0, np.arange(len(direction)), field=field,
        display=viewer.display(n_frames),
    ).clips  # fmt: skip
    return viewer.show(clips).reshape(-1, *grid[0].shape)
