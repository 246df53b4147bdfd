"""Video backbones by name, and how they are saved and loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import nn

from workflow_scripts.models.files import load_into
from workflow_scripts.models.resnet3d import LAYERS, ResNet3D, StagedBackbone, normalisation
from workflow_scripts.models.v1_mt_cascade import V1MTCascade
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_json


class Backbone(Protocol):
    """What the trainer and the in-silico stage need of a video network."""

    feature_dim: int

    def responses(self, clips: torch.Tensor) -> dict[str, torch.Tensor]:
        """Clips (batch, channel, time, y, x) → (batch, channel, time', row, column) by layer."""
        ...

    def features(self, responses: dict[str, torch.Tensor]) -> torch.Tensor:
        """Responses by layer → (batch, feature_dim)."""
        ...


class BorrowedBackbone(StagedBackbone):
    """A torchvision or pytorchvideo network whose four stages are called ``layer1`` … ``layer4``.

    Parameters
    ----------
    stem, stages : nn.Module
        What comes before the first stage, and the four stages.
    in_channels : int
        A single channel is shown to all three input channels of the network.
    """

    def __init__(self, stem: nn.Module, stages: list[nn.Module], in_channels: int) -> None:
        super().__init__()
        self.stem, self.in_channels = stem, in_channels
        for name, stage in zip(LAYERS, stages, strict=True):
            self.add_module(name, stage)
        self.feature_dim = self._feature_dim()

    @torch.no_grad()
    def _feature_dim(self) -> int:
        probe = torch.zeros(1, self.in_channels, 8, 64, 64)
        return self.responses(probe)[LAYERS[-1]].shape[1]

    def responses(self, clips: torch.Tensor) -> dict[str, torch.Tensor]:
        """Stage outputs by name; see `Backbone.responses`."""
        return super().responses(clips.expand(-1, 3, -1, -1, -1))


def _torchvision(name: str, in_channels: int) -> nn.Module:
    from torchvision.models import video  # noqa: PLC0415 - only where one is asked for

    network = cast("Any", getattr(video, name)())
    stages = [network.layer1, network.layer2, network.layer3, network.layer4]
    return BorrowedBackbone(network.stem, stages, in_channels)


def _pytorchvideo(name: str, in_channels: int) -> nn.Module:
    from pytorchvideo.models import resnet, x3d  # noqa: PLC0415 - only where one is asked for

    if name == "slow_r50":
        network = cast("Any", resnet.create_resnet())
    else:
        network = cast("Any", x3d.create_x3d(input_clip_length=13, input_crop_size=160))
    return BorrowedBackbone(network.blocks[0], list(network.blocks[1:5]), in_channels)


_BORROWED: dict[str, Callable[[str, int], nn.Module]] = {
    "mc3_18": _torchvision,
    "r2plus1d_18": _torchvision,
    "slow_r50": _pytorchvideo,
    "x3d_s": _pytorchvideo,
}
BACKBONES = ("resnet3d", *_BORROWED)
CASCADE = "v1_mt_cascade"  # is not trained; see `models.v1_mt_cascade`


def build_backbone(name: str, width: int, in_channels: int) -> nn.Module:
    """Build an untrained backbone with group norm.

    Parameters
    ----------
    name : str
        ``resnet3d``, torchvision's ``mc3_18`` and ``r2plus1d_18``, or pytorchvideo's ``slow_r50``
        and ``x3d_s``.
    width : int
        Channels of the first layer; only ``resnet3d`` has a choice.
    in_channels : int
        1 (grey) or 3 (colour).

    Raises
    ------
    InputError
        There is no backbone of that name.
    """
    if name == "resnet3d":
        return ResNet3D(width, in_channels, norm="group")
    if name not in _BORROWED:
        raise InputError(f"tdann.backbone: {name!r} is none of {', '.join(BACKBONES)}")
    network = _BORROWED[name](name, in_channels)
    _replace_batch_norm(network)
    return network


def _replace_batch_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm3d):
            setattr(module, name, normalisation("group", child.num_features))
        else:
            _replace_batch_norm(child)


def normalise_pixels(pixels: torch.Tensor) -> torch.Tensor:
    """Map pixels from [0, 1] to the networks' input range, about zero mean and unit variance."""
    return (pixels - 0.5) / 0.25


def load_backbone(weights: Path, config: Path, device: torch.device | str = "cpu") -> nn.Module:
    """Load a backbone in evaluation mode.

    Raises
    ------
    InputError
        The weights are damaged, or the two files do not belong together.
    """
    description = read_json(config)["backbone"]
    if description["name"] == CASCADE:
        network: nn.Module = V1MTCascade(**description["settings"])
    else:
        network = build_backbone(**description)
    return load_into(network, weights, config).to(device)
