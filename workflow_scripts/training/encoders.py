"""Training of encoders: the objective, prediction, and fitting to the sessions of many mice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from workflow_scripts.models import processes
from workflow_scripts.models.cortex_encoders import EncoderOptions, build_encoder
from workflow_scripts.models.encoder import Encoder
from workflow_scripts.recordings.reliability import pearson
from workflow_scripts.stores.errors import InputError
from workflow_scripts.training.encoding_sessions import (
    EncodingSession,
    StimulusOptions,
    draw_batches,
)
from workflow_scripts.training.loop import TrainingOptions, train
from workflow_scripts.training.machine import MachineOptions
from workflow_scripts.training.seeds import step_generator
from workflow_scripts.training.selection import Selection

Metrics = dict[str, torch.Tensor]
Sessions = Mapping[str, EncodingSession]


@dataclass(frozen=True)
class PenaltyOptions:
    """Weights of the penalties.

    Parameters
    ----------
    core : float
        Of the core's own: the L1 norm of a transformer's weights, the roughness of first-layer
        kernels.
    readout : float
        Of the L1 norm of each mouse's feature weights.
    """

    core: float = 0.5379
    readout: float = 0.0076


class EncoderObjective(nn.Module):
    """Poisson loss of all mice, one after the other, and penalties.

    Parameters
    ----------
    encoder : Encoder
    n_training : mapping of str to int
        Training trials of each mouse, N; its summed loss is scaled by √(N / batch).
    penalty : PenaltyOptions
    seed : int
        Of the readouts' positions.
    frozen_core : bool
        Train readouts and shifters only.
    """

    def __init__(
        self,
        encoder: Encoder,
        n_training: Mapping[str, int],
        penalty: PenaltyOptions,
        seed: int,
        frozen_core: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, self.n_training = encoder, dict(n_training)
        self.penalty, self.seed, self.frozen_core = penalty, seed, frozen_core
        encoder.core.requires_grad_(not frozen_core)

    def train(self, mode: bool = True) -> EncoderObjective:
        """Leave a frozen core in evaluation mode: no dropout, and no batch statistics."""
        super().train(mode)
        self.encoder.core.train(mode and not self.frozen_core)
        return self

    def forward(
        self, batches: Mapping[str, tuple[torch.Tensor, ...]], step: int
    ) -> tuple[torch.Tensor, Metrics]:
        """Loss of one cycle through the mice."""
        generator = step_generator(self.seed, step, next(self.parameters()).device)
        total, nll, n_processes = torch.zeros(()), torch.zeros(()), processes.count()
        for mouse, (images, behaviour, pupil, response) in batches.items():
            predicted = self.encoder(mouse, images, behaviour, pupil, generator).float()
            loss = poisson_loss(response, predicted)
            scale = (self.n_training[mouse] / (n_processes * len(images))) ** 0.5
            readout = self.encoder.readouts[mouse].penalty()
            # The sum over all trials, as a mean of what the processes have of it.
            total = total + scale * n_processes * loss.sum() + self.penalty.readout * readout
            nll = nll + loss.mean() / len(batches)
        core = self.encoder.core.penalty()
        return total + self.penalty.core * core, {"poisson_nll": nll, "core_penalty": core}


@dataclass(frozen=True)
class FitOptions:
    """Options of one encoder.

    Parameters
    ----------
    seed : int
        Of the weights, the order of trials, dropout and the readouts' positions.
    encoder, stimulus, penalty, training, selection, machine
        See the classes. A step is one cycle through the mice; the metric to select by is
        ``correlation``, the mean over units of the single-trial correlation on validation trials.
    """

    seed: int
    encoder: EncoderOptions
    stimulus: StimulusOptions
    penalty: PenaltyOptions
    training: TrainingOptions
    selection: Selection
    machine: MachineOptions


def architecture(sessions: Sessions) -> dict[str, Any]:
    """Size of the images and number of behaviour variables, which all sessions must share.

    Raises
    ------
    InputError
        They do not.
    """
    shapes = {name: (tuple(one.images.shape[1:]), one.variables) for name, one in sessions.items()}
    if len(set(shapes.values())) != 1:
        listed = "; ".join(f"{name}: {shape}" for name, shape in shapes.items())
        raise InputError(
            f"one core needs images of one size and the same behaviour, but there are {listed}; "
            "set stimulus.size_px and stimulus.leave_out"
        )
    shape, variables = next(iter(shapes.values()))
    return {"image_shape": list(shape), "behaviour_dim": len(variables)}


def fit_encoder(
    sessions: Sessions, options: FitOptions, fabric: Fabric, folder: Path,
    core: Mapping[str, torch.Tensor] | None = None,
) -> tuple[Encoder, Path]:  # fmt: skip
    """Train an encoder; the best weights on the validation trials are kept.

    Parameters
    ----------
    sessions : mapping of str to EncodingSession
    options : FitOptions
    fabric : Fabric
    folder : Path
        Of the resumable state.
    core : mapping of str to torch.Tensor, optional
        Weights of a trained core, which stay as they are: only readouts are trained.

    Returns
    -------
    Encoder
        In evaluation mode.
    Path
        The metrics.
    """
    torch.manual_seed(options.seed)
    populations = {name: session.population() for name, session in sessions.items()}
    encoder = build_encoder(options.encoder, populations, **architecture(sessions))
    if core is not None:
        encoder.core.load_state_dict(core)
    n_training = {name: len(session.trials("train")) for name, session in sessions.items()}
    objective = EncoderObjective(
        encoder, n_training, options.penalty, options.seed, frozen_core=core is not None
    )
    log = train(
        objective,
        lambda step: draw_batches(sessions, options.training.batch_size, options.seed, step),
        options.training, fabric, folder,
        validate=lambda: {"correlation": mean_correlation(encoder, sessions, "validation")},
        selection=options.selection,
    )  # fmt: skip
    return encoder.eval(), log


def poisson_loss(response: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
    """``p − r ln p`` of each entry, for rates p ≥ 0."""
    return predicted - response * torch.log(predicted + torch.finfo(torch.float32).eps)


@torch.no_grad()
def predict(
    encoder: Encoder,
    session: EncodingSession,
    trials: NDArray[np.integer],
    behaviour: torch.Tensor | None = None,
    pupil: torch.Tensor | None = None,
    batch_size: int = 256,
) -> NDArray[np.float32]:
    """Predict normalised responses.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode.
    session : EncodingSession
    trials : integer array, (trial,)
    behaviour, pupil : torch.Tensor, (trial, …), optional
        Instead of what was recorded in these trials.
    batch_size : int

    Returns
    -------
    array, (unit, trial)
    """
    device = next(encoder.parameters()).device
    parts = []
    for first in range(0, len(trials), batch_size):
        part = slice(first, first + batch_size)
        images, state, centre, _ = session.batch(trials[part])
        state = state if behaviour is None else behaviour[part]
        centre = centre if pupil is None else pupil[part]
        inputs = (one.to(device) for one in (images, state, centre))
        parts.append(encoder(session.name, *inputs).float().cpu())
    return torch.cat(parts).T.numpy()


def mean_correlation(
    encoder: Encoder, sessions: Mapping[str, EncodingSession], split: str
) -> float:
    """Mean over all mice's units of the single-trial correlation; a unit without r counts as 0."""
    correlations = []
    for session in sessions.values():
        trials = session.trials(split)
        predicted = predict(encoder, session, trials).astype(float)
        correlations.append(pearson(session.response[trials].T.double().numpy(), predicted))
    return float(np.nan_to_num(np.concatenate(correlations)).mean())
