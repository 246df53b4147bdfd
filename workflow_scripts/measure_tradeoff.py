"""Gathers the outcomes of a sweep over the spatial weight and the ablations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.metrics import at_the_end, read_metrics
from workflow_scripts.analysis.networks import read_tuning
from workflow_scripts.analysis.tradeoff import SweepPoint, beyond_alpha0, outcomes_of
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_json, write_table


@dataclass(frozen=True)
class MeasureTradeoffOptions:
    """What the sweep consists of.

    Parameters
    ----------
    points : list of SweepPoint
        The networks, in the order of their files.
    """

    points: list[SweepPoint]


def measure_tradeoff(
    tuning: list[Path],
    statistics: list[Path],
    metrics: list[Path],
    tradeoff: Path,
    options: MeasureTradeoffOptions,
) -> None:
    """Write one table of all outcomes.

    Parameters
    ----------
    tuning, statistics, metrics : list of Path
        From `measure_tuning`, `measure_map` and `train_tdann`, one each per point.
    tradeoff : Path
        Table to write: ``variant alpha by_alpha seed positions`` and the columns of
        `analysis.tradeoff.outcomes_of`, with the rows of `analysis.tradeoff.beyond_alpha0`.
    options : MeasureTradeoffOptions

    Raises
    ------
    InputError
        An input is unreadable, lacks a column, or the inputs do not agree.
    """
    tables = []
    for (point, units), (_, maps), (_, log) in zip(
        paired(options.points, tuning, "tuning"),
        paired(options.points, statistics, "statistics"),
        paired(options.points, metrics, "metrics"),
        strict=True,
    ):
        layers = read_json(maps).get("layers")
        if not layers:
            raise InputError(f"{maps}: holds no layers; rerun measure_map")
        table = outcomes_of(
            read_tuning(units, ["dsi", "direction_cv", "null_lobe_weight"]), layers, _accuracy(log)
        )
        network = point.network
        tables.append(
            table.assign(
                variant=network.variant, alpha=network.alpha, by_alpha=point.by_alpha,
                seed=network.seed, positions=point.positions,
            )
        )  # fmt: skip
    attributes = provenance("measure_tradeoff", options, [*tuning, *statistics, *metrics])
    outcomes = pd.concat(tables, ignore_index=True)
    everything = pd.concat([outcomes, beyond_alpha0(outcomes)], ignore_index=True)
    write_table(tradeoff, everything, attributes)


def _accuracy(log: Path) -> float:
    metrics = read_metrics(log)
    return float("nan") if metrics.empty else float(at_the_end(metrics).loc["contrastive_accuracy"])


if __name__ == "__main__":
    run_stage(measure_tradeoff)
