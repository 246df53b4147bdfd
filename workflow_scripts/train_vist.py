"""Trains encoders of retinal cells, Vi-ST and its baselines, selected on training movies only."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from workflow_scripts.models.retina_baselines import LinearNonlinear
from workflow_scripts.models.retina_encoders import (
    RetinaEncoderOptions,
    build_retina_encoder,
    save_ensemble,
)
from workflow_scripts.recordings.movie_responses import MovieResponses
from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.weights import load_weights
from workflow_scripts.training.loop import TrainingOptions, train
from workflow_scripts.training.machine import MachineOptions, launch_fabric
from workflow_scripts.training.retina import (
    BatchOptions,
    BatchSource,
    Recording,
    ViewOptions,
    hold_out,
)
from workflow_scripts.training.selection import Selection
from workflow_scripts.training.state import state_key
from workflow_scripts.training.vist import (
    LossOptions,
    RetinaObjective,
    correlation,
    fit_ridge,
)

Metrics = list[dict[str, Any]]
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # of the ridge regression of `ln`
TEST_SPLITS = ("test", "gap")


@dataclass(frozen=True)
class FoldOptions:
    """How the training movie selects weights.

    Parameters
    ----------
    n : int
        Runs of neighbouring stimuli that the training stimuli are divided into.
    members : int
        Networks; member m is selected on run m, trained on the others, and all are averaged.
    gap_s : float
        Training stimuli nearer than this to a selecting one are left out, s.
    """

    n: int = 5
    members: int = 1
    gap_s: float = 0.5


@dataclass(frozen=True)
class TrainVistOptions:
    """Options of one encoder.

    Parameters
    ----------
    seed : int
        Of weights and batches.
    hide_test : bool
        Whether the recordings' own test split is to be scored, and so is hidden here.
    cells : int, optional
        Train on the first so many cells of a random order (the population-size study); all unless
        given.
    encoder, bin_px, batch, loss, training, selection, folds, machine
        See the classes; `bin_px` in `training.retina.ViewOptions`.
    """

    seed: int
    hide_test: bool
    encoder: RetinaEncoderOptions
    bin_px: float | None
    batch: BatchOptions
    loss: LossOptions
    training: TrainingOptions
    selection: Selection
    folds: FoldOptions
    machine: MachineOptions
    cells: int | None = None

    def __post_init__(self) -> None:
        if self.encoder.kind == "published_vist" and self.loss.kind == "poisson":
            raise InputError(
                "vist: published_vist predicts negative rates too, which have no Poisson "
                "likelihood; set loss.kind to published"
            )


def train_vist(
    sessions: list[Path],
    features: list[Path],
    start: list[Path],
    model: Path,
    config: Path,
    metrics: Path,
    state: Path,
    options: TrainVistOptions,
) -> None:
    """Train an ensemble of encoders of the cells that some sessions share.

    Each member is selected by its correlation on one fold of the training movies. The movie that a
    model is judged on is no input of this stage; within a movie its test split is hidden first.

    Parameters
    ----------
    sessions, features : list of Path
        Session stores of the same cells, and the features of their movies.
    start : list of Path
        Weights of an ensemble to start from (pre-training); empty for random ones.
    model, config, metrics : Path
        Outputs: ``model.safetensors``, ``model.json``, ``metrics.jsonl`` (with the member).
    state : Path
        Folder of interrupted runs; see `training.state`.
    options : TrainVistOptions

    Raises
    ------
    InputError
        The sessions have other cells; a test stimulus lies nearer to a training one than the
        encoder, on features of its prior, looks back; a loss that is not finite.
    """
    inputs = [*sessions, *features, *start]
    record = provenance("train_vist", options, inputs, seed=options.seed, weights="trained")
    view = ViewOptions(options.encoder.grid, options.bin_px)
    recordings = [Recording(*pair, view) for pair in zip(sessions, features, strict=True)]
    allowed = [_training_responses(one, options) for one in recordings]
    scale_hz = _scale(recordings, allowed)
    fabric = launch_fabric(options.machine, together=True)
    run = _Run(recordings, allowed, scale_hz, fabric, state / state_key(record), start, options)
    members, scores, lines = run.linear() if options.encoder.kind == "ln" else run.networks()
    if not fabric.is_global_zero:
        return
    description: dict[str, Any] = {
        "encoder": dataclasses.asdict(options.encoder),
        "features": recordings[0].features.shape[1],
        "cells": recordings[0].n_cells,
        "bin_px": options.bin_px,
        "field_frames": options.encoder.field,
        "scale_hz": scale_hz.tolist(),
        "trained_cells": run.cells.tolist(),
        "fold_correlation": scores,
        "n_weights": sum(w.numel() for w in members[0].parameters()),
    }
    save_ensemble(members, model, config, description, record)
    with atomic_path(metrics) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _training_responses(recording: Recording, options: TrainVistOptions) -> MovieResponses:
    if not options.hide_test:
        return recording.responses
    responses = recording.responses.without(*TEST_SPLITS)
    test = recording.responses.without("train", "validation", "gap")
    shown = np.flatnonzero(responses.stimulus >= 0)
    held = np.flatnonzero(test.stimulus >= 0)
    nearest = int(np.abs(shown[:, None] - held).min()) if len(shown) and len(held) else 0
    field = options.encoder.field + recording.prior_look_back
    if nearest < field:
        raise InputError(
            f"{recording.session.attrs['session_id']}: a test stimulus lies {nearest} frames from "
            f"a training one, but the encoder looks back {field}, {recording.prior_look_back} of "
            "them through its prior; raise split_gap in the sheet of sessions, or take a shorter "
            "encoder or prior"
        )
    return responses


def _scale(recordings: list[Recording], allowed: list[MovieResponses]) -> Tensor:
    """Standard deviation of each cell's rate over all that may be trained on, (cell,)."""
    names = [list(map(str, one.session["unit_id"].to_numpy())) for one in recordings]
    if any(name != names[0] for name in names):
        raise InputError("vist: the training sessions are not of the same cells")
    rates = np.concatenate([one.rate_hz[:, one.stimulus >= 0] for one in allowed], axis=1)
    spread = rates.std(axis=1)
    return torch.from_numpy(np.where(spread > 0, spread, 1.0).astype(np.float32))


class _Run:
    """One job: the folds, and what is trained on them."""

    def __init__(
        self, recordings: list[Recording], allowed: list[MovieResponses], scale_hz: Tensor,
        fabric: Fabric, folder: Path, start: list[Path], options: TrainVistOptions,
    ) -> None:  # fmt: skip
        self.recordings, self.allowed, self.scale_hz = recordings, allowed, scale_hz
        self.fabric, self.folder, self.start, self.options = fabric, folder, start, options
        order = np.random.default_rng(options.seed).permutation(len(scale_hz))
        self.cells = np.sort(order[: options.cells or len(scale_hz)])

    def fold(self, number: int) -> tuple[list[MovieResponses], list[MovieResponses]]:
        """Training and selecting responses of each recording."""
        pairs = [
            hold_out(
                responses, number % self.options.folds.n, self.options.folds.n,
                round(self.options.folds.gap_s * recording.frame_rate_hz),
            )
            for recording, responses in zip(self.recordings, self.allowed, strict=True)
        ]  # fmt: skip
        return [one for one, _ in pairs], [one for _, one in pairs]

    def build(self) -> nn.Module:
        """Make an untrained encoder."""
        channels = self.recordings[0].features.shape[1]
        return build_retina_encoder(self.options.encoder, channels, self.recordings[0].n_cells)

    def networks(self) -> tuple[list[nn.Module], list[float], Metrics]:
        """Train every member; returns them, their fold's score and the metrics."""
        members, scores, lines = [], [], []
        for number in range(self.options.folds.members):
            torch.manual_seed(1000 * self.options.seed + number)
            training, selecting = self.fold(number)
            network = self._started(self.build(), number)
            log = self._train(network, number, training, selecting)
            members.append(network.eval())
            scores.append(self._score(network, selecting))
            written = log.read_text().splitlines() if self.fabric.is_global_zero else []
            lines += [{"member": number, **json.loads(one)} for one in written]
        return members, scores, lines

    def linear(self) -> tuple[list[nn.Module], list[float], Metrics]:
        """Choose the ridge penalty over all folds, then fit to all that may be trained on."""
        network = cast("LinearNonlinear", self.build()).eval()
        n_folds = self.options.folds.n
        scores = np.zeros((len(PENALTIES), n_folds))

        def fit(responses: list[MovieResponses]) -> list[dict[str, Tensor]]:
            return fit_ridge(network, self.recordings, responses, self.scale_hz, PENALTIES)

        with torch.no_grad():
            for number in track(range(n_folds), "folds fitted"):
                training, selecting = self.fold(number)
                for row, weights in enumerate(fit(training)):
                    network.load_state_dict(weights)
                    scores[row, number] = self._score(network, selecting)
            best = int(scores.mean(axis=1).argmax())
            network.load_state_dict(fit(self.allowed)[best])
        lines = [
            {"penalty": penalty, "validation_correlation": float(score)}
            for penalty, score in zip(PENALTIES, scores.mean(axis=1), strict=True)
        ]
        return [network], scores[best].tolist(), lines

    def _train(
        self, network: nn.Module, number: int, training: list[MovieResponses],
        selecting: list[MovieResponses],
    ) -> Path:  # fmt: skip
        options = self.options
        source = BatchSource(
            self.recordings, training, self.scale_hz, options.encoder.before,
            options.encoder.ahead, options.batch, options.training.batch_size,
            1000 * options.seed + number, self.cells,
        )  # fmt: skip

        def validate() -> dict[str, float]:
            return {options.selection.metric: self._score(network, selecting)}

        return train(
            RetinaObjective(network, options.loss), source, options.training, self.fabric,
            self.folder / f"member{number}", validate, options.selection,
        )  # fmt: skip

    def _score(self, network: nn.Module, selecting: list[MovieResponses]) -> float:
        return correlation(network, self.recordings, selecting, self.options.encoder, self.cells)

    def _started(self, network: nn.Module, member: int) -> nn.Module:
        """Take over the weights of a member that was trained on the same cells before."""
        for weights in self.start:
            state, _ = load_weights(weights)
            n_members = len({name.partition(".")[0] for name in state})
            prefix = f"{member % n_members}."
            own = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
            network.load_state_dict(own)
        return network


if __name__ == "__main__":
    run_stage(train_vist)
