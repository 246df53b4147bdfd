"""Turn a raw two-photon movie and its cells into their ΔF/F and spike rates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from workflow_scripts.recordings.deconvolution import check_duration, deconvolve
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
from workflow_scripts.recordings.sessions import unit_coordinates
from workflow_scripts.recordings.trace_store import TraceStore
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.progress import progress
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import (
    StoreWriter,
    add_dataset,
    open_store,
    variable,
)

PER_UNIT = {
    "neuropil_ratio": ("1", "neuropil in the cell over that around it"),
    "neuropil_ratio_error": ("1", "standard error of the ratio"),
    "noise": ("1", "standard deviation of ΔF/F's noise"),
    "decay_s": ("s", "time constant of the decay"),
}


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
    memory_mb : float
        Memory for the traces, beside the program's own.
    """

    session_id: str
    source: MovieSource
    registration: RegistrationParameters
    baseline_window_s: float = 60.0
    baseline_percentile: float = 10.0
    rise_s: float = 0.1
    memory_mb: float = 1000.0

    def __post_init__(self) -> None:
        if self.baseline_window_s <= 0 or not 0 <= self.baseline_percentile <= 100:
            raise InputError(
                "extract_traces: baseline_window_s is above 0, baseline_percentile 0 to 100"
            )
        if self.memory_mb <= 0:
            raise InputError("extract_traces: memory_mb is above 0")


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
    inputs = [registration, rois]  # the movie's hash is in the registration's provenance
    attributes = provenance("extract_traces", options, inputs)
    with open_movie(movie, options.source) as raw, StoreWriter(traces, attributes) as group:
        _check_same(raw, motion, movie)
        check_duration(raw.n_frames, raw.rate_hz)
        store = TraceStore(group, cells.sizes["unit"], raw.n_frames, options.memory_mb * 1e6)
        _measure(raw, motion, weights, options.registration, store)
        per_unit = _infer_rates(store, raw.rate_hz, options)
        add_dataset(group, _describe(raw, cells, per_unit, options.session_id))
    noise = per_unit["noise"]
    print(f"{len(noise)} cells, median ΔF/F noise {np.median(noise):.3f}")


def _check_same(raw: RawMovie, motion: xr.Dataset, movie: Path) -> None:
    shape = (raw.n_frames, raw.height, raw.width)
    registered = tuple(motion.sizes[name] for name in ("time", "y", "x"))
    if shape != registered:
        raise InputError(f"{movie}: frames {shape}, but {registered} were registered; rerun that")


def _measure(
    raw: RawMovie, motion: xr.Dataset, weights: csr_array, parameters: RegistrationParameters,
    store: TraceStore,
) -> None:  # fmt: skip
    """Write the weighted sums of the registered frames."""
    registration = Registration(motion["reference"].to_numpy(), parameters)
    shift, bend = motion["shift_px"].to_numpy(), motion["bend_px"].to_numpy()
    in_view = np.zeros((raw.height, raw.width), np.int32)
    weights = csr_array(weights, dtype=np.float32)
    with progress("frames measured", raw.n_frames) as shown:
        for piece, frames in raw.pieces():
            for number, frame in enumerate(frames, piece.start):
                moved = Motion(shift[number], bend[number].astype(np.float32), 0.0)
                store.add(number, weights @ registration.align(frame, moved, in_view).ravel())
            shown.advance(len(frames))


def _infer_rates(
    store: TraceStore, rate_hz: float, options: ExtractTracesOptions
) -> dict[str, NDArray[np.floating]]:
    """Write ΔF/F and spike rates; returns what is known of each cell, (unit,)."""
    found = []
    for units, cell, around in store.batches():
        contamination = estimate_contamination(cell, around, rate_hz)
        relative = delta_f_over_f(
            cell, around, contamination.ratio, rate_hz, options.baseline_window_s,
            options.baseline_percentile,
        )  # fmt: skip
        spikes = deconvolve(relative, rate_hz, options.rise_s)
        store.write(units, delta_f_over_f=relative, denoised=spikes.denoised, response=spikes.rates)
        found.append((*contamination, spikes.noise, spikes.decay_s))
    parts = zip(*found, strict=True)
    return {name: np.concatenate(part) for name, part in zip(PER_UNIT, parts, strict=True)}


def _describe(
    raw: RawMovie, cells: xr.Dataset, per_unit: dict[str, NDArray], session_id: str
) -> xr.Dataset:
    um_per_px = raw.um_per_px or np.nan
    time_s = raw.start_s + np.arange(raw.n_frames) / raw.rate_hz
    places = {
        "x_um": cells["centroid_column_px"].to_numpy() * um_per_px,
        "y_um": cells["centroid_row_px"].to_numpy() * um_per_px,
    }
    return xr.Dataset(
        {name: variable("unit", values, *PER_UNIT[name]) for name, values in per_unit.items()},
        coords={
            **unit_coordinates(cells.sizes["unit"], session_id, places),
            "time_s": variable("time", time_s, "s", "time of the sample"),
        },
        attrs={"session_id": session_id, "sampling_rate_hz": raw.rate_hz},
    )


if __name__ == "__main__":
    run_stage(extract_traces)
