"""Simulated retinal ganglion cells: a cascade of subunits that see a movie.

Each cell pools rectified subunits that tile its receptive field (linear–nonlinear, like bipolar
cells), less a rectified surround, and turns the sum into a rate by a soft threshold. A linear
filter cannot imitate it, a cascade can. Counts are Poisson.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.stats import gamma

Floats = NDArray[np.float64]

N_SUBUNITS = 7


@dataclass(frozen=True)
class RetinalCells:
    """What is true of each cell.

    Attributes
    ----------
    subunit_row, subunit_column : array, (cell, subunit)
        Centres of the subunits, pixels of the frames.
    subunit_width : array, (cell,)
        Standard deviation of a subunit, pixels.
    surround_width, surround_weight : array, (cell,)
        Standard deviation of the surround, pixels, and its weight against the subunits' sum.
    polarity : array, (cell,)
        1 for ON, −1 for OFF cells.
    kernel : array, (cell, lag)
        Temporal filter in frames; lag 0 is the present frame.
    gain, threshold : array, (cell,)
        Hz per unit of the pooled drive, and the drive at which the cell starts to fire.
    """

    subunit_row: Floats
    subunit_column: Floats
    subunit_width: Floats
    surround_width: Floats
    surround_weight: Floats
    polarity: Floats
    kernel: Floats
    gain: Floats
    threshold: Floats


def draw_cells(
    masks: NDArray[np.bool_], frame_rate_hz: float, rng: np.random.Generator
) -> RetinalCells:
    """Draw cells whose receptive fields lie at given outlines.

    Parameters
    ----------
    masks : bool array, (cell, y, x)
        Inside of each cell's outline.
    frame_rate_hz : float
        Frames per second of the movies that they will see.
    rng : np.random.Generator

    Returns
    -------
    RetinalCells
    """
    n_cells = len(masks)
    area, y, x = masks.sum(axis=(1, 2)), *np.mgrid[: masks.shape[1], : masks.shape[2]]
    row, column = ((masks * axis).sum(axis=(1, 2)) / area for axis in (y, x))
    radius = np.sqrt(area / np.pi)
    # One subunit in the middle and six around it.
    turn = rng.uniform(0, 2 * np.pi, (n_cells, 1)) + np.arange(N_SUBUNITS) * np.pi / 3
    distance = 0.6 * radius[:, None] * (np.arange(N_SUBUNITS) > 0)
    peak_s = rng.uniform(0.06, 0.10, n_cells)
    time_s = (np.arange(round(0.6 * frame_rate_hz)) + 0.5) / frame_rate_hz
    phases = [
        gamma.pdf(time_s, 7, scale=one[:, None] / 6) / frame_rate_hz for one in (peak_s, 2 * peak_s)
    ]
    kernel = phases[0] - rng.uniform(0.5, 0.9, (n_cells, 1)) * phases[1]
    return RetinalCells(
        subunit_row=row[:, None] + distance * np.sin(turn),
        subunit_column=column[:, None] + distance * np.cos(turn),
        subunit_width=0.35 * radius,
        surround_width=2.5 * radius,
        surround_weight=rng.uniform(0.2, 0.5, n_cells),
        polarity=np.where(rng.random(n_cells) < 0.2, 1.0, -1.0),
        kernel=kernel / np.abs(kernel).sum(axis=1, keepdims=True),
        gain=rng.uniform(150, 300, n_cells),
        threshold=rng.uniform(0.03, 0.08, n_cells),
    )


def firing_rate(cells: RetinalCells, frames: NDArray[np.uint8]) -> Floats:
    """Rate of each cell in each frame of a movie, Hz.

    Parameters
    ----------
    cells : RetinalCells
    frames : array, (time, y, x)
        Grey levels.

    Returns
    -------
    array, (cell, time)
    """
    contrast = (frames.reshape(len(frames), -1) / 127.5 - 1).astype(np.float32)
    rows, columns = cells.subunit_row, cells.subunit_column
    width = np.broadcast_to(cells.subunit_width[:, None], rows.shape)
    centre = _blurred(contrast, rows.ravel(), columns.ravel(), width.ravel(), frames.shape[1:])
    surround = _blurred(contrast, rows[:, 0], columns[:, 0], cells.surround_width, frames.shape[1:])
    kernel = cells.polarity[:, None] * cells.kernel
    driven = _filtered(centre.reshape(*rows.shape, -1), kernel[:, None])
    pooled = np.maximum(driven, 0).mean(axis=1)
    inhibition = cells.surround_weight[:, None] * np.maximum(_filtered(surround, kernel), 0)
    above = pooled - inhibition - cells.threshold[:, None]
    # Soft threshold, 0.01 units of contrast wide.
    return cells.gain[:, None] * 0.01 * np.logaddexp(0, above / 0.01)


def _blurred(
    contrast: NDArray[np.float32],
    row: Floats,
    column: Floats,
    width: Floats,
    shape: tuple[int, ...],
) -> Floats:
    """Contrast under Gaussians of unit sum, (gaussian, time)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    weights = np.empty((len(row), y.size), np.float32)
    for one, (at_row, at_column, sigma) in enumerate(zip(row, column, width, strict=True)):
        blob = np.exp(-((y - at_row) ** 2 + (x - at_column) ** 2) / (2 * sigma**2)).ravel()
        weights[one] = blob / blob.sum()
    return (weights @ contrast.T).astype(float)


def _filtered(signal: Floats, kernel: Floats) -> Floats:
    """Convolve causally along the last axis; before the movie its first frame is shown."""
    n_lags = kernel.shape[-1]
    lead = np.repeat(signal[..., :1], n_lags - 1, axis=-1)
    return fftconvolve(np.concatenate([lead, signal], axis=-1), kernel, mode="valid", axes=-1)
