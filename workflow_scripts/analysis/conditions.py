"""Response stores as arrays with one axis per stimulus parameter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.stores.errors import InputError

BLANK = "blank"
# Conditions that differ in these are the same setting.
NO_SETTING = ("condition", "family", "direction_deg", "orientation_deg", "first_seed")


class DirectionResponses(NamedTuple):
    """Responses to one family of moving stimuli, the blank's subtracted."""

    values: NDArray[np.float32]
    """(unit, setting, direction, repeat)."""
    settings: pd.DataFrame
    """The parameters of each setting, one row each."""
    directions_deg: NDArray[np.floating]
    """(direction,), increasing."""


def condition_table(store: xr.Dataset) -> pd.DataFrame:
    """Tabulate the conditions of a response store, one row each, in its order."""
    return pd.DataFrame({
        name: store[name].to_numpy() for name in map(str, store.coords)
        if store[name].dims == ("condition",)
    })  # fmt: skip


def direction_responses(
    store: xr.Dataset, family: str, angle: str = "direction_deg"
) -> DirectionResponses:
    """Arrange the responses to a family of stimuli by setting and direction, or orientation.

    Parameters
    ----------
    store : xr.Dataset
        ``response (unit, condition, repeat)`` with the battery's columns as coordinates.
    family : str
        Such as "drifting_grating" or "dots".
    angle : str
        "direction_deg", or "orientation_deg" for stimuli that stand still.

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
    order = pd.DataFrame({
        "setting": grouped.ngroup(), "direction": shown[angle], "condition": shown.index
    })  # fmt: skip
    grid = order.set_index(["setting", "direction"]).condition
    if grid.index.has_duplicates or len(grid) != np.prod(grid.index.levshape):
        raise InputError(
            f"the {family} conditions are no full grid of {', '.join(parameters)} by {angle}; "
            "show every setting at every angle, once"
        )
    grid = grid.unstack().sort_index()
    values = store.response.to_numpy()
    baseline = values[:, blank].mean(axis=(1, 2))
    return DirectionResponses(
        values[:, grid.to_numpy()] - baseline[:, None, None, None],
        shown.loc[grid.to_numpy()[:, 0], parameters].reset_index(drop=True),
        grid.columns.to_numpy(float),
    )
