"""Encoders of cells that see a window about their outline: baselines of Vi-ST, and all by name.

Every one takes windows (batch, time, channel, row, column), the cell's map in the same window
(batch, row, column) and the cell (batch,), and gives rates (batch, time), or `last` frames of
them. Weights are shared over cells but for a `CellMixture`; the linear–nonlinear model has a filter
per cell.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from workflow_scripts.models.causal import CausalConv3d, per_frame, with_past
from workflow_scripts.models.vist import (
    CellMixture,
    CentredViST,
    ViST,
    dilations,
    temporal_field,
)
from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.errors import InputError

EncoderKind = Literal["vist", "published_vist", "cnn", "cnn3d", "crnn", "ln"]


@dataclass(frozen=True)
class EncoderOptions:
    """Architecture of an encoder.

    Parameters
    ----------
    kind : str
        ``vist`` (on windows centred on the outlines), ``published_vist`` (on the whole frame),
        ``cnn``, ``cnn3d``, ``crnn`` or ``ln``.
    grid : int
        Rows and columns of a window, or of the whole frame.
    width : int
        Channels of the trunk.
    channels : int
        Channels of the CMST blocks of ``vist``.
    kinds : int
        Shared rates that each cell mixes.
    n_blocks : int
        Blocks of the trunk.
    stem_frames, stem_size : int
        Frames, and rows and columns, of the first convolution of ``vist``; odd.
    windows : list of list of int
        Temporal windows of each CMST block, frames.
    conditioning : {"summed", "per_cell", "none"}
        What AdaLN-Zero sees; see `models.vist`.
    dilation : {"exponential", "linear"}
        Of the trunk's blocks.
    dropout : float
    causal : bool
        False lets every kernel see as much of the future as of the past: the control.
    frames : int
        Frames that ``cnn``, ``cnn3d`` and ``ln`` look back, the present one included; ``crnn``
        starts as long before what it predicts.
    blocks : int
        Rows and columns that ``ln`` averages a window to.
    recompute : bool
        Trade time for memory.
    """

    kind: EncoderKind
    grid: int = 16
    width: int = 256
    channels: int = 8
    kinds: int = 4
    n_blocks: int = 6
    stem_frames: int = 1
    stem_size: int = 1
    windows: list[list[int]] | None = None
    conditioning: Literal["summed", "per_cell", "none"] = "per_cell"
    dilation: Literal["exponential", "linear"] = "exponential"
    dropout: float = 0.25
    causal: bool = True
    frames: int = 16
    blocks: int = 5
    recompute: bool = False

    @property
    def whole_frame(self) -> bool:
        """Whether the network sees the whole frame, not a window about each cell."""
        return self.kind == "published_vist"

    @property
    def field(self) -> int:
        """Frames that an output depends on, its own included."""
        if self.kind in ("vist", "published_vist"):
            windows = self.windows or []
            return temporal_field(self.n_blocks, self.dilation, windows, self.stem_frames)
        return self.frames

    @property
    def ahead(self) -> int:
        """Of these, frames after its own: none of a causal encoder."""
        if self.causal or self.kind in ("cnn", "crnn", "ln"):
            return 0
        reach = [self.frames - self.frames // 3 - 1, self.frames // 3]
        if self.kind in ("vist", "published_vist"):
            reach = [2 * step for step in dilations(self.n_blocks, self.dilation)]
            reach += [max(window) - 1 for window in self.windows or []]
        return sum(one - one // 2 for one in reach)

    @property
    def before(self) -> int:
        """Of these, frames before its own."""
        return self.field - 1 - self.ahead


def build_encoder(options: EncoderOptions, features: int, cells: int) -> nn.Module:
    """Build an untrained encoder of `features` channels and `cells` cells."""
    if options.kind in ("vist", "published_vist"):
        settings = {
            "width": options.width, "n_blocks": options.n_blocks, "windows": options.windows or [],
            "grid": options.grid, "conditioning": options.conditioning,
            "dilation": options.dilation, "dropout": options.dropout, "causal": options.causal,
            "recompute": options.recompute,
        }  # fmt: skip
        if options.kind == "published_vist":
            return ViST(features, cells, **settings)
        return CentredViST(
            features, cells, channels=options.channels, kinds=options.kinds,
            stem_frames=options.stem_frames, stem_size=options.stem_size, **settings,
        )  # fmt: skip
    if options.kind == "ln":
        return LinearNonlinear(features, cells, options.frames, options.blocks)
    networks = {"cnn": CentredCNN, "cnn3d": FactorisedCNN, "crnn": RecurrentCNN}
    return networks[options.kind](features, cells, options)


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

    def __init__(self, features: int, cells: int, options: EncoderOptions) -> None:
        super().__init__()
        self.frames, width = options.frames, options.width
        self.layers = nn.Sequential(
            nn.Conv2d(features * self.frames, width, 5), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Dropout2d(options.dropout),
        )  # fmt: skip
        self.readout = nn.Linear(width * (options.grid - 6) ** 2, options.kinds)
        self.mixture = CellMixture(cells, options.kinds)

    def forward(
        self, windows: Tensor, maps: Tensor, cell: Tensor, last: int | None = None
    ) -> Tensor:
        """See the module."""
        del maps
        seen = _last(with_past(windows, self.frames), last).flatten(2, 3)
        return self.mixture(self.readout(per_frame(self.layers, seen).flatten(2)), cell)


class FactorisedCNN(nn.Module):
    """3D CNN whose kernels are factorised into space and time, twice (R(2+1)D)."""

    def __init__(self, features: int, cells: int, options: EncoderOptions) -> None:
        super().__init__()
        width = options.width
        long, short = options.frames - options.frames // 3, options.frames // 3 + 1
        self.space = nn.ModuleList([nn.Conv2d(features, width, 5), nn.Conv2d(width, width, 3)])
        self.time = nn.ModuleList(
            CausalConv3d(width, width, frames, 1, causal=options.causal) for frames in (long, short)
        )
        self.norm = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))
        self.dropout = nn.Dropout2d(options.dropout)
        self.readout = nn.Linear(width * (options.grid - 6) ** 2, options.kinds)
        self.mixture = CellMixture(cells, options.kinds)

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

    def __init__(self, features: int, cells: int, options: EncoderOptions) -> None:
        super().__init__()
        width = options.width
        self.encode = nn.Sequential(nn.Conv2d(features, width, 5, stride=2), nn.ReLU())
        self.gates = nn.Conv2d(2 * width, 4 * width, 3, padding=1)
        self.dropout = nn.Dropout2d(options.dropout)
        side = (options.grid - 5) // 2 + 1
        self.readout = nn.Linear(width * side**2, options.kinds)
        self.mixture = CellMixture(cells, options.kinds)

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


class Ensemble(NamedTuple):
    """Encoders of one architecture whose predictions are averaged."""

    members: list[nn.Module]
    options: EncoderOptions
    description: dict[str, Any]


def save_ensemble(
    members: Sequence[nn.Module], weights: Path, config: Path, description: dict[str, Any]
) -> None:
    """Write the members' weights as safetensors and the description as JSON, each atomically.

    Parameters
    ----------
    members : sequence of nn.Module
        From `build_encoder`, alike.
    weights, config : Path
        ``model.safetensors`` and ``model.json``.
    description : dict
        Holds ``encoder`` (the fields of `EncoderOptions`), ``features``, ``cells`` and whatever
        else; JSON-serialisable.
    """
    tensors = {
        f"member{number}.{name}": tensor.detach().cpu().contiguous()
        for number, member in enumerate(members)
        for name, tensor in member.state_dict().items()
    }
    with atomic_path(weights) as temporary:
        save_file(tensors, temporary)
    with atomic_path(config) as temporary:
        text = json.dumps({**description, "n_members": len(members)}, indent=1)
        temporary.write_text(text + "\n")


def load_ensemble(weights: Path, config: Path, device: torch.device | str = "cpu") -> Ensemble:
    """Load encoders in evaluation mode.

    Raises
    ------
    InputError
        The two files do not belong together.
    """
    description = json.loads(Path(config).read_text())
    options = EncoderOptions(**description["encoder"])
    tensors = load_file(weights)
    members = []
    for number in range(description["n_members"]):
        network = build_encoder(options, description["features"], description["cells"])
        start = f"member{number}."
        state = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise InputError(
                f"{weights}: no weights of what {config} describes: {error}"
            ) from error
        members.append(network.to(device).eval())
    return Ensemble(members, options, description)
