"""Infer when the pieces of a retina recording were shown in their movie, with the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from workflow_scripts.recordings.onsets import (
    OnsetFit,
    Pieces,
    PieceTimes,
    find_overlaps,
    fit_onsets,
    off_transient_drive,
)
from workflow_scripts.recordings.readers.onken import (
    MOVIE_CENTRE_PX,
    MOVIE_SIZE_PX,
    PIECE_S,
    piece_raster,
    read_outline_masks,
    read_pieces,
)
from workflow_scripts.recordings.receptive_fields import mean_in_masks
from workflow_scripts.recordings.video import read_grey
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import variable, write_store

# Half the published size: an outline still holds dozens of pixels.
FRAME_PX = 180
# Frames are held for four samples, so that onsets need not fall on frames.
SAMPLES_PER_FRAME = 4
BINS_PER_PIECE = 9


@dataclass(frozen=True)
class InferOnsetsOptions:
    """Options of `infer_onsets`.

    Attributes
    ----------
    n_permutations : int
        Permutations of the outlines among cells, for the null.
    seed : int
        Seed of the permutations.
    """

    n_permutations: int = 300
    seed: int = 0


def infer_onsets(
    spikes: Path, outlines: Path, movie: Path, onsets: Path, options: InferOnsetsOptions
) -> None:
    """Infer when each piece of a recording was shown.

    Parameters
    ----------
    spikes, outlines : Path
        .mat files, see `recordings.readers.onken`.
    movie : Path
        The movie that was shown.
    onsets : Path
        Store to write: ``onset_s`` and ``kept`` (piece), and as evidence ``score`` (interval,
        first), ``held_out_score`` of half of the cells at the onsets that the others choose,
        ``null_score`` (permutation) of the same, ``unit_score`` (unit) and ``block_shift_s``
        (block): by how much blocks of ten pieces, fitted alone, differ from the common onsets.
    options : InferOnsetsOptions

    Raises
    ------
    InputError
        A file is not as described.
    """
    raster = piece_raster(read_pieces(spikes), spikes)
    times = find_overlaps(raster, bin_s=0.001)
    kept = np.flatnonzero(times.offset_s == 0)
    bin_ms = np.linspace(0, raster.shape[-1], BINS_PER_PIECE + 1)[:-1].round().astype(int)
    responses = np.add.reduceat(raster.sum(axis=1), bin_ms, axis=-1)[:, kept].astype(float)
    masks = read_outline_masks(
        outlines, len(raster), (FRAME_PX, FRAME_PX), MOVIE_CENTRE_PX, MOVIE_SIZE_PX
    )
    shown = read_grey(movie, FRAME_PX, FRAME_PX)
    rate_hz = SAMPLES_PER_FRAME * shown.frame_rate_hz
    drive = off_transient_drive(mean_in_masks(shown.frames, masks), shown.frame_rate_hz, rate_hz)
    pieces = Pieces(drive, responses, times.interval[kept], rate_hz, PIECE_S / BINS_PER_PIECE)
    fit = fit_onsets(pieces, n_permutations=options.n_permutations, seed=options.seed)
    attributes = provenance("infer_onsets", options, [spikes, outlines, movie], seed=options.seed)
    write_store(onsets, _describe(times, fit), attributes)
    print(
        f"{len(kept)} of {len(times.interval)} pieces start an interval, at {fit.first_s:.3f} s "
        f"+ {fit.interval_s:.5f} s · k; mean r {fit.score:.3f}; half of the cells, at the onsets "
        f"of the others, {fit.held_out_score:.3f} "
        f"({(fit.null_scores >= fit.held_out_score).sum()} of {len(fit.null_scores)} permutations "
        "of their outlines reach it)"
    )


def _describe(times: PieceTimes, fit: OnsetFit) -> xr.Dataset:
    onset_s = times.onset_s(fit.first_s, fit.interval_s)
    return xr.Dataset(
        {
            "onset_s": variable("piece", onset_s, "s", "inferred start of the piece in the movie"),
            "offset_s": variable("piece", times.offset_s, "s", "start within the interval"),
            "kept": variable("piece", times.offset_s == 0, "1", "does not repeat earlier spikes"),
            "score": variable(
                ("interval", "first"), fit.scores, "1", "mean r of drive and response"
            ),
            "held_out_score": variable(
                (), fit.held_out_score, "1", "mean r of half of the cells at the others' onsets"
            ),
            "null_score": variable(
                "permutation", fit.null_scores, "1", "held-out score with permuted outlines"
            ),
            "unit_score": variable("unit", fit.unit_scores, "1", "r of drive and response"),
            "block_shift_s": variable("block", fit.block_shift_s, "s", "shift of ten pieces alone"),
            "best_score": variable((), fit.score, "1", "mean r at the inferred onsets"),
            "first_onset_s": variable((), fit.first_s, "s", "inferred start of the first piece"),
            "interval_length_s": variable((), fit.interval_s, "s", "inferred interval"),
        },
        coords={
            "candidate_first_s": variable("first", fit.candidates_first_s, "s", "first onset"),
            "candidate_interval_s": variable(
                "interval", fit.candidates_interval_s, "s", "interval between pieces"
            ),
        },
    )


if __name__ == "__main__":
    run_stage(infer_onsets)
