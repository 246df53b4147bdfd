"""The encoders of a study, as names: which are trained on which sessions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.configuration import Config, resolve_variant
from workflow_scripts.workflow.names import Named
from workflow_scripts.workflow.validation import closest


class CrossValidated(NamedTuple):
    """An encoder that predicts every trial of one session."""

    encoder: str
    session: str


@dataclass(frozen=True)
class Encoders:
    """The config's section `v1t` and the sessions of the sheet; without sessions there is nothing.

    Parameters
    ----------
    config : Config
    sessions : collection of str
    """

    config: Config
    sessions: Collection[str]

    def settings(self, encoder: str) -> dict[str, Any]:
        """Settings of one encoder."""
        return resolve_variant(self.config, Named.parse(encoder).kind)

    @property
    def compared(self) -> list[str]:
        """The encoders whose figures are drawn."""
        return self._named(self.config["run_variants"])

    @property
    def interpreted(self) -> str:
        """The encoder whose attention and digital twins are drawn, where any are compared."""
        return str(Named(self.config["interpreted"], self.config["seeds"][0]))

    @property
    def cross_validated(self) -> list[CrossValidated]:
        """Encoders of small sessions."""
        return [
            CrossValidated(encoder, one["session"])
            for one in self.config["cross_validated"]
            for encoder in self._named(one["variants"])
        ]

    @property
    def added(self) -> list[str]:
        """Names of all encoders that keep another one's core."""
        return [name for name in self._named(self.config["variants"]) if self.core_of(name)]

    def sessions_of(self, encoder: str) -> list[str]:
        """Name the sessions that an encoder is trained on."""
        return self.settings(encoder)["sessions"] or self.config["sessions"]

    def core_of(self, encoder: str) -> list[str]:
        """Name the encoder whose core is kept, if any."""
        kept = self.settings(encoder)["core_from"]
        return [] if kept is None else [str(Named(kept, Named.parse(encoder).seed))]

    def _named(self, variants: Collection[str]) -> list[str]:
        seeds = self.config["seeds"] if self.sessions else []
        return [str(Named(variant, seed)) for variant in variants for seed in seeds]


def check_encoder_sessions(config: Config, sessions: Collection[str]) -> None:
    """Check that the sheet has the sessions that the encoders of a study need.

    Raises
    ------
    InputError
        It lacks one.
    """
    encoders = Encoders(config, sessions)
    needed = {one.session: "v1t.cross_validated" for one in encoders.cross_validated}
    for encoder in encoders.compared:
        needed |= dict.fromkeys(encoders.sessions_of(encoder), "v1t.sessions")
    for name, field in needed.items():
        if name not in sessions:
            raise InputError(
                f"{field}: the sheet of sessions has no '{name}'; {closest(name, list(sessions))}"
            )
