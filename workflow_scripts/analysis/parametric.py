"""Curves of one stimulus parameter: speed and frequency tuning, contrast response, surrounds.

All fits are exhaustive: the shape parameters run over a grid that is then refined around the
best point, and gain and baseline follow by linear least squares, for all units at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.stores.errors import InputError

Floats = NDArray[np.floating]

SPEED_OFFSET_DEG_S = 0.3  # Nover, Anderson & DeAngelis 2005
N_REFINEMENTS, SHRINK = 18, 0.7
BLOCK = 20_000  # units at once, so that a block stays in memory


def fit_log_gaussian(responses: ArrayLike, values: ArrayLike, offset: float = 0.0) -> pd.DataFrame:
    """Fit Gaussians of the logarithm of a parameter: speed, spatial or temporal frequency.

    ``r(v) = gain · exp(−ln²((v + v₀) / (p + v₀)) / 2σ²)`` with offset v₀ (Nover, Anderson &
    DeAngelis 2005, who take 0.3°/s for speed), without a baseline: the blank is subtracted.

    Parameters
    ----------
    responses : array, (unit, value)
        Baseline-subtracted.
    values : array, (value,)
        Positive, increasing.
    offset : float
        v₀, in the unit of `values`.

    Returns
    -------
    pd.DataFrame
        One row per unit: ``preferred`` p within the range shown, ``sigma_log`` σ in natural
        logarithms (at most the whole range: flat tuning), ``gain`` and ``r2``; NaN where no
        response is positive. A preference at the range's end is ``at_edge``.

    Raises
    ------
    InputError
        There are under three values, or they do not increase.
    """
    raw, shown = _checked(responses, values)
    log_values = np.log(shown + offset)
    span = log_values[-1] - log_values[0]

    def shape(centre: Floats, width: Floats) -> Floats:
        return np.exp(-(((log_values - centre[..., None]) / width[..., None]) ** 2) / 2)

    widths = np.geomspace(np.diff(log_values).min() / 2, span, 12)
    centres = np.linspace(log_values[0], log_values[-1], 15)
    fit = _fit(raw, shape, centres, widths)
    table = pd.DataFrame({
        "preferred": np.exp(fit[0]) - offset, "sigma_log": fit[1], "gain": fit[2], "r2": fit[3],
    })  # fmt: skip
    at_end = np.isclose(fit[0], log_values[0]) | np.isclose(fit[0], log_values[-1])
    return table.assign(at_edge=at_end & np.isfinite(fit[0]))


def fit_contrast_response(responses: ArrayLike, contrasts: ArrayLike) -> pd.DataFrame:
    """Fit ``r(c) = r_max · cⁿ / (cⁿ + c₅₀ⁿ)`` (Naka & Rushton 1966; Albrecht & Hamilton 1982).

    Parameters
    ----------
    responses : array, (unit, contrast)
        Baseline-subtracted.
    contrasts : array, (contrast,)
        Within (0, 1], increasing.

    Returns
    -------
    pd.DataFrame
        One row per unit: ``c50`` (0.01–1; at 1 there is no saturation), ``exponent`` (0.5–6),
        ``r_max`` and ``r2``; NaN where no response is positive.

    Raises
    ------
    InputError
        There are under three contrasts, or they do not increase.
    """
    raw, shown = _checked(responses, contrasts)

    def shape(log_c50: Floats, exponent: Floats) -> Floats:
        return 1 / (1 + np.exp(exponent[..., None] * (log_c50[..., None] - np.log(shown))))

    fit = _fit(raw, shape, np.linspace(np.log(0.01), 0, 15), np.geomspace(0.5, 6, 10))
    return pd.DataFrame({
        "c50": np.exp(fit[0]), "exponent": fit[1], "r_max": fit[2], "r2": fit[3],
    })  # fmt: skip


def surround_suppression(responses: ArrayLike, diameters_deg: ArrayLike) -> pd.DataFrame:
    """Measure how a growing stimulus suppresses, from responses to discs.

    Parameters
    ----------
    responses : array, (unit, diameter)
        Baseline-subtracted.
    diameters_deg : array, (diameter,)
        Increasing.

    Returns
    -------
    pd.DataFrame
        One row per unit: ``surround_index`` = 1 − response to the largest disc / largest response
        (0: none, above 1: suppressed below the blank) and ``preferred_diameter_deg``; NaN where no
        response is positive.

    Raises
    ------
    InputError
        There are under three diameters, or they do not increase.
    """
    raw, shown = _checked(responses, diameters_deg)
    peak = raw.max(axis=1)
    driven = peak > 0
    index = 1 - raw[:, -1] / np.where(driven, peak, np.nan)
    return pd.DataFrame({
        "surround_index": index,
        "preferred_diameter_deg": np.where(driven, shown[raw.argmax(axis=1)], np.nan),
    })  # fmt: skip


def contrast_index(first: ArrayLike, second: ArrayLike) -> Floats:
    """(a − b) / (a + b) of two responses, negatives set to 0; NaN where both are 0, (unit,)."""
    a, b = (np.maximum(np.asarray(values, float), 0) for values in (first, second))
    return (a - b) / np.where(a + b > 0, a + b, np.nan)


def _checked(responses: ArrayLike, values: ArrayLike) -> tuple[Floats, Floats]:
    raw, shown = np.asarray(responses, np.float32), np.asarray(values, float)
    if raw.ndim != 2 or raw.shape[1:] != shown.shape or len(shown) < 3:
        raise InputError(
            f"responses {raw.shape} at {len(shown)} values; give (unit, value), three or more"
        )
    if shown[0] < 0 or not (np.diff(shown) > 0).all():
        raise InputError(f"values {shown.tolist()} must be positive and increase")
    return raw, shown


def _fit(
    responses: Floats, shape: Callable[[Floats, Floats], Floats], first: Floats, second: Floats
) -> Floats:
    """Both shape parameters, gain and R² of every unit, (4, unit)."""
    blocks = [
        _fit_block(responses[start : start + BLOCK], shape, first, second)
        for start in range(0, len(responses), BLOCK)
    ]
    return np.concatenate(blocks, axis=1) if blocks else np.empty((4, 0))


def _fit_block(
    responses: Floats, shape: Callable[[Floats, Floats], Floats], first: Floats, second: Floats
) -> Floats:
    grid = np.stack([axis.ravel() for axis in np.meshgrid(first, second, indexing="ij")])
    curves = shape(*grid).astype(np.float32)  # (candidate, value)
    explained = _explained(responses @ curves.T, (curves**2).sum(axis=1))
    best = grid[:, explained.argmax(axis=1)]  # (2, unit)
    steps = np.array([first[1] - first[0], np.log(second[1] / second[0])])
    moves = np.stack([axis.ravel() for axis in np.meshgrid([-1, 0, 1], [-1, 0, 1])])
    for _ in range(N_REFINEMENTS):
        steps = steps * SHRINK
        near = np.clip(best[0][:, None] + moves[0] * steps[0], first[0], first[-1])
        width = np.clip(best[1][:, None] * np.exp(moves[1] * steps[1]), second[0], second[-1])
        curves = shape(near, width)  # (unit, candidate, value)
        explained = _explained(
            np.einsum("uv,ucv->uc", responses, curves), np.einsum("ucv,ucv->uc", curves, curves)
        )
        pick = explained.argmax(axis=1)[:, None]
        best = np.stack([np.take_along_axis(axis, pick, axis=1)[:, 0] for axis in (near, width)])
    curve = shape(*best)
    gain = (responses * curve).sum(axis=1) / (curve**2).sum(axis=1)
    residual = ((responses - gain[:, None] * curve) ** 2).sum(axis=1)
    total = ((responses - responses.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    fit = np.stack([*best, gain, 1 - residual / np.where(total > 0, total, np.nan)])
    return np.where((responses.max(axis=1) > 0) & (gain > 0), fit, np.nan)


def _explained(product: Floats, square: Floats) -> Floats:
    """Sum of squares that the best gain ≥ 0 explains."""
    return np.maximum(product, 0) ** 2 / np.maximum(square, 1e-12)
