"""A map's pattern in numbers, each with its interval and what chance gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workflow_scripts.analysis.fractures import find_fractures
from workflow_scripts.analysis.map_sets import MapSet
from workflow_scripts.analysis.maps import (
    PreferenceMap,
    closed_plaquettes,
    find_pinwheels,
)
from workflow_scripts.analysis.pinwheel_statistics import (
    count_exponent,
    count_variance,
    nearest_neighbours,
)
from workflow_scripts.analysis.smoothness import INTERVAL
from workflow_scripts.analysis.spacing import RadialSpectrum, WaveletBank

Bools = NDArray[np.bool_]
Complexes = NDArray[np.complexfloating]
Floats = NDArray[np.floating]

# A density is only reported under three conditions; a smoothed random map fails the first.
N_STABLE = 3  # of the kernels: up to 1.4 times the map's own
MOST_SPACING_CHANGE = 1.15  # largest spacing over smallest, between those kernels
LARGEST_PEAK_P = 0.05
FEWEST_SQUARED_SPACINGS = 10.0
DISC_AREAS = (0.5, 1.0, 2.0, 4.0)  # squared spacings
COUNTED_SURROGATES = 20


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
    neighbour_same_spacings, neighbour_opposite_spacings : float
        Mean distance of a pinwheel to the nearest of its own and of the other sign, in Λ.
    """

    spacing_wavelet_mm: float
    spacing_spectrum_mm: float
    n_pinwheels: float
    density_per_mm2: float
    density_per_squared_spacing: float
    spectral_peak_mm2: float
    neighbour_same_spacings: float
    neighbour_opposite_spacings: float


def measure_pattern(
    z: Complexes,
    pixel_mm: float,
    roi: Bools,
    spectrum: RadialSpectrum,
    wavelets: WaveletBank | None,
) -> Pattern:
    """Measure spacing, pinwheel density and spectral peak of a complex map.

    Parameters
    ----------
    z : np.ndarray of complex, (row, column)
    pixel_mm : float
        Side of a pixel.
    roi : np.ndarray of bool, (row, column)
    spectrum : RadialSpectrum
        Of this ROI; many maps share it.
    wavelets : WaveletBank or None
        Of this ROI. Without them the wavelet's spacing, the slowest measure, is left NaN.

    Raises
    ------
    InputError
        The ROI is too small or the map is constant in it.
    """
    power = spectrum.power(z)
    spacing = spectrum.spacing(power)
    area_mm2 = closed_plaquettes(z, roi).sum() * pixel_mm**2
    pinwheels = find_pinwheels(z, roi)
    neighbours = nearest_neighbours(pinwheels).mean() * pixel_mm / spacing
    return Pattern(
        spacing_wavelet_mm=wavelets.spacing(z) if wavelets else np.nan,
        spacing_spectrum_mm=spacing,
        n_pinwheels=len(pinwheels),
        density_per_mm2=len(pinwheels) / area_mm2,
        density_per_squared_spacing=len(pinwheels) / area_mm2 * spacing**2,
        spectral_peak_mm2=float(power.max()),
        neighbour_same_spacings=float(neighbours.loc["same"]),
        neighbour_opposite_spacings=float(neighbours.loc["opposite"]),
    )


def pattern_statistics(maps: MapSet) -> dict[str, Any]:
    """Measure a layer's map with intervals and surrogates.

    Returns
    -------
    dict
        The fields of `Pattern`, each ``{value, low, high, shuffled: {mean, low, high}, permuted:
        {mean, low, high}}`` with 95 % intervals; ``roi_mm2``; ``roi_squared_spacings``;
        ``by_kernel`` (kernel_mm, Λ of the spectrum and density per Λ² of each); ``counts``
        (`count_statistics`); ``peak_p`` (one-sided, against either kind of surrogate, the
        larger); and ``density_conditions``, whether a density may be reported:
        ``spacing_stable``, ``peak_above_surrogates``, ``roi_large_enough``, ``all``.

    Raises
    ------
    InputError
        As `measure_pattern`.
    """
    observed = maps.observed
    roi, pixel_mm = observed.roi, observed.pixel_mm
    spectrum = RadialSpectrum(roi, pixel_mm)
    wavelets = WaveletBank(roi, pixel_mm, spectrum.spacing(spectrum.power(observed.z)))
    value = measure_pattern(observed.z, pixel_mm, roi, spectrum, wavelets)
    bootstrap, shuffled, permuted = (
        _tabulate([measure_pattern(z, pixel_mm, roi, spectrum, bank) for z in drawn])
        for drawn, bank in (
            (maps.bootstrap, wavelets), (maps.shuffled, None), (maps.permuted, None),
        )
    )  # fmt: skip
    peak_p = max(
        (1 + (surrogate["spectral_peak_mm2"] >= value.spectral_peak_mm2).sum())
        / (1 + len(surrogate["spectral_peak_mm2"]))
        for surrogate in (shuffled, permuted)
    )
    area_mm2 = closed_plaquettes(observed.z, roi).sum() * pixel_mm**2
    squared_spacings = area_mm2 / value.spacing_spectrum_mm**2
    by_kernel = [
        _at_kernel(kernel, each, roi, spectrum) for kernel, each in maps.by_kernel_mm.items()
    ]
    stable = [one["spacing_mm"] for one in by_kernel[:N_STABLE]]
    return {
        **{
            name: {
                "value": float(measured),
                **interval(bootstrap[name]),
                "shuffled": summary(shuffled[name]),
                "permuted": summary(permuted[name]),
            }
            for name, measured in vars(value).items()
        },
        "roi_mm2": float(area_mm2),
        "roi_squared_spacings": float(squared_spacings),
        "by_kernel": by_kernel,
        "counts": count_statistics(maps, value.spacing_spectrum_mm),
        "peak_p": float(peak_p),
        "density_conditions": _conditions(stable, peak_p, squared_spacings),
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


def _at_kernel(
    kernel_mm: float, smoothed: PreferenceMap, roi: Bools, spectrum: RadialSpectrum
) -> dict[str, float]:
    pattern = measure_pattern(smoothed.z, smoothed.pixel_mm, roi, spectrum, None)
    return {
        "kernel_mm": kernel_mm,
        "spacing_mm": pattern.spacing_spectrum_mm,
        "density_per_squared_spacing": pattern.density_per_squared_spacing,
    }


def count_statistics(maps: MapSet, spacing_mm: float) -> dict[str, Any]:
    """Measure how evenly pinwheels are spread, beside maps of shuffled preferences.

    Returns
    -------
    dict
        ``area_squared_spacings`` (disc), and for each disc ``mean sd shuffled_sd_over_poisson
        sd_over_poisson`` of the count, Poisson's sd being the root of the mean; ``exponent`` and
        ``shuffled_exponent``, γ of sd ∝ mean^γ.
    """
    observed = maps.observed
    areas = np.array(DISC_AREAS)
    radii_px = np.maximum(np.sqrt(areas / np.pi) * spacing_mm / observed.pixel_mm, 1)
    count, *random = (
        count_variance(find_pinwheels(z, observed.roi), observed.roi, radii_px)
        for z in (observed.z, *maps.shuffled[:COUNTED_SURROGATES])
    )
    ratio, *random_ratios = (
        (one["sd"] / np.sqrt(one["mean"].where(one["mean"] > 0))).to_numpy()
        for one in (count, *random)
    )
    return {
        "area_squared_spacings": areas.tolist(),
        "mean": count["mean"].tolist(),
        "sd": count["sd"].tolist(),
        "sd_over_poisson": ratio.tolist(),
        "shuffled_sd_over_poisson": np.mean(random_ratios, axis=0).tolist(),
        "exponent": count_exponent(count),
        "shuffled_exponent": float(np.mean([count_exponent(one) for one in random])),
    }


def fracture_statistics(direction: MapSet, axis: MapSet) -> dict[str, Any]:
    """Measure the direction fractures of a layer with intervals and surrogates.

    Parameters
    ----------
    direction, axis : MapSet
        Of the same units and seed, period 360° and 180°.

    Returns
    -------
    dict
        ``length_per_mm2`` and ``n_ends``, the pinwheels of the axis at which a fracture ends, each
        as the fields of `Pattern` are in `pattern_statistics`.

    Raises
    ------
    InputError
        The maps have different shapes.
    """
    roi, pixel_mm = direction.observed.roi & axis.observed.roi, direction.observed.pixel_mm
    area_mm2 = closed_plaquettes(direction.observed.z, roi).sum() * pixel_mm**2

    def measure(z1: Complexes, z2: Complexes) -> dict[str, float]:
        found = find_fractures(z1, z2, roi)
        length_mm = float(found.length_px.sum()) * pixel_mm
        return {"length_per_mm2": length_mm / area_mm2, "n_ends": float(found.ends.sum())}

    value = measure(direction.observed.z, axis.observed.z)
    drawn = {
        kind: pd.DataFrame(map(measure, getattr(direction, kind), getattr(axis, kind)))
        for kind in ("bootstrap", "shuffled", "permuted")
    }
    return {
        name: {
            "value": value[name],
            **interval(drawn["bootstrap"][name].to_numpy()),
            "shuffled": summary(drawn["shuffled"][name].to_numpy()),
            "permuted": summary(drawn["permuted"][name].to_numpy()),
        }
        for name in value
    }


def interval(values: Floats) -> dict[str, float]:
    """95 % of the values: ``low``, ``high``; NaN where there are none."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, INTERVAL) if finite.size else (np.nan, np.nan)
    return {"low": float(low), "high": float(high)}


def summary(values: Floats) -> dict[str, float]:
    """``mean`` and `interval` of the values."""
    finite = values[np.isfinite(values)]
    return {"mean": float(finite.mean()) if finite.size else np.nan, **interval(values)}


def _tabulate(patterns: Sequence[Pattern]) -> dict[str, Floats]:
    names = (field.name for field in fields(Pattern))
    return {name: np.array([getattr(one, name) for one in patterns]) for name in names}
