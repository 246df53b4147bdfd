"""The one training loop.

A model brings an objective, a module whose ``forward(batch, step)`` returns a scalar loss and
named metrics, and a function that gives the batch of a step. Everything else is here: schedule,
resumable state, metrics, progress, and what happens when the loss is no number. Device and
precision are in `training.machine`, which weights a run ends with in `training.selection`.

Several processes (one per device) average the gradients of their losses. Where each is given the
same batch, they do the same work and end with the same weights as one; to divide the work, the
function gives a process its `models.processes.share` of the batch, and the objective takes what a
mean over samples cannot give (queues, statistics of the batch) from `models.processes.gather`.
Batch norm takes it by itself, and each process has its own dropout.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric import Fabric

from workflow_scripts.models import processes
from workflow_scripts.models.batch_norm import share_batch_norm
from workflow_scripts.stores.progress import progress
from workflow_scripts.training.metrics_log import MetricsLog
from workflow_scripts.training.seeds import step_seed
from workflow_scripts.training.selection import Selection, WeightKeeper
from workflow_scripts.training.state import exclusive, load_state, save_state

Validate = Callable[[], Mapping[str, float]]


@dataclass(frozen=True)
class TrainingOptions:
    """How long and how fast to train.

    Parameters
    ----------
    steps : int
        Optimiser steps.
    batch_size : int
        Samples a step.
    learning_rate, weight_decay : float
        Of AdamW; the rate after the warm-up.
    betas : tuple of float
        Decay of AdamW's two moments.
    schedule : {"cosine", "constant"}
        The rate falls along a half cosine, or stays (where a `Selection` reduces it).
    warmup_steps : int
        Steps over which the rate rises linearly.
    warmup_learning_rate, final_learning_rate : float
        Where the warm-up begins and the cosine ends.
    average_from_step : int, optional
        From here on the weights are averaged over steps (stochastic weight averaging, Izmailov et
        al. 2018); the run ends with the average.
    gradient_clip : float, optional
        Largest norm of the gradient.
    log_every_steps : int
        Steps that one line of the metrics averages over.
    save_every_s : float
        Seconds between two saved states.
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = 100
    warmup_learning_rate: float = 0.0
    final_learning_rate: float = 0.0
    average_from_step: int | None = None
    gradient_clip: float | None = 1.0
    log_every_steps: int = 20
    save_every_s: float = 30.0


def learning_rate(step: int, options: TrainingOptions) -> float:
    """Linear warm-up; over all steps half a cosine, unless the schedule is constant."""
    warmup = min(1.0, (step + 1) / max(options.warmup_steps, 1))
    start, final = options.warmup_learning_rate, options.final_learning_rate
    rate = start + (options.learning_rate - start) * warmup
    if options.schedule == "constant":
        return rate
    return final + (rate - final) * 0.5 * (1 + math.cos(math.pi * step / options.steps))


def train(
    objective: torch.nn.Module,
    batch_of_step: Callable[[int], Any],
    options: TrainingOptions,
    fabric: Fabric,
    folder: Path,
    validate: Validate | None = None,
    selection: Selection | None = None,
    after_step: Callable[[int], None] | None = None,
) -> Path:
    """Train an objective, continuing from the folder's last saved state.

    Parameters
    ----------
    objective : torch.nn.Module
        ``forward(batch, step) -> (loss, metrics)``; scalars as tensors. Its dropout, from the
        global generator, is drawn from the last ``torch.manual_seed`` before this call, the step
        and the process.
    batch_of_step : callable
        Step → batch, from the seed and the step alone.
    options : TrainingOptions
    fabric : Fabric
        From `training.machine.launch_fabric`.
    folder : Path
        Holds the state, the lock and ``metrics.jsonl``. The objective ends with its trained
        weights.
    validate : callable, optional
        Scores the objective on held-out data, from its weights alone; called in evaluation mode
        without gradients.
    selection : Selection, optional
        When to validate, and what follows from the scores.
    after_step : callable, optional
        Called in every process with the number of steps taken, 0 too, before a state that holds
        the step is saved: a continued run has been called for all before it.

    Returns
    -------
    Path
        The metrics: one JSON object a line, averages over `log_every_steps` steps; a validation
        has a line of its own, its scores as ``validation_NAME``.

    Raises
    ------
    InputError
        The loss was not finite, and the state before that step is kept.
    ValueError
        Only one of `validate` and `selection` is given.
    """
    if (validate is None) != (selection is None):
        raise ValueError("validate and selection go together")
    with exclusive(folder) if fabric.is_global_zero else nullcontext():
        fabric.barrier()  # nobody reads the state before it is locked
        return _train(
            objective, batch_of_step, options, fabric, folder, validate, selection,
            after_step or (lambda _: None),
        )  # fmt: skip


def _train(
    objective: torch.nn.Module, batch_of_step: Callable[[int], Any], options: TrainingOptions,
    fabric: Fabric, folder: Path, validate: Validate | None, selection: Selection | None,
    after_step: Callable[[int], None],
) -> Path:  # fmt: skip
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    plain_optimizer = torch.optim.AdamW(
        trained, lr=options.learning_rate, betas=options.betas, weight_decay=options.weight_decay
    )
    if fabric.world_size > 1:
        share_batch_norm(objective)
    module, optimizer = fabric.setup(objective, plain_optimizer)
    # Not through Fabric's wrappers, whose names for the same tensors depend on the strategy.
    state = load_state(folder, objective, plain_optimizer)
    log = MetricsLog(
        folder / "metrics.jsonl", state.record.get("log", {}), writes=fabric.is_global_zero
    )
    keeper = WeightKeeper(objective, selection, state.kept, state.record.get("selection", {}))
    saved_at, seed = time.monotonic(), torch.initial_seed()
    module.train()
    if state.step == 0:
        after_step(0)
    # Trainings run side by side, so each line names the network: what is above its states.
    counted = f"{folder.as_posix().partition('/state/')[0]}: step"
    with progress(counted, options.steps, state.step, silent=not fabric.is_global_zero) as shown:
        for step in range(state.step, 0 if keeper.stopped else options.steps):
            rate = learning_rate(step, options) * keeper.rate_factor
            for group in plain_optimizer.param_groups:
                group["lr"] = rate
            torch.manual_seed(step_seed(seed, step, stream=1 + processes.rank()))
            loss, metrics = module(fabric.to_device(batch_of_step(step)), step)
            fabric.backward(loss)
            norm = fabric.clip_gradients(
                module, optimizer, max_norm=options.gradient_clip or math.inf,
                error_if_nonfinite=False,
            )  # fmt: skip
            log.add(
                processes.mean({"loss": loss, "gradient_norm": torch.as_tensor(norm), **metrics})
            )
            done = step + 1
            last = done == options.steps
            judge = selection is not None and (last or done % selection.every_steps == 0)
            write = last or done % options.log_every_steps == 0
            save = last or time.monotonic() - saved_at > options.save_every_s
            # Reading the loss makes a GPU wait, so it is read only where it is used; a state
            # is saved only after a look at every loss that led to it.
            if write or save or judge or fabric.device.type == "cpu":
                log.require_finite(step)
            optimizer.step()
            optimizer.zero_grad()
            after_step(done)
            if options.average_from_step is not None and step >= options.average_from_step:
                keeper.average()
            note = log.write(done, rate) if write else ""
            if validate and judge:
                scores = _validate(validate, fabric, keeper)
                note = log.write_validation(done, scores)
                keeper.judge(scores)
            shown.advance(note=note)
            if (save or keeper.stopped) and fabric.is_global_zero:
                record = {"log": log.record(), "selection": keeper.record()}
                save_state(folder, done, objective, plain_optimizer, record, keeper.kept)
                saved_at = time.monotonic()
            if keeper.stopped:
                break
    keeper.finish()
    return log.path


def _validate(validate: Validate, fabric: Fabric, keeper: WeightKeeper) -> dict[str, float]:
    with torch.no_grad(), fabric.autocast(), keeper.candidate():
        return fabric.broadcast(dict(validate()))  # equal, for it decides when to stop
