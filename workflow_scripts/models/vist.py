"""Vi-ST: frozen image features, a causal temporal trunk, receptive-field maps, spike rates.

Two layouts of one idea. `ViST` is the published network (Wu et al. 2024): one grid over the whole
frame, a channel per cell, a readout from all of it. `CentredViST` is ours for few cells and little
data: the same blocks with weights shared over cells, on windows centred on each cell's outline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from workflow_scripts.models.causal import (
    AdaLNZero3D,
    C3TCNBlock,
    MultiscaleBlock,
    per_frame,
    recomputed,
    with_past,
)

Conditioning = Literal["summed", "per_cell", "none"]
Dilation = Literal["exponential", "linear"]
PUBLISHED_WINDOWS = ((1, 25), (1, 13, 21), (1, 7, 9), (1, 3, 5))


def dilations(n_blocks: int, rule: Dilation) -> list[int]:
    """Dilations of the trunk's blocks: 2^i as published, or i + 1 as the ablation."""
    return [2**i if rule == "exponential" else i + 1 for i in range(n_blocks)]


def temporal_field(
    n_blocks: int, dilation: Dilation = "exponential",
    windows: Sequence[Sequence[int]] = PUBLISHED_WINDOWS, stem_frames: int = 1,
) -> int:  # fmt: skip
    """Frames that an output sees; 183 as published.

    ``stem_frames + 2 Σ dilation + Σ (longest window − 1)``.
    """
    trunk = 2 * sum(dilations(n_blocks, dilation))
    return stem_frames + trunk + sum(max(window) - 1 for window in windows)


class Trunk(nn.Module):
    """C3TCN: to the width, residual causal blocks, 1×1 out; published as 6 blocks of 256.

    Parameters
    ----------
    inputs, width, outputs : int
        Channels.
    n_blocks : int
    dilation : {"exponential", "linear"}
    dropout : float
    causal : bool
        False centres all kernels in time: the control.
    recompute : bool
        Keep every second block's input for backward and compute the rest again.
    stem_frames, stem_size : int
        Frames, and rows and columns, of the first convolution: 1 and 1 as published, which mixes
        the channels of a prior. Pixels have none to mix: their first layer looks about and back.
    """

    def __init__(
        self, inputs: int, width: int, outputs: int, *, n_blocks: int, dilation: Dilation,
        dropout: float, causal: bool, recompute: bool, stem_frames: int = 1, stem_size: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.recompute, self.stem_frames = recompute, stem_frames
        self.reach = 2 * sum(dilations(n_blocks, dilation))
        self.embed = nn.Conv2d(inputs * stem_frames, width, stem_size)
        blocks = [
            C3TCNBlock(width, step, dropout, causal=causal)
            for step in dilations(n_blocks, dilation)
        ]
        self.pairs = nn.ModuleList(
            _Pair(blocks[first : first + 2], recompute) for first in range(0, n_blocks, 2)
        )
        self.out = nn.Conv2d(width, outputs, 1)

    def forward(self, features: Tensor, last: int | None = None) -> Tensor:
        """(batch, time, inputs, row, column), any precision → (batch, time, outputs, …).

        With `last`, at least so many frames at the end are right, and few more computed.
        """
        if self.stem_frames > 1:
            features = with_past(features, self.stem_frames).flatten(2, 3)
        features = features if last is None else features[:, -(last + self.reach) :]
        x = recomputed(self._embed, features, enabled=self.recompute)
        for pair in self.pairs:
            x = recomputed(pair, x, enabled=self.recompute)
        return per_frame(self.out, x)

    def _embed(self, features: Tensor) -> Tensor:
        # Stored features are half as long as what the weights multiply: converted here, for each
        # sample by itself, so that no whole copy exists.
        weight = self.embed.weight
        samples = [per_frame(self.embed, one.to(weight.dtype)) for one in features.split(1)]
        return torch.cat(samples)


class _Pair(nn.Module):
    """Two blocks, each computed again on its own within the pair's backward pass."""

    def __init__(self, blocks: Sequence[nn.Module], recompute: bool) -> None:
        super().__init__()
        self.blocks, self.recompute = nn.ModuleList(blocks), recompute

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = recomputed(block, x, enabled=self.recompute)
        return x


class ViST(nn.Module):
    """The published network; the defaults are its published size (1,702,952 weights).

    Parameters
    ----------
    features : int
        Channels of the prior; 1024 for DINOv2 ViT-L.
    cells : int
    width : int
        Channels of the trunk.
    n_blocks : int
        Blocks of the trunk.
    windows : sequence of sequence of int
        Temporal windows of each CMST block.
    grid : int
        Rows and columns of features and maps.
    conditioning : {"summed", "per_cell", "none"}
        What AdaLN-Zero sees: the maps summed over cells in every channel, as in the public code;
        each cell's own map in its channel; or no AdaLN.
    dilation : {"exponential", "linear"}
    dropout : float
    causal : bool
        False centres all kernels in time: the control.
    recompute : bool
        Trade a second forward pass for memory: a training step of the published size (batch 16,
        128 frames) then fits into 8 GB.
    """

    def __init__(
        self, features: int = 1024, cells: int = 90, *, width: int = 256, n_blocks: int = 6,
        windows: Sequence[Sequence[int]] = PUBLISHED_WINDOWS, grid: int = 16,
        conditioning: Conditioning = "summed", dilation: Dilation = "exponential",
        dropout: float = 0.25, causal: bool = True, recompute: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.recompute, self.conditioning = recompute, conditioning
        self.trunk = Trunk(
            features, width, cells, n_blocks=n_blocks, dilation=dilation, dropout=dropout,
            causal=causal, recompute=recompute,
        )  # fmt: skip
        self.modulation = AdaLNZero3D(cells) if conditioning != "none" else None
        self.scales = nn.ModuleList(
            MultiscaleBlock(cells, window, dropout, causal=causal) for window in windows
        )
        self.readout = nn.Linear(cells * (grid - 2 * len(windows)) ** 2, cells)

    def forward(self, features: Tensor, maps: Tensor) -> Tensor:
        """Predict rates.

        Parameters
        ----------
        features : torch.Tensor, (batch, time, features, row, column)
        maps : torch.Tensor, (cell, row, column)
            Receptive fields on the grid.

        Returns
        -------
        torch.Tensor, (batch, cell, time)
        """
        x = self.trunk(features)
        if self.modulation is not None:
            maps = maps.sum(dim=0).expand_as(maps) if self.conditioning == "summed" else maps
            x = recomputed(self.modulation, x, maps[None, None].to(x), enabled=self.recompute)
        for block in self.scales:
            x = recomputed(block, x, enabled=self.recompute)
        return self.readout(x.flatten(2)).transpose(1, 2)


class CentredViST(nn.Module):
    """Vi-ST with weights shared over cells, on windows centred on their outlines: our variant.

    Trunk, AdaLN-Zero and CMST blocks are those of `ViST`, on a few channels that belong to no
    cell. A linear readout of the last grid gives a few rates ("kinds") that each cell mixes with
    weights of its own; a soft rectification makes the rate.

    Parameters
    ----------
    features, cells, width, n_blocks, windows, grid, dilation, dropout, causal, recompute
        As in `ViST`; rows and columns are those of a window.
    stem_frames, stem_size : int
        As in `Trunk`; the stem is not padded.
    channels : int
        Of the CMST blocks.
    kinds : int
        Rates that every cell mixes.
    conditioning : {"per_cell", "none"}
        Whether AdaLN-Zero sees the cell's own map.
    """

    def __init__(
        self, features: int, cells: int, *, width: int, channels: int, kinds: int, n_blocks: int,
        windows: Sequence[Sequence[int]], grid: int, conditioning: Literal["per_cell", "none"],
        dilation: Dilation = "exponential", dropout: float = 0.1, causal: bool = True,
        recompute: bool = False, stem_frames: int = 1, stem_size: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.recompute, self.stem_size = recompute, stem_size
        self.trunk = Trunk(
            features, width, channels, n_blocks=n_blocks, dilation=dilation, dropout=dropout,
            causal=causal, recompute=recompute, stem_frames=stem_frames, stem_size=stem_size,
        )  # fmt: skip
        self.modulation = AdaLNZero3D(channels) if conditioning != "none" else None
        self.scales = nn.ModuleList(
            MultiscaleBlock(channels, window, dropout, causal=causal) for window in windows
        )
        self.channels, self.windows = channels, windows
        side = grid - (stem_size - 1) - 2 * len(windows)
        self.readout = nn.Linear(channels * side**2, kinds)
        self.mixture = CellMixture(cells, kinds)

    def forward(
        self, windows: Tensor, maps: Tensor, cell: Tensor, last: int | None = None
    ) -> Tensor:
        """Predict rates.

        Parameters
        ----------
        windows : torch.Tensor, (batch, time, features, row, column)
            Features about one cell each.
        maps : torch.Tensor, (batch, row, column)
            The cell's receptive field in the same window.
        cell : torch.Tensor of int, (batch,)
            Which cell.
        last : int, optional
            Only so many frames at the end: what comes before them is a warm-up.

        Returns
        -------
        torch.Tensor, (batch, time)
        """
        wanted, needed = self._kept(last, windows.shape[1])
        x = self.trunk(windows, needed)
        if self.modulation is not None:
            edge = self.stem_size // 2
            seen = maps[:, edge : maps.shape[1] - edge, edge : maps.shape[2] - edge]
            condition = seen[:, None, None].expand(-1, 1, self.channels, -1, -1).to(x)
            x = recomputed(self.modulation, x, condition, enabled=self.recompute)
        for block, kept in zip(self.scales, wanted, strict=True):
            x = recomputed(block, x, kept, enabled=self.recompute)
        x = x if last is None else x[:, -last:]
        return self.mixture(self.readout(x.flatten(2)), cell)

    def _kept(self, last: int | None, n_frames: int) -> tuple[list[int | None], int | None]:
        """Frames at the end that each CMST block, and the trunk, must get right for the last."""
        kept: list[int | None] = []
        needed = last
        for window in reversed(self.windows):
            kept.append(needed)
            needed = None if needed is None else min(n_frames, needed + max(window) - 1)
        return kept[::-1], needed


class CellMixture(nn.Module):
    """Each cell's soft-rectified mixture of shared rates.

    All cells start with the same weights. An optimiser such as Adam moves a parameter by no more
    than about the learning rate a step, so weights are kept in units of `UNIT`: within a short
    training a cell can turn their sign, as an ON cell among OFF cells must.
    """

    UNIT = 10.0

    def __init__(self, cells: int, kinds: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((cells, kinds), kinds**-0.5 / self.UNIT))
        self.bias = nn.Parameter(torch.zeros(cells))

    def forward(self, rates: Tensor, cell: Tensor) -> Tensor:
        """(batch, time, kind) and the cell of each sample → (batch, time)."""
        mixed = self.UNIT * torch.einsum("btk,bk->bt", rates, self.weight[cell])
        return functional.softplus(mixed + self.bias[cell, None])
