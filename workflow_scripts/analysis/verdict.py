"""Whether a map is there: one rule, computed from the statistics of maps and controls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from scipy.stats import combine_pvalues

from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.networks import Method, NetworkMap
from workflow_scripts.analysis.preferences import Preference
from workflow_scripts.analysis.seeds import FEWEST_SEEDS, half_width_over_seeds
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_json

Level = Literal[
    "not measured", "absent", "inconsistent", "not beyond controls", "suggested", "present"
]

LARGEST_P = 0.01
LARGEST_CONTROL_P = 0.05
MADE_OF_RESPONSES: tuple[Method, ...] = ("optimised", "gratings")
RULE = (
    "For each network with a spatial loss and each layer: 'not measured' where a p-value is "
    "missing, or the α = 0 network whose responses made the positions was not mapped on them; "
    "otherwise 'absent' unless, for pairs of different "
    "channels near each other, preferences differ less than under permuted channel labels "
    f"(p < {LARGEST_P}) in some seed; 'inconsistent' unless in every seed; 'not beyond controls' "
    "where a control (an α = 0 network on positions that were not made of its own responses) "
    f"differs from its own null, too (p < {LARGEST_CONTROL_P}, the seeds' p-values combined after "
    "Fisher), or where the α = 0 network that the positions were made of does and the smoothness "
    "index does not exceed that network's (95 % interval of the mean difference above 0: over the "
    f"channels of the seeds that were run, and from {FEWEST_SEEDS} seeds on Student's over the "
    "seeds' differences where that is wider); "
    f"'present' where the index exceeds it, there are controls and {FEWEST_SEEDS} seeds or more; "
    "otherwise 'suggested'."
)


class MeasuredMap(NamedTuple):
    """A map and the statistics of its layers."""

    of: NetworkMap
    layers: dict[str, dict[str, Any]]

    def near(self, layer: str, preference: Preference) -> dict[str, float]:
        """Statistics of near pairs; what could not be measured is NaN."""
        values = self.layers[layer][preference]["near"]
        return {name: math.nan if value is None else value for name, value in values.items()}


@dataclass(frozen=True)
class Difference:
    """Mean over seeds of a difference between smoothness indices, with its interval; see `RULE`."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """What the maps of one variant say about one layer.

    Attributes
    ----------
    variant, layer, preference : str
    method : Method
        How the positions were found; see `label`.
    level : Level
        See `RULE`.
    p : dict of str to float
        By network: of its own map.
    control_p : dict of str to float
        By comparison: of the controls, combined over seeds.
    same_positions_p : float or None
        Of the α = 0 networks on the positions made of their own responses, combined over seeds.
    beyond_same_positions : Difference or None
        Smoothness index less that of these networks.
    """

    variant: str
    layer: str
    preference: Preference
    method: Method
    level: Level
    p: dict[str, float]
    control_p: dict[str, float]
    same_positions_p: float | None
    beyond_same_positions: Difference | None

    @property
    def label(self) -> str:
        """The variant, for people, and that it is a control where its positions know the answer."""
        if self.method == "gratings":
            return f"{self.variant} (a control: its positions were made of responses to gratings)"
        return self.variant


def read_maps(maps: Sequence[NetworkMap], statistics: Sequence[Path]) -> list[MeasuredMap]:
    """Read the statistics that `measure_map` wrote.

    Raises
    ------
    InputError
        A file is unreadable, has no layers, or has other layers than the first.
    """
    measured = []
    for of_map, path in paired(maps, statistics, "statistics"):
        layers = read_json(path).get("layers", {})
        if not layers or (measured and layers.keys() != measured[0].layers.keys()):
            raise InputError(
                f"{path}: layers {sorted(layers)}; all maps of a study need the same, one or more: "
                "rerun measure_map"
            )
        measured.append(MeasuredMap(of_map, layers))
    return measured


def judge(maps: Sequence[MeasuredMap], preference: Preference = "direction") -> list[Verdict]:
    """Judge every variant with a spatial loss in every layer by `RULE`."""
    variants = dict.fromkeys(one.of.network.variant for one in maps if one.of.role == "spatial")
    layers = list(maps[0].layers)
    return [_judge(maps, variant, layer, preference) for variant in variants for layer in layers]


def _judge(
    maps: Sequence[MeasuredMap], variant: str, layer: str, preference: Preference
) -> Verdict:
    own = [one for one in maps if one.of.role == "spatial" and one.of.network.variant == variant]
    p = {one.of.network.name: one.near(layer, preference)["p"] for one in own}
    control_p = _control_p(maps, layer, preference)
    pairs = _same_positions(own, maps)
    source_p = _combined([source.near(layer, preference)["p"] for _, source in pairs])
    difference = _mean_difference(pairs, layer, preference)
    level = _level(list(p.values()), list(control_p.values()), source_p, difference)
    method = own[0].of.method
    if method in MADE_OF_RESPONSES and len(pairs) < len(own):
        level = "not measured"
    return Verdict(variant, layer, preference, method, level, p, control_p, source_p, difference)


def _level(
    p: list[float], control_p: list[float], source_p: float | None, difference: Difference | None
) -> Level:
    if any(math.isnan(one) for one in [*p, *control_p, source_p or 0.0]):
        return "not measured"
    significant = sum(one < LARGEST_P for one in p)
    if significant < len(p):
        return "inconsistent" if significant else "absent"
    beyond = difference is not None and difference.low > 0
    carried = source_p is not None and source_p < LARGEST_CONTROL_P and not beyond
    if carried or any(one < LARGEST_CONTROL_P for one in control_p):
        return "not beyond controls"
    return "present" if len(p) >= FEWEST_SEEDS and control_p and beyond else "suggested"


def _control_p(maps: Sequence[MeasuredMap], layer: str, preference: Preference) -> dict[str, float]:
    by_comparison: dict[str, list[float]] = {}
    for one in maps:
        if one.of.role == "control":
            p = one.near(layer, preference)["p"]
            by_comparison.setdefault(one.of.comparison, []).append(p)
    return {name: cast("float", _combined(p)) for name, p in by_comparison.items()}


def _combined(p: Sequence[float]) -> float | None:
    """Combine independent p-values after Fisher; None of none."""
    return float(cast("Any", combine_pvalues(p)).pvalue) if p else None


def _same_positions(
    own: Sequence[MeasuredMap], maps: Sequence[MeasuredMap]
) -> list[tuple[MeasuredMap, MeasuredMap]]:
    """Pair each map with that of the α = 0 network which its positions were made of."""
    sources = {one.of.positions: one for one in maps if one.of.role == "source"}
    return [(one, sources[one.of.positions]) for one in own if one.of.positions in sources]


def _mean_difference(
    pairs: Sequence[tuple[MeasuredMap, MeasuredMap]], layer: str, preference: Preference
) -> Difference | None:
    """Average over pairs; the channels of two networks are independent samples."""
    if not pairs:
        return None
    near = [[one.near(layer, preference) for one in pair] for pair in pairs]
    differences = [own["smoothness_index"] - source["smoothness_index"] for own, source in near]
    variance = sum(_standard_error(one) ** 2 for pair in near for one in pair)
    over_channels = 1.96 * math.sqrt(variance) / len(pairs)
    # Channels say nothing of the seeds that were not run; three seeds may agree by chance.
    half_width = float(np.fmax(over_channels, half_width_over_seeds(differences)))
    mean = sum(differences) / len(pairs)
    return Difference(mean, mean - half_width, mean + half_width)


def _standard_error(near: dict[str, float]) -> float:
    """Standard error of a smoothness index 1 − Δ / null from the bootstrap interval of Δ.

    Too large rather than too small: resampled channels shift the null along with Δ.
    """
    return (near["high_deg"] - near["low_deg"]) / (2 * 1.96) / near["null_mean_deg"]
