"""Fields and stores of known truth."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workflow_scripts.stores.zarr_store import variable, write_store


class RingField(NamedTuple):
    """A Gaussian random field whose power spectrum is a ring."""

    z: np.ndarray
    spacing_px: float  # 2π / ⟨k⟩
    density: float  # pinwheels per squared spacing, π ⟨k²⟩ / ⟨k⟩²


@pytest.fixture(scope="session")
def ring_field() -> Callable[..., RingField]:
    """Draw a field: size in pixels, wavelength of the ring's crest, its relative width, seed."""

    def draw(n: int, wavelength_px: float, bandwidth: float, seed: int) -> RingField:
        rng = np.random.default_rng(seed)
        frequency = np.fft.fftfreq(n) * wavelength_px
        k = np.hypot(frequency[:, None], frequency)
        power = np.exp(-((k - 1) ** 2) / (2 * bandwidth**2))
        power[0, 0] = 0
        noise = rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n))
        mean_k = (k * power).sum() / power.sum()
        mean_k2 = (k**2 * power).sum() / power.sum()
        return RingField(
            np.fft.ifft2(np.sqrt(power) * noise),
            wavelength_px / mean_k,
            np.pi * mean_k2 / mean_k**2,
        )

    return draw


class PlantedNetwork(NamedTuple):
    """Paths of hand-made stores, and the truth behind them."""

    gratings: Path
    dots: Path
    positions: Path
    units: pd.DataFrame  # layer channel row column border x_mm y_mm direction_deg


DIRECTIONS_DEG = np.arange(16) * 22.5
COHERENCES = (0.0, 0.5, 1.0)
SHEET_MM = 4.0


@pytest.fixture(scope="session")
def plant_network(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., PlantedNetwork]:
    """Write stores of a network whose units prefer directions given by a function of (x, y)."""

    def plant(
        direction_of: Callable[[np.ndarray, np.ndarray], np.ndarray],
        shapes: dict[str, tuple[int, int]],
        seed: int = 0,
    ) -> PlantedNetwork:
        rng = np.random.default_rng(seed)
        folder = tmp_path_factory.mktemp("network")
        units = pd.concat([_layer(name, *shape, rng) for name, shape in shapes.items()])
        units = units.reset_index(drop=True)
        units["direction_deg"] = direction_of(units.x_mm.to_numpy(), units.y_mm.to_numpy())
        network = PlantedNetwork(
            folder / "gratings.zarr", folder / "dots.zarr", folder / "positions.zarr", units
        )
        write_store(network.gratings, _responses(_grating_battery(), units, rng), {})
        write_store(network.dots, _responses(_dot_battery(), units, rng), {})
        write_store(network.positions, _positions(units), {
            "sheet_mm": json.dumps(dict.fromkeys(shapes, SHEET_MM)),
        })  # fmt: skip
        return network

    return plant


def _layer(name: str, n_channels: int, n_anchors: int, rng: np.random.Generator) -> pd.DataFrame:
    channel, row, column = (axis.ravel() for axis in np.indices((n_channels, n_anchors, n_anchors)))
    edge = (0, n_anchors - 1)
    x_mm, y_mm = rng.uniform(0, SHEET_MM, (2, len(channel)))
    return pd.DataFrame({
        "layer": name, "channel": channel, "row": row, "column": column,
        "border": np.isin(row, edge) | np.isin(column, edge), "x_mm": x_mm, "y_mm": y_mm,
    })  # fmt: skip


def _grating_battery() -> pd.DataFrame:
    index = pd.MultiIndex.from_product(
        [DIRECTIONS_DEG, [0.1, 0.2], [2.0, 4.0]],
        names=["direction_deg", "spatial_frequency_cpd", "temporal_frequency_hz"],
    )
    drifting = index.to_frame(index=False).assign(family="drifting_grating")
    static = pd.DataFrame({
        "family": "static_grating", "orientation_deg": DIRECTIONS_DEG[:8],
        "spatial_frequency_cpd": 0.2,
    })  # fmt: skip
    return _with_blank(pd.concat([drifting, static], ignore_index=True))


def _dot_battery() -> pd.DataFrame:
    index = pd.MultiIndex.from_product(
        [DIRECTIONS_DEG[::2], [4.0, 8.0], COHERENCES],
        names=["direction_deg", "speed_deg_s", "coherence"],
    )
    return _with_blank(index.to_frame(index=False).assign(family="dots"))


def _with_blank(shown: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([pd.DataFrame({"family": ["blank"]}), shown], ignore_index=True)


def _responses(battery: pd.DataFrame, units: pd.DataFrame, rng: np.random.Generator) -> xr.Dataset:
    """Draw responses: a von Mises of FWHM 90°; 0.2 cycles/° and 8°/s double the response."""
    preferred_deg = units.direction_deg.to_numpy()[:, None]
    away = np.deg2rad(battery.direction_deg.to_numpy() - preferred_deg)
    if "orientation_deg" in battery:  # bars at a right angle to the direction; period 180°
        bars = np.deg2rad(2 * (battery.orientation_deg.to_numpy() - 90 - preferred_deg))
        away = np.where(battery.family == "static_grating", bars, away)
    gain = battery.get("coherence", pd.Series(1.0, battery.index)).fillna(0).to_numpy()
    for column, best in (("spatial_frequency_cpd", 0.2), ("speed_deg_s", 8.0)):
        if column in battery:
            gain = gain * np.where(battery[column] == best, 2.0, 1.0)
    tuned = gain * np.exp(2.367 * (np.cos(away) - 1))
    mean = 1 + np.where(battery.family == "blank", 0, tuned)  # the blank gives 1
    noise = 0.1 * rng.normal(size=(*mean.shape, 4))
    noise[:, 0] = 0
    return xr.Dataset(
        {"response": variable(
            ("unit", "condition", "repeat"), (mean[..., None] + noise).astype(np.float32),
            "1", "response",
        )},
        coords={
            **_coordinates("unit", units[["layer", "channel", "row", "column", "border"]]),
            **_coordinates("condition", battery),
        },
    )  # fmt: skip


def _coordinates(dimension: str, table: pd.DataFrame) -> dict[str, Any]:
    return {
        str(name): variable(
            dimension,
            column.to_numpy(object if pd.api.types.is_string_dtype(column) else None),
            "1",
            str(name),
        )
        for name, column in table.items()
    }


def _positions(units: pd.DataFrame) -> xr.Dataset:
    return xr.Dataset(
        {name: variable("unit", units[name].to_numpy(), "mm", name) for name in ("x_mm", "y_mm")},
        coords=_coordinates("unit", units[["layer", "channel", "row", "column"]]),
    )
