"""Where a layer's units lie on its cortical sheet, and swaps that make neighbours alike.

Units are the (channel, row, column) entries of a feature map in that order; positions are (x, y)
in mm, x along columns and y along rows, both in [0, sheet_mm].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.spatial import KDTree

JITTER_SIGMA_MM = 0.3  # on a sheet of REFERENCE_SHEET_MM (Margalit et al. 2024)
REFERENCE_SHEET_MM = 36.75
OVERLAP_OF_FIRST_LAYER = 0.1
MAX_SWEEPS = 3  # over the pairs of a neighbourhood, before the next one is visited
MIN_GAIN = 1e-4  # of Σ R D: well above the rounding of float32 sums over 500 units


def hypercolumn_width(sheet_mm: float, n_anchors: int, n_anchors_first: int) -> float:
    """Width w of the hypercolumn around each retinotopic anchor, in mm.

    ``w = S / (n − n·o + o)`` with overlap ``o = min(0.1 · n₁ / n, 1)``: n windows of width w that
    overlap by o·w fill the sheet of side S.

    Parameters
    ----------
    sheet_mm : float
        Side S of the layer's sheet.
    n_anchors, n_anchors_first : int
        Anchors along a side (rows of the feature map), n in this layer and n₁ in the first.
    """
    overlap = min(OVERLAP_OF_FIRST_LAYER * n_anchors_first / n_anchors, 1.0)
    return sheet_mm / (n_anchors - n_anchors * overlap + overlap)


def cortical_positions(
    n_channels: int, n_anchors: int, sheet_mm: float, n_anchors_first: int, seed: int
) -> np.ndarray:
    """Place a layer's units at random within their anchors' hypercolumns.

    Each unit gets its own uniform offset of ± w/2 and a normal one of σ = 0.3 mm (on a sheet of
    36.75 mm, scaled with the sheet); the result is squeezed back into the sheet.

    Parameters
    ----------
    n_channels : int
        Channels of the layer.
    n_anchors : int
        Rows, and columns, of its feature map.
    sheet_mm : float
        Side of its sheet.
    n_anchors_first : int
        Rows of the first layer's feature map.
    seed : int
        Of the offsets.

    Returns
    -------
    np.ndarray, (channel · row · column, 2)
        x and y in mm.
    """
    rng = np.random.default_rng(seed)
    width = hypercolumn_width(sheet_mm, n_anchors, n_anchors_first)
    anchors = np.linspace(width / 2, sheet_mm - width / 2, n_anchors)
    y, x = np.meshgrid(anchors, anchors, indexing="ij")
    positions = np.tile(np.stack([x.ravel(), y.ravel()], axis=1), (n_channels, 1))
    positions += rng.uniform(-width / 2, width / 2, positions.shape)
    positions += rng.normal(0, JITTER_SIGMA_MM * sheet_mm / REFERENCE_SHEET_MM, positions.shape)
    low = np.minimum(positions.min(axis=0), 0)
    high = np.maximum(positions.max(axis=0), sheet_mm)
    return (positions - low) / (high - low) * sheet_mm


def draw_neighbourhoods(
    positions_mm: np.ndarray, width_mm: float, n_neighbourhoods: int, max_units: int, seed: int
) -> np.ndarray:
    """Draw square neighbourhoods of one size (in units) at random places of a sheet.

    Parameters
    ----------
    positions_mm : np.ndarray, (unit, 2)
    width_mm : float
        Side of the square windows; they lie within the sheet.
    n_neighbourhoods : int
        How many to draw.
    max_units : int
        Larger neighbourhoods are thinned at random. All have the size of the emptiest window
        that was drawn where that is smaller.
    seed : int

    Returns
    -------
    np.ndarray of int32, (neighbourhood, unit)
        Indices into `positions_mm`.
    """
    rng = np.random.default_rng(seed)
    half = width_mm / 2
    low, high = positions_mm.min(axis=0) + half, positions_mm.max(axis=0) - half
    centres = rng.uniform(np.minimum(low, high), np.maximum(low, high), (n_neighbourhoods, 2))
    members = KDTree(positions_mm).query_ball_point(centres, half, p=np.inf)
    # A few nearly empty windows must not shrink all the others.
    size = min(max_units, int(np.quantile([len(units) for units in members], 0.05)))
    full = [units for units in members if len(units) >= size]
    chosen = rng.integers(len(full), size=n_neighbourhoods)
    return np.stack([rng.choice(full[i], size, replace=False) for i in chosen]).astype(np.int32)


@dataclass(frozen=True)
class OptimisedPositions:
    """What `optimise_positions` found.

    Attributes
    ----------
    positions_mm : np.ndarray, (unit, 2)
        The same set of places, handed out anew.
    n_tried, n_accepted : int
        Swaps tried and made.
    """

    positions_mm: np.ndarray
    n_tried: int
    n_accepted: int


def optimise_positions(
    responses: np.ndarray,
    positions_mm: np.ndarray,
    width_mm: float,
    n_rounds: int,
    seed: int,
    channels: np.ndarray | None = None,
    max_units: int = 500,
) -> OptimisedPositions:
    """Swap the places of units within random neighbourhoods while the spatial loss falls.

    A swap changes neither the set of correlations R nor that of proximities D = 1 / (d + 1) of a
    neighbourhood, so the spatial loss falls exactly when Σ R_ij D_ij rises: a quadratic
    assignment problem, searched by first-improvement 2-opt (see `two_opt`).

    Parameters
    ----------
    responses : np.ndarray, (sample, unit)
        Responses to natural clips.
    positions_mm : np.ndarray, (unit, 2)
        Where the units lie at first.
    width_mm : float
        Side of the neighbourhoods.
    n_rounds : int
        Neighbourhoods visited; each is swept over all of its pairs until a sweep changes nothing,
        at most `MAX_SWEEPS` times.
    seed : int
        Of the neighbourhoods and the order of pairs.
    channels : np.ndarray, (unit,), optional
        With it, pairs of one channel count as average pairs: weight sharing makes them alike, and
        they would otherwise take the near places. The loss that falls at every swap has them in it;
        that of the other pairs alone need not.
    max_units : int
        Of a neighbourhood.
    """
    windows = draw_neighbourhoods(positions_mm, width_mm, n_rounds, max_units, seed)
    unit_at = np.arange(len(positions_mm))
    standardised = _standardise(responses)
    rng = np.random.default_rng(seed)
    tried = accepted = 0
    for window in windows:
        units = unit_at[window]
        similarity = standardised[:, units].T @ standardised[:, units]
        if channels is not None:
            _neutralise(similarity, channels[units])
        order = rng.permutation(len(window)).astype(np.int32)
        assignment, n_tried, n_accepted = two_opt(
            similarity, proximity(positions_mm[window]), order, MAX_SWEEPS
        )
        unit_at[window] = units[assignment]
        tried, accepted = tried + n_tried, accepted + n_accepted
    optimised = np.empty_like(positions_mm)
    optimised[unit_at] = positions_mm
    return OptimisedPositions(optimised, tried, accepted)


def proximity(positions_mm: np.ndarray) -> np.ndarray:
    """D_ij = 1 / (d_ij + 1), d in mm; (unit, 2) → float32 (unit, unit) with a zero diagonal."""
    difference = positions_mm[:, None] - positions_mm[None]
    matrix = 1 / (1 + np.sqrt((difference**2).sum(axis=-1)))
    np.fill_diagonal(matrix, 0)
    return matrix.astype(np.float32)


def _standardise(responses: np.ndarray) -> np.ndarray:
    centred = responses - responses.mean(axis=0)
    norm = np.sqrt((centred**2).sum(axis=0))
    return (centred / np.where(norm > 0, norm, 1)).astype(np.float32)


def _neutralise(similarity: np.ndarray, channels: np.ndarray) -> None:
    same = channels[:, None] == channels[None]
    similarity[same] = similarity[~same].mean() if (~same).any() else 0


@njit(cache=True)
def two_opt(
    similarity: np.ndarray, proximities: np.ndarray, order: np.ndarray, max_sweeps: int
) -> tuple[np.ndarray, int, int]:
    """Hand out the places of one neighbourhood by first-improvement swaps.

    With P = R D (R in the order of places), swapping the units at places a and b changes
    Σ_{i>j} R_ij D_ij by P_ab + P_ba − P_aa − P_bb + 2 R_ab D_ab: a tried swap costs O(1), and an
    accepted one O(k²) for the rank-1 update of P.

    Parameters
    ----------
    similarity, proximities : np.ndarray of float32, (unit, unit)
        R and D, symmetric; the diagonal of D is zero, that of R is not read.
    order : np.ndarray of int, (unit,)
        Order in which places are visited.
    max_sweeps : int
        Sweeps over all pairs, at most.

    Returns
    -------
    assignment : np.ndarray of int, (place,)
        Index of the unit at each place; the identity before the first swap.
    n_tried, n_accepted : int
    """
    n = len(order)
    assignment = np.arange(n)
    r = similarity.copy()
    for i in range(n):
        r[i, i] = 0  # a unit's pair with itself has no distance; the change above counts on it
    p = r @ proximities
    tried = accepted = 0
    for _ in range(max_sweeps):
        before = accepted
        for i in range(1, n):
            a = order[i]
            for j in range(i):
                b = order[j]
                gain = p[a, b] + p[b, a] - p[a, a] - p[b, b] + 2 * r[a, b] * proximities[a, b]
                if gain > MIN_GAIN:
                    accepted += 1
                    assignment[a], assignment[b] = assignment[b], assignment[a]
                    _swap(r, p, proximities, a, b)
        tried += n * (n - 1) // 2
        if accepted == before:
            break
    return assignment, tried, accepted


@njit(cache=True)
def _swap(r: np.ndarray, p: np.ndarray, proximities: np.ndarray, a: int, b: int) -> None:
    """Swap rows and columns a and b of R, and keep P = R D."""
    n = len(r)
    difference = proximities[a] - proximities[b]
    for i in range(n):
        step = r[i, b] - r[i, a]
        for k in range(n):
            p[i, k] += step * difference[k]
        r[i, a], r[i, b] = r[i, b], r[i, a]
    for k in range(n):
        r[a, k], r[b, k] = r[b, k], r[a, k]
        p[a, k], p[b, k] = p[b, k], p[a, k]
