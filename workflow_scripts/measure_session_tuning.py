"""Measure the direction tuning of real cells with the functions that measure the models' units."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.analysis.tuning import (
    fit_two_lobe_von_mises,
    permutation_test,
    response_curves,
    split_half_tuning,
)
from workflow_scripts.recordings.reliability import repeat_array
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import write_json, write_table
from workflow_scripts.stores.zarr_store import open_store


@dataclass(frozen=True)
class MeasureSessionTuningOptions:
    """Options of `measure_session_tuning`.

    Attributes
    ----------
    n_permutations : int
        Permutations of the direction labels.
    n_bootstraps : int
        Resamples of the cells, for the intervals.
    seed : int
        Seed of both.
    """

    n_permutations: int = 1000
    n_bootstraps: int = 1000
    seed: int = 0


def measure_session_tuning(
    session: Path, tuning: Path, statistics: Path, options: MeasureSessionTuningOptions
) -> None:
    """Measure the tuning of every cell of a session with ``direction_deg`` stimuli.

    Parameters
    ----------
    session : Path
        Trial session; the mean over time before the onset, where it has a time course from
        before it, is each cell's baseline.
    tuning : Path
        Table to write, one row per cell: ``unit_id`` and the columns of
        `analysis.tuning.split_half_tuning`, `fit_two_lobe_von_mises` and `permutation_test`.
    statistics : Path
        JSON to write: number of cells, and median with 95 % interval over cells of reliability
        (correlation of even and odd repeats' direction curves), dsi, vector strength and
        orientation strength; share of cells with p < .05.
    options : MeasureSessionTuningOptions

    Raises
    ------
    InputError
        The session shows no directions, or none of them twice.
    """
    dataset = open_store(session, load=True)
    if "direction_deg" not in dataset:
        raise InputError(f"{session}: its stimuli have no direction_deg; choose another session")
    responses, directions = _direction_responses(dataset, session)
    table = split_half_tuning(responses[:, None], directions)
    _, curves = response_curves(table)
    table = pd.concat(
        [
            pd.DataFrame({"unit_id": dataset["unit_id"].to_numpy()}),
            table,
            fit_two_lobe_von_mises(curves, directions),
            permutation_test(
                responses, directions, n_permutations=options.n_permutations, seed=options.seed
            ),
        ],
        axis=1,
    )
    attributes = provenance("measure_session_tuning", options, [session], seed=options.seed)
    write_table(tuning, table, attributes)
    write_json(statistics, _summarise(table, options), attributes)


def _direction_responses(
    dataset: xr.Dataset, session: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Baseline-subtracted responses, (unit, direction, repeat), and the directions."""
    repeats = repeat_array(dataset["response"].to_numpy(), dataset["stimulus_id"].to_numpy())
    if repeats.shape[1] != dataset.sizes["stimulus"]:
        raise InputError(f"{session}: a direction was shown only once; tuning needs repeats")
    n_repeats = int((~np.isnan(repeats[0])).sum(axis=1).min())
    baseline = np.zeros(len(repeats))
    if "bin_time_s" in dataset and (before := dataset["bin_time_s"].to_numpy() < 0).any():
        baseline = dataset["time_course"].to_numpy()[:, :, before].mean(axis=(1, 2))
    order = np.argsort(dataset["direction_deg"].to_numpy())
    responses = repeats[:, order, :n_repeats] - baseline[:, None, None]
    return responses, dataset["direction_deg"].to_numpy()[order]


def _summarise(table: pd.DataFrame, options: MeasureSessionTuningOptions) -> dict[str, Any]:
    rng = np.random.default_rng(options.seed)
    picks = rng.integers(len(table), size=(options.n_bootstraps, len(table)))
    summary: dict[str, Any] = {"n_cells": len(table)}
    for name in ("reliability", "dsi", "vector_strength", "orientation_strength"):
        values = table[name].to_numpy()
        low, high = np.nanquantile(np.nanmedian(values[picks], axis=1), [0.025, 0.975])
        summary[name] = {
            "value": float(np.nanmedian(values)), "low": float(low), "high": float(high),
            "n": int(np.isfinite(values).sum()),
        }  # fmt: skip
    for name in table.columns[table.columns.str.endswith("_p")]:
        summary[f"share_{name}_below_05"] = float((table[name].to_numpy() < 0.05).mean())
    return summary


if __name__ == "__main__":
    run_stage(measure_session_tuning)
