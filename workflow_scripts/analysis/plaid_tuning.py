"""Pattern and component cells: which prediction a unit's responses to plaids follow."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.analysis.direction_curves import checked_curves, curve_correlation
from workflow_scripts.stores.errors import InputError

Floats = NDArray[np.floating]

CRITERION = 1.28  # one-sided p = .1
CLASSES = ("component", "unclassified", "pattern")


def plaid_tuning(
    to_gratings: ArrayLike,
    to_plaids: ArrayLike,
    directions_deg: ArrayLike,
    separation_deg: float = 120.0,
) -> pd.DataFrame:
    """Compare responses to plaids with the predictions from gratings.

    A pattern cell responds to a plaid as to a grating of its direction; a component cell as to the
    sum of its two gratings. Partial correlations with both are made normal by Fisher's transform,
    scaled by √(n − 3), and differ where their difference exceeds `CRITERION` (Movshon et al. 1985;
    Smith, Majaj & Movshon 2005).

    Parameters
    ----------
    to_gratings, to_plaids : array, (unit, direction)
        Baseline-subtracted.
    directions_deg : array, (direction,)
        Of gratings and patterns alike: equally spaced, components among them.
    separation_deg : float
        Angle between a plaid's components.

    Returns
    -------
    pd.DataFrame
        One row per unit: ``z_pattern``, ``z_component``, ``plaid_class`` (`CLASSES`; "" where a
        curve is constant) and ``n_plaid_directions``, the n that the criterion depends on.

    Raises
    ------
    InputError
        The shapes do not agree, there are under 8 directions, or components are not among them.
    """
    gratings, directions = checked_curves(to_gratings, directions_deg)
    plaids, _ = checked_curves(to_plaids, directions_deg)
    n = len(directions)
    shift = separation_deg / 2 / (360 / n)
    if n < 8 or plaids.shape != gratings.shape or abs(shift - round(shift)) > 1e-6:
        raise InputError(
            f"{n} directions, gratings {gratings.shape} and plaids {plaids.shape}: give 8 or more, "
            f"equally spaced, with those ± {separation_deg / 2:g}° from each among them"
        )
    steps = round(shift)
    components = np.roll(gratings, -steps, axis=1) + np.roll(gratings, steps, axis=1)
    pattern_r = curve_correlation(plaids, gratings)
    component_r = curve_correlation(plaids, components)
    between_r = curve_correlation(gratings, components)
    z_pattern = _fisher_z(_partial(pattern_r, component_r, between_r), n)
    z_component = _fisher_z(_partial(component_r, pattern_r, between_r), n)
    return pd.DataFrame({
        "z_pattern": z_pattern,
        "z_component": z_component,
        "plaid_class": _classify(z_pattern, z_component),
        "n_plaid_directions": n,
    })  # fmt: skip


def _partial(r: Floats, other: Floats, between: Floats) -> Floats:
    rest = (1 - other**2) * (1 - between**2)
    return (r - other * between) / np.sqrt(np.where(rest > 0, rest, np.nan))


def _fisher_z(r: Floats, n: int) -> Floats:
    # a noiseless unit has a correlation of 1, whose z is infinite
    return np.arctanh(np.clip(r, -1 + 1e-6, 1 - 1e-6)) * np.sqrt(n - 3)


def _classify(z_pattern: Floats, z_component: Floats) -> NDArray[np.object_]:
    pattern = z_pattern - np.maximum(z_component, 0) > CRITERION
    component = z_component - np.maximum(z_pattern, 0) > CRITERION
    known = np.isfinite(z_pattern) & np.isfinite(z_component)
    return np.select([~known, pattern, component], ["", "pattern", "component"], "unclassified")
