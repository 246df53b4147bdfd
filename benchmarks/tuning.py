"""Tuning of many units, and the pinwheels of a map."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from scipy.optimize import curve_fit

from benchmarks.harness import Comparison, Row
from workflow_scripts.analysis.maps import find_pinwheels
from workflow_scripts.analysis.von_mises import fit_two_lobe_von_mises

DIRECTIONS_DEG = np.arange(16) * 22.5


def rows(small: bool, _: Path) -> Iterator[Row]:
    """Tuning curves and a map."""
    yield _tuning(50 if small else 100_000)
    yield _pinwheels(48 if small else 1024)


def two_lobes(
    theta: np.ndarray, direction: float, log_kappa: float, amplitude: float, weight: float,
    baseline: float,
) -> np.ndarray:  # fmt: skip
    """Two opposite von Mises lobes of one width."""
    kappa, cosine = np.exp(log_kappa), np.cos(theta - direction)
    near, far = np.exp(kappa * (cosine - 1)), np.exp(kappa * (-cosine - 1))
    return baseline + amplitude * (near + weight * far)


def tuning_curves(n_units: int) -> np.ndarray:
    """Noisy two-lobed curves, (unit, direction)."""
    rng = np.random.default_rng(0)
    theta = np.deg2rad(DIRECTIONS_DEG)
    drawn = zip(
        rng.uniform(0, 2 * np.pi, n_units), np.log(rng.uniform(1.5, 6, n_units)),
        rng.uniform(1, 3, n_units), rng.uniform(0, 0.6, n_units), rng.uniform(0, 1, n_units),
        strict=True,
    )  # fmt: skip
    curves = np.array([two_lobes(theta, *one) for one in drawn])
    return curves + 0.05 * rng.standard_normal(curves.shape)


def _tuning(n_units: int) -> Comparison:
    curves = tuning_curves(n_units)
    n_theirs = min(n_units, 100)

    def agree(ours: pd.DataFrame, theirs: np.ndarray) -> None:
        r2 = ours["fit_r2"].to_numpy()[:n_theirs]
        # scipy ends in a local optimum here and there, never in a better one.
        assert (r2 > theirs[:, 1] - 1e-3).all()
        same = np.abs(r2 - theirs[:, 1]) < 1e-3
        assert same.mean() > 0.9
        off = ours["fit_direction_deg"].to_numpy()[:n_theirs] - theirs[:, 0]
        assert np.abs((off[same] + 180) % 360 - 180).max() < 1

    return Comparison(
        part="tuning of 10⁵ units",
        work=f"{n_units:,} curves of {len(DIRECTIONS_DEG)} directions, two von Mises lobes",
        peer="scipy curve_fit, unit by unit",
        goal=50, ours=lambda: fit_two_lobe_von_mises(curves, DIRECTIONS_DEG),
        theirs=lambda: scipy_fits(curves[:n_theirs]), agree=agree, unit="units", n_ours=n_units,
        n_theirs=n_theirs,
    )  # fmt: skip


def scipy_fits(curves: np.ndarray) -> np.ndarray:
    """Preferred direction (deg) and r² of each curve, (unit, 2)."""
    theta = np.deg2rad(DIRECTIONS_DEG)
    widest, narrowest = (np.log(np.log(2) / (1 - np.cos(np.deg2rad(w) / 2))) for w in (180, 22.5))
    bounds = ([-7, widest, 0, 0, -np.inf], [14, narrowest, np.inf, 1, np.inf])
    fits = []
    for curve in curves:
        start = [theta[curve.argmax()], 1.0, np.ptp(curve), 0.3, curve.min()]
        found, _ = curve_fit(two_lobes, theta, curve, start, bounds=bounds, max_nfev=2000)
        residual = ((curve - two_lobes(theta, *found)) ** 2).sum()
        fits.append((np.rad2deg(found[0]) % 360, 1 - residual / (curve.var() * len(curve))))
    return np.array(fits)


def direction_map(n_pixels: int) -> np.ndarray:
    """Smooth random complex map, (row, column), with pinwheels every few pixels."""
    rng = np.random.default_rng(0)
    real, imaginary = (gaussian_filter(rng.standard_normal((n_pixels,) * 2), 6) for _ in range(2))
    return real + 1j * imaginary


def _pinwheels(n_pixels: int) -> Comparison:
    z = direction_map(n_pixels)
    part = z[: min(n_pixels, 128), : min(n_pixels, 128)]

    def agree(*_: object) -> None:
        found = find_pinwheels(part)
        ours = np.column_stack([found[["row", "column"]].astype(int), found["sign"]])
        theirs = winding_loop(part)
        assert len(theirs) > 0
        np.testing.assert_array_equal(ours, theirs)

    return Comparison(
        part="map of 1024²",
        work=f"pinwheels of {n_pixels}² pixels: windings and places",
        peer="winding number in a Python loop, without places",
        goal=50, ours=lambda: find_pinwheels(z), theirs=lambda: winding_loop(part), agree=agree,
        unit="pixels", n_ours=z.size, n_theirs=part.size,
    )  # fmt: skip


def winding_loop(z: np.ndarray) -> np.ndarray:
    """Row, column and sign of each plaquette around which the phase winds, (pinwheel, 3)."""
    phase = np.angle(z)
    found = []
    for row in range(len(z) - 1):
        for column in range(z.shape[1] - 1):
            loop = (
                phase[row, column], phase[row, column + 1], phase[row + 1, column + 1],
                phase[row + 1, column], phase[row, column],
            )  # fmt: skip
            steps = [(b - a + np.pi) % (2 * np.pi) - np.pi for a, b in itertools.pairwise(loop)]
            turns = round(sum(steps) / (2 * np.pi))
            if turns:
                found.append((row, column, turns))
    return np.array(found)
