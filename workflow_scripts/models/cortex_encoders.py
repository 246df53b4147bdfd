"""Encoders of cortical cells by name: V1T and its baselines, built, saved and loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from workflow_scripts.models.convolutional_core import ConvolutionalCore
from workflow_scripts.models.encoder import Encoder, Population
from workflow_scripts.models.files import load_into, save_model
from workflow_scripts.models.v1t import BehaviourInput, V1TCore
from workflow_scripts.stores.table_store import read_json


@dataclass(frozen=True)
class V1TOptions:
    """Of `models.v1t.V1TCore`, where the fields are described."""

    patch_px: int = 8
    stride_px: int = 1
    dim: int = 155
    n_blocks: int = 4
    n_heads: int = 4
    mlp_dim: int = 488
    behaviour_hidden: int = 77
    patch_dropout: float = 0.0229
    block_dropout: float = 0.2544
    behaviour: BehaviourInput = "every_block"


@dataclass(frozen=True)
class ConvolutionalOptions:
    """Of `models.convolutional_core.ConvolutionalCore`, where the fields are described."""

    n_layers: int = 4
    channels: int = 64
    input_kernel_px: int = 9
    hidden_kernel_px: int = 7
    stride_px: int = 1
    linear: bool = False


@dataclass(frozen=True)
class EncoderOptions:
    """Architecture of an encoder.

    Parameters
    ----------
    core : {"v1t", "convolutional"}
    v1t, convolutional
        Options of the core of that name; the other's are not used.
    behaviour_per_mouse : bool
        Each mouse has B-MLPs of its own.
    shifter : bool
        The pupil's centre moves the receptive fields, where it was recorded.
    """

    core: Literal["v1t", "convolutional"] = "v1t"
    v1t: V1TOptions = field(default_factory=V1TOptions)
    convolutional: ConvolutionalOptions = field(default_factory=ConvolutionalOptions)
    behaviour_per_mouse: bool = False
    shifter: bool = True


def build_encoder(
    options: EncoderOptions,
    mice: Mapping[str, Population],
    image_shape: Sequence[int],
    behaviour_dim: int,
) -> Encoder:
    """Build an encoder from the seed of torch's global generator.

    Parameters
    ----------
    options : EncoderOptions
    mice : mapping of str to Population
    image_shape : (channel, y, x)
    behaviour_dim : int
        Behaviour variables and pupil coordinates that the core takes in.
    """
    if options.core == "convolutional":
        core = ConvolutionalCore(image_shape, behaviour_dim, **asdict(options.convolutional))
        return Encoder(core, mice, options.shifter)
    names = tuple(mice) if options.behaviour_per_mouse else ()
    core = V1TCore(image_shape, behaviour_dim, **asdict(options.v1t), mice=names)
    return Encoder(core, mice, options.shifter)


def save_encoder(
    encoder: Encoder, weights: Path, config: Path, architecture: dict[str, Any],
    provenance: dict[str, Any],
) -> None:  # fmt: skip
    """Write weights as safetensors and the description as JSON, each atomically.

    Parameters
    ----------
    encoder : Encoder
    weights, config : Path
        ``model.safetensors`` and ``model.json``.
    architecture : dict
        ``image_shape``, ``behaviour_dim`` and the `EncoderOptions` as ``options``.
    provenance : dict
        From `stores.provenance`.
    """
    mice = {
        name: {"n_units": readout.bias.numel(), "cortical": hasattr(readout, "position_network")}
        for name, readout in encoder.readouts.items()
    }
    description = {"encoder": {**architecture, "mice": mice}}
    save_model(encoder, weights, config, description, provenance)


def load_encoder(weights: Path, config: Path, device: torch.device | str = "cpu") -> Encoder:
    """Load an encoder in evaluation mode.

    Raises
    ------
    InputError
        The two files do not belong together.
    """
    described = read_json(config)["encoder"]
    options = dict(described["options"])
    options["v1t"] = V1TOptions(**options["v1t"])
    options["convolutional"] = ConvolutionalOptions(**options["convolutional"])
    mice = {
        name: Population(
            one["n_units"],
            # Any positions: those in the weights replace them.
            cortical_um=torch.eye(one["n_units"], 2) if one["cortical"] else None,
        )
        for name, one in described["mice"].items()
    }
    encoder = build_encoder(
        EncoderOptions(**options), mice, described["image_shape"], described["behaviour_dim"]
    )
    return load_into(encoder, weights, config).to(device)
