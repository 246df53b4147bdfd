"""Responses of a video network's units to a battery of stimuli."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from workflow_scripts.in_silico.battery import NaturalClips, render_clips
from workflow_scripts.models.backbones import Backbone, normalise_pixels
from workflow_scripts.stores.errors import InputError

LayerShapes = dict[str, tuple[int, int, int]]
"""Channels, rows and columns by layer."""


class ResponseBlock(NamedTuple):
    """Responses to some successive conditions of a battery."""

    conditions: slice
    response: np.ndarray
    """(unit, condition, repeat), float32."""
    realised_coherence: np.ndarray
    """Of the dot clips, NaN for others, (condition, repeat)."""


def layer_shapes(
    network: Backbone, battery: pd.DataFrame, layers: list[str], margin_px: int, in_channels: int,
    device: torch.device | str,
) -> LayerShapes:  # fmt: skip
    """Find the recorded channels, rows and columns of the layers by showing the blank screen.

    Raises
    ------
    InputError
        The network has no layer of one of the names, or the margin leaves nothing or cuts units.
    """
    blank = render_clips(battery, np.array([0]), np.array([0]), device).luminance
    outputs = _show(network, blank, margin_px, in_channels)
    missing = [layer for layer in layers if layer not in outputs]
    if missing:
        raise InputError(
            f"border_units names {', '.join(missing)}; the network has {', '.join(outputs)}"
        )
    recorded = [layer for layer in outputs if layer in layers]  # from early to late
    return {layer: tuple(outputs[layer].shape[1:]) for layer in recorded}  # type: ignore[misc]


def unit_table(shapes: LayerShapes, border_units: Mapping[str, int]) -> pd.DataFrame:
    """List the units of the layers.

    Parameters
    ----------
    shapes : dict
        Channels, rows and columns by layer.
    border_units : mapping of str to int
        By layer, how many of the outermost rows and columns are marked as border.

    Returns
    -------
    pd.DataFrame
        Columns ``layer channel row column border``; a layer's units run over its channels, rows
        and columns, the columns fastest.

    Notes
    -----
    Zero padding gives units near the edge a preference that comes from the edge, and that alone
    looks like a smooth map. In theory it reaches every unit from the second layer on, since each
    3×3 convolution carries it one unit further in; in effect it falls off faster, because a
    receptive field weighs its margin little. So the width to mark is measured: the preferred
    direction of each unit against that of the same network on a screen 32 pixels wider on each
    side. For a trained network (α = 0, width 16, 56×56 pixels) the outermost ring of units is off
    by 24–51° in the median; the fourth ring of ``layer1`` and ``layer2`` by 3–5°, the third of
    ``layer3`` by 9°, the inner 2×2 units of ``layer4`` by 13° (untrained: 5°, 13° and 44°).
    """
    tables = []
    for layer, shape in shapes.items():
        channel, row, column = np.indices(shape).reshape(3, -1)
        _, rows, columns = shape
        to_edge = np.minimum.reduce([row, column, rows - 1 - row, columns - 1 - column])
        border = to_edge < border_units[layer]
        tables.append(
            pd.DataFrame(
                {"layer": layer, "channel": channel, "row": row, "column": column, "border": border}
            )
        )
    return pd.concat(tables, ignore_index=True)


@torch.inference_mode()
def response_blocks(
    network: Backbone,
    battery: pd.DataFrame,
    layers: list[str],
    *,
    conditions_per_block: int,
    margin_px: int,
    batch_size: int,
    in_channels: int,
    device: torch.device | str,
    natural: NaturalClips | None = None,
) -> Iterator[ResponseBlock]:
    """Show a battery to a network, rendering its clips on the way.

    Parameters
    ----------
    network : Backbone
        In evaluation mode, on `device`.
    battery : pd.DataFrame
        From `in_silico.battery.battery_table`.
    layers : list of str
        Whose units to record, in this order.
    conditions_per_block : int
        Conditions that are yielded at once.
    margin_px : int
        Width of the screen's margin, whose units are left out.
    batch_size : int
        Clips that are shown at once.
    in_channels : int
        Input channels of the network; each sees the same grey clip.
    device : torch.device or str
        Where to render and to compute.
    natural : NaturalClips, optional
        As in `in_silico.battery.render_clips`.

    Yields
    ------
    ResponseBlock
        Post-ReLU responses averaged over time, the units ordered as by `unit_table`.
    """
    n_repeats = battery.attrs["n_repeats"]
    for start in range(0, len(battery), conditions_per_block):
        conditions = slice(start, min(start + conditions_per_block, len(battery)))
        condition, repeat = (index.ravel() for index in np.mgrid[conditions, 0:n_repeats])
        responses, realised = [], []
        for first in range(0, condition.size, batch_size):
            batch = slice(first, first + batch_size)
            clips = render_clips(battery, condition[batch], repeat[batch], device, natural)
            outputs = _show(network, clips.luminance, margin_px, in_channels)
            units = torch.cat([outputs[layer].flatten(1) for layer in layers], dim=1)
            responses.append(units.cpu().numpy())
            realised.append(clips.realised_coherence)
        shape = (conditions.stop - conditions.start, n_repeats)
        response = np.concatenate(responses).T.reshape(-1, *shape)
        yield ResponseBlock(conditions, response, np.concatenate(realised).reshape(shape))


@torch.inference_mode()
def _show(
    network: Backbone, luminance: torch.Tensor, margin_px: int, in_channels: int
) -> dict[str, torch.Tensor]:
    """Clips (batch, time, y, x) → (batch, channel, row, column) by layer, averaged over time."""
    clips = normalise_pixels(luminance[:, None]).expand(-1, in_channels, -1, -1, -1)
    size_px = luminance.shape[-1]
    return {
        layer: _without_margin(output.mean(dim=2), margin_px, size_px)
        for layer, output in network.responses(clips).items()
    }


def _without_margin(response: torch.Tensor, margin_px: int, size_px: int) -> torch.Tensor:
    """Crop (batch, channel, row, column) to the units within the margin of the screen."""
    rows = response.shape[-1]
    margin, cut = divmod(margin_px * rows, size_px)
    if cut or 2 * margin >= rows:
        raise InputError(
            f"in_silico.margin_px: {margin_px} px of a screen of {size_px} px leave no whole units "
            f"of a layer with {rows} rows; take a multiple of {size_px // rows} px below half"
        )
    return response[..., margin : rows - margin, margin : rows - margin]
