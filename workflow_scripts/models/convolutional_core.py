"""The convolutional baseline of Sensorium 2022; with one linear layer, a linear–nonlinear one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


class ConvolutionalCore(nn.Module):
    """One convolution and depth-separable ones, each with batch norm and ELU (Willeke et al. 2022).

    With ``linear`` and one layer, each neuron is a linear filter followed by the readout's
    nonlinearity: the filter is a combination of the layer's kernels.

    Parameters
    ----------
    image_shape : (channel, y, x)
    behaviour_dim : int
        Behaviour variables, which become constant images beside the stimulus.
    n_layers : int
    channels : int
        Of every layer.
    input_kernel_px, hidden_kernel_px : int
        Side of the first kernel and, in features, of the others.
    stride_px : int
        Of the first layer.
    linear : bool
        No batch norm and no ELU.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 36, 64),
        behaviour_dim: int = 5,
        *,
        n_layers: int = 4,
        channels: int = 64,
        input_kernel_px: int = 9,
        hidden_kernel_px: int = 7,
        stride_px: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        n_inputs, height, width = image_shape
        self.n_images, self.stride_px = n_inputs, stride_px
        self.offset_px = (input_kernel_px - 1) / 2
        rows, columns = ((side - input_kernel_px) // stride_px + 1 for side in (height, width))
        self.feature_shape = (channels, rows, columns)
        self.first = nn.Conv2d(
            n_inputs + behaviour_dim, channels, input_kernel_px, stride_px, bias=linear
        )
        layers: list[nn.Module] = [] if linear else [nn.BatchNorm2d(channels), nn.ELU()]
        for one, other in pairwise([channels] * n_layers):
            layers += _depth_separable(one, other, hidden_kernel_px)
            layers += [] if linear else [nn.BatchNorm2d(other), nn.ELU()]
        self.rest = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor, behaviour: torch.Tensor, mouse: str) -> torch.Tensor:
        """(batch, channel, y, x) and (batch, behaviour_dim) → features; mice share everything."""
        del mouse
        constant = behaviour[:, :, None, None].expand(-1, -1, *images.shape[2:])
        return self.rest(self.first(torch.cat([images, constant], dim=1)))

    def penalty(self) -> torch.Tensor:
        """Roughness of the first layer's kernels: ‖Laplacian‖² / ‖kernel‖²."""
        kernels = self.first.weight[:, : self.n_images].flatten(0, 1)[:, None]
        laplacian = kernels.new_tensor([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])[None, None]
        rough = functional.conv2d(kernels, laplacian, padding=1)
        return rough.square().sum() / kernels.square().sum()


def _depth_separable(n_inputs: int, n_outputs: int, kernel: int) -> list[nn.Module]:
    return [
        nn.Conv2d(n_inputs, n_outputs, 1, bias=False),
        nn.Conv2d(n_outputs, n_outputs, kernel, padding=kernel // 2, groups=n_outputs, bias=False),
        nn.Conv2d(n_outputs, n_outputs, 1, bias=False),
    ]
