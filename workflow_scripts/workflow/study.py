"""What a study consists of: its sessions, batches, networks, placements and maps, as names.

Rules turn the names into paths; `stage_options` turns them into the options of stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.configuration import (
    CASCADE,
    Config,
    check_config,
    resolve_variant,
)
from workflow_scripts.workflow.encoders import Encoders, check_encoder_sessions
from workflow_scripts.workflow.names import Named
from workflow_scripts.workflow.sessions import Session, read_sessions
from workflow_scripts.workflow.videos import Video, batches_of_videos
from workflow_scripts.workflow.vist_study import VistStudy


class MapName(NamedTuple):
    """A network's tuning drawn on a placement of its units."""

    comparison: str
    network: str
    positions: str


@contextmanager
def noted(problems: list[str]) -> Iterator[None]:
    """Note the problem that the block meets, if it does, and go on: there may be more."""
    try:
        yield
    except InputError as error:
        problems.append(str(error))


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
        problems: list[str] = []
        batches: dict[str, tuple[Video, ...]] = {}
        sessions: dict[str, Session] = {}
        with noted(problems):
            batches = batches_of_videos(config["videos"], root)
        with noted(problems):
            sessions = read_sessions(config["sessions"]["source"], root)
        study = cls(config, batches, sessions)
        problems = problems or study.missing_sessions()
        if problems:
            raise InputError("\n".join(problems))
        return study

    def missing_sessions(self) -> list[str]:
        """List what the config asks of sessions that the sheet does not have."""
        problems: list[str] = []
        with noted(problems):
            check_encoder_sessions(self.config["v1t"], self.sessions)
        for alignment in self.alignments:
            with noted(problems):
                self.sessions_of(alignment)
        with noted(problems):
            _ = self.vist
        return problems

    def sessions_where(self, column: str, *values: Any) -> list[str]:
        """Name the sessions whose sheet has one of some values in a column."""
        return [name for name, one in self.sessions.items() if one.fields.get(column) in values]

    def session_file(self, column: str) -> Callable[[Any], list[str]]:
        """Make the input function of the file in a column of the sheet of sessions."""
        return lambda wildcards: self.sessions[wildcards.session].file(column)

    def settings(self, network: str) -> dict[str, Any]:
        """Settings of one network."""
        return resolve_variant(self.config["tdann"], Named.parse(network).kind)

    @property
    def alignments(self) -> list[str]:
        """The alignments whose figures are drawn; none where there are no recordings."""
        if not self.sessions:
            return []
        dina = self.config["dina"]
        return [str(Named(kind, seed)) for kind in dina["run_variants"] for seed in dina["seeds"]]

    def sessions_of(self, alignment: str) -> list[str]:
        """Name the sessions that an alignment is trained on.

        Raises
        ------
        InputError
            One of them is not in the sheet.
        """
        variant = Named.parse(alignment).kind
        named = resolve_variant(self.config["dina"], variant)["sessions"]
        for session in named:
            if session not in self.sessions:
                raise InputError(
                    f"dina.variants.{variant}: the sheet of sessions has no '{session}'; name its "
                    "sessions with images, or take the variant out of dina.run_variants"
                )
        return named

    @property
    def encoders(self) -> Encoders:
        """The encoders of recorded neurons."""
        return Encoders(self.config["v1t"], list(self.sessions))

    @cached_property
    def vist(self) -> VistStudy:
        """The retina's tasks and encoders."""
        return VistStudy(self.config["vist"], self.sessions)

    @property
    def networks(self) -> list[str]:
        """The networks whose figures are drawn."""
        tdann = self.config["tdann"]
        return [str(Named(kind, seed)) for kind in tdann["run_variants"] for seed in tdann["seeds"]]

    @property
    def physiology_networks(self) -> list[str]:
        """The networks that are shown more than gratings and dots, the fixed model last."""
        chosen = self.config["physiology"]
        named = [Named(kind, seed) for kind in chosen["variants"] for seed in chosen["seeds"]]
        return [*map(str, named), str(Named(CASCADE, 0))]

    @property
    def explored_physiology(self) -> list[str]:
        """The networks with a map that are shown more than gratings and dots."""
        drawn = {one.network for one in self.maps}
        return [name for name in self.physiology_networks if name in drawn]

    def shows_natural_clips(self, battery: str) -> bool:
        """Whether a battery needs the videos."""
        return bool(self.config["stimuli"]["batteries"][battery].get("natural"))

    @property
    def sweep(self) -> list[MapName]:
        """Every network of the sweep on its own positions."""
        sweep = self.config["sweep"]
        named = [Named(kind, seed) for kind in sweep["variants"] for seed in sweep["seeds"]]
        return [self._own_map(name) for name in named]

    def differs_in_alpha_alone(self, network: str) -> bool:
        """Whether only the spatial weight tells a network from the one that all share."""
        settings = self.settings(network)
        shared = self.config["tdann"]["network"]
        settings["spatial"]["alpha"] = shared["spatial"]["alpha"]
        return settings == shared

    @property
    def maps(self) -> list[MapName]:
        """Each network on its own positions, the controls, and last what these leave out.

        That is the decisive control, each network whose responses made positions that a spatial
        loss trains on, on these positions.
        """
        own = [self._own_map(Named.parse(network)) for network in self.networks]
        drawn = [*own, *self._controls()]
        there = {(one.network, one.positions) for one in drawn}
        return [*drawn, *(one for one in self._sources() if one[1:] not in there)]

    @property
    def filmed(self) -> list[MapName]:
        """The networks of the movies, on their own positions."""
        movies = self.config["movies"]
        return [self._own_map(Named(kind, movies["seed"])) for kind in movies["variants"]]

    def snapshots(self, network: str) -> list[int]:
        """Numbers of steps after which a network's weights are kept: for the movies alone."""
        if network not in [one.network for one in self.filmed]:
            return []
        last = self.settings(network)["training"]["steps"]
        return sorted({step for step in self.config["movies"]["snapshots"] if step < last} | {last})

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
        return [self.source_of(positions)] if self.method(positions) == "gratings" else []

    def method(self, positions: str) -> str:
        """Say how the units are placed."""
        return self.config["positions"]["kinds"][Named.parse(positions).kind]["method"]

    def role(self, drawn: MapName) -> Literal["spatial", "source", "control"]:
        """Say what a map may show.

        ``spatial``: the spatial loss trained the network on these positions; ``source``: they were
        optimised on this network's responses; ``control``: neither, so there should be no map.
        """
        if drawn.positions in self.positions_of(drawn.network):
            return "spatial"
        own = self.source_of(drawn.positions) == drawn.network
        return "source" if own and self._are_optimised(drawn.positions) else "control"

    def _own_map(self, name: Named) -> MapName:
        kind = self.settings(str(name))["positions"]
        return MapName(name.kind, str(name), str(Named(kind, name.seed)))

    def _are_optimised(self, positions: str) -> bool:
        return self.method(positions) in ("optimised", "gratings")

    def _sources(self) -> list[MapName]:
        used = dict.fromkeys(one for name in self.networks for one in self.positions_of(name))
        sources = {one: self.source_of(one) for one in used if self._are_optimised(one)}
        return [MapName(Named.parse(name).kind, name, one) for one, name in sources.items()]

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
