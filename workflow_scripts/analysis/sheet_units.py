"""Units of a response store at their places on the cortical sheets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from workflow_scripts.analysis.conditions import (
    UNIT,
    DirectionResponses,
    direction_responses,
    unit_table,
)
from workflow_scripts.analysis.half_curves import take_units
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import open_store


class Places(NamedTuple):
    """Where the units of all layers lie."""

    units: pd.DataFrame
    """Columns ``layer channel row column x_mm y_mm``."""
    sheet_mm: dict[str, float]
    """Side of each layer's sheet."""


class SheetResponses(NamedTuple):
    """The units of one layer, border left out, and their responses to drifting gratings."""

    layer: str
    units: pd.DataFrame
    """Columns ``channel row column x_mm y_mm``."""
    sheet_mm: float
    responses: DirectionResponses


def read_places(positions: Path) -> Places:
    """Read a store of `place_units`.

    Raises
    ------
    InputError
        The store is unreadable.
    """
    with open_store(positions) as store:
        units = pd.DataFrame({name: store[name].to_numpy() for name in [*UNIT, "x_mm", "y_mm"]})
        return Places(units, json.loads(store.attrs["sheet_mm"]))


def responses_on_sheets(responses: Path, positions: Path) -> Iterator[SheetResponses]:
    """Read the responses to drifting gratings, layer by layer.

    Parameters
    ----------
    responses : Path
        From `stimulate`.
    positions : Path
        From `place_units`; its layers are read.

    Yields
    ------
    SheetResponses

    Raises
    ------
    InputError
        A layer has no units in the responses, or one of them has no place.
    """
    places = read_places(positions)
    with open_store(responses) as store:
        units = unit_table(store)
        for layer, sheet_mm in places.sheet_mm.items():
            inner = np.flatnonzero((units.layer == layer) & ~units.border)
            placed = units.iloc[inner].merge(
                places.units, on=UNIT, how="left", validate="one_to_one"
            )
            if placed.empty or placed.x_mm.isna().any():
                raise InputError(
                    f"{positions}: has not the units of {layer} in {responses}; rerun place_units"
                )
            yield SheetResponses(
                layer,
                placed,
                sheet_mm,
                direction_responses(take_units(store, inner), "drifting_grating"),
            )
