"""Active cells in movies of any length: the image is searched tile by tile.

Tiles overlap so far that a cell at a border is seen whole, together with all that it overlaps. A
cell belongs to the tile that its centre lies in.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from workflow_scripts.recordings.binned_movie import BinnedMovie, Window
from workflow_scripts.recordings.roi_extraction import (
    LARGEST_OVERLAP,
    RoiParameters,
    Rois,
    check_movie,
    find_rois,
)
from workflow_scripts.recordings.standardised_bins import surround_tile_px
from workflow_scripts.stores.errors import InputError

# A cell and the centres of those that overlap it lie within two diameters.
MARGIN_DIAMETERS = 2.0
LEAST_CORE_DIAMETERS = 1.0
# Centres are found to a fraction of a pixel, so that two tiles may each see a cell on the other's
# side of their border. Cells that both then claim are dropped as overlapping.
BORDER_PX = 1.0
# The search holds a tile's bins, and those of a cell's surroundings.
WORKING_COPIES = 1.6


class Tile(NamedTuple):
    """A part of an image, and the window around it that it is seen with.

    Attributes
    ----------
    window : (rows, columns)
        Slices of the image.
    low, high : (2,)
        First row and column of the tile itself, and those after its last.
    """

    window: Window
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    def holds(self, centre_px: NDArray[np.floating]) -> bool:
        """Whether a place (row, column) lies in the tile or just beyond its border."""
        inside = (centre_px > self.low - BORDER_PX) & (centre_px < self.high + BORDER_PX)
        return bool(inside.all())


def find_rois_by_tile(
    movie: BinnedMovie,
    diameter_px: float,
    parameters: RoiParameters,
    memory_bytes: float,
    usable: NDArray[np.bool_],
) -> Rois:
    """Find the active cells of a binned movie on disk, as `find_rois` does of one in memory.

    Parameters
    ----------
    movie : BinnedMovie
    diameter_px : float
        Diameter of a soma, pixels.
    parameters : RoiParameters
    memory_bytes : float
        Memory to work in.
    usable : (y, x)
        Where cells are looked for.

    Raises
    ------
    InputError
        As `find_rois`; or the smallest tile does not fit into memory.
    """
    size = movie.shape[1:]
    check_movie(movie.shape, movie.bin_s, diameter_px)
    claimed = np.zeros(size, bool)
    rows, activities = [csr_array((0, size[0] * size[1]), dtype=np.float32)], []
    for tile in tiles(movie, diameter_px, memory_bytes / WORKING_COPIES):
        bins = movie.read(tile.window)
        found = find_rois(bins, movie.bin_s, diameter_px, parameters, usable[tile.window])
        shape = bins.shape[1:]
        del bins
        for unit, activity in enumerate(found.activity):
            image = np.zeros(size, np.float32)
            image[tile.window] = found.footprints[[unit]].toarray().reshape(shape)
            if not tile.holds(_centre(image)) or claimed[image > 0].mean() > LARGEST_OVERLAP:
                continue
            claimed |= image > 0
            rows.append(csr_array(image.reshape(1, -1)))
            activities.append(activity)
    order = np.argsort(-np.array(activities), kind="stable")
    return Rois(csr_array(vstack(rows))[order], np.array(activities)[order])


def tiles(movie: BinnedMovie, diameter_px: float, memory_bytes: float) -> Iterator[Tile]:
    """Cut a movie into the fewest tiles whose windows' bins each fit into memory.

    Raises
    ------
    InputError
        The smallest tile does not fit.
    """
    n_bins, size = movie.shape[0], np.array(movie.shape[1:])
    margin_px, grid_px = int(MARGIN_DIAMETERS * diameter_px), surround_tile_px(diameter_px)
    parts = np.ones(2, int)
    while True:
        core = -(-size // parts)
        window = np.minimum(size, core + 2 * margin_px + grid_px)
        needed = 4 * n_bins * window.prod(dtype=np.int64)
        if needed <= memory_bytes:
            break
        if core.max() <= LEAST_CORE_DIAMETERS * diameter_px:
            raise InputError(
                f"{n_bins} bins of {movie.bin_s:.3g} s do not fit into memory: make "
                f"memory_mb {needed / memory_bytes:.1f} times as large, or bin_s as long"
            )
        parts[core.argmax()] += 1
    for corner in product(
        *(range(0, extent, side) for extent, side in zip(size, core, strict=True))
    ):
        low = np.array(corner)
        high = np.minimum(low + core, size)
        # windows begin on the grid of the surround, so that it is that of the whole image
        first = np.maximum(low - margin_px, 0) // grid_px * grid_px
        last = np.minimum(high + margin_px, size)
        rows, columns = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
        yield Tile((rows, columns), low, high)


def _centre(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Centre of mass (row, column) of an image that is mostly 0."""
    places = np.nonzero(image)
    return np.array([np.average(place, weights=image[places]) for place in places])
