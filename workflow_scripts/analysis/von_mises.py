"""Direction curves as two opposite von Mises lobes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numba import njit, prange
from numpy.typing import ArrayLike

from workflow_scripts.analysis.direction_curves import Floats, checked_curves
from workflow_scripts.stores.errors import InputError

# Beyond a half circle a lobe, its opposite and the baseline cannot be told apart.
WIDEST_FWHM_DEG = 180.0
N_WIDTHS = 7  # widths of the starting grid; the search closes the gaps between them
N_AXES = 36  # axes of the starting grid, 5° apart


def fit_two_lobe_von_mises(responses: ArrayLike, directions_deg: ArrayLike) -> pd.DataFrame:
    """Fit direction curves by two opposite von Mises lobes of one width, by least squares.

    ``r(θ) = b + a (g(θ − μ) + w g(θ − μ − 180°))``, ``g(x) = exp(κ (cos x − 1))``, a ≥ 0,
    0 ≤ w ≤ 1. For given (μ, κ) the best b, a and w have a closed form (variable projection;
    Golub & Pereyra 1973), so that only (μ, κ) are searched: over a grid for all units at once, then
    by a pattern search with halving steps.

    Parameters
    ----------
    responses : array, (unit, direction)
        Responses; a constant added to them changes only the baseline.
    directions_deg : array, (direction,)
        At least 8, equally spaced around the circle.

    Returns
    -------
    pd.DataFrame
        One row per unit: ``fit_direction_deg`` μ, ``bandwidth_fwhm_deg`` (full width of one lobe at
        half its height, between the spacing of the directions and `WIDEST_FWHM_DEG`),
        ``null_lobe_weight`` w (the axial component), ``fit_baseline`` b, ``fit_amplitude`` a and
        ``fit_r2``. NaN for a constant or non-finite curve.

    Raises
    ------
    InputError
        There are fewer than 8 directions, or the shapes do not agree.
    """
    raw, directions = checked_curves(responses, directions_deg)
    if len(directions) < 8:
        raise InputError(
            f"directions_deg has {len(directions)} directions; the fit's five parameters need 8"
        )
    mean = raw.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(raw - mean, axis=1, keepdims=True)
    norm = np.where(norm > 1e-6 * np.abs(mean), norm, np.nan)
    curves = (raw - mean) / norm
    theta = np.deg2rad(directions)
    widths_deg = np.array([WIDEST_FWHM_DEG, 360 / len(directions)])
    log_kappas = np.linspace(*np.log(_concentration(widths_deg)), num=N_WIDTHS, axis=0)
    start = _best_of_grid(curves, theta, log_kappas)
    fit = _refine_lobes(curves, np.cos(theta), np.sin(theta), start, log_kappas)
    direction, log_kappa, amplitude, weight, baseline, r2 = fit.T
    return pd.DataFrame({
        "fit_direction_deg": np.rad2deg(direction) % 360,
        "bandwidth_fwhm_deg": _full_width_deg(np.exp(log_kappa)),
        "null_lobe_weight": weight,
        "fit_baseline": baseline * norm[:, 0] + mean[:, 0],
        "fit_amplitude": amplitude * norm[:, 0],
        "fit_r2": r2,
    })  # fmt: skip


def _concentration(fwhm_deg: Floats) -> Floats:
    return math.log(2) / (1 - np.cos(np.deg2rad(fwhm_deg) / 2))


def _full_width_deg(kappa: Floats) -> Floats:
    return 2 * np.rad2deg(np.arccos(1 - math.log(2) / kappa))


def _best_of_grid(curves: Floats, theta: Floats, log_kappas: Floats) -> Floats:
    """Find the (μ, log κ) of the grid that explain most: (unit, direction) → (unit, 2)."""
    centres = np.arange(2 * N_AXES) * np.pi / N_AXES
    cosine = np.cos(theta[:, None, None] - centres)
    lobes = np.exp(np.exp(log_kappas)[:, None] * (cosine - 1))
    lobes -= lobes.mean(axis=0)
    square = (lobes**2).sum(axis=0)
    cross = (lobes * np.roll(lobes, N_AXES, axis=2)).sum(axis=0)
    flat = lobes.reshape(len(theta), -1).astype(np.float32)
    best = np.empty(len(curves), int)
    for first in range(0, len(curves), 8192):  # bounds the memory
        chunk = slice(first, first + 8192)
        near = (curves[chunk].astype(np.float32) @ flat).reshape(-1, *square.shape)
        far = np.roll(near, N_AXES, axis=2)
        explained = _explained(near, far, square, np.roll(square, N_AXES, axis=1), cross)
        best[chunk] = explained.reshape(len(near), -1).argmax(axis=1)
    width, centre = np.unravel_index(best, square.shape)
    return np.stack([centres[centre], log_kappas[width]], axis=1)


def _explained(
    near: Floats, far: Floats, near_near: Floats, far_far: Floats, cross: Floats
) -> Floats:
    """Explain variance by two non-negative lobes of given projections and Gram matrix.

    Where the free solution has a negative weight w, the near lobe alone is the best: the grid
    holds each pair of lobes both ways round.
    """
    determinant = near_near * far_far - cross**2
    a = (near * far_far - far * cross) / determinant
    b = (far * near_near - near * cross) / determinant
    alone = np.maximum(near, 0) ** 2 / near_near
    return np.where((a >= 0) & (b >= 0), a * near + b * far, alone)


@njit(cache=True)
def _project(curve, cos, sin, direction, log_kappa):  # noqa: ANN001, ANN202 - typed by numba
    """Best amplitudes of the lobes at (μ, log κ), and the variance that they explain."""
    kappa = math.exp(log_kappa)
    cos_0, sin_0 = math.cos(direction), math.sin(direction)
    n = len(curve)
    mean_a = mean_b = aa = bb = ab = ya = yb = 0.0
    for i in range(n):
        cosine = cos[i] * cos_0 + sin[i] * sin_0
        a = math.exp(kappa * (cosine - 1))
        b = math.exp(-kappa * (cosine + 1))
        mean_a += a / n
        mean_b += b / n
        aa += a * a
        bb += b * b
        ab += a * b
        ya += curve[i] * a
        yb += curve[i] * b
    aa -= n * mean_a * mean_a
    bb -= n * mean_b * mean_b
    ab -= n * mean_a * mean_b
    determinant = aa * bb - ab * ab
    near = (ya * bb - yb * ab) / determinant
    far = (yb * aa - ya * ab) / determinant
    if near < 0 or far < 0:
        near, far = max(ya, 0.0) / aa, 0.0
        if yb > 0 and yb * yb / bb > near * ya:
            near, far = 0.0, yb / bb
    return near, far, -near * mean_a - far * mean_b, near * ya + far * yb


@njit(parallel=True, cache=True)
def _refine_lobes(curves, cos, sin, start, log_kappas):  # noqa: ANN001, ANN202 - by numba
    """Search (μ, log κ) from `start`; (unit, 6): μ, log κ, a, w, b and r² of each curve."""
    fits = np.full((len(curves), 6), np.nan)
    for unit in prange(len(curves)):
        curve = curves[unit]
        if not np.isfinite(curve).all():
            continue
        direction, log_kappa = start[unit]
        explained = _project(curve, cos, sin, direction, log_kappa)[3]
        step = 1.0  # times 3.6° in μ and a quarter in log κ
        while step > 1e-4:
            best, next_direction, next_log_kappa = explained, direction, log_kappa
            for move in range(4):
                d = direction + (move < 2) * (1 - 2 * (move % 2)) * step / 16
                k = log_kappa + (move >= 2) * (1 - 2 * (move % 2)) * step / 4
                k = min(max(k, log_kappas[0]), log_kappas[-1])
                trial = _project(curve, cos, sin, d, k)[3]
                if trial > best:
                    best, next_direction, next_log_kappa = trial, d, k
            if best > explained:
                explained, direction, log_kappa = best, next_direction, next_log_kappa
            else:
                step /= 2
        near, far, baseline, explained = _project(curve, cos, sin, direction, log_kappa)
        if far > near:
            near, far, direction = far, near, direction + math.pi
        if near > 0:
            fits[unit] = (direction, log_kappa, near, far / near, baseline, explained)
    return fits
