"""What the explorer's page holds of units, networks and maps, in few bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.analysis.conditions import UNIT
from workflow_scripts.analysis.half_curves import read_half_curves
from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.networks import NetworkMap
from workflow_scripts.analysis.preferences import PREFERENCES
from workflow_scripts.analysis.sheet_units import read_places
from workflow_scripts.analysis.tuning import coherence_columns
from workflow_scripts.models.receptive_fields import receptive_fields
from workflow_scripts.plotting.direction_colours import full_colour
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_json, read_table
from workflow_scripts.stores.zarr_store import open_store

MISSING, N_STEPS = 65535, 65534  # as in explorer.js
MAP_PIXELS = 64
TUNING = [
    "preferred_direction_deg", "preferred_orientation_deg", "static_preferred_orientation_deg",
    "dsi", "vector_strength", "vector_strength_p", "reliability", "dots_preferred_direction_deg",
    "preferred_spatial_frequency_cpd", "preferred_temporal_frequency_hz",
]  # fmt: skip
PHYSIOLOGY = [
    "speed_preferred", "tf_preferred", "sf_preferred", "preferred_diameter_deg", "surround_index",
]  # fmt: skip
ROLES = {
    "spatial": "trained on these positions",
    "source": "the positions were made of its responses",
    "control": "control",
}


def quantised(values: ArrayLike) -> dict[str, Any]:
    """Store numbers in two bytes each: steps of 1/65534 of their range, NaN apart."""
    numbers = np.asarray(values, float)
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    steps = np.full(numbers.shape, MISSING)
    share = (numbers - low) / ((high - low) or 1.0)
    steps[np.isfinite(numbers)] = np.round(N_STEPS * share[np.isfinite(numbers)])
    return {"values": steps.astype(np.uint16), "low": low, "high": high}


def scaled(
    values: NDArray[np.floating], dtype: type[np.signedinteger] = np.int16
) -> tuple[NDArray[np.signedinteger], NDArray[np.float32]]:
    """Store each unit's numbers as shares of its largest: (unit, …) → the same flat, (unit,).

    The largest is the type's largest integer; NaN is its smallest.
    """
    bounds = np.iinfo(dtype)
    rows = np.asarray(values, float).reshape(len(values), -1)
    largest = np.nan_to_num(np.abs(rows)).max(axis=1)
    steps = np.round(bounds.max * rows / np.where(largest > 0, largest, 1)[:, None])
    return np.nan_to_num(steps, nan=bounds.min).astype(dtype).ravel(), largest.astype(np.float32)


def _aligned(units: pd.DataFrame, other: pd.DataFrame, on: list[str], path: Path) -> pd.DataFrame:
    """Take a table's rows for the units, in their order."""
    joined = units.merge(other, on=on, how="left", validate="many_to_one", indicator="found")
    if (joined.found != "both").any():
        raise InputError(f"{path}: lacks units of the other tables; rerun the stage that made it")
    return joined


def unit_places(units: pd.DataFrame, path: Path) -> dict[str, Any]:
    """Read the places of units from a store of `place_units`: ``mm``, and ``sheet_mm`` by layer.

    Raises
    ------
    InputError
        The store lacks a unit.
    """
    places = read_places(path)
    placed = _aligned(units, places.units, UNIT, path)
    mm = {name: quantised(placed[name]) for name in ("x_mm", "y_mm")}
    return {"mm": mm, "sheet_mm": places.sheet_mm}


def network_data(
    units: pd.DataFrame, table: pd.DataFrame, channels: pd.DataFrame | None, gratings: Path
) -> dict[str, Any]:
    """Gather what is known of each unit of a network."""
    tuned = _aligned(units, table, UNIT, gratings)
    columns = {name: quantised(tuned[name]) for name in TUNING}
    if channels is not None:
        known = [name for name in PHYSIOLOGY if name in channels]
        of_units = _aligned(
            units, channels.loc[:, ["layer", "channel", *known]], UNIT[:2], gratings
        )
        columns |= {name: quantised(of_units[name]) for name in known}
    with open_store(gratings) as store:
        measured = read_half_curves(store, units, gratings)
    odd, even = measured.curves[:, 0], measured.curves[:, 1]
    curves, scale = scaled((odd + even) / 2)
    halves, halves_scale = scaled((odd - even) / 2, np.int8)
    dots, dots_scale = scaled(_dot_curves(tuned, table.attrs["coherences"]))
    return {
        "columns": columns,
        "curves": curves,
        "scale": scale,
        "halves": halves,
        "halves_scale": halves_scale,
        "shuffled_sd": measured.shuffled_sd.astype(np.float32),
        "dots": dots,
        "dots_scale": dots_scale,
        "directions_deg": measured.directions_deg.tolist(),
    }


def _dot_curves(tuned: pd.DataFrame, coherences: Sequence[float]) -> np.ndarray:
    """Of each unit's channel: (unit, preferred and opposite direction, coherence)."""
    columns = [[f"channel_{name}" for name in names] for names in coherence_columns(coherences)]
    return np.stack([tuned[names].to_numpy(float) for names in columns], axis=1)


def map_data(
    named_maps: Sequence[NetworkMap], stores: list[Path], pinwheels: list[Path]
) -> list[dict[str, Any]]:
    """Gather the smoothed maps, coarser than they are stored, and their pinwheels."""
    read = [(one, open_store(path, load=True)) for one, path in paired(named_maps, stores, "maps")]
    full_at = {
        name: full_colour(
            store[kind.variable].to_numpy()[store["roi"].to_numpy()] for _, store in read
        )
        for name, kind in PREFERENCES.items()
    }
    found = [read_table(path) for _, path in paired(named_maps, pinwheels, "pinwheels")]
    kept = ["layer", "map", "x_mm", "y_mm", "sign"]
    return [
        {
            "label": f"{one.network.label} on {one.positions}: {ROLES[one.role]}",
            "network": one.network.name,
            "positions": one.positions,
            "images": {
                f"{layer} {name}": _image(store.isel(layer=index), kind.variable, full_at[name])
                for index, layer in enumerate(store["layer"].to_numpy().tolist())
                for name, kind in PREFERENCES.items()
            },
            "pinwheels": table.loc[:, kept].round(3).to_dict(orient="records"),
        }
        for (one, store), table in zip(read, found, strict=True)
    ]


def _image(layer: xr.Dataset, variable: str, full_at: float) -> dict[str, np.ndarray]:
    """Angle in 255 steps, 255 outside the region of the map, and length in 256."""
    z, inside = layer[variable].to_numpy(), layer["roi"].to_numpy()
    step = max(1, len(z) // MAP_PIXELS)
    pixels = (np.arange(MAP_PIXELS) * len(z) // MAP_PIXELS + step // 2).clip(max=len(z) - 1)
    z, inside = z[np.ix_(pixels, pixels)], inside[np.ix_(pixels, pixels)]
    angle = np.round(np.angle(z) / (2 * np.pi) * 255) % 255
    strength = np.round(255 * np.minimum(np.abs(z) / full_at, 1))
    return {
        "angle": np.where(inside, angle, 255).astype(np.uint8).ravel(),
        "strength": np.where(inside, strength, 0).astype(np.uint8).ravel(),
    }


def screen_data(gratings: Path, config: Path) -> dict[str, Any]:
    """Find the screen, and the fields of the layers on it."""
    with open_store(gratings) as store:
        screen = {
            name: float(store.attrs[name]) for name in ("size_px", "pixels_per_degree", "n_frames")
        }
        margin_px = json.loads(store.attrs["options"])["margin_px"]
    backbone = read_json(config)["backbone"]
    size_px, n_frames = int(screen["size_px"]), int(screen["n_frames"])
    fields = receptive_fields(backbone["name"], backbone["in_channels"], n_frames, size_px)
    return {
        "screen": {**screen, "margin_px": margin_px},
        "fields": {layer: field._asdict() for layer, field in fields.items()},
    }
