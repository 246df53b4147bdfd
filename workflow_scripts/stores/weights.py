"""Weights as safetensors: tensors and a record, never code, with a checksum of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.errors import InputError

if TYPE_CHECKING:
    import torch


def save_weights(
    path: Path, tensors: Mapping[str, torch.Tensor], record: Mapping[str, Any] | None = None
) -> None:
    """Write tensors, atomically, and a JSON-serialisable record beside them."""
    from safetensors.torch import save_file  # noqa: PLC0415 - loads torch

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(dict(record or {}))
    # One entry of metadata, for the file does not keep the order of several.
    metadata = {"record": json.dumps({"sha256": _digest(plain, text), "record": text})}
    with atomic_path(path) as temporary:
        save_file(plain, temporary, metadata=metadata)


def load_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `save_weights` wrote: the tensors, on the CPU, and the record.

    Raises
    ------
    InputError
        The file is missing, damaged or none of these.
    """
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            stated = json.loads((file.metadata() or {})["record"])
            intact = stated["sha256"] == _digest(tensors, stated["record"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no readable weights ({error}); delete and rerun") from error
    if not intact:
        raise InputError(f"{path}: damaged, its checksum does not agree; delete and rerun")
    return tensors, json.loads(stated["record"])


def _digest(tensors: Mapping[str, torch.Tensor], record: str) -> str:
    import torch  # noqa: PLC0415

    digest = hashlib.sha256(record.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
