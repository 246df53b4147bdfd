"""Stimulus batteries: tables of conditions, one row each, and what they look like."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
import xarray as xr

from workflow_scripts.in_silico.grids import (
    NATURAL,
    SCRAMBLED,
    ApertureGrid,
    BarGrid,
    DotGrid,
    GratingGrid,
    Grid,
    PlaidGrid,
    SecondOrderGrid,
    StaticGratingGrid,
)
from workflow_scripts.stimuli.apertures import through_aperture
from workflow_scripts.stimuli.bars import moving_bar
from workflow_scripts.stimuli.display import Display
from workflow_scripts.stimuli.dots import DotField, random_dot_kinematogram
from workflow_scripts.stimuli.gratings import drifting_grating, static_grating
from workflow_scripts.stimuli.natural import on_screen, scramble_phases
from workflow_scripts.stimuli.plaids import plaid
from workflow_scripts.stimuli.second_order import contrast_modulated_noise
from workflow_scripts.stores.errors import InputError

Device = torch.device | str

BLANK = "blank"
FIELD_COLUMNS = list(asdict(DotField()))
# column → unit, in the order of the table
COLUMN_UNITS = {
    "condition": "1", "family": "name", "direction_deg": "degrees", "orientation_deg": "degrees",
    "spatial_frequency_cpd": "cycles/degree", "temporal_frequency_hz": "Hz",
    "speed_deg_s": "degrees/s", "coherence": "1", "contrast": "1", "signal": "name",
    "noise": "name", "density_per_deg2_s": "1/degrees²/s", "dot_diameter_deg": "degrees",
    "lifetime_s": "s", "inner_diameter_deg": "degrees", "outer_diameter_deg": "degrees",
    "element_deg": "degrees", "width_deg": "degrees", "clip_set": "1", "first_seed": "1",
}  # fmt: skip
# What a renderer takes once for all clips, so that clips which differ in it are rendered apart.
_SHARED = [*FIELD_COLUMNS, "element_deg"]


class NaturalClips(Protocol):
    """Natural clips by number; see `training.clips.ClipSource`."""

    def __len__(self) -> int: ...

    def read(self, rows: np.ndarray) -> torch.Tensor:
        """Clips of the given rows → uint8 (clip, channel, time, y, x)."""
        ...


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
        How often each condition is shown: repeat r of a grating, plaid or bar starts at the phase
        360° r / n_repeats, repeat r of a dot field or of noise has the seed ``first_seed + r``, the
        same for conditions that differ in direction alone: what the displays have in common then
        cancels between preferred and opposite direction; repeat r of a set of natural clips is
        its r-th clip.

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
    tables = [
        conditions if "family" in conditions else conditions.assign(family=grid.family)
        for grid, conditions in ((grid, grid.conditions()) for grid in grids)
    ]
    if not tables:
        raise InputError("the battery is empty: name at least one grid of stimuli")
    if n_repeats < 1:
        raise InputError(f"n_repeats is {n_repeats}; it must be at least 1")
    blank = pd.DataFrame({"family": [BLANK], "contrast": [0.0]})
    table = pd.concat([blank, *tables], ignore_index=True)
    table["condition"] = np.arange(len(table))
    but_for_direction = table.columns.difference(["condition", "direction_deg"]).tolist()
    display_number = table.groupby(but_for_direction, dropna=False, sort=False).ngroup()
    table["first_seed"] = display_number * n_repeats
    table = table.reindex(columns=list(COLUMN_UNITS))
    names = [column for column, unit in COLUMN_UNITS.items() if unit == "name"]
    table[names] = table[names].astype(object).fillna("")
    table.attrs = {**asdict(display), "n_repeats": n_repeats}
    return table


def battery_display(battery: pd.DataFrame | xr.Dataset) -> Display:
    """Take the display that a battery, or responses to it, was made for from its attributes.

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
    device: Device = "cpu",
    natural: NaturalClips | None = None,
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
    natural : NaturalClips, optional
        The natural clips, where the battery shows some.

    Returns
    -------
    Clips
        In the order asked for.

    Raises
    ------
    InputError
        The display cannot show one of the conditions, or there are no natural clips.
    """
    display = battery_display(battery)
    luminance = torch.empty(len(condition), *display.clip_shape, device=device)
    realised_coherence = np.empty(len(condition))
    rows = battery.iloc[condition].reset_index(drop=True)
    rows["phase_deg"] = 360.0 * repeat / battery.attrs["n_repeats"]
    rows["seed"] = rows.first_seed + repeat
    rows["natural_clip"] = rows.clip_set * battery.attrs["n_repeats"] + repeat
    for (family, *_), group in rows.groupby(["family", *_SHARED], dropna=False):
        if family in (NATURAL, SCRAMBLED):
            clips = _natural(group, display, device, natural)
        else:
            clips = _RENDERERS[family](group, display, device)
        luminance[torch.tensor(group.index.to_numpy(), device=device)] = clips.luminance
        realised_coherence[group.index] = clips.realised_coherence
    return Clips(luminance, realised_coherence)


def _blank(group: pd.DataFrame, display: Display, device: Device) -> Clips:
    return Clips(torch.full((len(group), *display.clip_shape), 0.5, device=device), _NO_DOTS)


def _gratings(group: pd.DataFrame, display: Display, device: Device) -> Clips:
    return Clips(
        drifting_grating(*_values(group, *_GRATING), display=display, device=device), _NO_DOTS
    )


def _static_gratings(group: pd.DataFrame, display: Display, device: Device) -> Clips:
    parameters = _values(group, "orientation_deg", "spatial_frequency_cpd", "phase_deg", "contrast")
    return Clips(static_grating(*parameters, display=display, device=device), _NO_DOTS)


def _plaids(group: pd.DataFrame, display: Display, device: Device) -> Clips:
    parameters = _values(group, *_GRATING)
    return Clips(plaid(*parameters, display=display, device=device), _NO_DOTS)


def _apertures(group: pd.DataFrame, display: Display, device: Device) -> Clips:
    whole = drifting_grating(*_values(group, *_GRATING), display=display, device=device)
    inner, outer = _values(group, "inner_diameter_deg", "outer_diameter_deg")
    return Clips(through_aperture(whole, inner, outer, display.pixels_per_degree), _NO_DOTS)


def _second_order(group: pd.DataFrame, display: Display, device: Device) -> Clips:
    seeds, element_deg = group.seed.to_numpy(), float(group.element_deg.iloc[0])
    parameters = _values(group, *_GRATING)
    return Clips(
        contrast_modulated_noise(
            *parameters, seed=seeds, element_deg=element_deg, display=display, device=device
        ),
        _NO_DOTS,
    )


def _bars(group: pd.DataFrame, display: Display, device: Device) -> Clips:
    parameters = _values(
        group, "direction_deg", "speed_deg_s", "phase_deg", "contrast", "width_deg"
    )
    return Clips(moving_bar(*parameters, display=display, device=device), _NO_DOTS)


def _natural(
    group: pd.DataFrame, display: Display, device: Device, natural: NaturalClips | None
) -> Clips:
    if natural is None:
        raise InputError("the battery shows natural clips; give the clips table and video stores")
    # Multiples of the golden ratio spread any number of clips evenly over the videos.
    spread = group.natural_clip.to_numpy(float) * GOLDEN_RATIO % 1
    frames = natural.read(np.floor(spread * len(natural)).astype(int))
    luminance = frames.to(device, torch.float32).mean(dim=1) / 255
    clips = on_screen(luminance, display.n_frames, display.size_px)
    if group.family.iloc[0] == SCRAMBLED:
        clips = scramble_phases(clips, group.seed.to_numpy())
    return Clips(clips, _NO_DOTS)


def _dots(group: pd.DataFrame, display: Display, device: Device) -> Clips:
    direction_deg, speed_deg_s, coherence, contrast = _values(
        group, "direction_deg", "speed_deg_s", "coherence", "contrast"
    )
    clips, realised_coherence = random_dot_kinematogram(
        direction_deg, speed_deg_s, coherence, contrast, group.seed.to_numpy(),
        field=DotField(**group.iloc[0][FIELD_COLUMNS].to_dict()), display=display, device=device,
    )  # fmt: skip
    return Clips(clips, realised_coherence.mean(axis=1))


def _values(group: pd.DataFrame, *columns: str) -> list[torch.Tensor]:
    return [torch.tensor(group[column].to_numpy(float)) for column in columns]


_GRATING = (
    "direction_deg", "spatial_frequency_cpd", "temporal_frequency_hz", "phase_deg", "contrast",
)  # fmt: skip
_NO_DOTS = np.array(np.nan)
GOLDEN_RATIO = (1 + 5**0.5) / 2
_RENDERERS: dict[str, Callable[[pd.DataFrame, Display, Device], Clips]] = {
    BLANK: _blank,
    GratingGrid.family: _gratings,
    PlaidGrid.family: _plaids,
    ApertureGrid.family: _apertures,
    SecondOrderGrid.family: _second_order,
    BarGrid.family: _bars,
    StaticGratingGrid.family: _static_gratings,
    DotGrid.family: _dots,
}
