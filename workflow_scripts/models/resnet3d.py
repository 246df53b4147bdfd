"""3D ResNet-18 of any width (Tran et al. 2018, "R3D"), state-dict compatible with torchvision."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

Norm = Literal["batch", "group"]
LAYERS = ("layer1", "layer2", "layer3", "layer4")
CHANNELS_PER_GROUP = 8


def normalisation(norm: Norm, channels: int) -> nn.Module:
    """Normalisation layer; group norm shares no statistics between clips of a batch.

    Batch norm would: in contrastive training its batch statistics tell a query which key is its
    own (He et al. 2020, section 3.3).
    """
    if norm == "batch":
        return nn.BatchNorm3d(channels)
    most = max(1, channels // CHANNELS_PER_GROUP)
    return nn.GroupNorm(next(n for n in range(most, 0, -1) if channels % n == 0), channels)


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Conv3d:
    return nn.Conv3d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)


class BasicBlock3D(nn.Module):
    """Two 3×3×3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            _convolution(inputs, outputs, stride), normalisation(norm, outputs), nn.ReLU()
        )
        self.conv2 = nn.Sequential(_convolution(outputs, outputs, 1), normalisation(norm, outputs))
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv3d(inputs, outputs, kernel_size=1, stride=stride, bias=False),
                normalisation(norm, outputs),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, time, row, column) → (batch, outputs, time', row', column')."""
        return torch.relu(self.conv2(self.conv1(x)) + self.downsample(x))


class StagedBackbone(nn.Module):
    """A ``stem`` and the stages `LAYERS`, one after the other."""

    stem: nn.Module

    def responses(self, clips: torch.Tensor) -> dict[str, torch.Tensor]:
        """Post-ReLU outputs of the four layers.

        Parameters
        ----------
        clips : torch.Tensor, (batch, channel, time, y, x)
            Normalised clips.

        Returns
        -------
        dict of torch.Tensor, (batch, channel, time', row, column)
            By layer name, ``layer1`` to ``layer4``.
        """
        x = self.stem(clips)
        outputs = {}
        for name in LAYERS:
            x = outputs[name] = self.get_submodule(name)(x)
        return outputs

    def features(self, responses: dict[str, torch.Tensor]) -> torch.Tensor:
        """Average the last layer over time and space → (batch, feature_dim)."""
        return responses[LAYERS[-1]].mean(dim=(2, 3, 4))

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """(batch, channel, time, y, x) → features (batch, feature_dim)."""
        return self.features(self.responses(clips))


class ResNet3D(StagedBackbone):
    """3D ResNet-18 without a classification head.

    Parameters
    ----------
    width : int
        Channels of the stem and of ``layer1``; the later layers have 2, 4 and 8 times as many.
        At width 64 with batch norm the parameters carry the names and shapes of torchvision's
        ``r3d_18`` (but for its ``fc``) and the features are the same.
    in_channels : int
        1 for grey and 3 for colour clips.
    norm : {"batch", "group"}
        Normalisation; see `normalisation`.
    """

    def __init__(self, width: int = 64, in_channels: int = 3, norm: Norm = "batch") -> None:
        super().__init__()
        self.feature_dim = 8 * width
        self.stem = nn.Sequential(
            nn.Conv3d(in_channels, width, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False),
            normalisation(norm, width),
            nn.ReLU(),
        )
        inputs = width
        for index, name in enumerate(LAYERS):
            outputs, stride = width * 2**index, 1 if index == 0 else 2
            blocks = (
                BasicBlock3D(inputs, outputs, stride, norm),
                BasicBlock3D(outputs, outputs, 1, norm),
            )
            self.add_module(name, nn.Sequential(*blocks))
            inputs = outputs
        self.apply(_initialise)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
