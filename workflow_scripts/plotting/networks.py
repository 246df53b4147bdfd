"""How the networks and maps of a figure are told apart: words, colours, lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from matplotlib.typing import LineStyleType

from workflow_scripts.analysis.networks import Network
from workflow_scripts.plotting.colours import BLACK, BROWN, COLOURS, GREEN, GREY, YELLOW

_CONTROL_COLOURS = (BLACK, GREY, BROWN)  # of networks that no spatial loss has shaped
_MARKERS = "os^D"
_SEED_LINES: tuple[LineStyleType, ...] = ("-", (0, (3, 1.2)), (0, (1, 1)), (0, (6, 1, 1, 1)))


def training_of(networks: Iterable[Network]) -> str:
    """Say how long and from where each variant was trained."""
    said = dict.fromkeys(
        f"{one.variant_label} {one.steps} steps from "
        f"{f'the weights of {one.start}' if one.start else 'scratch'}"
        for one in networks
    )
    return f"Training: {'; '.join(said)}."


class Look(NamedTuple):
    """How the lines of networks look."""

    colours: dict[str, str]
    """By variant."""
    lines: dict[int, LineStyleType]
    """By seed."""

    @classmethod
    def of(cls, networks: Iterable[Network]) -> Look:
        """Give every variant a colour and every seed a line."""
        networks = list(networks)
        colours: dict[str, str] = {}
        for palette, spatial in ((COLOURS, True), (_CONTROL_COLOURS, False)):
            variants = dict.fromkeys(n.variant for n in networks if (n.alpha > 0) == spatial)
            colours |= {name: palette[i % len(palette)] for i, name in enumerate(variants)}
        seeds = sorted({network.seed for network in networks})
        return cls(
            colours, {seed: _SEED_LINES[i % len(_SEED_LINES)] for i, seed in enumerate(seeds)}
        )


class Mark(NamedTuple):
    """How the points of a subject look."""

    colour: str
    marker: str

    @classmethod
    def of(cls, subjects: Iterable[str], networks: Iterable[Network]) -> dict[str, Mark]:
        """Give networks their variant's colour and seed's marker, and others colours of their own.

        Green is left to values in vivo.
        """
        known = {network.name: network for network in networks}
        look = Look.of(known.values())
        seeds = list(look.lines)
        free = [c for c in (*COLOURS, YELLOW, BROWN) if c not in {GREEN, *look.colours.values()}]
        marks, n_others = {}, 0
        for name in subjects:
            if name in known:
                network = known[name]
                colour, turn = look.colours[network.variant], seeds.index(network.seed)
            else:
                colour, turn = free[n_others % len(free)], n_others // len(free)
                n_others += 1
            marks[name] = cls(colour, _MARKERS[turn % len(_MARKERS)])
        return marks
