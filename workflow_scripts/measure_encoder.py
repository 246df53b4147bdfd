"""Measures the orientation tuning and receptive fields of an encoder's digital twins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.analysis.conditions import direction_responses
from workflow_scripts.analysis.summaries import summarise_sample
from workflow_scripts.analysis.tuning import split_half_tuning
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import write_json, write_table
from workflow_scripts.stores.zarr_store import open_store

TUNING = ["preferred_orientation_deg", "orientation_strength", "reliability"]
FIELD_SHARE = 0.5  # of a map's largest change: what belongs to the receptive field
SEED = 0  # of the permuted units


@dataclass(frozen=True)
class MeasureEncoderOptions:
    """Options of `measure_encoder`.

    Parameters
    ----------
    n_bootstraps : int
        Resamples of the units, for intervals.
    """

    n_bootstraps: int = 1000


def measure_encoder(
    sessions: list[Path], responses: Path, units: Path, statistics: Path,
    options: MeasureEncoderOptions,
) -> None:  # fmt: skip
    """Measure twins, and compare those of simulated neurons with the truth.

    Parameters
    ----------
    sessions : list of Path
        Session stores of the mice, for the truth of simulations alone.
    responses : Path
        From `stimulate_encoder`.
    units : Path
        Table to write, one row per unit: ``session unit_id``; ``preferred_orientation_deg`` (of
        the bars), ``orientation_strength`` and ``reliability`` (over phases) as of
        `analysis.tuning.split_half_tuning`; ``field_row_px field_column_px``, the centroid of the
        spot map above half its maximum, and ``readout_row_px readout_column_px``; for simulations
        ``true_…`` and ``…_error_px``, ``orientation_error_deg`` (0 to 90).
    statistics : Path
        JSON to write: medians over units of the errors and of ``orientation_strength``, each with
        its 95 % interval; as chance, the errors with the units of a mouse permuted.
    options : MeasureEncoderOptions

    Raises
    ------
    InputError
        The battery has no static gratings.
    """
    store = open_store(responses, load=True)
    values, settings, orientations = direction_responses(store, "static_grating")
    tuning = split_half_tuning(values, orientations)
    preferred = settings.iloc[tuning["setting"].to_numpy()].reset_index(drop=True)
    coordinates = ["session", "unit_id", "readout_row_px", "readout_column_px"]
    table = pd.concat(
        [
            pd.DataFrame({name: store[name].to_numpy() for name in coordinates}),
            tuning[TUNING],
            tuning.filter(regex=r"^response_at_"),
            preferred.add_prefix("preferred_"),
            _field_centres(store),
        ],
        axis=1,
    )
    truth = [_truth(open_store(path, load=True)) for path in sessions]
    table = table.merge(pd.concat(truth), how="left", on=["session", "unit_id"])
    table = table.assign(**_errors(table))
    attributes = provenance("measure_encoder", options, [*sessions, responses])
    write_table(units, table, attributes)
    write_json(statistics, _summarise(table, options), attributes)


def _field_centres(store: xr.Dataset) -> pd.DataFrame:
    maps = store["spot_map"].to_numpy()
    largest = maps.max(axis=(1, 2), keepdims=True)
    weights = np.where(maps >= FIELD_SHARE * largest, maps, 0.0)
    total = weights.sum(axis=(1, 2))
    rows = np.einsum("urc,r->u", weights, store["row_px"].to_numpy())
    columns = np.einsum("urc,c->u", weights, store["column_px"].to_numpy())
    total = np.where(total > 0, total, np.nan)
    return pd.DataFrame({"field_row_px": rows / total, "field_column_px": columns / total})


def _truth(store: xr.Dataset) -> pd.DataFrame:
    """True receptive fields and orientations of one session's units; NaN for a recording."""
    n_units = store.sizes["unit"]
    table: dict[str, Any] = {
        "session": str(store.attrs["session_id"]), "unit_id": np.arange(n_units),
    }  # fmt: skip
    for name in ("row", "column"):
        known = store.get(f"truth_receptive_field_{name}")
        table[f"true_{name}_px"] = np.full(n_units, np.nan) if known is None else known.to_numpy()
    axis = store.get("truth_axis_deg")
    # The bars of a grating lie at a right angle to the axis of its motion.
    bars = np.full(n_units, np.nan) if axis is None else (axis.to_numpy() + 90) % 180
    return pd.DataFrame({**table, "true_orientation_deg": bars})


def _errors(table: pd.DataFrame, truth: pd.DataFrame | None = None) -> dict[str, NDArray]:
    truth = table if truth is None else truth
    errors = {
        f"{name}_error_px": np.hypot(
            table[f"{name}_row_px"].to_numpy() - truth["true_row_px"].to_numpy(),
            table[f"{name}_column_px"].to_numpy() - truth["true_column_px"].to_numpy(),
        )
        for name in ("field", "readout")
    }
    apart = table["preferred_orientation_deg"].to_numpy() - truth["true_orientation_deg"].to_numpy()
    return {**errors, "orientation_error_deg": np.abs((apart + 90) % 180 - 90)}


def _summarise(table: pd.DataFrame, options: MeasureEncoderOptions) -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    groups = table.groupby("session")
    order = np.concatenate([rng.permutation(np.asarray(rows)) for rows in groups.groups.values()])
    start = np.concatenate([np.asarray(rows) for rows in groups.groups.values()])
    permuted = table.iloc[order].set_axis(start).sort_index()
    measures = {
        **_errors(table),
        **{f"chance_{name}": one for name, one in _errors(table, permuted).items()},
        "orientation_strength": table["orientation_strength"].to_numpy(),
    }
    return {
        name: summarise_sample(values, np.median, options.n_bootstraps)._asdict()
        for name, values in measures.items()
    }


if __name__ == "__main__":
    run_stage(measure_encoder)
