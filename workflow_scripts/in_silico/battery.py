"""Stimulus batteries: tables of conditions, one row each, and what they look like."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch

from workflow_scripts.stimuli.display import Display
from workflow_scripts.stimuli.dots import DotField, random_dot_kinematogram
from workflow_scripts.stimuli.gratings import drifting_grating, static_grating
from workflow_scripts.stimuli.plaids import plaid
from workflow_scripts.stores.errors import InputError

PLAID_SEPARATION_DEG = 120.0
BLANK = "blank"
FIELD_COLUMNS = list(asdict(DotField()))
# column → unit, in the order of the table
COLUMN_UNITS = {
    "condition": "1", "family": "name", "direction_deg": "degrees", "orientation_deg": "degrees",
    "spatial_frequency_cpd": "cycles/degree", "temporal_frequency_hz": "Hz",
    "speed_deg_s": "degrees/s", "coherence": "1", "contrast": "1", "signal": "name",
    "noise": "name", "density_per_deg2_s": "1/degrees²/s", "dot_diameter_deg": "degrees",
    "lifetime_s": "s", "first_seed": "1",
}  # fmt: skip


@dataclass(frozen=True)
class GratingGrid:
    """Drifting gratings: every combination of the values below.

    Where the temporal frequency times the clip's duration is a whole number, the response
    averaged over the clip does not depend on how much of a cycle is shown.

    Parameters
    ----------
    n_directions : int
        Directions, evenly spaced over 360° from 0; even, so that each has its opposite.
    spatial_frequency_cpd, temporal_frequency_hz : list of float
        Cycles per degree, and Hz.
    contrast : list of float
        Michelson contrasts, 0–1.
    """

    family: ClassVar[str] = "drifting_grating"

    n_directions: int
    spatial_frequency_cpd: list[float]
    temporal_frequency_hz: list[float]
    contrast: list[float] = field(default_factory=lambda: [1.0])

    def conditions(self) -> pd.DataFrame:
        """One row per condition."""
        table = _product(
            direction_deg=_directions_deg(self.n_directions, 2),
            spatial_frequency_cpd=self.spatial_frequency_cpd,
            temporal_frequency_hz=self.temporal_frequency_hz,
            contrast=self.contrast,
        )
        return table.assign(speed_deg_s=table.temporal_frequency_hz / table.spatial_frequency_cpd)


@dataclass(frozen=True)
class PlaidGrid(GratingGrid):
    """Plaids of two gratings that drift 120° apart: every combination of the values below.

    Parameters
    ----------
    n_directions : int
        Directions of the pattern; a multiple of 6, so that those of the components, at ± 60°,
        are among them.
    spatial_frequency_cpd, temporal_frequency_hz : list of float
        Of the components, cycles per degree and Hz.
    contrast : list of float
        Michelson contrasts of the plaids, 0–1; a component has half of it.
    """

    family: ClassVar[str] = "plaid"

    def conditions(self) -> pd.DataFrame:
        """One row per condition; speed is that of the pattern."""
        _directions_deg(self.n_directions, 6)
        table = super().conditions()
        half_separation = np.deg2rad(PLAID_SEPARATION_DEG / 2)
        return table.assign(speed_deg_s=table.speed_deg_s / np.cos(half_separation))


@dataclass(frozen=True)
class StaticGratingGrid:
    """Gratings that stand still: every combination of the values below.

    Parameters
    ----------
    n_orientations : int
        Orientations of the bars, evenly spaced over 180° from 0 (horizontal).
    spatial_frequency_cpd : list of float
        Cycles per degree.
    contrast : list of float
        Michelson contrasts, 0–1.
    """

    family: ClassVar[str] = "static_grating"

    n_orientations: int
    spatial_frequency_cpd: list[float]
    contrast: list[float] = field(default_factory=lambda: [1.0])

    def conditions(self) -> pd.DataFrame:
        """One row per condition."""
        return _product(
            orientation_deg=np.arange(self.n_orientations) * 180 / self.n_orientations,
            spatial_frequency_cpd=self.spatial_frequency_cpd,
            contrast=self.contrast,
        )


@dataclass(frozen=True)
class DotGrid:
    """Random-dot kinematograms: every combination of the values below.

    Parameters
    ----------
    n_directions : int
        Directions, evenly spaced over 360° from 0; even, so that each has its opposite.
    speed_deg_s : list of float
        Degrees per second.
    coherence : list of float
        Shares of signal dots, 0–1. Without coherence the direction is a mere label.
    contrast : list of float
        Michelson contrasts of a white against a black dot, 0–1.
    dots : DotField
        Algorithm, density, size and lifetime of the dots.
    """

    family: ClassVar[str] = "dots"

    n_directions: int
    speed_deg_s: list[float]
    coherence: list[float]
    contrast: list[float] = field(default_factory=lambda: [1.0])
    dots: DotField = field(default_factory=DotField)

    def conditions(self) -> pd.DataFrame:
        """One row per condition."""
        table = _product(
            direction_deg=_directions_deg(self.n_directions, 2),
            speed_deg_s=self.speed_deg_s,
            coherence=self.coherence,
            contrast=self.contrast,
        )
        return table.assign(**asdict(self.dots))


Grid = GratingGrid | PlaidGrid | StaticGratingGrid | DotGrid


class Clips(NamedTuple):
    """Rendered clips of a batch."""

    luminance: torch.Tensor
    """In [0, 1], (batch, time, y, x)."""
    realised_coherence: np.ndarray
    """Mean over the clip's steps; NaN where there are no dots, (batch,)."""


def battery_table(grids: Iterable[Grid], display: Display, n_repeats: int) -> pd.DataFrame:
    """List the conditions of a battery.

    Parameters
    ----------
    grids : iterable of Grid
        What to show.
    display : Display
        The screen, and how long it is shown.
    n_repeats : int
        How often each condition is shown: repeat r of a grating or plaid starts at the phase
        360° r / n_repeats, repeat r of a dot field has the seed ``first_seed + r``, and no two
        dot clips of a battery have the same seed.

    Returns
    -------
    pd.DataFrame
        The columns of `COLUMN_UNITS`, NaN or "" where one does not apply. Condition 0 is the
        blank screen. ``attrs`` holds the display's fields and n_repeats.

    Raises
    ------
    InputError
        There is nothing to show, or a grid or the number of repeats makes no sense.
    """
    tables = [grid.conditions().assign(family=grid.family) for grid in grids]
    if not tables:
        raise InputError("the battery is empty: name at least one grid of stimuli")
    if n_repeats < 1:
        raise InputError(f"n_repeats is {n_repeats}; it must be at least 1")
    blank = pd.DataFrame({"family": [BLANK], "contrast": [0.0]})
    table = pd.concat([blank, *tables], ignore_index=True)
    table["condition"] = np.arange(len(table))
    table["first_seed"] = table.condition * n_repeats
    table = table.reindex(columns=list(COLUMN_UNITS))
    names = [column for column, unit in COLUMN_UNITS.items() if unit == "name"]
    table[names] = table[names].astype(object).fillna("")
    table.attrs = {**asdict(display), "n_repeats": n_repeats}
    return table


def battery_display(battery: pd.DataFrame) -> Display:
    """Take the display that a battery was made for from its attributes.

    Raises
    ------
    InputError
        The table is no battery.
    """
    try:
        return Display(**{name: battery.attrs[name] for name in Display.__dataclass_fields__})
    except KeyError as error:
        raise InputError(
            f"the table of conditions does not say {error}; make it with make_battery"
        ) from error


def render_clips(
    battery: pd.DataFrame,
    condition: np.ndarray,
    repeat: np.ndarray,
    device: torch.device | str = "cpu",
) -> Clips:
    """Render clips of a battery.

    Parameters
    ----------
    battery : pd.DataFrame
        From `battery_table`.
    condition, repeat : np.ndarray, (batch,)
        Which clips.
    device : torch.device or str
        Where to render.

    Returns
    -------
    Clips
        In the order asked for.

    Raises
    ------
    InputError
        The display cannot show one of the conditions.
    """
    display = asdict(battery_display(battery))
    size_px = display["size_px"]
    luminance = torch.empty(len(condition), display["n_frames"], size_px, size_px, device=device)
    realised_coherence = np.empty(len(condition))
    rows = battery.iloc[condition].reset_index(drop=True)
    rows["phase_deg"] = 360.0 * repeat / battery.attrs["n_repeats"]
    rows["seed"] = rows.first_seed + repeat
    for (family, *_), group in rows.groupby(["family", *FIELD_COLUMNS], dropna=False):
        clips = _RENDERERS[family](group, {**display, "device": device})
        luminance[torch.tensor(group.index.to_numpy(), device=device)] = clips.luminance
        realised_coherence[group.index] = clips.realised_coherence
    return Clips(luminance, realised_coherence)


def _blank(group: pd.DataFrame, screen: dict[str, Any]) -> Clips:
    shape = (len(group), screen["n_frames"], screen["size_px"], screen["size_px"])
    return Clips(torch.full(shape, 0.5, device=screen["device"]), _NO_DOTS)


def _gratings(group: pd.DataFrame, screen: dict[str, Any]) -> Clips:
    return Clips(drifting_grating(*_values(group, *_GRATING), **screen), _NO_DOTS)


def _static_gratings(group: pd.DataFrame, screen: dict[str, Any]) -> Clips:
    parameters = _values(group, "orientation_deg", "spatial_frequency_cpd", "phase_deg", "contrast")
    return Clips(static_grating(*parameters, **screen), _NO_DOTS)


def _plaids(group: pd.DataFrame, screen: dict[str, Any]) -> Clips:
    parameters = _values(group, *_GRATING)
    return Clips(plaid(*parameters, separation_deg=PLAID_SEPARATION_DEG, **screen), _NO_DOTS)


def _dots(group: pd.DataFrame, screen: dict[str, Any]) -> Clips:
    direction_deg, speed_deg_s, coherence, contrast = _values(
        group, "direction_deg", "speed_deg_s", "coherence", "contrast"
    )
    clips, realised_coherence = random_dot_kinematogram(
        direction_deg, speed_deg_s, coherence, contrast, group.seed.to_numpy(),
        field=DotField(**group.iloc[0][FIELD_COLUMNS].to_dict()), **screen,
    )  # fmt: skip
    return Clips(clips, realised_coherence.mean(axis=1))


def _values(group: pd.DataFrame, *columns: str) -> list[torch.Tensor]:
    return [torch.tensor(group[column].to_numpy(float)) for column in columns]


_GRATING = (
    "direction_deg", "spatial_frequency_cpd", "temporal_frequency_hz", "phase_deg", "contrast",
)  # fmt: skip
_NO_DOTS = np.array(np.nan)
_RENDERERS: dict[str, Callable[[pd.DataFrame, dict[str, Any]], Clips]] = {
    BLANK: _blank,
    GratingGrid.family: _gratings,
    PlaidGrid.family: _plaids,
    StaticGratingGrid.family: _static_gratings,
    DotGrid.family: _dots,
}


def _product(**values: Iterable[float]) -> pd.DataFrame:
    """Every combination of the values, the first parameter changing slowest."""
    index = pd.MultiIndex.from_product([list(v) for v in values.values()], names=list(values))
    return index.to_frame(index=False).astype(float)


def _directions_deg(n_directions: int, multiple_of: int) -> np.ndarray:
    if n_directions < multiple_of or n_directions % multiple_of:
        raise InputError(f"n_directions is {n_directions}; it must be a multiple of {multiple_of}")
    return np.arange(n_directions) * 360.0 / n_directions
