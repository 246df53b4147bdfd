"""Baselines of Vi-ST: encoders of cells that see a window about their outline.

Every one takes windows (batch, time, channel, row, column), the cell's map in the same window
(batch, row, column) and the cell (batch,), and gives rates (batch, time), or `last` frames of
them. Weights are shared over cells but for a `CellMixture`; the linear–nonlinear model has a filter
per cell.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from workflow_scripts.models.causal import CausalConv3d, per_frame, with_past
from workflow_scripts.models.vist import CellMixture


class LinearNonlinear(nn.Module):
    """A spatiotemporal filter per cell, on a coarsened window, and a rectification."""

    def __init__(self, features: int, cells: int, frames: int, blocks: int) -> None:
        super().__init__()
        self.frames, self.blocks = frames, blocks
        self.weight = nn.Parameter(torch.zeros(cells, frames * features * blocks**2))
        self.bias = nn.Parameter(torch.zeros(cells))

    def design(self, windows: Tensor) -> Tensor:
        """Windows → what the filters multiply, (batch, time, frames · features · blocks²)."""
        coarse = per_frame(lambda x: functional.adaptive_avg_pool2d(x, self.blocks), windows)
        return with_past(coarse, self.frames).flatten(2)

    def forward(
        self, windows: Tensor, maps: Tensor, cell: Tensor, last: int | None = None
    ) -> Tensor:
        """See the module."""
        del maps
        drive = torch.einsum("btf,bf->bt", _last(self.design(windows), last), self.weight[cell])
        return functional.relu(drive + self.bias[cell, None])


class CentredCNN(nn.Module):
    """Past frames as channels, two 3×3 layers more, a readout of the whole last grid."""

    def __init__(
        self,
        features: int,
        cells: int,
        *,
        grid: int,
        frames: int,
        width: int,
        kinds: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.frames = frames
        self.layers = nn.Sequential(
            nn.Conv2d(features * self.frames, width, 5), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Dropout2d(dropout),
        )  # fmt: skip
        self.readout = nn.Linear(width * (grid - 6) ** 2, kinds)
        self.mixture = CellMixture(cells, kinds)

    def forward(
        self, windows: Tensor, maps: Tensor, cell: Tensor, last: int | None = None
    ) -> Tensor:
        """See the module."""
        del maps
        seen = _last(with_past(windows, self.frames), last).flatten(2, 3)
        return self.mixture(self.readout(per_frame(self.layers, seen).flatten(2)), cell)


class FactorisedCNN(nn.Module):
    """3D CNN whose kernels are factorised into space and time, twice (R(2+1)D)."""

    def __init__(
        self,
        features: int,
        cells: int,
        *,
        grid: int,
        frames: int,
        width: int,
        kinds: int,
        dropout: float,
        causal: bool,
    ) -> None:
        super().__init__()
        long, short = frames - frames // 3, frames // 3 + 1
        self.space = nn.ModuleList([nn.Conv2d(features, width, 5), nn.Conv2d(width, width, 3)])
        self.time = nn.ModuleList(
            CausalConv3d(width, width, reach, 1, causal=causal) for reach in (long, short)
        )
        self.norm = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))
        self.dropout = nn.Dropout2d(dropout)
        self.readout = nn.Linear(width * (grid - 6) ** 2, kinds)
        self.mixture = CellMixture(cells, kinds)

    def forward(
        self, windows: Tensor, maps: Tensor, cell: Tensor, last: int | None = None
    ) -> Tensor:
        """See the module."""
        del maps
        x = windows
        for space, time, norm in zip(self.space, self.time, self.norm, strict=True):
            x = functional.relu(per_frame(norm, time(per_frame(space, x))))
        x = per_frame(self.dropout, _last(x, last))
        return self.mixture(self.readout(x.flatten(2)), cell)


class RecurrentCNN(nn.Module):
    """CRNN: a convolution of each frame, a convolutional LSTM (Shi et al. 2015), a readout."""

    def __init__(
        self, features: int, cells: int, *, grid: int, width: int, kinds: int, dropout: float
    ) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Conv2d(features, width, 5, stride=2), nn.ReLU())
        self.gates = nn.Conv2d(2 * width, 4 * width, 3, padding=1)
        self.dropout = nn.Dropout2d(dropout)
        side = (grid - 5) // 2 + 1
        self.readout = nn.Linear(width * side**2, kinds)
        self.mixture = CellMixture(cells, kinds)

    def forward(
        self, windows: Tensor, maps: Tensor, cell: Tensor, last: int | None = None
    ) -> Tensor:
        """See the module."""
        del maps
        frames = per_frame(self.encode, windows)
        hidden = memory = torch.zeros_like(frames[:, 0])
        states = []
        for frame in frames.unbind(1):
            gates = self.gates(torch.cat((frame, hidden), dim=1)).chunk(4, dim=1)
            enter, keep, show = (gate.sigmoid() for gate in gates[:3])
            memory = keep * memory + enter * gates[3].tanh()
            hidden = show * memory.tanh()
            states.append(hidden)
        shown = per_frame(self.dropout, _last(torch.stack(states, dim=1), last))
        return self.mixture(self.readout(shown.flatten(2)), cell)


def _last(x: Tensor, frames: int | None) -> Tensor:
    return x if frames is None else x[:, -frames:]
