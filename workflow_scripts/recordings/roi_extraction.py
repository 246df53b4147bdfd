"""Active cells in a registered two-photon movie.

The movie is averaged over bins of about a transient's length, freed of slow drift and of the
surrounding neuropil, and scaled to unit noise. The place that is most active there, at the scale of
a soma, seeds a cell: its footprint is what rises and falls with it. The cell is subtracted and the
next place looked for, until nothing stands out of the noise (in the manner of suite2p's detection,
Pachitariu et al. 2017, bioRxiv 061507). Then every cell is estimated again from what all the others
leave, so that overlapping cells are demixed (block coordinate descent, as in constrained matrix
factorisation, Pnevmatikakis et al. 2016, Neuron 89:285).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label
from scipy.sparse import csr_array, vstack

from workflow_scripts.recordings.footprints import EDGE_SHARE
from workflow_scripts.recordings.standardised_bins import Bins, noise_of, standardise
from workflow_scripts.stores.errors import InputError

Window = tuple[slice, slice]

FEWEST_BINS = 20
SMALLEST_DIAMETER_PX = 3.0
FOOTPRINT_ROUNDS, DEMIXING_ROUNDS = 4, 2
# Bins count as active above this part of a trace's maximum.
ACTIVE_SHARE = 0.3
# How far from its centre a cell may reach.
LARGEST_REACH_DIAMETERS = 0.8
# Areas of a disc of the soma's diameter, root-mean-square radius relative to that of a disc of the
# same area, pixels shared with other cells, and squared standard deviations beyond three.
SMALLEST_AREA, LARGEST_AREA = 0.4, 2.0
LARGEST_SPREAD = 1.15
LARGEST_OVERLAP = 0.5
LEAST_ACTIVITY = 25.0
# A seed rises at least once this far above the threshold (squared standard deviations): chance
# alone rarely does, and looking at each such place costs time.
LEAST_EXCESS = 1.0


@dataclass(frozen=True)
class RoiParameters:
    """What counts as a cell.

    Attributes
    ----------
    drift_s : float
        Changes slower than this are drift, s.
    threshold : float
        How far a place must rise above the noise, in its standard deviations.
    """

    drift_s: float = 30.0
    threshold: float = 4.0


class Rois(NamedTuple):
    """Cells that were found, the most active first.

    Attributes
    ----------
    footprints : csr_array, (unit, pixel)
        Light of each cell's pixels relative to its brightest.
    activity : (unit,)
        Sum of squares that the cell explains, in units of the pixels' noise.
    """

    footprints: csr_array
    activity: NDArray[np.float64]


class _Cell(NamedTuple):
    """A footprint (y, x) in a window of the image, and its trace (bin)."""

    window: Window
    weights: NDArray[np.float32]
    trace: NDArray[np.float32]


def find_rois(
    binned: Bins,
    bin_s: float,
    diameter_px: float,
    parameters: RoiParameters,
    usable: NDArray[np.bool_] | None = None,
) -> Rois:
    """Footprints of the active cells of a binned movie.

    Parameters
    ----------
    binned : (bin, y, x)
        Means of the registered movie over bins; overwritten.
    bin_s : float
        Length of a bin, s.
    diameter_px : float
        Diameter of a soma, pixels.
    parameters : RoiParameters
    usable : (y, x), optional
        Where cells are looked for: motion brings pixels near the edge out of view.

    Raises
    ------
    InputError
        Too few bins, or a soma of under 3 px or of over a third of the image.
    """
    size = binned.shape[1:]
    check_movie(binned.shape, bin_s, diameter_px)
    noise = standardise(binned, bin_s, diameter_px, parameters.drift_s)
    if usable is not None:
        binned[:, ~usable] = 0
    cells = _find(binned, diameter_px, parameters.threshold)
    for _ in range(DEMIXING_ROUNDS):
        cells = _demix(binned, cells, diameter_px)
    explained = np.array([(cell.trace**2).sum() * (cell.weights**2).sum() for cell in cells])
    order = np.argsort(-explained, kind="stable")
    rows = [csr_array((0, size[0] * size[1]), dtype=np.float32)]
    rows += [_on_image(cell, noise[cell.window], size) for cell in (cells[at] for at in order)]
    return Rois(csr_array(vstack(rows)), explained[order])


def check_movie(shape: tuple[int, ...], bin_s: float, diameter_px: float) -> None:
    """Refuse a binned movie (bin, y, x) that cells cannot be found in.

    Raises
    ------
    InputError
        Too few bins, or a soma of under 3 px or of over a third of the image.
    """
    if shape[0] < FEWEST_BINS:
        raise InputError(
            f"the movie holds {shape[0]} bins of {bin_s:.3g} s; cells need {FEWEST_BINS}: lower "
            "bin_s or record longer"
        )
    smallest, largest = SMALLEST_DIAMETER_PX, min(shape[1:]) / 3
    if not smallest <= diameter_px <= largest:
        raise InputError(
            f"a soma is {diameter_px:.3g} px across; expected {smallest:g} px to a third of the "
            f"image, {largest:.3g} px: check um_per_px and the diameter"
        )


def _find(binned: Bins, diameter_px: float, threshold: float) -> list[_Cell]:
    """Find cells one after the other; each is subtracted from `binned`."""
    size = binned.shape[1:]
    everywhere = (np.arange(len(binned)), slice(0, size[0]), slice(0, size[1]))
    activity = _activity(binned, everywhere, diameter_px, threshold)
    claimed, cells = np.zeros(size, bool), []
    while activity.flat[place := activity.argmax()] > LEAST_EXCESS:
        row, column = divmod(int(place), size[1])
        # no later change of the activity brings this place back
        activity[_window(row, column, size, diameter_px / 4)] = -np.inf
        cell = _cell_at(binned, row, column, diameter_px)
        if cell is None or _overlap(cell, claimed) > LARGEST_OVERLAP:
            continue
        cells.append(cell)
        claimed[cell.window] |= cell.weights > 0
        # Only the bins in which the cell is active change, and only around it.
        active = np.flatnonzero(cell.trace > 0)
        around = (active, *_window(row, column, size, 4 * diameter_px))
        activity[around[1:]] -= _activity(binned, around, diameter_px, threshold)
        _add(binned, cell, -1)
        activity[around[1:]] += _activity(binned, around, diameter_px, threshold)
    return cells


def _demix(binned: Bins, cells: list[_Cell], diameter_px: float) -> list[_Cell]:
    """Estimate each cell again from what the others leave; drop what is no cell by itself."""
    size, kept = binned.shape[1:], []
    claimed = np.zeros(size, bool)
    for cell in cells:
        _add(binned, cell, 1)
        rows, columns = np.indices(cell.weights.shape)
        row = int(np.average(rows, weights=cell.weights)) + cell.window[0].start
        column = int(np.average(columns, weights=cell.weights)) + cell.window[1].start
        again = _cell_at(binned, row, column, diameter_px)
        if again is None or _overlap(again, claimed) > LARGEST_OVERLAP:
            continue
        _add(binned, again, -1)
        claimed[again.window] |= again.weights > 0
        kept.append(again)
    return kept


def _add(binned: Bins, cell: _Cell, sign: int) -> None:
    active = np.flatnonzero(cell.trace > 0)
    binned[active, *cell.window] += sign * cell.trace[active, None, None] * cell.weights


def _activity(
    binned: Bins, where: tuple[NDArray[np.intp], slice, slice], diameter_px: float, threshold: float
) -> NDArray[np.float32]:
    """Sum of squares above `threshold` at the scale of a soma, in standard deviations, (y, x).

    `where` are some bins, and a window.
    """
    sigma = diameter_px / 4
    gain = np.float32(2 * np.sqrt(np.pi) * sigma)  # smoothing divides white noise by this
    bins, *window = where
    activity = np.zeros(binned[0, *window].shape, np.float32)
    for index in bins:
        smooth = gaussian_filter(binned[index, *window], sigma, truncate=3)
        excess = np.maximum(gain * smooth - threshold, 0)
        activity += excess**2
    return activity


def _cell_at(binned: Bins, row: int, column: int, diameter_px: float) -> _Cell | None:
    """Cell around a place, if what rises and falls together there has a soma's size and shape.

    Alternates between the trace of the footprint and the pixels' regression on it while active.
    """
    window = _window(row, column, binned.shape[1:], 1.5 * diameter_px)
    patch = np.ascontiguousarray(binned[:, *window])
    rows, columns = np.indices(patch.shape[1:])
    distance = np.hypot(rows - (row - window[0].start), columns - (column - window[1].start))
    weights = np.exp(-0.5 * (distance / (diameter_px / 4)) ** 2).astype(np.float32)
    near, within = distance <= diameter_px / 2, distance < LARGEST_REACH_DIAMETERS * diameter_px
    for _ in range(FOOTPRINT_ROUNDS):
        trace = np.tensordot(patch, weights, 2)
        active = trace > ACTIVE_SHARE * trace.max()
        image = gaussian_filter(np.tensordot(trace[active], patch[active], 1), 0.7)
        parts, _ = cast(
            "tuple[NDArray, int]", label((image > EDGE_SHARE * image[near].max()) & within)
        )
        peak = np.where(near, image, -np.inf).argmax()
        weights = np.where((parts == parts.flat[peak]) & (parts > 0), image, np.float32(0))
        if not weights.any():
            return None
        weights /= weights.max()
    trace = np.tensordot(patch, weights, 2) / (weights**2).sum()
    noise = noise_of(trace)
    if not _is_cell(weights, trace, noise, diameter_px):
        return None
    return _Cell(window, weights, np.where(trace > noise, trace, 0).astype(np.float32))


def _is_cell(
    weights: NDArray[np.floating],
    trace: NDArray[np.floating],
    noise: NDArray[np.floating],
    diameter_px: float,
) -> bool:
    """Whether a footprint has the area and roundness of a soma, and is active."""
    rows, columns = np.nonzero(weights)
    area = len(rows) / (np.pi * diameter_px**2 / 4)
    # A disc's mean squared distance from its centre is its area / 2 π.
    spread = np.sqrt((rows.var() + columns.var()) * 2 * np.pi / len(rows))
    excess = np.maximum((trace - np.median(trace)) / noise - 3, 0)
    return bool(
        SMALLEST_AREA < area < LARGEST_AREA
        and spread < LARGEST_SPREAD
        and (excess**2).sum() > LEAST_ACTIVITY
    )


def _overlap(cell: _Cell, claimed: NDArray[np.bool_]) -> float:
    """Share of a cell's pixels that others have claimed."""
    return float(claimed[cell.window][cell.weights > 0].mean())


def _window(row: int, column: int, size: tuple[int, ...], reach_px: float) -> Window:
    reach = int(reach_px)
    return (
        slice(max(0, row - reach), min(size[0], row + reach + 1)),
        slice(max(0, column - reach), min(size[1], column + reach + 1)),
    )


def _on_image(cell: _Cell, noise: NDArray[np.floating], size: tuple[int, ...]) -> csr_array:
    """Light of a cell's pixels relative to its brightest, (1, pixel of the whole image)."""
    image, light = np.zeros(size, np.float32), cell.weights * noise
    image[cell.window] = light / light.max()
    return csr_array(image.reshape(1, -1))
