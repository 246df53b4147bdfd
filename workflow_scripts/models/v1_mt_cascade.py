"""A fixed V1–MT cascade after Simoncelli & Heeger (1998): what motion energy alone explains."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn
from torch.nn import functional

from workflow_scripts.stores.errors import InputError

STRIDE_PX = 8
N_CYCLES = 1.2  # σ of the spatial envelope: half of it, in periods
TEMPORAL_SIGMA_FRAMES = 1.5
V1_SEMISATURATION = 0.1  # of the mean energy of a full-contrast grating
PLANE_SIGMA = 0.35  # width of an MT cell's plane, as a share of the highest temporal frequency
N_TAPS_TIME = 7


class V1MTCascade(nn.Module):
    """Two layers of motion cells without learning.

    ``v1``: complex cells, each the energy of a quadrature pair of space-time Gabor filters of one
    direction, spatial and temporal frequency, divided by the mean energy of all (component cells).
    ``mt``: sums of V1 cells, excited by those whose frequencies lie on the plane of one velocity
    (f · V = w) and inhibited by the others, rectified, squared and divided by their mean
    (pattern cells).

    Parameters
    ----------
    n_directions : int
        Preferred directions of either layer, evenly spaced from 0.
    spatial_frequency_cpd, temporal_frequency_hz : list of float
        Of the V1 cells: every combination.
    speed_deg_s : list of float
        Of the MT cells.
    pixels_per_degree, frame_rate_hz : float
        As in `stimuli.display.Display`.

    Notes
    -----
    Channels run over frequencies (or speeds), directions fastest. A bank of Gabors stands in for
    the third derivatives of the original, which also span its velocity planes.
    """

    def __init__(
        self,
        n_directions: int,
        spatial_frequency_cpd: list[float],
        temporal_frequency_hz: list[float],
        speed_deg_s: list[float],
        pixels_per_degree: float,
        frame_rate_hz: float,
    ) -> None:
        super().__init__()
        frequencies = list(itertools.product(spatial_frequency_cpd, temporal_frequency_hz))
        directions = torch.arange(n_directions) * 2 * math.pi / n_directions
        reach = math.ceil(1.25 * N_CYCLES / min(spatial_frequency_cpd) * pixels_per_degree)
        bank = [
            _gabor(direction, cpd / pixels_per_degree, hertz / frame_rate_hz, reach)
            for cpd, hertz in frequencies
            for direction in directions.tolist()
        ]
        self.register_buffer("filters", torch.view_as_real(torch.stack(bank)).movedim(-1, 0))
        self.register_buffer(
            "plane_weights", _plane_weights(frequencies, directions, torch.tensor(speed_deg_s))
        )
        self.filters: torch.Tensor
        self.plane_weights: torch.Tensor

    def responses(self, clips: torch.Tensor) -> dict[str, torch.Tensor]:
        """Clips (batch, 1, time, y, x) → ``v1``, ``mt``: (batch, channel, time, row, column).

        A row and a column stand every `STRIDE_PX` pixels.

        Raises
        ------
        InputError
            A clip is shorter than the filters.
        """
        if clips.shape[2] < N_TAPS_TIME:
            raise InputError(
                f"stimuli.display.n_frames: {clips.shape[2]}; the filters of the cascade span "
                f"{N_TAPS_TIME} frames: show as many"
            )
        energy = self._energy(clips)
        mean = energy.mean(dim=1, keepdim=True)
        v1 = energy / (mean + V1_SEMISATURATION)
        drive = torch.einsum("mv,bvtyx->bmtyx", self.plane_weights, v1)
        drive = functional.avg_pool3d(functional.relu(drive), (1, 3, 3), 1, (0, 1, 1)).square()
        mt = drive / (drive.mean(dim=1, keepdim=True) + V1_SEMISATURATION)
        return {"v1": v1, "mt": mt}

    def _energy(self, clips: torch.Tensor) -> torch.Tensor:
        size = self.filters.shape[-1]
        # each place is the middle of its square of STRIDE_PX pixels
        before, after = (size - STRIDE_PX) // 2, (size - STRIDE_PX + 1) // 2
        padded = functional.pad(clips, (before, after, before, after))
        parts = [
            functional.conv3d(padded, part[:, None], stride=(1, STRIDE_PX, STRIDE_PX))
            for part in self.filters
        ]
        return parts[0].square() + parts[1].square()


def _gabor(
    direction: float, cycles_per_px: float, cycles_per_frame: float, reach: int
) -> torch.Tensor:
    """Complex filter of unit gain to a full-contrast grating, (time, y, x)."""
    sigma_px = N_CYCLES / 2 / cycles_per_px
    # as many rows as columns, even: the middle lies between pixels, as does that of a stride
    pixels = torch.arange(2 * reach) - reach + 0.5
    frames = torch.arange(N_TAPS_TIME) - N_TAPS_TIME // 2
    y, x = -pixels[:, None], pixels  # rows run downward
    phase = cycles_per_px * (x * math.cos(direction) + y * math.sin(direction))
    window = torch.exp(-(x**2 + y**2) / (2 * sigma_px**2))
    time_window = torch.exp(-(frames**2) / (2 * TEMPORAL_SIGMA_FRAMES**2))
    carrier = phase - cycles_per_frame * frames[:, None, None]
    # conv3d correlates, so the filter is the conjugate of the wave it prefers
    kernel = torch.polar(window * time_window[:, None, None], -2 * math.pi * carrier)
    window = kernel.abs()
    kernel = kernel - window * (kernel.sum() / window.sum())  # blind to uniform light
    return kernel / window.sum()


def _plane_weights(
    frequencies: list[tuple[float, float]], directions: torch.Tensor, speeds: torch.Tensor
) -> torch.Tensor:
    """How V1 cells excite (positive) and inhibit MT cells, (MT cell, V1 cell)."""
    cpd, hertz = torch.tensor(frequencies).T
    width = PLANE_SIGMA * hertz.max()
    preferred = directions[:, None] - directions  # of MT cells against V1 cells
    on_plane = speeds[:, None, None, None] * preferred.cos()[:, None] * cpd[:, None]
    weights = torch.exp(-((hertz[:, None] - on_plane) ** 2) / (2 * width**2)).flatten(2)
    weights = weights - weights.mean(dim=-1, keepdim=True)
    return weights.flatten(0, 1)
