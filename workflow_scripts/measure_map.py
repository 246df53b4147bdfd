"""Measures the maps of direction, axis and orientation that a network's units form."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from workflow_scripts.analysis.conditions import UNIT
from workflow_scripts.analysis.map_sets import MapSet, SheetUnits, map_set
from workflow_scripts.analysis.map_statistics import fracture_statistics, pattern_statistics
from workflow_scripts.analysis.maps import PreferenceMap, find_pinwheels, smoothness_curve
from workflow_scripts.analysis.preferences import PREFERENCES, PreferenceKind
from workflow_scripts.analysis.sheet_units import read_places
from workflow_scripts.analysis.smoothness import ChannelGrid
from workflow_scripts.analysis.wiring import wiring_length
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_table, write_json, write_table
from workflow_scripts.stores.zarr_store import variable, write_store


@dataclass(frozen=True)
class MeasureMapOptions:
    """How maps are measured.

    Parameters
    ----------
    kernel_mm : dict of str to float
        The layers whose maps are measured and, for each, the standard deviation of the Gaussian
        kernel that smooths it.
    near_mm : float
        Pairs of units up to this distance make the smoothness index and its test.
    distance_edges_mm : list of float
        Bounds of the distance bins of the smoothness curve.
    n_pixels : int
        Pixels along a side of a map.
    n_permutations : int
        Permutations of the channels in the null of the smoothness.
    n_resamples : int
        Bootstrap resamples of the channels for the intervals of the smoothness.
    n_maps : int
        Resampled maps, and surrogate maps of each kind, for spacing, pinwheels and fractures; as
        many permutations for the wiring length.
    seed : int
        Of the permutations and resamples.
    """

    kernel_mm: dict[str, float]
    near_mm: float = 0.2
    distance_edges_mm: list[float] = field(
        default_factory=lambda: [0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.65, 0.9, 1.2, 1.6, 2.1, 2.7]
    )
    n_pixels: int = 128
    n_permutations: int = 1000
    n_resamples: int = 1000
    n_maps: int = 50
    seed: int = 0


def measure_map(
    tuning: Path,
    positions: Path,
    *,
    map_store: Path,
    pinwheels: Path,
    smoothness: Path,
    statistics: Path,
    options: MeasureMapOptions,
) -> None:
    """Write the maps, pinwheels, smoothness curves and statistics of a network on positions.

    Units at the border of their feature map are left out of everything, pairs of one channel out of
    every pairwise measure.

    Parameters
    ----------
    tuning : Path
        Table from `measure_tuning`.
    positions : Path
        Store from `place_units`.
    map_store : Path
        Store to write: complex ``z1`` (direction), ``z2`` (axis of motion) and ``z_orientation``
        (of bars that stand still), ``density_per_mm2`` and ``roi``, all (layer, y, x), with the
        coordinates ``layer``, ``pixel_mm (layer)``, ``x_mm (layer, x)`` and ``y_mm (layer, y)``.
    pinwheels : Path
        Table to write: ``layer map row column x_mm y_mm sign charge``; `map` is "direction",
        "axis" or "orientation", `charge` ±1 and ±½.
    smoothness : Path
        Table to write: ``layer statistic`` (as `map`) and the columns of
        `analysis.smoothness.smoothness_curve`, one row per distance bin.
    statistics : Path
        Record to write, ``layers`` → layer → ``n_units n_border_units n_untuned_units n_channels
        sheet_mm kernel_mm``; for each map ``near`` (the columns of `smoothness_curve` for pairs
        up to `near_mm`), ``pattern`` (`pattern_statistics`) and ``wiring`` (`wiring_length`); and
        ``fractures`` (`fracture_statistics`). What could not be measured is null.
    options : MeasureMapOptions
        How to measure.

    Raises
    ------
    InputError
        A layer or a unit is missing in one of the inputs, or a map cannot be made of the options.
    """
    sheets = _read_sheets(tuning, positions, list(options.kernel_mm))
    measured = [
        _measure_layer(sheet, options) for sheet in track(sheets, f"measure {map_store.parent}")
    ]
    attributes = provenance("measure_map", options, [tuning, positions], seed=options.seed)
    datasets = [layer.maps for layer in measured]
    write_store(map_store, xr.concat(datasets, dim="layer", combine_attrs="override"), attributes)
    write_table(pinwheels, pd.concat([layer.pinwheels for layer in measured]), attributes)
    write_table(smoothness, pd.concat([layer.smoothness for layer in measured]), attributes)
    record = {sheet.layer: layer.statistics for sheet, layer in zip(sheets, measured, strict=True)}
    write_json(statistics, {"layers": record}, attributes)


class _Sheet(NamedTuple):
    layer: str
    units: pd.DataFrame
    sheet_mm: float


class _Measured(NamedTuple):
    maps: xr.Dataset
    pinwheels: pd.DataFrame
    smoothness: pd.DataFrame
    statistics: dict[str, Any]


def _read_sheets(tuning: Path, positions: Path, layers: list[str]) -> list[_Sheet]:
    """Join tuning and positions, unit by unit."""
    table = read_table(tuning)
    places = read_places(positions)
    sheets = []
    for layer in layers:
        tuned, placed = (frame[frame.layer == layer] for frame in (table, places.units))
        joined = tuned.merge(placed, on=UNIT, validate="one_to_one")
        if not len(joined) == len(tuned) == len(placed) > 0:
            raise InputError(
                f"layer {layer!r} has {len(tuned)} units in {tuning}, {len(placed)} in {positions} "
                f"and {len(joined)} in both; name layers of kernel_mm that are the same in both"
            )
        sheets.append(_Sheet(layer, joined, places.sheet_mm[layer]))
    return sheets


def _measure_layer(sheet: _Sheet, options: MeasureMapOptions) -> _Measured:
    kernel_mm = options.kernel_mm[sheet.layer]
    inner = sheet.units.loc[~sheet.units.border]
    statistics: dict[str, Any] = {
        "n_units": len(inner),
        "n_border_units": int(sheet.units.border.sum()),
        "n_untuned_units": int(inner.preferred_direction_deg.isna().sum()),
        "n_channels": inner.channel.nunique(),
        "sheet_mm": sheet.sheet_mm,
        "kernel_mm": kernel_mm,
    }
    sets: dict[str, MapSet] = {}
    tables, curves = [], []
    for name, kind in PREFERENCES.items():
        units = _sheet_units(inner, kind, sheet.sheet_mm)
        sets[name] = map_set(units, kernel_mm, options.n_pixels, options.n_maps, options.seed)
        tables.append(_pinwheels(sets[name].observed, name, kind))
        curves.append(_smoothness(units, options.distance_edges_mm, options).assign(statistic=name))
        statistics[name] = {
            "near": _smoothness(units, [0, options.near_mm], options).iloc[0].to_dict(),
            "pattern": pattern_statistics(sets[name]),
            "wiring": _wiring(units, options),
        }
    statistics["fractures"] = fracture_statistics(sets["direction"], sets["axis"])
    maps = {name: one.observed for name, one in sets.items()}
    table, curve = (pd.concat(frames, ignore_index=True) for frames in (tables, curves))
    curve.insert(0, "statistic", curve.pop("statistic"))
    for frame in (table, curve):
        frame.insert(0, "layer", sheet.layer)
    return _Measured(_map_dataset(sheet.layer, maps), table, curve, statistics)


def _sheet_units(units: pd.DataFrame, kind: PreferenceKind, sheet_mm: float) -> SheetUnits:
    return SheetUnits(
        x_mm=units.x_mm.to_numpy(float),
        y_mm=units.y_mm.to_numpy(float),
        preference_deg=units[kind.column].to_numpy(float),
        channel=units.channel.to_numpy(),
        anchor=units.groupby(["row", "column"]).ngroup().to_numpy(),
        period_deg=kind.period_deg,
        sheet_mm=sheet_mm,
    )


def _smoothness(
    units: SheetUnits, edges_mm: list[float], options: MeasureMapOptions
) -> pd.DataFrame:
    return smoothness_curve(
        units.x_mm,
        units.y_mm,
        units.preference_deg,
        units.channel,
        anchor=units.anchor,
        distance_edges_mm=edges_mm,
        period_deg=units.period_deg,
        n_permutations=options.n_permutations,
        n_resamples=options.n_resamples,
        seed=options.seed,
    )


def _wiring(units: SheetUnits, options: MeasureMapOptions) -> dict[str, float]:
    grid = ChannelGrid.of(units.preference_deg, units.channel, units.anchor)
    return wiring_length(
        units.x_mm, units.y_mm, grid, units.period_deg,
        n_permutations=options.n_maps, seed=options.seed,
    )  # fmt: skip


def _pinwheels(of_map: PreferenceMap, name: str, kind: PreferenceKind) -> pd.DataFrame:
    table = find_pinwheels(of_map.z, of_map.roi)
    table = table.assign(
        map=name,
        x_mm=(table.column + 0.5) * of_map.pixel_mm,
        y_mm=(table.row + 0.5) * of_map.pixel_mm,
        charge=table.sign * kind.charge,
    )
    return table.loc[:, ["map", "row", "column", "x_mm", "y_mm", "sign", "charge"]]


def _map_dataset(layer: str, maps: dict[str, PreferenceMap]) -> xr.Dataset:
    direction = maps["direction"]
    centres_mm = (np.arange(len(direction.z)) + 0.5) * direction.pixel_mm
    grid = ("layer", "y", "x")
    return xr.Dataset(
        {
            **{
                kind.variable: variable(grid, maps[name].z[None], "1", kind.description)
                for name, kind in PREFERENCES.items()
            },
            "density_per_mm2": variable(grid, direction.density[None], "1/mm²", "unit density"),
            "roi": variable(grid, direction.roi[None], "1", "where the map is measured"),
        },
        coords={
            "layer": variable("layer", np.array([layer], object), "1", "layer"),
            "pixel_mm": variable("layer", [direction.pixel_mm], "mm", "side of a pixel"),
            "x_mm": variable(("layer", "x"), centres_mm[None], "mm", "position along columns"),
            "y_mm": variable(("layer", "y"), centres_mm[None], "mm", "position along rows"),
        },
    )


if __name__ == "__main__":
    run_stage(measure_map)
