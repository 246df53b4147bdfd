"""Column spacing: how far a map's pattern goes until it repeats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import fft2, ifft2
from scipy.ndimage import distance_transform_edt

from workflow_scripts.stores.errors import InputError

Bools = NDArray[np.bool_]
Complexes = NDArray[np.complexfloating]
Floats = NDArray[np.floating]
Integers = NDArray[np.integer]


@dataclass(frozen=True)
class ColumnSpacing:
    """Two estimates of the column spacing Λ = 2π / ⟨k⟩, in mm.

    Attributes
    ----------
    wavelet : float
        From the mean over the ROI of the local wave number, `wavelet_spacing`.
    spectrum : float
        From the mean wave number of a ring fitted to the power spectrum, `spectral_spacing`.
    """

    wavelet: float
    spectrum: float


def column_spacing(z: ArrayLike, pixel_mm: float, roi: ArrayLike | None = None) -> ColumnSpacing:
    """Estimate the column spacing of a complex map in two ways.

    Parameters
    ----------
    z : array of complex, (row, column)
    pixel_mm : float
        Side of a pixel.
    roi : array of bool, (row, column), optional
        Where the map is valid; everywhere by default.

    Raises
    ------
    InputError
        The ROI is empty or of another shape, or the map is constant or not finite in it.
    """
    spectrum = spectral_spacing(z, pixel_mm, roi)
    return ColumnSpacing(wavelet_spacing(z, pixel_mm, spectrum, roi), spectrum)


def _centred(z: ArrayLike, weights: Floats) -> Complexes:
    """Subtract the map's weighted mean and apply the weights, which are 0 outside the ROI."""
    centred: Complexes = np.where(weights > 0, np.asarray(z, complex), 0)
    if not np.isfinite(centred).all():
        raise InputError("z is not finite everywhere in its ROI; leave those pixels out of the ROI")
    centred = (centred - (weights * centred).sum() / weights.sum()) * weights
    if np.abs(centred).max() == 0:
        raise InputError("z is constant in its ROI and has no spacing")
    return centred


def _checked_roi(z: ArrayLike, roi: ArrayLike | None) -> Bools:
    shape = np.shape(z)
    roi = np.ones(shape, bool) if roi is None else np.asarray(roi, bool)
    if roi.shape != shape or roi.sum() < 16:
        raise InputError(
            f"roi has shape {roi.shape} and {roi.sum()} pixels; the map has shape {shape} and "
            "needs 16 pixels"
        )
    return roi


class RadialSpectrum:
    """The power spectra of maps in one ROI, averaged over rings half a mode wide.

    The ROI is tapered towards its edge (a sine squared over `TAPER` of its greatest depth), which
    keeps the power of the edge out of the high wave numbers. Padding with zeros to twice the size
    samples the spectrum between the map's own modes.

    Parameters
    ----------
    roi : np.ndarray of bool, (row, column)
    pixel_mm : float
        Side of a pixel.

    Attributes
    ----------
    wave_number_per_mm : np.ndarray, (ring,)
        Mean over each ring, in cycles per mm; without the mean of the map (ring 0).
    n_modes : np.ndarray of int, (ring,)
        Modes in each ring.
    """

    def __init__(self, roi: Bools, pixel_mm: float) -> None:
        self._weights = edge_taper(roi)
        self._scale = pixel_mm**2 / (self._weights**2).sum()
        self._padded = [2 * side for side in roi.shape]
        rows, columns = self._padded
        wave_number = np.hypot(
            np.fft.fftfreq(rows, pixel_mm)[:, None], np.fft.fftfreq(columns, pixel_mm)
        )
        self._n_rings = max(self._padded) // 2  # up to the Nyquist frequency
        ring = np.rint(wave_number * max(self._padded) * pixel_mm).astype(np.int32)
        self._ring = ring.ravel()
        self.n_modes = np.bincount(self._ring, minlength=self._n_rings)[1 : self._n_rings]
        self.wave_number_per_mm = self._sum(wave_number) / self.n_modes

    def power(self, z: ArrayLike) -> Floats:
        """Power spectral density of a map in mm², (ring,).

        Raises
        ------
        InputError
            The map is constant or not finite in the ROI.
        """
        modes: Complexes = np.asarray(fft2(_centred(z, self._weights), self._padded))
        power = np.square(modes.real) + np.square(modes.imag)
        return self._sum(power) * self._scale / self.n_modes

    def spacing(self, power: Floats) -> float:
        """Fit a ring to the power; spacing of its mean wave number, in mm: `spectral_spacing`."""
        centre, width = _fit_ring(self.wave_number_per_mm, power, self.n_modes)
        k = np.linspace(0, centre + 6 * width, 2000)
        ring = np.exp(-(((k - centre) / width) ** 2) / 2)
        return float((k * ring).sum() / (k**2 * ring).sum())

    def _sum(self, values: Floats) -> Floats:
        summed = np.bincount(self._ring, values.ravel(), self._n_rings)
        return np.asarray(summed, float)[1 : self._n_rings]


TAPER = 0.3


def edge_taper(roi: Bools) -> Floats:
    """Weights that rise from 0 at the ROI's edge to 1 inside, (row, column)."""
    depth = np.asarray(distance_transform_edt(np.pad(roi, 1)))[1:-1, 1:-1]
    return np.sin(np.pi / 2 * np.minimum(depth / (TAPER * depth.max()), 1)) ** 2


def spectral_spacing(z: ArrayLike, pixel_mm: float, roi: ArrayLike | None = None) -> float:
    """Fit a ring to a map's power spectrum; spacing of its mean wave number, in mm.

    The power ``A exp(−(k − k₀)² / 2s²) + c`` is fitted to the ring averages. The spacing is
    2π / ⟨k⟩ with the mean over the plane of modes, ⟨k⟩ = ∫ k² P dk / ∫ k P dk without the
    background c. Smoothed noise is the case k₀ = 0.

    Parameters and errors are those of `column_spacing`.
    """
    spectrum = RadialSpectrum(_checked_roi(z, roi), pixel_mm)
    return spectrum.spacing(spectrum.power(z))


LEAST_POWER = 0.3
RINGS_TO_CREST, FEWEST_RINGS = 6, 30  # how far the fit looks: the background needs some rings
N_ZOOMS = 9


def _fit_ring(wave_number: Floats, power: Floats, n_modes: Integers) -> tuple[float, float]:
    """Centre k₀ and width s of the ring by weighted least squares, in cycles per mm.

    The spread of a ring average is its power over √(number of modes), so a second fit weights by
    what the first has found; powers below `LEAST_POWER` of the largest count as equally
    certain, or the fit would follow the spectrum's tails. Amplitude and background are linear, so
    only centre and width are searched: on a grid, and on ever finer ones around the best.
    """
    crest = int((power * np.sqrt(n_modes)).argmax())
    used = slice(0, max(RINGS_TO_CREST * (crest + 1), FEWEST_RINGS))
    wave_number, power, n_modes = wave_number[used], power[used] / power.max(), n_modes[used]
    weights = n_modes.astype(float)
    finest, largest, start = wave_number[0] / 2, wave_number[-1], wave_number[crest]
    centres = np.linspace(0, min(2.5 * start, largest), 40)
    widths = np.geomspace(finest, min(2 * start, largest) + finest, 24)
    best = _best_ring(wave_number, power, weights, centres, widths)
    for _ in range(2):
        steps = np.array([centres[1] - centres[0], widths[1] / widths[0]])
        for _ in range(N_ZOOMS):
            around = np.linspace(-1, 1, 5)
            nearby = np.maximum(best[0] + steps[0] * around, 0)
            scaled = np.maximum(best[1] * steps[1] ** around, finest)
            best = _best_ring(wave_number, power, weights, nearby, scaled)
            steps = np.array([steps[0] / 2, np.sqrt(steps[1])])
        fitted = np.exp(-(((wave_number - best[0]) / best[1]) ** 2) / 2)
        amplitude, background, _ = _linear_part(fitted, power, weights)
        fitted = amplitude * fitted + background
        weights = n_modes / (fitted / max(fitted.max(), 1e-9) + LEAST_POWER) ** 2
    return float(best[0]), float(best[1])


def _best_ring(
    wave_number: Floats, power: Floats, weights: Floats, centres: Floats, widths: Floats
) -> tuple[float, float]:
    centre, width = (grid.ravel() for grid in np.meshgrid(centres, widths, indexing="ij"))
    rings = np.exp(-(((wave_number - centre[:, None]) / width[:, None]) ** 2) / 2)
    misfit = _linear_part(rings, power, weights)[2]
    best = misfit.argmin()
    return float(centre[best]), float(width[best])


def _linear_part(rings: Floats, power: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Best amplitude ≥ 0 and background ≥ 0 of each ring (…, ring), and the misfit they leave."""
    total, mean = weights.sum(), (weights * power).sum() / weights.sum()
    centre = rings @ weights / total
    spread = rings**2 @ weights / total - centre**2
    together = rings @ (weights * power) / total
    slope = (together - centre * mean) / np.where(spread > 0, spread, np.inf)
    through_zero = together / np.maximum(rings**2 @ weights / total, 1e-300)
    amplitude = np.maximum(np.where(mean - slope * centre > 0, slope, through_zero), 0)
    background = np.maximum(mean - amplitude * centre, 0)
    residual = amplitude[..., None] * rings + background[..., None] - power
    return amplitude, background, residual**2 @ weights


def wavelet_spacing(
    z: ArrayLike, pixel_mm: float, near_mm: float, roi: ArrayLike | None = None
) -> float:
    """Average the local wave number over the ROI, tapered; the spacing that belongs to it, in mm.

    At every place the Morlet wavelet that responds most (mean modulus over 16 orientations)
    gives the local wave number; scales lie between half and twice `near_mm`. Wavelets are
    normalised as scale^(−3/2): the mean modulus over orientations of a plane wave then peaks at its
    own wave number.

    Parameters
    ----------
    z, pixel_mm, roi
        As in `column_spacing`.
    near_mm : float
        First guess of the spacing.

    References
    ----------
    Kaschube, Wolf, Geisel & Löwel 2002 (for real maps: half the orientations, real and imaginary
    parts).
    """
    return WaveletBank(_checked_roi(z, roi), pixel_mm, near_mm).spacing(z)


N_SCALES = 15
N_ORIENTATIONS = 16
CYCLES = 7.0  # k_ψ: wave number times scale


class WaveletBank:
    """The wavelets of `wavelet_spacing` for one ROI and one first guess of the spacing.

    Parameters
    ----------
    roi : np.ndarray of bool, (row, column)
    pixel_mm, near_mm : float
        As in `wavelet_spacing`.
    """

    def __init__(self, roi: Bools, pixel_mm: float, near_mm: float) -> None:
        self._roi, self._pixel_mm = roi, pixel_mm
        self._spacings = near_mm / pixel_mm * np.geomspace(0.5, 2, N_SCALES)
        margin = int(2 * self._spacings[-1])  # no wavelet reaches around the periodic edge
        # sizes of small factors
        self._padded = [64 * ((side + margin) // 64 + 1) for side in roi.shape]
        self._wavelets = [self._wavelets_of(spacing) for spacing in self._spacings]
        shape = self._wavelets[0][1].shape[1:]
        rows, columns = (
            np.arange(m) * side // m for m, side in zip(shape, self._padded, strict=True)
        )
        beyond = [(0, p - side) for p, side in zip(self._padded, roi.shape, strict=True)]
        weights = np.pad(edge_taper(roi), beyond)[np.ix_(rows, columns)]
        self._inside, self._weights = weights > 0, weights[weights > 0]

    def spacing(self, z: ArrayLike) -> float:
        """Spacing of a map in mm; errors are those of `column_spacing`."""
        spectrum = np.asarray(fft2(_centred(z, self._roi.astype(float)), self._padded)).ravel()
        modulus = [
            np.abs(np.asarray(ifft2(spectrum[modes] * gains))).sum(axis=0)[self._inside]
            for modes, gains in self._wavelets
        ]
        wave_number = np.exp(-_peak_position(np.stack(modulus), np.log(self._spacings)))
        return float(self._pixel_mm / np.average(wave_number, weights=self._weights))

    def _wavelets_of(self, spacing: float) -> tuple[Integers, Floats]:
        """Modes that the wavelets of one spacing (pixels) pass and their gains, (angle, m, m).

        Each wavelet passes only modes near its own, so a small box around them is transformed
        back. Moving the box to the origin shifts the phase and leaves the modulus; its size is
        that of the smallest wavelet, so that all moduli come at the same places, coarser than z.
        """
        scale = CYCLES * spacing / (2 * np.pi)
        reach = 3.5 * 2 * np.pi / (CYCLES * self._spacings[0])
        angles = np.arange(N_ORIENTATIONS) * 2 * np.pi / N_ORIENTATIONS
        picked, gains = [], []
        for n, direction in zip(self._padded, (np.sin(angles), np.cos(angles)), strict=True):
            centre = CYCLES / scale * direction[:, None] * n / (2 * np.pi)
            half = min(int(np.ceil(reach * n / (2 * np.pi))), (n - 1) // 2)
            modes = np.rint(centre).astype(int) + np.arange(-half, half + 1)
            picked.append(modes % n)
            gains.append(np.exp(-(((modes - centre) * 2 * np.pi / n * scale) ** 2) / 2))
        modes = picked[0][:, :, None] * self._padded[1] + picked[1][:, None]
        return modes, np.sqrt(scale) * gains[0][:, :, None] * gains[1][:, None]


def _peak_position(values: Floats, positions: Floats) -> Floats:
    """Where a Gaussian through the largest values peaks: (scale, place) → (place,)."""
    values = np.log(np.maximum(values, 1e-12 * values.max()))
    peak = np.clip(values.argmax(axis=0), 1, len(values) - 2)
    before, at, after = (
        np.take_along_axis(values, (peak + shift)[None], axis=0)[0] for shift in (-1, 0, 1)
    )
    curvature = before - 2 * at + after
    offset = (before - after) / (2 * np.where(curvature < 0, curvature, np.inf))
    return positions[peak] + np.clip(offset, -1, 1) * (positions[1] - positions[0])
