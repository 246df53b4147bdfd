"""What every measure of direction curves checks first."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.stores.errors import InputError

Floats = NDArray[np.floating]


def checked_curves(responses: ArrayLike, directions_deg: ArrayLike) -> tuple[Floats, Floats]:
    """Check and convert responses (unit, direction) and their directions in degrees.

    Raises
    ------
    InputError
        The shapes do not agree, or a direction occurs twice.
    """
    raw, directions = np.asarray(responses, float), np.asarray(directions_deg, float)
    if raw.ndim != 2 or directions.shape != raw.shape[1:]:
        raise InputError(
            f"responses {raw.shape} and directions_deg {directions.shape} do not agree; "
            "give (unit, direction) and (direction,)"
        )
    if len(np.unique(np.round(directions % 360, 6))) < len(directions):
        raise InputError(f"directions_deg {directions} repeat a direction; average its responses")
    return raw, directions


def curve_correlation(first: ArrayLike, second: ArrayLike) -> Floats:
    """Pearson correlation of each unit's two curves, (unit, condition) each.

    Of halves of the repeats it is not corrected for their number (Spearman–Brown: 2r / (1 + r)).
    NaN where a curve is constant or, unlike `recordings.reliability.pearson`, lacks a condition.
    """
    a, b = (
        curves - curves.mean(axis=1, keepdims=True)
        for curves in (np.asarray(first, float), np.asarray(second, float))
    )
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return (a * b).sum(axis=1) / np.where(scale > 0, scale, np.nan)


def phasors(directions_deg: Floats, harmonic: int) -> NDArray[np.complexfloating]:
    """exp(i · harmonic · direction), (direction,)."""
    return np.exp(1j * harmonic * np.deg2rad(directions_deg))
