"""Grids of stimulus conditions: every combination of some parameters of one family."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd

from workflow_scripts.stimuli.dots import DotField
from workflow_scripts.stimuli.plaids import PLAID_SEPARATION_DEG
from workflow_scripts.stores.errors import InputError

NATURAL, SCRAMBLED = "natural", "scrambled"


@dataclass(frozen=True)
class MovingGrid:
    """What moves, in directions that are evenly spaced over 360° from 0.

    Parameters
    ----------
    n_directions : int
        Even, so that each has its opposite.
    """

    directions_are_multiple_of: ClassVar[int] = 2

    n_directions: int

    def _crossed(self, *parameters: str) -> pd.DataFrame:
        """Every combination of the directions and the values of the parameters of these names."""
        n_directions, multiple_of = self.n_directions, self.directions_are_multiple_of
        if n_directions < multiple_of or n_directions % multiple_of:
            raise InputError(
                f"n_directions is {n_directions}; it must be a multiple of {multiple_of}"
            )
        directions_deg = np.arange(n_directions) * 360.0 / n_directions
        values = {name: getattr(self, name) for name in parameters}
        return _product(direction_deg=directions_deg, **values)


@dataclass(frozen=True)
class GratingGrid(MovingGrid):
    """Drifting gratings: every combination of the values below.

    Where the temporal frequency times the clip's duration is a whole number, the response
    averaged over the clip does not depend on how much of a cycle is shown.

    Parameters
    ----------
    n_directions : int
        As in `MovingGrid`.
    spatial_frequency_cpd, temporal_frequency_hz : list of float
        Cycles per degree, and Hz.
    contrast : list of float
        Michelson contrasts, 0–1.
    """

    family: ClassVar[str] = "drifting_grating"

    spatial_frequency_cpd: list[float]
    temporal_frequency_hz: list[float]
    contrast: list[float] = field(default_factory=lambda: [1.0])

    def conditions(self) -> pd.DataFrame:
        """One row per condition."""
        table = self._crossed("spatial_frequency_cpd", "temporal_frequency_hz", "contrast")
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
    directions_are_multiple_of: ClassVar[int] = 6

    def conditions(self) -> pd.DataFrame:
        """One row per condition; speed is that of the pattern."""
        table = super().conditions()
        half_separation = np.deg2rad(PLAID_SEPARATION_DEG / 2)
        return table.assign(speed_deg_s=table.speed_deg_s / np.cos(half_separation))


@dataclass(frozen=True)
class ApertureGrid(GratingGrid):
    """Drifting gratings in discs and rings: every combination of the values below.

    Parameters
    ----------
    n_directions : int
        As in `MovingGrid`.
    spatial_frequency_cpd, temporal_frequency_hz, contrast : list of float
        As in `GratingGrid`.
    diameter_deg : list of [float, float]
        Inner and outer diameters, degrees; inner 0 is a disc.
    """

    family: ClassVar[str] = "aperture"

    diameter_deg: list[list[float]] = field(default_factory=lambda: [[0.0, 4.0]])

    def conditions(self) -> pd.DataFrame:
        """One row per condition."""
        tables = [
            super(ApertureGrid, self)
            .conditions()
            .assign(inner_diameter_deg=inner, outer_diameter_deg=outer)
            for inner, outer in self.diameter_deg
        ]
        return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class SecondOrderGrid(GratingGrid):
    """Drifting contrast over static noise: every combination of the values below.

    Parameters
    ----------
    n_directions : int
        As in `MovingGrid`.
    spatial_frequency_cpd, temporal_frequency_hz : list of float
        Of the envelope.
    contrast : list of float
        Of the noise, where the envelope is largest.
    element_deg : float
        Side of a square of the noise, degrees.
    """

    family: ClassVar[str] = "second_order"

    element_deg: float = 0.25

    def conditions(self) -> pd.DataFrame:
        """One row per condition."""
        return super().conditions().assign(element_deg=self.element_deg)


@dataclass(frozen=True)
class BarGrid(MovingGrid):
    """Moving bars: every combination of the values below.

    Parameters
    ----------
    n_directions : int
        As in `MovingGrid`.
    speed_deg_s, width_deg : list of float
        Degrees per second, and degrees.
    contrast : list of float
        A bar's luminance is ½ (1 + contrast).
    """

    family: ClassVar[str] = "bar"

    speed_deg_s: list[float]
    width_deg: list[float]
    contrast: list[float] = field(default_factory=lambda: [1.0])

    def conditions(self) -> pd.DataFrame:
        """One row per condition."""
        return self._crossed("speed_deg_s", "width_deg", "contrast")


@dataclass(frozen=True)
class NaturalGrid:
    """Natural clips, spread over the study's videos, each also with its phases scrambled.

    Parameters
    ----------
    n_sets : int
        Conditions of either kind; a set holds as many clips as there are repeats.
    """

    family: ClassVar[str] = NATURAL

    n_sets: int

    def conditions(self) -> pd.DataFrame:
        """One row per set, natural and scrambled."""
        sets = _product(clip_set=range(self.n_sets))
        tables = [sets.assign(family=family, contrast=1.0) for family in (NATURAL, SCRAMBLED)]
        return pd.concat(tables, ignore_index=True)


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
class DotGrid(MovingGrid):
    """Random-dot kinematograms: every combination of the values below.

    Parameters
    ----------
    n_directions : int
        As in `MovingGrid`.
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

    speed_deg_s: list[float]
    coherence: list[float]
    contrast: list[float] = field(default_factory=lambda: [1.0])
    dots: DotField = field(default_factory=DotField)

    def conditions(self) -> pd.DataFrame:
        """One row per condition."""
        return self._crossed("speed_deg_s", "coherence", "contrast").assign(**asdict(self.dots))


Grid = (
    GratingGrid
    | PlaidGrid
    | ApertureGrid
    | SecondOrderGrid
    | BarGrid
    | StaticGratingGrid
    | DotGrid
    | NaturalGrid
)


def _product(**values: Iterable[float]) -> pd.DataFrame:
    """Every combination of the values, the first parameter changing slowest."""
    index = pd.MultiIndex.from_product([list(v) for v in values.values()], names=list(values))
    return index.to_frame(index=False).astype(float)
