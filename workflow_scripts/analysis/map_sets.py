"""A layer's map with its resamples and surrogates: what every statistic of a map is computed on.

The channel is the sample: intervals resample channels. Two kinds of surrogate keep the units where
they are: *shuffled* ones hand out the preferences at random (4 pinwheels per squared
spacing at any smoothing), *permuted* ones hand out whole channels, and so keep what weight sharing
and the positions bring about alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.analysis.maps import (
    MapGrid,
    PreferenceMap,
    preference_map,
    preference_vectors,
)
from workflow_scripts.analysis.smoothness import ChannelGrid

Complexes = NDArray[np.complexfloating]
Floats = NDArray[np.floating]

KERNEL_FACTORS = (1.0, 1.2, 1.4, 1.7, 2.0)


@dataclass(frozen=True)
class SheetUnits:
    """Units of one layer on its sheet, with one kind of preference.

    Attributes
    ----------
    x_mm, y_mm, preference_deg : np.ndarray, (unit,)
        Preference NaN where a unit has none.
    channel, anchor : np.ndarray of int, (unit,)
        As in `analysis.smoothness.smoothness_curve`.
    period_deg : float
        360 for directions, 180 for axes.
    sheet_mm : float
        Side of the sheet.
    """

    x_mm: Floats
    y_mm: Floats
    preference_deg: Floats
    channel: NDArray[np.integer]
    anchor: NDArray[np.integer]
    period_deg: float
    sheet_mm: float

    def map(self, kernel_mm: float, n_pixels: int) -> PreferenceMap:
        """Smooth the preferences over the sheet; see `analysis.maps.preference_map`."""
        return preference_map(
            self.x_mm, self.y_mm, self.preference_deg, period_deg=self.period_deg,
            sheet_mm=self.sheet_mm, kernel_mm=kernel_mm, n_pixels=n_pixels,
        )  # fmt: skip


@dataclass(frozen=True)
class MapSet:
    """A layer's map, its resamples and its surrogates.

    Attributes
    ----------
    observed : PreferenceMap
    by_kernel_mm : dict of float to PreferenceMap
        The same units smoothed by other kernels.
    bootstrap, shuffled, permuted : list of np.ndarray of complex, (row, column)
        Channels drawn with replacement; preferences handed out at random; whole channels handed out
        at random, the same way at all anchors.
    """

    observed: PreferenceMap
    by_kernel_mm: dict[float, PreferenceMap]
    bootstrap: list[Complexes]
    shuffled: list[Complexes]
    permuted: list[Complexes]


def map_set(units: SheetUnits, kernel_mm: float, n_pixels: int, n_maps: int, seed: int) -> MapSet:
    """Smooth a layer's preferences, and `n_maps` resamples and surrogates of each kind.

    Two kinds of preference of the same units and seed are drawn alike.

    Raises
    ------
    InputError
        As `analysis.maps.preference_map`.
    """
    resampled = _Resampled(units, kernel_mm, n_pixels, np.random.default_rng(seed))
    return MapSet(
        units.map(kernel_mm, n_pixels),
        {factor * kernel_mm: units.map(factor * kernel_mm, n_pixels) for factor in KERNEL_FACTORS},
        *(list(draw(n_maps)) for draw in (resampled.bootstrap, resampled.shuffled,
                                          resampled.permuted)),
    )  # fmt: skip


class _Resampled:
    """Maps whose channels or preferences are drawn anew."""

    def __init__(
        self, units: SheetUnits, kernel_mm: float, n_pixels: int, rng: np.random.Generator
    ) -> None:
        self._channels = ChannelGrid.of(units.preference_deg, units.channel, units.anchor)
        self._grid = MapGrid(
            units.x_mm, units.y_mm, sheet_mm=units.sheet_mm, kernel_mm=kernel_mm, n_pixels=n_pixels
        )
        self._units, self._rng = units, rng

    def bootstrap(self, n_maps: int) -> Iterator[Complexes]:
        """Draw channels with replacement."""
        n_channels = self._channels.n_channels
        for channels in self._rng.integers(n_channels, size=(n_maps, n_channels)):
            weight = np.bincount(channels, minlength=n_channels)[self._channels.channel]
            yield self._smooth(self._units.preference_deg, weight.astype(float))

    def shuffled(self, n_maps: int) -> Iterator[Complexes]:
        """Hand out the preferences to units at random."""
        for _ in range(n_maps):
            yield self._smooth(self._rng.permutation(self._units.preference_deg))

    def permuted(self, n_maps: int) -> Iterator[Complexes]:
        """Hand out the tuning of whole channels at random, the same way at all anchors."""
        for _ in range(n_maps):
            order = self._rng.permutation(self._channels.n_channels)
            yield self._smooth(self._channels.permuted(order))

    def _smooth(self, preference_deg: Floats, weights: Floats | None = None) -> Complexes:
        vectors = preference_vectors(preference_deg, self._units.period_deg)
        tuned = np.isfinite(vectors)
        weights = tuned * (1.0 if weights is None else weights)
        return self._grid.smooth(np.where(tuned, vectors, 0), weights)
