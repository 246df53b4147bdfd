"""The resumable state of a training run: one folder, one writer, whole or absent.

This folder is the only path that a rule does not declare: Snakemake deletes declared outputs
before it restarts a job, and with them the progress.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from workflow_scripts.stores.provenance import stable
from workflow_scripts.stores.weights import load_weights, save_weights


def state_key(record: Mapping[str, Any]) -> str:
    """Name the folder of a run's state: from its inputs, options and code, not its software.

    Parameters
    ----------
    record : mapping
        From `stores.provenance.provenance`.
    """
    keyed = {name: value for name, value in stable(record).items() if name != "software"}
    return hashlib.sha256(json.dumps(keyed, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; wait for another trainer that holds it.

    When Snakemake is killed its training job lives on. A second one started on the same state
    waits until the first has ended, and then continues from its last state.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read() or "unknown"
            print(f"{folder}: process {owner} trains this model; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class State:
    """A training run so far.

    Attributes
    ----------
    step : int
        Steps taken.
    record : dict
        What the loop noted: plain values.
    kept : dict of str to dict of str to torch.Tensor
        Further sets of weights, such as the best so far.
    """

    step: int = 0
    record: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Weights] = field(default_factory=dict)


def save_state(
    folder: Path, step: int, module: torch.nn.Module, optimizer: torch.optim.Optimizer,
    record: dict[str, Any], kept: Mapping[str, Weights],
) -> None:  # fmt: skip
    """Write parameters, buffers (queues too), optimizer moments and the rest of a `State`.

    The file is whole or absent. Random numbers need no state: each step draws its own from the
    seed and its number.
    """
    tensors = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    moments = optimizer.state_dict()["state"]
    for index, state in moments.items():
        for name, value in state.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    for kind, weights in kept.items():
        tensors |= {f"kept.{kind}.{name}": tensor for name, tensor in weights.items()}
    save_weights(folder / "state.safetensors", tensors, {"step": step, "record": record})


def load_state(folder: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> State:
    """Restore module and optimizer from what `save_state` wrote; step 0 where nothing was.

    Raises
    ------
    InputError
        The file is damaged.
    """
    path = folder / "state.safetensors"
    if not path.exists():
        return State()
    weights: Weights = {}
    moments: dict[int, Weights] = {}
    kept: dict[str, Weights] = {}
    tensors, saved = load_weights(path)
    for key, tensor in tensors.items():
        group, _, name = key.partition(".")
        if group == "module":
            weights[name] = tensor
            continue
        kind, _, name = name.partition(".")
        if group == "kept":
            kept.setdefault(kind, {})[name] = tensor
        else:
            moments.setdefault(int(kind), {})[name] = tensor
    module.load_state_dict(weights)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return State(saved["step"], saved["record"], kept)
