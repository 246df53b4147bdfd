"""Find the motion in a raw two-photon movie, and average the registered movie over bins."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from workflow_scripts.recordings.binned_movie import BinWriter
from workflow_scripts.recordings.raw_movie import RawMovie
from workflow_scripts.recordings.readers.movie import MovieSource, open_movie
from workflow_scripts.recordings.reference import reference_image
from workflow_scripts.recordings.registration import Registration, RegistrationParameters
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.progress import progress
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import StoreWriter, add_dataset, variable

REFERENCE_FRAMES = 200
# Parts of the memory for the reference's frames (averaging them takes as much again), and for the
# bins on their way to the disk.
REFERENCE_SHARE, BINS_SHARE = 0.3, 0.3


@dataclass(frozen=True)
class RegisterMovieOptions:
    """How a movie is read and registered.

    Attributes
    ----------
    source : MovieSource
        What the sample sheet says of it.
    registration : RegistrationParameters
    bin_s : float
        Length of the bins that cells are looked for in, s: about that of a transient.
    memory_mb : float
        Memory for the movie, beside the program's own.
    """

    source: MovieSource
    registration: RegistrationParameters = field(default_factory=RegistrationParameters)
    bin_s: float = 0.5
    memory_mb: float = 1000.0

    def __post_init__(self) -> None:
        if self.bin_s <= 0 or self.memory_mb <= 0:
            raise InputError("register_movie: bin_s and memory_mb are above 0")


def register_movie(movie: Path, registration: Path, options: RegisterMovieOptions) -> None:
    """Register a movie.

    No registered copy is written: whoever reads the movie again undoes the motion on the way.

    Parameters
    ----------
    movie : Path
        TIFF stack, folder of stacks, or NWB file.
    registration : Path
        Store to write: ``shift_px (time, axis)``, ``bend_px (time, block_row, block_column,
        axis)``, ``peak (time)``, the images ``reference mean_image in_view (y, x)`` and the
        registered movie ``binned (bin, y, x)``.
    options : RegisterMovieOptions

    Raises
    ------
    InputError
        The movie is damaged, holds NaN, or is too small for the registration's parameters.
    """
    with open_movie(movie, options.source) as raw:
        frames = raw.sample(REFERENCE_FRAMES, REFERENCE_SHARE * options.memory_mb * 1e6)
        reference = reference_image(frames, options.registration)
        del frames
        files = sorted(path for path in movie.rglob("*") if path.is_file()) or [movie]
        with StoreWriter(registration, provenance("register_movie", options, files)) as group:
            bins = BinWriter(group, raw, options.bin_s, BINS_SHARE * options.memory_mb * 1e6)
            dataset = _register(raw, Registration(reference, options.registration), bins)
            dataset["reference"] = variable(("y", "x"), reference, "counts", "image aligned to")
            add_dataset(group, dataset)
    shift = dataset["shift_px"].to_numpy()
    print(f"{len(shift)} frames, shifts up to {np.abs(shift).max():.1f} px")


def _register(raw: RawMovie, registration: Registration, bins: BinWriter) -> xr.Dataset:
    size = (raw.height, raw.width)
    in_view, total = np.zeros(size, np.int32), np.zeros(size)
    shift = np.empty((raw.n_frames, 2), np.float32)
    bend = np.empty((raw.n_frames, *registration.n_blocks, 2), np.float16)
    peak = np.empty(raw.n_frames, np.float32)
    with progress("frames registered", raw.n_frames) as shown:
        for piece, frames in raw.pieces():
            for number, frame in enumerate(frames, piece.start):
                motion = registration.motion(frame)
                shift[number], bend[number], peak[number] = motion
                aligned = registration.align(frame, motion, in_view)
                total += aligned
                bins.add(number, aligned)
            shown.advance(len(frames))
    images = {
        "mean_image": (total / raw.n_frames, "counts", "mean of the registered frames"),
        "in_view": (in_view / raw.n_frames, "1", "share of the frames in which the pixel is seen"),
    }
    found = {
        "shift_px": (("time", "axis"), shift, "px", "rigid shift (row, column)"),
        "bend_px": (
            ("time", "block_row", "block_column", "axis"), bend, "px",
            "displacement of the block on top of the shift",
        ),
        "peak": ("time", peak, "1", "height of the rigid correlation's peak; 0 in blank frames"),
        "block_row_px": ("block_row", registration.block_rows_px, "px", "centre of the block"),
        "block_column_px": (
            "block_column", registration.block_columns_px, "px", "centre of the block",
        ),
        **{name: (("y", "x"), image.astype(np.float32), *said)
           for name, (image, *said) in images.items()},
    }  # fmt: skip
    attributes = {"sampling_rate_hz": raw.rate_hz, "bin_s": bins.bin_s}
    if raw.um_per_px is not None:
        attributes["um_per_px"] = raw.um_per_px
    return xr.Dataset({n: variable(*one) for n, one in found.items()}, attrs=attributes)


if __name__ == "__main__":
    run_stage(register_movie)
