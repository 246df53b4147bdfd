"""Which pixels can reach a unit: the theoretical receptive field of a backbone's layers."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import nn

from workflow_scripts.models.backbones import Backbone, build_backbone

_NORMS = (nn.GroupNorm, nn.BatchNorm3d)


class Field(NamedTuple):
    """Receptive fields of one layer, alike along rows and columns."""

    first_px: float
    """Centre of the field of row 0: 0 is the centre of the screen's first pixel."""
    stride_px: float
    """From one row's field to the next."""
    size_px: int
    """Side of the square of pixels that convolutions connect with a unit."""


def receptive_fields(name: str, in_channels: int, n_frames: int, size_px: int) -> dict[str, Field]:
    """Find the receptive fields of a backbone's layers from its convolutions alone.

    Normalisation, which lets the whole screen scale a unit's response, is left out, and all weights
    are made equal: then the gradient of a unit is positive exactly at the pixels of its field.

    Parameters
    ----------
    name : str
        See `models.backbones.build_backbone`.
    in_channels : int
    n_frames, size_px : int
        Of the clips shown; a field must end within the screen for the units at its edges, towards
        the middle.

    Returns
    -------
    dict of str to Field
        By layer.
    """
    network = build_backbone(name, 1, in_channels).double()
    _make_plain(network)
    clips = torch.ones(1, in_channels, n_frames, size_px, size_px, dtype=torch.float64)
    clips.requires_grad_()
    fields = {}
    for layer, response in cast("Backbone", network).responses(clips).items():
        n_rows = response.shape[-1]
        stride = size_px / n_rows
        _, end_of_first = _reach(response[..., 0, n_rows // 2].sum(), clips)
        start_of_last, _ = _reach(response[..., n_rows - 1, n_rows // 2].sum(), clips)
        # first + radius = end_of_first, first + (n_rows - 1) stride - radius = start_of_last
        first = (end_of_first + start_of_last - (n_rows - 1) * stride) / 2
        fields[layer] = Field(first, stride, round(2 * (end_of_first - first)) + 1)
    return fields


def _make_plain(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, _NORMS):
            setattr(module, name, nn.Identity())
        else:
            _make_plain(child)
    if isinstance(module, nn.Conv3d):
        nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _reach(response: torch.Tensor, clips: torch.Tensor) -> tuple[int, int]:
    """First and last row of pixels that the response depends on."""
    (gradient,) = torch.autograd.grad(response, clips, retain_graph=True)
    rows = gradient.sum(dim=(0, 1, 2, 4)).nonzero()
    return int(rows.min()), int(rows.max())
