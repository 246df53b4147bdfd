"""Response stores as arrays with one axis per stimulus parameter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.stores.errors import InputError

UNIT = ["layer", "channel", "row", "column"]  # what tells a unit of a network from all others
BLANK = "blank"
# Conditions that differ in these are the same setting.
NO_SETTING = (
    "condition", "family", "direction_deg", "orientation_deg", "clip_set", "first_seed",
)  # fmt: skip


class DirectionResponses(NamedTuple):
    """Responses to one family of stimuli, the blank's subtracted."""

    values: NDArray[np.float32]
    """(unit, setting, direction, repeat)."""
    settings: pd.DataFrame
    """The parameters of each setting, one row each."""
    directions_deg: NDArray[np.floating]
    """(direction,), increasing; of static gratings their orientations."""


def unit_table(store: xr.Dataset) -> pd.DataFrame:
    """Tabulate the units of a response store, one row each: `UNIT` and ``border``."""
    return pd.DataFrame({name: store[name].to_numpy() for name in [*UNIT, "border"]})


def condition_table(store: xr.Dataset) -> pd.DataFrame:
    """Tabulate the conditions of a response store, one row each, in its order."""
    return pd.DataFrame({
        name: store[name].to_numpy() for name in map(str, store.coords)
        if store[name].dims == ("condition",)
    })  # fmt: skip


def direction_responses(store: xr.Dataset, family: str) -> DirectionResponses:
    """Arrange the responses to a family of stimuli by setting and direction or orientation.

    Parameters
    ----------
    store : xr.Dataset
        ``response (unit, condition, repeat)`` with the battery's columns as coordinates.
    family : str
        Such as "drifting_grating", "dots" or "static_grating".

    Raises
    ------
    InputError
        The store has no such family or no blank, or a setting lacks one of the directions.
    """
    conditions = condition_table(store)
    shown = conditions[conditions.family == family]
    blank = conditions.index[conditions.family == BLANK]
    if shown.empty or blank.empty:
        missing = family if shown.empty else BLANK
        raise InputError(
            f"the battery has no condition of family {missing!r}, only "
            f"{sorted(set(conditions.family))}; add it to the battery"
        )
    parameters = [name for name in shown.dropna(axis=1, how="all") if name not in NO_SETTING]
    grouped = shown.groupby(parameters, dropna=False)
    turned = "orientation_deg" if shown.direction_deg.isna().all() else "direction_deg"
    order = pd.DataFrame({
        "setting": grouped.ngroup(), "direction": shown[turned], "condition": shown.index
    })  # fmt: skip
    grid = order.set_index(["setting", "direction"]).condition
    if grid.index.has_duplicates or len(grid) != np.prod(grid.index.levshape):
        raise InputError(
            f"the {family} conditions are no full grid of {', '.join(parameters)} by "
            f"{turned}; show every setting at each, once"
        )
    grid = grid.unstack().sort_index()
    values = store.response.to_numpy()
    baseline = values[:, blank].mean(axis=(1, 2))
    return DirectionResponses(
        values[:, grid.to_numpy()] - baseline[:, None, None, None],
        shown.loc[grid.to_numpy()[:, 0], parameters].reset_index(drop=True),
        grid.columns.to_numpy(float),
    )


class SeriesResponses(NamedTuple):
    """Responses to stimuli that differ in one parameter and direction, the blank's subtracted."""

    values: NDArray[np.float32]
    """(unit, value, direction, repeat)."""
    shown: NDArray[np.floating]
    """Values of the parameter, increasing, (value,)."""
    directions_deg: NDArray[np.floating]
    """Directions at which every value was shown, increasing, (direction,)."""


def series_responses(store: xr.Dataset, family: str, parameter: str) -> SeriesResponses:
    """Pick the longest series of one parameter among the conditions of a family.

    All else being equal but the direction; directions that were not shown at every value are
    left out.

    Parameters
    ----------
    store, family
        As in `direction_responses`.
    parameter : str
        A column of the battery, such as "contrast".

    Raises
    ------
    InputError
        There is no such family or blank, or no series of three values.
    """
    conditions = condition_table(store)
    shown = conditions.loc[conditions.family == family]
    blank = conditions.index[conditions.family == BLANK]
    others = [
        name for name in shown.dropna(axis=1, how="all")
        if name not in (*NO_SETTING, parameter, *DERIVED.get(parameter, ()))
    ]  # fmt: skip
    groups = [group for _, group in shown.groupby(others, dropna=False)] if others else [shown]
    longest = max(groups, key=lambda group: group[parameter].nunique(), default=shown)
    if blank.empty or longest.empty or longest[parameter].nunique() < 3:
        raise InputError(
            f"the battery holds no series of three values of {parameter} in the family {family!r} "
            "and a blank; add them to the battery"
        )
    grid = longest.reset_index(names="index").pivot_table(
        index=parameter, columns="direction_deg", values="index", aggfunc="first"
    )
    grid = grid.dropna(axis=1).astype(int)
    values = store.response.to_numpy()
    baseline = values[:, blank].mean(axis=(1, 2))[:, None, None, None]
    return SeriesResponses(
        values[:, grid.to_numpy()] - baseline,
        grid.index.to_numpy(float),
        grid.columns.to_numpy(float),
    )


# What follows from a parameter and so cannot stay the same when it changes.
DERIVED = {
    "spatial_frequency_cpd": ("speed_deg_s",),
    "temporal_frequency_hz": ("speed_deg_s",),
}
