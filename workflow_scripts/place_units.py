"""Places every unit of a network on its layer's cortical sheet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import xarray as xr

from workflow_scripts.models.backbones import load_backbone, normalise_pixels
from workflow_scripts.models.positions import (
    cortical_positions,
    hypercolumn_width,
    optimise_positions,
)
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import open_store, variable, write_store
from workflow_scripts.training.augmentation import AugmentationOptions, two_views
from workflow_scripts.training.clips import ClipSource
from workflow_scripts.training.machine import MachineOptions, launch_fabric
from workflow_scripts.training.seeds import step_generator
from workflow_scripts.training.tdann import layer_shapes, unit_responses

Method = Literal["random", "optimised", "shuffled", "gratings"]
Shape = tuple[int, int, int]
BATCH = 64


@dataclass(frozen=True)
class PlaceUnitsOptions:
    """Options of one set of positions.

    Parameters
    ----------
    method : {"random", "optimised", "shuffled", "gratings"}
        ``random`` leaves the drawn positions; ``optimised`` swaps them by the responses to
        natural clips; ``shuffled`` deals the optimised places of an anchor out anew among its
        units; ``gratings`` (a control that knows the answer) swaps them by grating responses.
    seed : int
        Of the random positions, the clips and the swaps.
    sheet_mm : dict of str to float
        Side of each layer's sheet.
    n_views : int
        Views of natural clips whose responses are correlated.
    rounds : int
        Neighbourhoods visited per layer.
    max_units : int
        Units of a neighbourhood, at most.
    mask_same_channel : bool
        Count pairs of one channel as average pairs, see `models.positions.optimise_positions`.
    augmentation : AugmentationOptions
        How views are cut, as in training.
    machine : MachineOptions
    """

    method: Method
    seed: int
    sheet_mm: dict[str, float]
    n_views: int
    rounds: int
    max_units: int
    mask_same_channel: bool
    augmentation: AugmentationOptions
    machine: MachineOptions


def place_units(
    clips: Path,
    batches: list[Path],
    model: Path,
    config: Path,
    gratings: list[Path],
    positions: Path,
    options: PlaceUnitsOptions,
) -> None:
    """Place units at random in their hypercolumns and, by the method, swap them.

    Parameters
    ----------
    clips, batches : Path, list of Path
        Natural clips.
    model, config : Path
        The network trained with α = 0.
    gratings : list of Path
        Its grating responses for the method ``gratings``; else empty.
    positions : Path
        Output: ``x_mm y_mm (unit)`` with coordinates ``layer channel row column``.
    options : PlaceUnitsOptions

    Raises
    ------
    InputError
        An input is missing or damaged, the model's two files do not belong together, or there is no
        such GPU.
    """
    device = launch_fabric(options.machine).device
    network = load_backbone(model, config)
    source = ClipSource(clips, batches)
    shapes = layer_shapes(network, options.augmentation, source.n_channels)
    vectors: dict[str, np.ndarray] = {}
    if options.method == "gratings":
        vectors = _grating_responses(gratings[0])
    elif options.method != "random":
        vectors = _clip_responses(source, network.to(device), device, options)
    layers: list[xr.Dataset] = []
    width_mm: dict[str, float] = {}
    for name, sheet_mm in options.sheet_mm.items():
        first = next(iter(shapes.values()))[1]
        width_mm[name] = hypercolumn_width(sheet_mm, shapes[name][1], first)
        xy = _place_layer(vectors.get(name), shapes[name], sheet_mm, width_mm[name], first, options)
        layers.append(_layer_dataset(name, shapes[name], xy))
    dataset = xr.concat(layers, dim="unit", combine_attrs="override")
    record = provenance(
        "place_units", options, [clips, *batches, model, *gratings], options.seed, "trained"
    )
    record |= {
        "sheet_mm": json.dumps(options.sheet_mm),
        "neighbourhood_mm": json.dumps(width_mm),
    }
    write_store(positions, dataset, record)


@torch.no_grad()
def _clip_responses(
    source: ClipSource, network: torch.nn.Module, device: torch.device, options: PlaceUnitsOptions
) -> dict[str, np.ndarray]:
    """Time-averaged responses (view, unit) by layer."""
    collected: dict[str, list[torch.Tensor]] = {}
    for step in track(range(-(-options.n_views // BATCH)), "batch of views"):
        batch = source.batch(step, BATCH, options.seed).to(device)
        generator = step_generator(options.seed, step, device)
        view, _ = two_views(batch, options.augmentation, generator)
        for name, response in network.responses(normalise_pixels(view)).items():  # type: ignore[operator]
            collected.setdefault(name, []).append(unit_responses(response).cpu())
    return {name: torch.cat(parts)[: options.n_views].numpy() for name, parts in collected.items()}


def _grating_responses(path: Path) -> dict[str, np.ndarray]:
    """(sample, unit) by layer, the samples being conditions and phases."""
    store = open_store(path, load=True)
    layers = store["layer"].to_numpy()
    by_unit = store["response"].to_numpy().reshape(len(layers), -1)
    return {name: by_unit[layers == name].T for name in dict.fromkeys(layers.tolist())}


def _place_layer(
    responses: np.ndarray | None, shape: Shape, sheet_mm: float, width_mm: float, first: int,
    options: PlaceUnitsOptions,
) -> np.ndarray:  # fmt: skip
    n_channels, n_anchors = shape[0], shape[1]
    xy = cortical_positions(n_channels, n_anchors, sheet_mm, first, options.seed)
    if responses is None:
        return xy
    channels = np.repeat(np.arange(n_channels), n_anchors**2)
    optimised = optimise_positions(
        responses, xy, width_mm, options.rounds, options.seed,
        channels if options.mask_same_channel else None, options.max_units,
    )  # fmt: skip
    share = optimised.n_accepted / max(optimised.n_tried, 1)
    print(f"{optimised.n_tried} swaps tried, {share:.2%} made", flush=True)
    if options.method != "shuffled":
        return optimised.positions_mm
    rng = np.random.default_rng(options.seed)
    by_anchor = optimised.positions_mm.reshape(n_channels, n_anchors**2, 2)
    order = rng.permuted(np.tile(np.arange(n_channels), (n_anchors**2, 1)), axis=1).T
    return by_anchor[order, np.arange(n_anchors**2)].reshape(-1, 2)


def _layer_dataset(name: str, shape: Shape, xy: np.ndarray) -> xr.Dataset:
    channel, row, column = (axis.ravel() for axis in np.indices(shape))
    coords = {
        "layer": variable("unit", np.full(len(xy), name, dtype=object), "1", "layer"),
        "channel": variable("unit", channel.astype(np.int32), "1", "channel"),
        "row": variable("unit", row.astype(np.int32), "1", "row of the feature map"),
        "column": variable("unit", column.astype(np.int32), "1", "column of the feature map"),
    }
    places = {
        "x_mm": variable("unit", xy[:, 0].astype(np.float32), "mm", "position along columns"),
        "y_mm": variable("unit", xy[:, 1].astype(np.float32), "mm", "position along rows"),
    }
    return xr.Dataset(places, coords)


if __name__ == "__main__":
    run_stage(place_units)
