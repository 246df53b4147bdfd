"""Trains one network: a 3D ResNet by momentum contrast and, with α > 0, a cortical spatial loss."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from workflow_scripts.models.backbones import build_backbone
from workflow_scripts.models.files import save_model
from workflow_scripts.models.moco import MoCo
from workflow_scripts.models.positions import draw_neighbourhoods
from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.weights import load_weights, save_weights
from workflow_scripts.stores.zarr_store import open_store
from workflow_scripts.training.augmentation import AugmentationOptions
from workflow_scripts.training.clips import ClipSource
from workflow_scripts.training.loop import TrainingOptions, train
from workflow_scripts.training.machine import MachineOptions, launch_fabric
from workflow_scripts.training.state import state_key
from workflow_scripts.training.tdann import Sheet, SpatialLossOptions, TdannObjective, layer_shapes


@dataclass(frozen=True)
class ContrastOptions:
    """Momentum contrast.

    Parameters
    ----------
    projection_dim : int
        Dimensions of the projection.
    queue_length : int
        K, past keys that each query is compared with.
    momentum : float
        m of the key encoder.
    temperature : float
        τ of InfoNCE.
    """

    projection_dim: int = 64
    queue_length: int = 1024
    momentum: float = 0.99
    temperature: float = 0.1


@dataclass(frozen=True)
class TrainTdannOptions:
    """Options of one network.

    Parameters
    ----------
    seed : int
        Of the weights, the order of clips, the views and the neighbourhoods.
    backbone : str
        See `models.backbones.BACKBONES`.
    width : int
        Channels of the first layer.
    layers : list of str
        Layers that carry a spatial loss.
    neighbourhoods : int
        Neighbourhoods precomputed per layer.
    max_units : int
        Units of a neighbourhood, at most.
    contrast, spatial, augmentation, training, machine
        See the classes.
    snapshots : list of int
        Numbers of steps after which the weights are kept.
    """

    seed: int
    backbone: str
    width: int
    layers: list[str]
    neighbourhoods: int
    max_units: int
    contrast: ContrastOptions
    spatial: SpatialLossOptions
    augmentation: AugmentationOptions
    training: TrainingOptions
    machine: MachineOptions
    snapshots: list[int] = field(default_factory=list)


def train_tdann(
    clips: Path,
    batches: list[Path],
    positions: list[Path],
    start: list[Path],
    model: Path,
    config: Path,
    metrics: Path,
    snapshots: Path,
    state: Path,
    options: TrainTdannOptions,
) -> None:
    """Train a network on natural clips.

    Parameters
    ----------
    clips : Path
        Clips table.
    batches : list of Path
        Video stores that the table refers to.
    positions : list of Path
        The positions store of the spatial loss; empty where α = 0.
    start : list of Path
        Weights of a warm start; empty to train from scratch.
    model, config, metrics : Path
        Outputs: ``model.safetensors``, ``model.json`` and ``metrics.jsonl``.
    snapshots : Path
        Output: a folder with ``step_N.safetensors`` for each N of ``options.snapshots``.
    state : Path
        Folder in which interrupted runs are kept, each under a key of its inputs, options and
        code. Not an output of the rule: see `training.state`.
    options : TrainTdannOptions

    Raises
    ------
    InputError
        α > 0 without positions; a positions store of another network shape; a loss that is not
        finite (the last good state is kept).
    """
    inputs = [clips, *batches, *positions, *start]
    record = provenance("train_tdann", options, inputs, seed=options.seed, weights="trained")
    source = ClipSource(clips, batches)
    fabric = launch_fabric(options.machine, together=True)
    torch.manual_seed(options.seed)
    objective = _build_objective(source, positions, start, options)
    folder = state / state_key(record)
    kept = folder / "snapshots"
    kept.mkdir(parents=True, exist_ok=True)
    log = train(
        objective,
        lambda step: source.batch(step, options.training.batch_size, options.seed),
        options.training,
        fabric,
        folder,
        after_step=_keeper(objective, kept, options.snapshots if fabric.is_global_zero else []),
    )
    if not fabric.is_global_zero:
        return
    backbone = {"name": options.backbone, "width": options.width, "in_channels": source.n_channels}
    description = {"backbone": backbone, "precision": str(fabric._precision.precision)}  # noqa: SLF001
    save_model(objective.moco.query_encoder.backbone, model, config, description, record)
    shutil.copyfile(log, metrics)
    with atomic_path(snapshots) as temporary:
        shutil.copytree(kept, temporary)


def _keeper(objective: TdannObjective, folder: Path, steps: list[int]) -> Callable[[int], None]:
    """Make what keeps the backbone's weights at some steps, beside the state of the run."""

    def keep(step: int) -> None:
        if step in steps:
            weights = objective.moco.query_encoder.backbone.state_dict()
            save_weights(folder / f"step_{step}.safetensors", weights)

    return keep


def _build_objective(
    source: ClipSource, positions: list[Path], start: list[Path], options: TrainTdannOptions
) -> TdannObjective:
    if options.spatial.alpha > 0 and not positions:
        raise InputError("tdann.network.alpha: above 0, but there are no positions; name a kind")
    backbone = build_backbone(options.backbone, options.width, source.n_channels)
    for weights in start:
        backbone.load_state_dict(load_weights(weights)[0])
    sheets = {}
    if options.spatial.alpha > 0:
        sheets = _read_sheets(positions[0], backbone, source.n_channels, options)
    moco = MoCo(backbone, **dataclasses.asdict(options.contrast))
    return TdannObjective(moco, sheets, options.spatial, options.augmentation, options.seed)


def _read_sheets(
    path: Path, backbone: nn.Module, in_channels: int, options: TrainTdannOptions
) -> dict[str, Sheet]:
    store = open_store(path, load=True)
    width_mm = json.loads(store.attrs["neighbourhood_mm"])
    shapes = layer_shapes(backbone, options.augmentation, in_channels)
    sheets = {}
    for layer in options.layers:
        units = store.isel(unit=store["layer"].to_numpy() == layer)
        n_channels, n_rows, n_columns = shapes[layer]
        if units.sizes["unit"] != n_channels * n_rows * n_columns:
            raise InputError(
                f"{path}: {layer} has {units.sizes['unit']} units, but the network has "
                f"{n_channels}×{n_rows}×{n_columns}; delete the store and rerun"
            )
        xy = units[["x_mm", "y_mm"]].to_array().to_numpy().T
        neighbourhoods = draw_neighbourhoods(
            xy, width_mm[layer], options.neighbourhoods, options.max_units, options.seed
        )
        sheets[layer] = Sheet(xy, units["channel"].to_numpy(), neighbourhoods)
    return sheets


if __name__ == "__main__":
    run_stage(train_tdann)
