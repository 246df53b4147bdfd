"""Encoders of retinal cells by name: Vi-ST and its baselines, built, saved and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import nn

from workflow_scripts.models.files import load_into, save_model
from workflow_scripts.models.retina_baselines import (
    CentredCNN,
    FactorisedCNN,
    LinearNonlinear,
    RecurrentCNN,
)
from workflow_scripts.models.vist import CentredViST, ViST, dilations, temporal_field
from workflow_scripts.stores.table_store import read_json

EncoderKind = Literal["vist", "published_vist", "cnn", "cnn3d", "crnn", "ln"]


@dataclass(frozen=True)
class RetinaEncoderOptions:
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


def build_retina_encoder(options: RetinaEncoderOptions, features: int, cells: int) -> nn.Module:
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
    shape: dict[str, Any] = {
        "grid": options.grid, "width": options.width, "kinds": options.kinds,
        "dropout": options.dropout,
    }  # fmt: skip
    if options.kind == "crnn":
        return RecurrentCNN(features, cells, **shape)
    shape["frames"] = options.frames
    if options.kind == "cnn":
        return CentredCNN(features, cells, **shape)
    return FactorisedCNN(features, cells, **shape, causal=options.causal)


class Ensemble(NamedTuple):
    """Encoders of one architecture whose predictions are averaged."""

    members: list[nn.Module]
    options: RetinaEncoderOptions
    description: dict[str, Any]


def save_ensemble(
    members: Sequence[nn.Module],
    weights: Path,
    config: Path,
    description: dict[str, Any],
    provenance: dict[str, Any],
) -> None:
    """Write the members and what they are, as `models.files.save_model` does.

    Parameters
    ----------
    members : sequence of nn.Module
        From `build_retina_encoder`, alike.
    weights, config : Path
        ``model.safetensors`` and ``model.json``.
    description : dict
        Holds ``encoder`` (the fields of `RetinaEncoderOptions`), ``features``, ``cells`` and
        whatever else; JSON-serialisable.
    provenance : dict
        From `stores.provenance`.
    """
    description = {**description, "n_members": len(members)}
    save_model(nn.ModuleList(members), weights, config, description, provenance)


def load_ensemble(weights: Path, config: Path) -> Ensemble:
    """Load encoders in evaluation mode.

    Raises
    ------
    InputError
        A file is missing or damaged, or the two do not belong together.
    """
    description = read_json(config)
    options = RetinaEncoderOptions(**description["encoder"])
    members = nn.ModuleList(
        build_retina_encoder(options, description["features"], description["cells"])
        for _ in range(description["n_members"])
    )
    return Ensemble(list(load_into(members, weights, config)), options, description)
