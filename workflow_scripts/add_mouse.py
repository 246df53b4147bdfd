"""Adds mice to a trained core: only their readouts and shifters are trained."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from workflow_scripts.models.cortex_encoders import save_encoder
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_json
from workflow_scripts.stores.weights import load_weights
from workflow_scripts.training.encoders import FitOptions, architecture, fit_encoder
from workflow_scripts.training.encoding_sessions import read_encoding_session
from workflow_scripts.training.machine import launch_fabric
from workflow_scripts.training.state import state_key


def add_mouse(
    sessions: list[Path], core: Path, core_config: Path, model: Path, config: Path, metrics: Path,
    state: Path, options: FitOptions,
) -> None:  # fmt: skip
    """Train the readouts of new mice on a frozen core.

    Parameters
    ----------
    sessions : list of Path
        Session stores of the new mice.
    core, core_config : Path
        The trained encoder, from `train_encoder`.
    model, config, metrics, state, options
        As of `train_encoder`.

    Raises
    ------
    InputError
        The core is another one, sees other images or behaviour, or has B-MLPs for its own mice.
    """
    inputs = [*sessions, core, core_config]
    record = provenance("add_mouse", options, inputs, seed=options.seed, weights="trained")
    trained = read_json(core_config)["encoder"]
    if dataclasses.asdict(options.encoder) != trained["options"]:
        raise InputError(f"{core_config}: another architecture than that asked for; use its own")
    if options.encoder.behaviour_per_mouse:
        raise InputError(f"{core_config}: its behaviour networks are of its own mice; share them")
    read = [read_encoding_session(path, options.stimulus) for path in sessions]
    mice = {session.name: session for session in read}
    for name, value in architecture(mice).items():
        if value != trained[name]:
            raise InputError(
                f"{core_config}: {name} is {trained[name]}, but the new sessions have {value}"
            )
    weights = {
        name.removeprefix("core."): tensor
        for name, tensor in load_weights(core)[0].items()
        if name.startswith("core.")
    }
    fabric = launch_fabric(options.machine, together=True)
    encoder, log = fit_encoder(mice, options, fabric, state / state_key(record), core=weights)
    if not fabric.is_global_zero:
        return
    save_encoder(encoder, model, config, trained, record)
    shutil.copyfile(log, metrics)


if __name__ == "__main__":
    run_stage(add_mouse)
