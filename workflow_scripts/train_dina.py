"""Aligns images and population responses: an image tower and a neural tower per session (DINA)."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from workflow_scripts.models.dina import DINA, save_dina
from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.training.alignment import AlignmentObjective
from workflow_scripts.training.loop import TrainingOptions, train
from workflow_scripts.training.machine import MachineOptions, launch_fabric
from workflow_scripts.training.pairs import PairOptions, Pairs, PairSource, read_pairs
from workflow_scripts.training.selection import Selection
from workflow_scripts.training.state import state_key


@dataclass(frozen=True)
class TowerOptions:
    """Both kinds of towers.

    Parameters
    ----------
    scales : list of int
        Squares of pixels that the scales of the image tower average over.
    width : int
        Filters of a scale.
    channels : int
        Maps of a neural tower's fully connected layer, at most 4.
    dropout : float
        Share of the neurons that are silenced in a training sample.
    dim, map_px : int
        Channels of the feature maps, and their rows and columns.
    """

    scales: list[int]
    width: int
    channels: int
    dropout: float
    dim: int = 64
    map_px: int = 32


@dataclass(frozen=True)
class TrainDinaOptions:
    """Options of one alignment.

    Parameters
    ----------
    seed : int
        Of the weights and the order of images and trials.
    pairs, towers, training, machine
        See the classes.
    validate_every_steps : int
        Steps between two looks at the validation images; the best weights are kept.
    """

    seed: int
    pairs: PairOptions
    towers: TowerOptions
    training: TrainingOptions
    validate_every_steps: int
    machine: MachineOptions


def train_dina(
    sessions: list[Path],
    model: Path,
    config: Path,
    metrics: Path,
    state: Path,
    options: TrainDinaOptions,
) -> None:
    """Train the towers on sessions together; with folds, once for each.

    Folds run in one job, one after the other: a model of one retina trains in less time than its
    process takes to start.

    Parameters
    ----------
    sessions : list of Path
        Session stores with images.
    model, config, metrics : Path
        Outputs: ``model.safetensors`` and ``model.json`` with the models of all folds, and
        ``metrics.jsonl``, each line with its fold.
    state : Path
        Folder in which interrupted runs are kept, each under a key of its inputs, options and
        code. Not an output of the rule: see `training.state`.
    options : TrainDinaOptions

    Raises
    ------
    InputError
        A session shows no images, or images of other channels than another one; a loss that is
        not finite (the last good state is kept).
    """
    record = provenance("train_dina", options, sessions, seed=options.seed, weights="trained")
    fabric = launch_fabric(options.machine, together=True)
    folder = state / state_key(record)
    models, logs, arguments = [], [], {}
    for fold in range(options.pairs.folds or 1):
        pairs = read_pairs(sessions, options.pairs, fold)
        arguments = _tower_arguments(pairs, options.towers)
        trained, log = _train_fold(pairs, arguments, options, fabric, folder / f"fold_{fold}")
        models.append(trained)
        logs.append(log)
    if not fabric.is_global_zero:
        return
    description = {"dina": arguments, "pairs": dataclasses.asdict(options.pairs)}
    save_dina(models, model, config, description, record)
    with atomic_path(metrics) as temporary:
        lines = (
            {"fold": fold, **json.loads(line)}
            for fold, log in enumerate(logs)
            for line in log.read_text().splitlines()
        )
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _tower_arguments(pairs: list[Pairs], towers: TowerOptions) -> dict[str, Any]:
    channels = {one.name: one.images.shape[1] for one in pairs}
    if len(set(channels.values())) > 1:
        raise InputError(
            f"dina.….sessions: one tower sees all images, but channels differ: {channels}"
        )
    return {
        "n_neurons": {one.name: one.n_neurons for one in pairs},
        "in_channels": pairs[0].images.shape[1],
        **dataclasses.asdict(towers),
    }


def _train_fold(
    pairs: list[Pairs], arguments: dict[str, Any], options: TrainDinaOptions, fabric: Fabric,
    folder: Path,
) -> tuple[DINA, Path]:  # fmt: skip
    torch.manual_seed(options.seed)
    source = PairSource(
        pairs, options.training.batch_size, options.pairs.trials_per_sample, options.seed
    )
    objective = AlignmentObjective(DINA(**arguments), pairs)
    # The schedule ends the run; what is kept is the best on the validation images.
    selection = Selection(
        options.validate_every_steps, "log_likelihood", patience=options.training.steps + 1
    )
    log = train(
        objective, source.batch, options.training, fabric, folder, objective.validate, selection
    )
    return objective.dina.cpu().eval(), log


if __name__ == "__main__":
    run_stage(train_dina)
