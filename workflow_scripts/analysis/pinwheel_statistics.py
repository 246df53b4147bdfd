"""How pinwheels lie to one another: nearest neighbours by sign, and how evenly they are spread."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from workflow_scripts.stores.errors import InputError

Floats = NDArray[np.floating]

FEWEST_DISCS = 4  # that a size of disc needs to count in the exponent


def nearest_neighbours(pinwheels: pd.DataFrame) -> pd.DataFrame:
    """Measure the distance of each pinwheel to its nearest neighbours.

    Parameters
    ----------
    pinwheels : pd.DataFrame
        ``row column sign``, from `analysis.maps.find_pinwheels`.

    Returns
    -------
    pd.DataFrame
        One row per pinwheel: ``any``, ``same`` and ``opposite`` sign, in pixels; NaN where there is
        none. Neighbours beyond the ROI are not seen, so that distances near its edge are upper
        bounds.
    """
    places = pinwheels[["row", "column"]].to_numpy(float)
    sign = pinwheels["sign"].to_numpy()
    same, opposite = np.full((2, len(places)), np.nan)
    for one in (1, -1):
        mine = sign == one
        if mine.sum() > 1:
            same[mine] = KDTree(places[mine]).query(places[mine], k=2)[0][:, 1]
        if mine.any() and not mine.all():
            opposite[mine] = KDTree(places[~mine]).query(places[mine])[0]
    return pd.DataFrame({"any": np.fmin(same, opposite), "same": same, "opposite": opposite})


def count_variance(pinwheels: pd.DataFrame, roi: ArrayLike, radii_px: ArrayLike) -> pd.DataFrame:
    """Measure how the number of pinwheels in a disc varies from place to place.

    Every disc that lies within the ROI is looked at.

    Parameters
    ----------
    pinwheels : pd.DataFrame
        ``row column``.
    roi : array of bool, (row, column)
    radii_px : array, (radius,)
        Of the discs.

    Returns
    -------
    pd.DataFrame
        One row per radius: ``area_px2``, ``mean`` and ``sd`` of the count over the discs and
        ``n_discs``, how many discs there are room for beside each other; NaN where none fits.
        Without order ``sd² = mean`` (Poisson); Kaschube et al. 2010 fit sd ∝ mean^γ.

    Raises
    ------
    InputError
        A radius is under a pixel.
    """
    roi, radii = np.asarray(roi, bool), np.asarray(radii_px, float)
    if radii.min() < 1:
        raise InputError(f"radii_px {radii}: discs need a radius of a pixel or more")
    image = np.zeros(roi.shape)
    place = np.rint(pinwheels[["row", "column"]].to_numpy(float)).astype(int)
    np.add.at(image, tuple(place.T), 1)
    depth = np.asarray(distance_transform_edt(np.pad(roi, 1)))[1:-1, 1:-1]
    widest = int(min(radii.max(), depth.max())) + 1
    shape = [cast("int", next_fast_len(side + 2 * widest, real=True)) for side in roi.shape]
    spectrum = np.asarray(rfft2(image, shape))
    rows = [_count_in_discs(spectrum, depth, radius, shape, roi.sum()) for radius in radii]
    return pd.DataFrame(rows, columns=["area_px2", "mean", "sd", "n_discs"])


def _count_in_discs(
    spectrum: NDArray[np.complexfloating], depth: Floats, radius: float, shape: list[int],
    area_px2: int,
) -> tuple[float, float, float, float]:  # fmt: skip
    if radius >= depth.max():
        return np.pi * radius**2, np.nan, np.nan, 0.0
    # pixels as coordinates around the origin of the periodic array
    row, column = (np.minimum(np.arange(n), n - np.arange(n)) for n in shape)
    disc = (row[:, None] ** 2 + column**2 <= radius**2).astype(float)
    product = spectrum * np.asarray(rfft2(disc))
    counts = np.asarray(irfft2(product, shape))[: depth.shape[0], : depth.shape[1]]
    inside = np.rint(counts[depth > radius])  # whole numbers but for rounding
    area = float(disc.sum())
    return area, float(inside.mean()), float(inside.std()), area_px2 / area


def count_exponent(counts: pd.DataFrame) -> float:
    """Fit γ of sd ∝ mean^γ over the discs that fit often; ½ without order, less with it."""
    used = counts.loc[(counts["n_discs"] >= FEWEST_DISCS) & (counts["sd"] > 0)]
    if len(used) < 2:
        return float("nan")
    return float(np.polyfit(np.log(used["mean"]), np.log(used["sd"]), 1)[0])
