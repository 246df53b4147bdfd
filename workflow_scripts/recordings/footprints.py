"""Sparse cell footprints: how stores hold them, and how two sets of them are compared."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from workflow_scripts.stores.zarr_store import variable

# A cell ends where its weight falls to this share of its largest.
EDGE_SHARE = 0.25


def footprints_to_dataset(footprints: csr_array, size: tuple[int, int]) -> xr.Dataset:
    """Lay footprints out as coordinate lists, with what follows from them for each unit.

    Parameters
    ----------
    footprints : csr_array, (unit, pixel)
        Weights on the flattened image, row after row.
    size : (rows, columns)
        Of the image.

    Returns
    -------
    xr.Dataset
        ``footprint_unit footprint_row footprint_column footprint_weight (entry)``,
        ``centroid_row_px centroid_column_px n_pixels (unit)``.
    """
    entries = footprints.tocoo()
    unit, pixel = entries.coords
    row, column = np.divmod(pixel, size[1])
    n = len(footprints.indptr) - 1
    total, n_pixels = (np.bincount(unit, one, n) for one in (entries.data, np.ones(len(unit))))
    centre = [np.bincount(unit, place * entries.data, n) / total for place in (row, column)]
    described = {
        "footprint_unit": ("entry", unit.astype(np.int32), "1", "unit of the entry"),
        "footprint_row": ("entry", row.astype(np.int32), "px", "row of the entry"),
        "footprint_column": ("entry", column.astype(np.int32), "px", "column of the entry"),
        "footprint_weight": ("entry", entries.data.astype(np.float32), "1", "weight"),
        "centroid_row_px": ("unit", centre[0], "px", "centre, row"),
        "centroid_column_px": ("unit", centre[1], "px", "centre, column"),
        "n_pixels": ("unit", n_pixels.astype(np.int32), "px", "area of the footprint"),
    }
    return xr.Dataset({name: variable(*one) for name, one in described.items()})


def footprints_from_dataset(dataset: xr.Dataset, size: tuple[int, int]) -> csr_array:
    """Undo `footprints_to_dataset`: (unit, pixel)."""
    pixel = dataset["footprint_row"].to_numpy() * size[1] + dataset["footprint_column"].to_numpy()
    entries = (
        dataset["footprint_weight"].to_numpy(),
        (dataset["footprint_unit"].to_numpy(), pixel),
    )
    return csr_array(entries, shape=(dataset.sizes["unit"], size[0] * size[1]))


def match_by_overlap(
    found: csr_array, true: csr_array, smallest_overlap: float = 0.5
) -> NDArray[np.int64]:
    """Pair found with true footprints, one to one, by intersection over union.

    A footprint's area is where its weight is above `EDGE_SHARE` of its largest.

    Returns
    -------
    (pair, 2)
        Indices (found, true) of the pairs that overlap by `smallest_overlap` or more.
    """
    a, b = footprint_areas(found), footprint_areas(true)
    shared = (a @ b.T).toarray()
    union = a.sum(axis=1)[:, None] + b.sum(axis=1)[None] - shared
    return _best_pairs(shared / np.maximum(union, 1), smallest_overlap)


def footprint_areas(footprints: csr_array) -> csr_array:
    """Pixels (unit, pixel), 1 or 0, whose weight is above `EDGE_SHARE` of the unit's largest."""
    areas = csr_array(footprints, dtype=np.float64, copy=True)
    largest = areas.max(axis=1).toarray().ravel()
    areas.data = (areas.data > EDGE_SHARE * np.repeat(largest, np.diff(areas.indptr))).astype(float)
    areas.eliminate_zeros()
    return areas


def match_by_centre(
    found_px: NDArray[np.floating], true_px: NDArray[np.floating], largest_distance_px: float = 5.0
) -> NDArray[np.int64]:
    """Pair centres (unit, 2) one to one within a distance, as the Neurofinder benchmark does."""
    distance = np.linalg.norm(found_px[:, None] - true_px[None], axis=-1)
    return _best_pairs(-distance, -largest_distance_px)


def detection_scores(n_pairs: int, n_found: int, n_true: int) -> tuple[float, float, float]:
    """Recall, precision and their harmonic mean F1."""
    recall, precision = n_pairs / max(n_true, 1), n_pairs / max(n_found, 1)
    return recall, precision, 2 * n_pairs / max(n_found + n_true, 1)


def _best_pairs(score: NDArray[np.floating], at_least: float) -> NDArray[np.int64]:
    """Assign to maximise the number of pairs that score enough, then their total score."""
    allowed = score >= at_least
    spread = np.ptp(score) if score.size else 0.0
    bonus = (min(score.shape, default=0) + 1) * (spread + 1)
    found, true = linear_sum_assignment(np.where(allowed, score + bonus, 0), maximize=True)
    keep = allowed[found, true]
    return np.stack([found[keep], true[keep]], 1)
