"""The networks and maps that figures and summaries compare, and their tuning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from workflow_scripts.analysis.inputs import read_columns


@dataclass(frozen=True)
class Network:
    """A trained network.

    Parameters
    ----------
    name : str
        Variant and seed, such as ``full_s0``.
    alpha : float
        Weight of the spatial loss; 0 is the control that contrast alone has shaped.
    steps : int
        Training steps.
    queue_length : int
        K, the keys that each query is told apart from.
    start : str, optional
        Variant whose weights it started from; from scratch without.
    """

    name: str
    alpha: float
    steps: int
    queue_length: int
    start: str | None = None

    @property
    def variant(self) -> str:
        """Name without the seed."""
        return self.name.rpartition("_s")[0]

    @property
    def seed(self) -> int:
        """Number of the seed."""
        return int(self.name.rpartition("_s")[2])

    @property
    def variant_label(self) -> str:
        """Variant and spatial weight, for people."""
        return f"{self.variant} (α = {self.alpha:g})"

    @property
    def label(self) -> str:
        """Variant, spatial weight and seed, for people."""
        return f"{self.variant_label}, seed {self.seed}"


Role = Literal["spatial", "source", "control"]
Method = Literal["optimised", "gratings", "shuffled", "random"]


@dataclass(frozen=True)
class NetworkMap:
    """A network's tuning on a placement of its units.

    Parameters
    ----------
    comparison : str
        What the map is drawn for: the network's variant, or the name of a control.
    network : Network
        Whose tuning.
    positions : str
        Whose places, such as ``optimised_s0``.
    role : {"spatial", "source", "control"}
        ``spatial``: the spatial loss has trained the network on these positions; ``source``: the
        positions were made of the responses of this network, which no spatial loss has trained;
        ``control``: neither, so there should be no map.
    method : {"optimised", "gratings", "shuffled", "random"}
        How the places were found; see `place_units`. ``gratings`` knows the answer.
    """

    comparison: str
    network: Network
    positions: str
    role: Role
    method: Method = field(default="optimised", kw_only=True)

    @property
    def label(self) -> str:
        """What is shown, for people, without the seed."""
        if self.role == "source":
            made_of = " (of grating responses)" if self.method == "gratings" else ""
            return f"{self.network.variant_label}, same positions{made_of}"
        if self.comparison == self.network.variant:
            return self.network.variant_label
        return f"{self.network.variant_label}, {self.comparison.replace('_', ' ')}"


def read_tuning(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """Read a table of `measure_tuning`, border units left out.

    Raises
    ------
    InputError
        The table is unreadable, or lacks one of the columns.
    """
    table = read_columns(path, ("layer", "channel", "border", *columns), "measure_tuning")
    inner = table.loc[~table.border].reset_index(drop=True)
    inner.attrs = table.attrs
    return inner
