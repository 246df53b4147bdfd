"""Trains one encoder, V1T or a baseline, on the sessions of many mice."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from workflow_scripts.models.cortex_encoders import save_encoder
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.training.encoders import FitOptions, architecture, fit_encoder
from workflow_scripts.training.encoding_sessions import read_encoding_session
from workflow_scripts.training.machine import launch_fabric
from workflow_scripts.training.state import state_key


def train_encoder(
    sessions: list[Path], model: Path, config: Path, metrics: Path, state: Path, options: FitOptions
) -> None:
    """Train core and readouts together.

    Parameters
    ----------
    sessions : list of Path
        Session stores, one per mouse.
    model, config, metrics : Path
        Outputs: ``model.safetensors``, ``model.json`` and ``metrics.jsonl``.
    state : Path
        Folder in which interrupted runs are kept, each under a key of its inputs, options and
        code. Not an output of the rule: see `training.state`.
    options : FitOptions

    Raises
    ------
    InputError
        A session holds no trials with images; sessions that one core cannot see; a loss that is
        not finite (the last good state is kept).
    """
    record = provenance("train_encoder", options, sessions, seed=options.seed, weights="trained")
    read = [read_encoding_session(path, options.stimulus) for path in sessions]
    mice = {session.name: session for session in read}
    shape = architecture(mice)
    fabric = launch_fabric(options.machine, together=True)
    encoder, log = fit_encoder(mice, options, fabric, state / state_key(record))
    if not fabric.is_global_zero:
        return
    described = {"options": dataclasses.asdict(options.encoder), **shape}
    save_encoder(encoder, model, config, described, record)
    shutil.copyfile(log, metrics)


if __name__ == "__main__":
    run_stage(train_encoder)
