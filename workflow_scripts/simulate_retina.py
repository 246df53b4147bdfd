"""Simulate the retina's response to a movie, cut into pieces without gaps, with its truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.recordings.readers.matlab import cell_array, load_mat
from workflow_scripts.recordings.readers.onken import (
    MOVIE_CENTRE_PX,
    MOVIE_SIZE_PX,
    read_outline_masks,
)
from workflow_scripts.recordings.reliability import add_reliability
from workflow_scripts.recordings.retina_simulator import RetinalCells, draw_cells, firing_rate
from workflow_scripts.recordings.sessions import (
    add_receptive_fields,
    add_time_course,
    add_training_statistics,
    trial_session,
)
from workflow_scripts.recordings.splits import SplitOptions, split_in_blocks
from workflow_scripts.recordings.video import read_grey
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import variable, write_store


@dataclass(frozen=True)
class SimulateRetinaOptions:
    """Options of `simulate_retina`.

    Attributes
    ----------
    session_id : str
        Name of the session.
    seed : int
        Seed of the cells: the same for all movies that one retina sees.
    n_repeats : int
        Presentations of the movie.
    piece_frames : int
        Frames of a piece; each is a stimulus of the session.
    frame_px : int
        Height and width of the frames that the cells see, pixels.
    split : SplitOptions
        How pieces are split, by blocks in s of the movie.
    """

    session_id: str
    seed: int = 0
    n_repeats: int = 10
    piece_frames: int = 30
    frame_px: int = 90
    split: SplitOptions = field(
        default_factory=lambda: SplitOptions(rule="blocks", block=3.0, gap=2.0)
    )


def simulate_retina(
    movie: Path, outlines: Path, session: Path, options: SimulateRetinaOptions
) -> None:
    """Simulate one retina seeing one movie.

    Parameters
    ----------
    movie : Path
        Movie file; its last incomplete piece is left out.
    outlines : Path
        Real receptive-field outlines, at which the simulated cells lie.
    session : Path
        Trial session to write: time course in frames, ``onset_s`` of each piece, and as truth the
        ``truth_rate`` (unit, stimulus, bin), ``truth_kernel`` (unit, lag) and the subunits.
    options : SimulateRetinaOptions

    Raises
    ------
    InputError
        The movie is shorter than three pieces, or a file is not as described.
    """
    size = (options.frame_px, options.frame_px)
    n_cells = cell_array(load_mat(outlines), "ReceptiveFields", outlines).size
    masks = read_outline_masks(outlines, n_cells, size, MOVIE_CENTRE_PX, MOVIE_SIZE_PX)
    shown = read_grey(movie, *size)
    n_frames = len(shown.frames)
    n_pieces = n_frames // options.piece_frames
    if n_pieces < 3:
        raise InputError(f"{movie}: {n_frames} frames are fewer than three pieces")
    cells = draw_cells(masks, 1 / shown.frame_s, np.random.default_rng(options.seed))
    rate_hz = firing_rate(cells, shown.frames)[:, : n_pieces * options.piece_frames]
    dataset = _session(rate_hz, masks, cells, shown.frame_s, options).assign_attrs(movie=movie.name)
    onset_s = dataset["onset_s"].to_numpy()[dataset["stimulus_id"].to_numpy()]
    labels = split_in_blocks(onset_s, options.split)
    dataset = dataset.assign_coords(split=variable("trial", labels, "1", "split by blocks"))
    dataset = add_reliability(add_training_statistics(dataset))
    attributes = provenance("simulate_retina", options, [movie, outlines], seed=options.seed)
    write_store(session, dataset, attributes)


def _session(
    rate_hz: NDArray[np.float64],
    masks: NDArray[np.bool_],
    cells: RetinalCells,
    frame_s: float,
    options: SimulateRetinaOptions,
) -> xr.Dataset:
    # The noise must differ between movies that the same retina sees.
    rng = np.random.default_rng([options.seed, *options.session_id.encode()])
    pieces = rate_hz.reshape(len(rate_hz), -1, options.piece_frames)
    n_pieces = pieces.shape[1]
    counts = rng.poisson(np.repeat(pieces, options.n_repeats, axis=1) * frame_s)
    piece_s = options.piece_frames * frame_s
    session = trial_session(
        counts.sum(axis=2),
        np.repeat(np.arange(n_pieces), options.n_repeats),
        response_units="spikes",
        stimulus_names=[f"piece{number:02d}" for number in range(n_pieces)],
        attributes={
            "session_id": options.session_id,
            "species": "salamander (simulated)",
            "area": "retina",
            "modality": "spikes",
            "onsets": "simulated",
            "truth": "simulated",
        },
    )
    session = add_time_course(session, counts, np.arange(options.piece_frames) * frame_s, frame_s)
    onset_s = np.arange(n_pieces) * piece_s
    session["onset_s"] = variable("stimulus", onset_s, "s", "start in the movie")
    described = {
        "rate": (("unit", "stimulus", "bin"), pieces, "Hz", "true rate"),
        "kernel": (("unit", "lag"), cells.kernel, "1", "temporal filter, lag 0 the present frame"),
        "polarity": ("unit", cells.polarity, "1", "1 ON, -1 OFF"),
        "subunit_row": (("unit", "subunit"), cells.subunit_row, "px", "centre of the subunit"),
        "subunit_column": (
            ("unit", "subunit"),
            cells.subunit_column,
            "px",
            "centre of the subunit",
        ),
    }
    session = session.assign({f"truth_{name}": variable(*one) for name, one in described.items()})
    return add_receptive_fields(session, masks)


if __name__ == "__main__":
    run_stage(simulate_retina)
