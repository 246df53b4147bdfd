"""Gathers the study's headline numbers and the verdict on its maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.analysis.channels import channel_medians, estimate
from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.metrics import at_the_end, read_metrics
from workflow_scripts.analysis.networks import Network, NetworkMap, read_tuning
from workflow_scripts.analysis.preferences import PREFERENCES
from workflow_scripts.analysis.verdict import RULE, MeasuredMap, Verdict, judge, read_maps
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import write_json

INDICES = ["vector_strength", "dsi", "orientation_strength", "reliability"]
TUNED_Q = 0.05
PATTERN = [
    "spacing_wavelet_mm", "spacing_spectrum_mm", "n_pinwheels", "density_per_mm2",
    "density_per_squared_spacing", "neighbour_same_spacings", "neighbour_opposite_spacings",
]  # fmt: skip


@dataclass(frozen=True)
class SummariseOptions:
    """What the study consists of.

    Parameters
    ----------
    networks : list of Network
        The networks, in the order of their tuning tables and metrics.
    maps : list of NetworkMap
        The maps, in the order of their statistics.
    """

    networks: list[Network]
    maps: list[NetworkMap]


def summarise(
    statistics: list[Path],
    tuning: list[Path],
    metrics: list[Path],
    summary: Path,
    options: SummariseOptions,
) -> None:
    """Write one record of the study.

    Parameters
    ----------
    statistics : list of Path
        Statistics of maps, from `measure_map`.
    tuning : list of Path
        Tables from `measure_tuning`.
    metrics : list of Path
        Metrics (JSON lines) from `train_tdann`.
    summary : Path
        Record (JSON) to write: ``verdict`` (one sentence), ``rule``, ``verdicts`` (one for each
        variant with a spatial loss, layer and preference), ``maps`` (name → layer → preference:
        near pairs, spacing, densities, each with interval and surrogates) and ``networks`` (name →
        training, and tuning of each layer). What could not be measured is null.
    options : SummariseOptions

    Raises
    ------
    InputError
        An input is unreadable, or the inputs do not agree.
    """
    maps = read_maps(options.maps, statistics)
    judged = {preference: judge(maps, preference) for preference in PREFERENCES}
    tables = paired(options.networks, tuning, "tuning")
    logs = paired(options.networks, metrics, "metrics")
    record = {
        "verdict": _headline(judged["direction"]),
        "rule": RULE,
        "verdicts": [asdict(one) for preference in PREFERENCES for one in judged[preference]],
        "maps": {f"{one.of.network.name}_on_{one.of.positions}": _map_record(one) for one in maps},
        "networks": {
            network.name: {"training": _training(network, log), "tuning": _tuning(table)}
            for (network, table), (_, log) in zip(tables, logs, strict=True)
        },
    }
    attributes = provenance("summarise", options, [*statistics, *tuning, *metrics])
    write_json(summary, record, attributes)


def _headline(verdicts: Sequence[Verdict]) -> str:
    """One sentence on the direction maps: the layers by level, for every variant."""
    parts = []
    for variant in dict.fromkeys(one.variant for one in verdicts):
        of_variant = [one for one in verdicts if one.variant == variant]
        levels = dict.fromkeys(one.level for one in of_variant)
        found = (
            f"{level} in {', '.join(one.layer for one in of_variant if one.level == level)}"
            for level in levels
        )
        n_seeds = max(len(one.p) for one in of_variant)
        label = of_variant[0].label
        parts.append(f"direction map of {label} ({n_seeds} seeds): {'; '.join(found)}")
    return ". ".join(parts) or "no network with a spatial loss was mapped"


def _map_record(one: MeasuredMap) -> dict[str, Any]:
    return {
        **asdict(one.of),
        "layers": {layer: _layer_record(one, layer) for layer in one.layers},
    }


def _layer_record(one: MeasuredMap, layer: str) -> dict[str, Any]:
    statistics = one.layers[layer]
    sizes = {name: statistics[name] for name in ("n_units", "n_channels", "sheet_mm", "kernel_mm")}
    preferences = {}
    for preference in PREFERENCES:
        pattern = statistics[preference]["pattern"]
        preferences[preference] = {
            "near": one.near(layer, preference),
            **{name: pattern[name] for name in PATTERN},
            "density_conditions": pattern["density_conditions"],
            "wiring": statistics[preference]["wiring"],
        }
    return {**sizes, **preferences, "fractures": statistics["fractures"]}


def _training(network: Network, path: Path) -> dict[str, Any]:
    metrics = read_metrics(path)
    end = {} if metrics.empty else at_the_end(metrics).drop(["step", "learning_rate"]).to_dict()
    return {
        **asdict(network),
        "steps_done": 0 if metrics.empty else int(metrics.step.max()),
        "chance_loss": math.log(network.queue_length + 1),
        "chance_accuracy": 1 / (network.queue_length + 1),
        "last_tenth": end,
    }


def _tuning(path: Path) -> dict[str, Any]:
    columns = [*INDICES, "channel_vector_strength_q"]
    units = read_tuning(path, columns)
    layers = units.groupby("layer", sort=False)
    return {str(layer): _layer_tuning(of_layer, columns) for layer, of_layer in layers}


def _layer_tuning(units: pd.DataFrame, columns: list[str]) -> dict[str, Any]:
    """Medians over channels with intervals, and how many channels are tuned to direction."""
    channels = channel_medians(units, columns)
    medians = {}
    for index in INDICES:
        median = estimate(channels[index].to_numpy(), np.median)
        medians[index] = {name: float(bound) for name, bound in median._asdict().items()}
    return {
        "n_units": len(units),
        "n_channels": len(channels),
        "n_direction_tuned_channels": int((channels.channel_vector_strength_q < TUNED_Q).sum()),
        **medians,
    }


if __name__ == "__main__":
    run_stage(summarise)
