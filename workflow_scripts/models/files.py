"""Models on disk: weights as safetensors with a checksum, their description as JSON beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import write_json
from workflow_scripts.stores.weights import load_weights, save_weights

Network = TypeVar("Network", bound=nn.Module)


def save_model(
    network: nn.Module,
    weights: Path,
    config: Path,
    description: dict[str, Any],
    provenance: dict[str, Any],
) -> None:
    """Write a network and what it is, each file atomically.

    Parameters
    ----------
    network : nn.Module
    weights, config : Path
        ``model.safetensors`` and ``model.json``.
    description : dict
        What builds the network again, and whatever else describes it; JSON-serialisable.
    provenance : dict
        From `stores.provenance`. What of it differs between equal runs stays out of the content
        hash, or everything downstream would differ, too.
    """
    save_weights(weights, network.state_dict())
    write_json(config, description, provenance)


def load_into(network: Network, weights: Path, config: Path) -> Network:
    """Fill a network that was built by a description, and set it to evaluation mode.

    Raises
    ------
    InputError
        The weights are missing or damaged, or not of the network that `config` describes.
    """
    try:
        network.load_state_dict(load_weights(weights)[0])
    except RuntimeError as error:
        raise InputError(
            f"{weights}: no weights of the network that {config} describes: {error}"
        ) from error
    return network.eval()
