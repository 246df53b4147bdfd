"""Direction curves of units, each half of the repeats measured where the other half chose."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.analysis.conditions import UNIT, direction_responses
from workflow_scripts.analysis.permutation import permuted_sd
from workflow_scripts.analysis.tuning import at_setting_of_other_half
from workflow_scripts.stores.errors import InputError


class HalfCurves(NamedTuple):
    """Responses to drifting gratings, the blank's subtracted."""

    curves: NDArray[np.floating]
    """(unit, half, direction): odd repeats, then even ones."""
    shuffled_sd: NDArray[np.floating]
    """Of the halves' mean where direction labels change places within each repeat, (unit,)."""
    directions_deg: NDArray[np.floating]
    """(direction,), increasing."""


def read_half_curves(store: xr.Dataset, units: pd.DataFrame, path: Path) -> HalfCurves:
    """Read direction curves whose spatial and temporal frequency were chosen on other repeats.

    Parameters
    ----------
    store : xr.Dataset
        Responses to gratings, from `stimulate`.
    units : pd.DataFrame
        Columns ``layer channel row column``: which units, in which order.
    path : Path
        Of the store, for messages.

    Returns
    -------
    HalfCurves

    Raises
    ------
    InputError
        The store lacks one of the units or drifting gratings.
    """
    index = pd.MultiIndex.from_arrays([store[name].to_numpy() for name in UNIT])
    rows = index.get_indexer(pd.MultiIndex.from_frame(units.loc[:, UNIT]))
    if (rows < 0).any():
        raise InputError(f"{path}: lacks units of the tuning table; rerun measure_tuning")
    values, _, directions_deg = direction_responses(take_units(store, rows), "drifting_grating")
    even, odd = at_setting_of_other_half(values)
    curves = np.stack([half.mean(axis=-1) for half in (odd, even)], axis=1)
    return HalfCurves(curves, permuted_sd(odd, even), directions_deg)


def take_units(store: xr.Dataset, rows: NDArray[np.integer]) -> xr.Dataset:
    """Load some units of a store: what lies around them too, for a slice is read faster."""
    around = store.isel(unit=slice(int(rows.min()), int(rows.max()) + 1)).load()
    return around.isel(unit=rows - rows.min())
