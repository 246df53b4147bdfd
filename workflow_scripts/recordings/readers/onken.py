"""Retinal ganglion cells of Onken et al. (2017), Dryad doi:10.5061/dryad.4ch10."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.recordings.readers.checks import load_images
from workflow_scripts.recordings.readers.matlab import cell_array, load_mat
from workflow_scripts.recordings.receptive_fields import mean_in_masks, outline_mask
from workflow_scripts.recordings.sessions import (
    add_images,
    add_receptive_fields,
    add_time_course,
    trial_session,
)
from workflow_scripts.recordings.spikes import bin_edges, count_in_trials
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import open_store, variable

PIECE_S = 0.3
# Where the outlines' screen coordinates (x, y) fall on the centre of the stimulus: fitted to the
# responses, as the data set does not say. For the movies both maximise the same score alone.
IMAGE_CENTRE_PX = (404.0, 304.0)
MOVIE_CENTRE_PX = (388.0, 304.0)
# Pixels of the published movies: a smaller copy has its outlines scaled with it.
MOVIE_SIZE_PX = 360


def read_onken_flashes(
    spikes: Path, outlines: Path, images: Path, bin_s: float, attributes: Mapping[str, str]
) -> xr.Dataset:
    """Read the responses to flashed images or gratings.

    Parameters
    ----------
    spikes : Path
        .mat with ``Spikes``, a cell array (stimuli, 1) of cell arrays (cells, trials) of spike
        times in whole ms after the onset, 1 to 300.
    outlines : Path
        .mat with ``ReceptiveFields``, a cell array (1, cells) of 2 × vertices in screen pixels.
    images : Path
        .npz with ``images`` (stimuli, y, x), grey levels.
    bin_s : float
        Bin of the time course, s; divides 0.3 s.
    attributes : mapping
        Session attributes.

    Returns
    -------
    xr.Dataset
        Trial session: spikes in the 0.3 s after each onset. ``outline_luminance_r`` is each
        cell's correlation, over stimuli, of mean count and mean grey level inside its outline.

    Raises
    ------
    InputError
        A file is not as described.
    """
    cells = cell_array(load_mat(spikes), "Spikes", spikes)
    stimuli = [_require_grid(one, spikes) for one in cells.flat]
    if not stimuli:
        raise InputError(f"{spikes}: Spikes: no stimulus; expected one cell array per stimulus")
    n_cells, n_trials = stimuli[0].shape
    if any(one.shape != (n_cells, n_trials) for one in stimuli):
        raise InputError(f"{spikes}: Spikes: stimuli differ in their numbers of cells or trials")
    edges_s = bin_edges((0.0, PIECE_S), bin_s)
    counts = np.concatenate(
        [_count_pieces(one, 1, edges_s, spikes)[:, :, 0] for one in stimuli], axis=1
    )
    pictures = load_images(images)
    if len(pictures) != len(stimuli):
        raise InputError(f"{images}: {len(pictures)} images for {len(stimuli)} stimuli")
    session = trial_session(
        counts.sum(axis=2),
        np.repeat(np.arange(len(stimuli)), n_trials),
        response_units="spikes",
        stimulus_names=[f"image{number:02d}" for number in range(len(stimuli))],
        attributes={**attributes, "onsets": "published"},
    )
    session = add_time_course(session, counts, edges_s[:-1], bin_s)
    session = add_images(session, pictures[:, None])
    masks = read_outline_masks(outlines, n_cells, pictures.shape[1:], IMAGE_CENTRE_PX)
    session = add_receptive_fields(session, masks)
    mean_counts = counts.sum(axis=2).reshape(n_cells, len(stimuli), n_trials).mean(axis=2)
    correlation = [
        np.corrcoef(grey, count)[0, 1] if grey.std() and count.std() else np.nan
        for grey, count in zip(mean_in_masks(pictures, masks), mean_counts, strict=True)
    ]
    return session.assign(
        outline_luminance_r=variable(
            "unit", correlation, "1", "correlation of grey level in the outline and mean count"
        )
    )


def read_onken_movie(
    spikes: Path,
    outlines: Path,
    onsets: Path,
    *,
    bin_s: float,
    frame_shape: tuple[int, int],
    attributes: Mapping[str, str],
) -> xr.Dataset:
    """Read the responses to a movie, cut into pieces of 0.3 s.

    Pieces that repeat the spikes of the piece before them (see `recordings.onsets`) are left out.

    Parameters
    ----------
    spikes : Path
        .mat with ``Spikes``, a cell array (cells, trials) of spike times in whole ms: the pieces
        laid end to end.
    outlines : Path
        As in `read_onken_flashes`.
    onsets : Path
        Store of the stage ``infer_onsets``.
    bin_s : float
        Bin of the time course, s; divides 0.3 s.
    frame_shape : (height, width)
        Size of the movie's frames, pixels; `receptive_field` has it too.
    attributes : mapping
        Session attributes.

    Returns
    -------
    xr.Dataset
        Trial session with ``onset_s (stimulus)``, the inferred start of each piece in the movie.

    Raises
    ------
    InputError
        A file is not as described.
    """
    inferred = open_store(onsets)
    kept = np.flatnonzero(inferred["kept"].to_numpy())
    pieces = read_pieces(spikes)
    n_cells, n_trials = pieces.shape
    edges_s = bin_edges((0.0, PIECE_S), bin_s)
    counts = _count_pieces(pieces, inferred.sizes["piece"], edges_s, spikes)[:, :, kept]
    session = trial_session(
        counts.sum(axis=3).transpose(0, 2, 1).reshape(n_cells, -1),
        np.repeat(np.arange(len(kept)), n_trials),
        response_units="spikes",
        stimulus_names=[f"piece{number:02d}" for number in kept],
        attributes={**attributes, "onsets": "inferred"},
    )
    by_trial = counts.transpose(0, 2, 1, 3).reshape(n_cells, -1, counts.shape[-1])
    session = add_time_course(session, by_trial, edges_s[:-1], bin_s)
    onset_s = inferred["onset_s"].to_numpy()[kept]
    session["onset_s"] = variable("stimulus", onset_s, "s", "inferred start in the movie")
    masks = read_outline_masks(outlines, n_cells, frame_shape, MOVIE_CENTRE_PX, MOVIE_SIZE_PX)
    return add_receptive_fields(session, masks)


def read_pieces(spikes: Path) -> NDArray[np.object_]:
    """Read the spike times of a movie recording, a (cells, trials) array of arrays in ms."""
    return _require_grid(cell_array(load_mat(spikes), "Spikes", spikes), spikes)


def read_outline_masks(
    outlines: Path,
    n_cells: int,
    frame_shape: tuple[int, ...],
    centre_px: tuple[float, float],
    native_px: int | None = None,
) -> NDArray[np.bool_]:
    """Read the outlines and mark the pixels inside them.

    Parameters
    ----------
    outlines : Path
        .mat with ``ReceptiveFields``.
    n_cells : int
        Cells that the recording has.
    frame_shape : (height, width)
        Size of the stimulus, pixels.
    centre_px : (x, y)
        Screen coordinates of the stimulus' centre.
    native_px : int, optional
        Height of the stimulus on the screen, where `frame_shape` is that of a scaled copy.

    Returns
    -------
    array, (unit, y, x)

    Raises
    ------
    InputError
        There is not one closed outline per cell.
    """
    fields = cell_array(load_mat(outlines), "ReceptiveFields", outlines).ravel()
    if len(fields) != n_cells:
        raise InputError(f"{outlines}: {len(fields)} outlines for {n_cells} cells")
    height, width = frame_shape
    scale = height / native_px if native_px else 1.0
    masks = np.empty((n_cells, height, width), dtype=bool)
    for cell, field in enumerate(fields):
        if not isinstance(field, np.ndarray) or field.ndim != 2 or len(field) != 2:
            raise InputError(f"{outlines}: outline {cell} is not an array of 2 × vertices")
        # The stimuli lie turned on the screen: its x runs down the image, its y to the left.
        row = (field[0] - centre_px[0]) * scale + height / 2
        column = (centre_px[1] - field[1]) * scale + width / 2
        masks[cell] = outline_mask(np.column_stack([row, column]), height, width)
    return masks


def piece_raster(pieces: NDArray[np.object_], path: Path) -> NDArray[np.bool_]:
    """Lay out spike times in ms as a raster, (cell, trial, piece, ms)."""
    piece_ms = round(PIECE_S * 1000)
    last = max((int(times.max()) for times in pieces.flat if times.size), default=0)
    n_pieces = -(-last // piece_ms)
    edges_s = np.linspace(0, PIECE_S, piece_ms + 1)
    return _count_pieces(pieces, n_pieces, edges_s, path) > 0


def _count_pieces(
    pieces: NDArray[np.object_], n_pieces: int, edges_s: NDArray, path: Path
) -> NDArray[np.uint16]:
    """Count spikes, (cell, trial, piece, bin)."""
    onset_s = np.arange(n_pieces) * PIECE_S
    trains = []
    for times in pieces.flat:
        ms = np.sort(times.ravel().astype(float))
        if ms.size and not (ms[0] >= 1 and ms[-1] <= n_pieces * PIECE_S * 1000 + 1e-6):
            raise InputError(
                f"{path}: Spikes: times from {ms[0]:.4g} to {ms[-1]:.4g}; expected ms from 1 to "
                f"{n_pieces * PIECE_S * 1000:.0f}: whole ms after the onset"
            )
        # A time of t ms means the millisecond that ends at t.
        trains.append((ms - 0.5) / 1000)
    counts = count_in_trials(trains, onset_s, edges_s)
    return counts.reshape(*pieces.shape, n_pieces, -1)


def _require_grid(cells: NDArray | object, path: Path) -> NDArray[np.object_]:
    if not isinstance(cells, np.ndarray) or cells.dtype != object or cells.ndim != 2:
        raise InputError(f"{path}: Spikes: expected cell arrays of cells × trials")
    if cells.shape[1] < 2:
        raise InputError(f"{path}: Spikes: {cells.shape[1]} trial; without repeats no reliability")
    for (cell, trial), times in np.ndenumerate(cells):
        if not _are_times(times):
            raise InputError(
                f"{path}: Spikes: cell {cell}, trial {trial} holds no spike times, or NaN or "
                "infinity among them; leave the cell out"
            )
    return cells


def _are_times(times: object) -> bool:
    if not isinstance(times, np.ndarray):
        return False
    return not times.size or (times.dtype.kind in "iuf" and bool(np.isfinite(times).all()))
