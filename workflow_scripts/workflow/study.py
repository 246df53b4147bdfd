"""What a study consists of: its sessions, batches, networks, placements and maps, as names.

Rules turn the names into paths; `stage_options` turns them into the options of stages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.configuration import Config, check_config, resolve_variant
from workflow_scripts.workflow.sessions import Session, read_sessions
from workflow_scripts.workflow.videos import Video, batches_of_videos
from workflow_scripts.workflow.vist_study import VistStudy

VARIANT = r"[a-z][a-z0-9_]*"
NETWORK = rf"{VARIANT}_s\d+"


class Named(NamedTuple):
    """A variant of a network, or a kind of positions, and its seed: ``full_s0``."""

    kind: str
    seed: int

    def __str__(self) -> str:
        return f"{self.kind}_s{self.seed}"

    @classmethod
    def parse(cls, name: str) -> Named:
        """Read a name back.

        Raises
        ------
        InputError
            If `name` is not like ``full_s0``.
        """
        match = re.fullmatch(rf"({VARIANT})_s(\d+)", name)
        if match is None:
            raise InputError(f"'{name}' names no network or positions; write VARIANT_sSEED")
        return cls(match[1], int(match[2]))


class MapName(NamedTuple):
    """A network's tuning drawn on a placement of its units."""

    comparison: str
    network: str
    positions: str


@dataclass(frozen=True)
class Study:
    """One checked config, the videos of each batch and the recording sessions."""

    config: Config
    batches: dict[str, tuple[Video, ...]]
    sessions: dict[str, Session] = field(default_factory=dict)

    @classmethod
    def from_config(cls, config: Config, files: Sequence[Path], root: Path) -> Study:
        """Check the whole config and the videos and sessions it names.

        Raises
        ------
        InputError
            Naming every problem at once.
        """
        check_config(config, files, root)
        batches = batches_of_videos(config["videos"], root)
        return cls(config, batches, read_sessions(config["sessions"]["source"], root))

    def sessions_where(self, column: str, *values: Any) -> list[str]:
        """Name the sessions whose sheet has one of some values in a column."""
        return [name for name, one in self.sessions.items() if one.fields.get(column) in values]

    def session_file(self, column: str) -> Callable[[Any], list[str]]:
        """Make the input function of the file in a column of the sheet of sessions."""
        return lambda wildcards: self.sessions[wildcards.session].file(column)

    def settings(self, network: str) -> dict[str, Any]:
        """Settings of one network."""
        return resolve_variant(self.config["tdann"], Named.parse(network).kind)

    @cached_property
    def vist(self) -> VistStudy:
        """The retina's tasks and encoders."""
        return VistStudy(self.config, self.sessions)

    @property
    def networks(self) -> list[str]:
        """The networks whose figures are drawn."""
        tdann = self.config["tdann"]
        return [str(Named(kind, seed)) for kind in tdann["run_variants"] for seed in tdann["seeds"]]

    @property
    def maps(self) -> list[MapName]:
        """Each network on its own positions, and the controls."""
        own = [
            MapName(
                name.kind, str(name), str(Named(self.settings(str(name))["positions"], name.seed))
            )
            for name in map(Named.parse, self.networks)
        ]
        return [*own, *self._controls()]

    def positions_of(self, network: str) -> list[str]:
        """Name the positions that a network is trained on: none where there is no spatial loss."""
        settings = self.settings(network)
        if settings["spatial"]["alpha"] == 0:
            return []
        return [str(Named(settings["positions"], Named.parse(network).seed))]

    def start_of(self, network: str) -> list[str]:
        """Name the network whose weights a network starts from, if any."""
        start = self.settings(network)["start"]
        return [] if start is None else [str(Named(start, Named.parse(network).seed))]

    def source_of(self, positions: str) -> str:
        """Name the network whose responses place the units."""
        kind, seed = Named.parse(positions)
        return str(Named(self.config["positions"]["kinds"][kind]["source"], seed))

    def gratings_of(self, positions: str) -> list[str]:
        """Name the network whose grating responses place the units: none where clips do."""
        return [self.source_of(positions)] if self._method(positions) == "gratings" else []

    def role(self, drawn: MapName) -> Literal["spatial", "source", "control"]:
        """Say what a map may show.

        ``spatial``: the spatial loss trained the network on these positions; ``source``: they were
        optimised on this network's responses; ``control``: neither, so there should be no map.
        """
        if drawn.positions in self.positions_of(drawn.network):
            return "spatial"
        optimised = self._method(drawn.positions) in ("optimised", "gratings")
        own = self.source_of(drawn.positions) == drawn.network
        return "source" if optimised and own else "control"

    def _method(self, positions: str) -> str:
        return self.config["positions"]["kinds"][Named.parse(positions).kind]["method"]

    def _controls(self) -> list[MapName]:
        seeds = self.config["tdann"]["seeds"]
        return [
            MapName(
                comparison,
                str(Named(control["variant"], other if control["other_seed"] else seed)),
                str(Named(control["positions"], seed)),
            )
            for comparison, control in self.config["comparisons"].items()
            for seed, other in zip(seeds, [*seeds[1:], seeds[0]], strict=True)
        ]
