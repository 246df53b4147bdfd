"""The kinds of preference that maps are made of."""

from __future__ import annotations

from typing import Literal, NamedTuple

Preference = Literal["direction", "axis", "orientation"]


class PreferenceKind(NamedTuple):
    """How a preference is measured and mapped."""

    column: str
    """Of the table of `measure_tuning`."""
    period_deg: float
    charge: float
    """Of a pinwheel around which the phase of the map winds once."""
    variable: str
    """Of the store of `measure_map`."""
    description: str


PREFERENCES: dict[Preference, PreferenceKind] = {
    "direction": PreferenceKind(
        "preferred_direction_deg", 360.0, 1.0, "z1", "mean vector of preferred directions"
    ),
    "axis": PreferenceKind(
        "preferred_orientation_deg",
        180.0,
        0.5,
        "z2",
        "mean vector of preferred axes, angle doubled",
    ),
    "orientation": PreferenceKind(
        "static_preferred_orientation_deg",
        180.0,
        0.5,
        "z_orientation",
        "mean vector of preferred orientations, doubled",
    ),
}
