"""A map's pattern in numbers, each with its interval and what chance gives.

The channel is the sample: intervals resample channels. Two kinds of surrogate keep the units where
they are: *shuffled* ones hand out the preferences at random (4 pinwheels per squared
spacing at any smoothing), *permuted* ones hand out whole channels, and so keep what weight sharing
and the positions bring about alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.analysis.maps import (
    MapGrid,
    PreferenceMap,
    closed_plaquettes,
    find_pinwheels,
    preference_map,
    preference_vectors,
)
from workflow_scripts.analysis.smoothness import INTERVAL, ChannelGrid
from workflow_scripts.analysis.spacing import radial_spectrum, spectral_spacing, wavelet_spacing

Bools = NDArray[np.bool_]
Complexes = NDArray[np.complexfloating]
Floats = NDArray[np.floating]

# A density is only reported under three conditions; a smoothed random map fails the first.
KERNEL_FACTORS = (1.0, 1.2, 1.4)
MOST_SPACING_CHANGE = 1.15  # largest spacing over smallest, between those kernels
LARGEST_PEAK_P = 0.05
FEWEST_SQUARED_SPACINGS = 10.0


@dataclass(frozen=True)
class Pattern:
    """What one map shows.

    Attributes
    ----------
    spacing_wavelet_mm, spacing_spectrum_mm : float
        Column spacing Λ; see `analysis.spacing.ColumnSpacing`.
    n_pinwheels : float
        Within the ROI.
    density_per_mm2, density_per_squared_spacing : float
        Pinwheels per mm², and per Λ² (of the spectrum).
    spectral_peak_mm2 : float
        Largest power spectral density of the ring averages.
    """

    spacing_wavelet_mm: float
    spacing_spectrum_mm: float
    n_pinwheels: float
    density_per_mm2: float
    density_per_squared_spacing: float
    spectral_peak_mm2: float


def measure_pattern(z: Complexes, pixel_mm: float, roi: Bools, wavelet: bool = True) -> Pattern:
    """Measure spacing, pinwheel density and spectral peak of a complex map.

    Parameters
    ----------
    z : np.ndarray of complex, (row, column)
    pixel_mm : float
        Side of a pixel.
    roi : np.ndarray of bool, (row, column)
    wavelet : bool
        Without it the wavelet's spacing, the slowest measure, is left NaN.

    Raises
    ------
    InputError
        The ROI is too small or the map is constant in it.
    """
    spacing = spectral_spacing(z, pixel_mm, roi)
    area_mm2 = closed_plaquettes(z, roi).sum() * pixel_mm**2
    n_pinwheels = len(find_pinwheels(z, roi))
    return Pattern(
        spacing_wavelet_mm=wavelet_spacing(z, pixel_mm, spacing, roi) if wavelet else np.nan,
        spacing_spectrum_mm=spacing,
        n_pinwheels=n_pinwheels,
        density_per_mm2=n_pinwheels / area_mm2,
        density_per_squared_spacing=n_pinwheels / area_mm2 * spacing**2,
        spectral_peak_mm2=float(radial_spectrum(z, pixel_mm, roi)[1].max()),
    )


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


def pattern_statistics(
    units: SheetUnits, kernel_mm: float, n_pixels: int, n_maps: int, seed: int
) -> dict[str, Any]:
    """Measure a layer's map with intervals and surrogates.

    Parameters
    ----------
    units : SheetUnits
    kernel_mm, n_pixels
        As in `analysis.maps.preference_map`.
    n_maps : int
        Resamples of the channels, and surrogates of each kind.
    seed : int

    Returns
    -------
    dict
        The fields of `Pattern`, each ``{value, low, high, shuffled: {mean, low, high}, permuted:
        {mean, low, high}}`` with 95 % intervals; ``roi_mm2``; ``roi_squared_spacings``;
        ``spacing_by_kernel_mm`` (kernel → Λ of the spectrum); ``peak_p`` (one-sided, against either
        kind of surrogate, the larger); and ``density_conditions``, whether a density may be
        reported: ``spacing_stable``, ``peak_above_surrogates``, ``roi_large_enough``, ``all``.

    Raises
    ------
    InputError
        As `analysis.maps.preference_map` and `measure_pattern`.
    """
    observed = units.map(kernel_mm, n_pixels)
    value = measure_pattern(observed.z, observed.pixel_mm, observed.roi)
    wider = {
        factor * kernel_mm: units.map(factor * kernel_mm, n_pixels) for factor in KERNEL_FACTORS
    }
    by_kernel = {
        kernel: spectral_spacing(each.z, each.pixel_mm, observed.roi)
        for kernel, each in wider.items()
    }
    resampled = _Resampled(units, kernel_mm, n_pixels, observed.roi, np.random.default_rng(seed))
    bootstrap, shuffled, permuted = (
        draw(n_maps) for draw in (resampled.bootstrap, resampled.shuffled, resampled.permuted)
    )
    peak_p = max(
        (1 + (surrogate["spectral_peak_mm2"] >= value.spectral_peak_mm2).sum()) / (1 + n_maps)
        for surrogate in (shuffled, permuted)
    )
    area_mm2 = closed_plaquettes(observed.z, observed.roi).sum() * observed.pixel_mm**2
    squared_spacings = area_mm2 / value.spacing_spectrum_mm**2
    return {
        **{
            name: {
                "value": float(measured),
                **_interval(bootstrap[name]),
                "shuffled": _summary(shuffled[name]),
                "permuted": _summary(permuted[name]),
            }
            for name, measured in vars(value).items()
        },
        "roi_mm2": float(area_mm2),
        "roi_squared_spacings": float(squared_spacings),
        "spacing_by_kernel_mm": {f"{kernel:g}": spacing for kernel, spacing in by_kernel.items()},
        "peak_p": float(peak_p),
        "density_conditions": _conditions(list(by_kernel.values()), peak_p, squared_spacings),
    }


def _conditions(
    spacings: Sequence[float], peak_p: float, squared_spacings: float
) -> dict[str, bool]:
    conditions = {
        "spacing_stable": max(spacings) <= MOST_SPACING_CHANGE * min(spacings),
        "peak_above_surrogates": peak_p < LARGEST_PEAK_P,
        "roi_large_enough": squared_spacings >= FEWEST_SQUARED_SPACINGS,
    }
    conditions = {name: bool(holds) for name, holds in conditions.items()}
    return {**conditions, "all": all(conditions.values())}


def _interval(values: Floats) -> dict[str, float]:
    low, high = np.percentile(values, INTERVAL)
    return {"low": float(low), "high": float(high)}


def _summary(values: Floats) -> dict[str, float]:
    return {"mean": float(values.mean()), **_interval(values)}


class _Resampled:
    """Patterns of maps whose channels or preferences are drawn anew: arrays (map,) by name."""

    def __init__(
        self, units: SheetUnits, kernel_mm: float, n_pixels: int, roi: Bools,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self._channels = ChannelGrid.of(units.preference_deg, units.channel, units.anchor)
        self._grid = MapGrid(
            units.x_mm, units.y_mm, sheet_mm=units.sheet_mm, kernel_mm=kernel_mm, n_pixels=n_pixels
        )
        self._units, self._roi, self._rng = units, roi, rng

    def bootstrap(self, n_maps: int) -> dict[str, Floats]:
        """Draw channels with replacement."""
        n_channels = self._channels.n_channels
        drawn = self._rng.integers(n_channels, size=(n_maps, n_channels))
        weights = (np.bincount(channels, minlength=n_channels) for channels in drawn)
        observed = self._units.preference_deg
        maps = (
            self._smooth(observed, weight[self._channels.channel].astype(float))
            for weight in weights
        )
        return self._measure(maps, wavelet=True)

    def shuffled(self, n_maps: int) -> dict[str, Floats]:
        """Hand out the preferences to units at random."""
        observed = self._units.preference_deg
        return self._surrogates(n_maps, lambda: self._rng.permutation(observed))

    def permuted(self, n_maps: int) -> dict[str, Floats]:
        """Hand out the tuning of whole channels at random, the same way at all anchors."""
        n = self._channels.n_channels
        return self._surrogates(n_maps, lambda: self._channels.permuted(self._rng.permutation(n)))

    def _surrogates(self, n_maps: int, draw: Callable[[], Floats]) -> dict[str, Floats]:
        maps = (self._smooth(draw()) for _ in range(n_maps))
        return self._measure(maps, wavelet=False)

    def _smooth(self, preference_deg: Floats, weights: Floats | None = None) -> Complexes:
        vectors = preference_vectors(preference_deg, self._units.period_deg)
        tuned = np.isfinite(vectors)
        weights = tuned * (1.0 if weights is None else weights)
        return self._grid.smooth(np.where(tuned, vectors, 0), weights)

    def _measure(self, maps: Iterator[Complexes], wavelet: bool) -> dict[str, Floats]:
        patterns = [measure_pattern(z, self._grid.pixel_mm, self._roi, wavelet) for z in maps]
        names = (field.name for field in fields(Pattern))
        return {name: np.array([getattr(one, name) for one in patterns]) for name in names}
