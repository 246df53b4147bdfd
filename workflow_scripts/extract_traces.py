"""Turn a raw two-photon movie and its cells into their ΔF/F and spike rates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from workflow_scripts.recordings.deconvolution import deconvolve
from workflow_scripts.recordings.footprints import footprints_from_dataset
from workflow_scripts.recordings.neuropil import (
    delta_f_over_f,
    demixing_weights,
    estimate_contamination,
    ring_weights,
)
from workflow_scripts.recordings.raw_movie import RawMovie
from workflow_scripts.recordings.readers.movie import MovieSource, open_movie
from workflow_scripts.recordings.registration import Motion, Registration, RegistrationParameters
from workflow_scripts.recordings.sessions import continuous_session
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.progress import progress
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import open_store, variable, write_store


@dataclass(frozen=True)
class ExtractTracesOptions:
    """How fluorescence becomes spike rates.

    Attributes
    ----------
    session_id : str
        Name of the session.
    source : MovieSource
        What the sample sheet says of the movie.
    registration : RegistrationParameters
        As in `register_movie`.
    baseline_window_s, baseline_percentile : float
        The baseline is this running percentile over this time.
    rise_s : float
        Time constant of a transient's rise, s.
    """

    session_id: str
    source: MovieSource
    registration: RegistrationParameters
    baseline_window_s: float = 60.0
    baseline_percentile: float = 10.0
    rise_s: float = 0.1

    def __post_init__(self) -> None:
        if self.baseline_window_s <= 0 or not 0 <= self.baseline_percentile <= 100:
            raise InputError(
                "extract_traces: baseline_window_s is above 0, baseline_percentile 0 to 100"
            )


def extract_traces(
    movie: Path, registration: Path, rois: Path, traces: Path, options: ExtractTracesOptions
) -> None:
    """Measure the cells' light, free it of neuropil, and infer their spike rates.

    Parameters
    ----------
    movie : Path
        The raw movie.
    registration, rois : Path
        Stores from `register_movie` and `extract_rois`.
    traces : Path
        Continuous session to write: ``response (unit, time)`` is the spike rate, in ΔF/F of a lone
        spike's transient per s; ``fluorescence neuropil delta_f_over_f denoised (unit, time)``,
        ``neuropil_ratio neuropil_ratio_error noise decay_s (unit)``.
    options : ExtractTracesOptions

    Raises
    ------
    InputError
        The movie is damaged, not the one that was registered, or shorter than 10 s.
    """
    motion = open_store(registration)
    cells = open_store(rois, load=True)
    size = (motion.sizes["y"], motion.sizes["x"])
    footprints = footprints_from_dataset(cells, size)
    weights = csr_array(vstack([demixing_weights(footprints), ring_weights(footprints, size)]))
    with open_movie(movie, options.source) as raw:
        _check_same(raw, motion, movie)
        light = _measure(raw, motion, weights, options.registration)
    fluorescence, neuropil = np.split(light, 2)
    rate_hz = raw.rate_hz
    contamination = estimate_contamination(fluorescence, neuropil, rate_hz)
    relative = delta_f_over_f(
        fluorescence, neuropil, contamination.ratio, rate_hz, options.baseline_window_s,
        options.baseline_percentile,
    )  # fmt: skip
    spikes = deconvolve(relative, rate_hz, options.rise_s)
    um_per_px = raw.um_per_px or np.nan
    session = continuous_session(
        spikes.rates,
        raw.start_s + np.arange(raw.n_frames) / rate_hz,
        response_units="ΔF/F/s",
        attributes={"session_id": options.session_id, "sampling_rate_hz": rate_hz},
        units={
            "x_um": cells["centroid_column_px"].to_numpy() * um_per_px,
            "y_um": cells["centroid_row_px"].to_numpy() * um_per_px,
        },
    )
    over_time = {
        "fluorescence": (fluorescence, "counts", "mean light of the cell"),
        "neuropil": (neuropil, "counts", "mean light around the cell"),
        "delta_f_over_f": (relative, "1", "ΔF/F after the neuropil is subtracted"),
        "denoised": (spikes.denoised, "1", "ΔF/F that the spike rate explains"),
    }
    per_unit = {
        "neuropil_ratio": (contamination.ratio, "1", "neuropil in the cell over that around it"),
        "neuropil_ratio_error": (contamination.standard_error, "1", "standard error of the ratio"),
        "noise": (spikes.noise, "1", "standard deviation of ΔF/F's noise"),
        "decay_s": (spikes.decay_s, "s", "time constant of the decay"),
    }
    session = session.assign(
        {name: variable(("unit", "time"), *one) for name, one in over_time.items()}
        | {name: variable("unit", *one) for name, one in per_unit.items()}
    )
    inputs = [registration, rois]  # the movie's hash is in the registration's provenance
    write_store(traces, session, provenance("extract_traces", options, inputs))
    print(f"{len(relative)} cells, median ΔF/F noise {np.median(spikes.noise):.3f}")


def _check_same(raw: RawMovie, motion: xr.Dataset, movie: Path) -> None:
    shape = (raw.n_frames, raw.height, raw.width)
    registered = tuple(motion.sizes[name] for name in ("time", "y", "x"))
    if shape != registered:
        raise InputError(f"{movie}: frames {shape}, but {registered} were registered; rerun that")


def _measure(
    raw: RawMovie, motion: xr.Dataset, weights: csr_array, parameters: RegistrationParameters
) -> NDArray[np.float32]:
    """Weighted sums of the registered frames, (row of weights, time)."""
    registration = Registration(motion["reference"].to_numpy(), parameters)
    shift, bend = motion["shift_px"].to_numpy(), motion["bend_px"].to_numpy()
    in_view = np.zeros((raw.height, raw.width), np.int32)
    light = np.empty((len(weights.indptr) - 1, raw.n_frames), np.float32)
    weights = csr_array(weights, dtype=np.float32)
    with progress("frames measured", raw.n_frames) as shown:
        for piece, frames in raw.pieces():
            for number, frame in enumerate(frames, piece.start):
                moved = Motion(shift[number], bend[number].astype(np.float32), 0.0)
                light[:, number] = weights @ registration.align(frame, moved, in_view).ravel()
            shown.advance(len(frames))
    return light


if __name__ == "__main__":
    run_stage(extract_traces)
