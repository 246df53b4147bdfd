"""Draws the quality of one two-photon movie: cells, motion, neuropil, traces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from workflow_scripts.analysis.two_photon_recovery import Recovery
from workflow_scripts.plotting.captions import interval, number, plain, write_caption
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.style import new_figure, panels
from workflow_scripts.plotting.two_photon import (
    draw_cells,
    draw_contamination,
    draw_examples,
    draw_motion,
    draw_recovery,
)
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import open_store


def plot_movie(
    registration: Path,
    rois: Path,
    traces: Path,
    figure: Path,
    caption: Path,
    options: FigureOptions,
    *,
    truth: Path | None = None,
) -> None:
    """Draw the cells on the mean image, the motion, example traces, and what of a truth was found.

    Parameters
    ----------
    registration, rois, traces : Path
        Stores from `register_movie`, `extract_rois` and `extract_traces`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : FigureOptions
    truth : Path, optional
        Store from `simulate_two_photon`.

    Raises
    ------
    InputError
        A store is missing or damaged.
    """
    stores = {"registration": registration, "rois": rois, "traces": traces}
    if truth is not None:
        stores["truth"] = truth
    movie = {name: open_store(path) for name, path in stores.items()}
    recovery = Recovery(movie) if truth is not None else None
    attributes = provenance("plot_movie", options, stores.values())
    with new_figure(figure, (10.5, 9.0), options.dpi, attributes) as drawn:
        upper, lower = panels(drawn, 2, 1, height_ratios=(1, 1))
        n = 3 if recovery is None else 4
        cells, motion, contamination, *rest = panels(
            upper, 1, n, width_ratios=(1.8, *[1] * (n - 1))
        )
        draw_cells(cells, movie, recovery)
        draw_motion(motion, movie)
        draw_contamination(contamination, movie)
        if recovery is not None:
            draw_recovery(rest[0], recovery)
        draw_examples(lower, movie, recovery)
    write_caption(caption, *_describe(movie, recovery))


def _describe(movie: Mapping[str, xr.Dataset], recovery: Recovery | None) -> Iterator[str]:
    registration, rois, traces = (movie[name] for name in ("registration", "rois", "traces"))
    shift = np.abs(registration["shift_px"].to_numpy())
    duration_s = registration.sizes["time"] / registration.attrs["sampling_rate_hz"]
    simulated = "" if recovery is None else " SIMULATED:"
    yield (
        f"**{plain(traces.attrs['session_id'])}, the movie.**{simulated} "
        f"{registration.sizes['time']} frames of {registration.sizes['y']} × "
        f"{registration.sizes['x']} px, {number(duration_s, 0)} s. Rigid shifts of "
        f"{number(float(np.median(shift)), 1)} px (median), {number(float(shift.max()), 1)} px at "
        f"most. {rois.sizes['unit']} active cells (orange; within the grey line tissue is in view "
        "in 95 % of the frames). Bend: the largest displacement of a block of the frame on top of "
        "the rigid shift; peak: height of that shift's correlation with the reference, low where a "
        "frame does not look like it, 0 where it is blank. Below, four cells from the most to the "
        "least active: mean light of the cell and of its surround; ΔF/F after the neuropil is "
        "subtracted, with what the spike rate explains (orange); the spike rate."
    )
    error, noise = traces["neuropil_ratio_error"].to_numpy(), traces["noise"].to_numpy()
    yield (
        f"Share of the surround's light in the cells: {_quartiles(traces['neuropil_ratio'])} "
        f"(median [quartiles]; standard error {number(float(np.median(error)))}). Noise of one "
        f"frame's ΔF/F: {number(float(np.median(noise)), 3)} (median)."
    )
    if recovery is not None:
        yield (
            f"Against the truth (ticks: true spikes): {len(recovery.pairs)} of {recovery.n_true} "
            f"cells found, recall {number(recovery.recall)}, precision "
            f"{number(recovery.precision)}, F1 {number(recovery.f1)}. Inferred and true spike "
            f"rates, both smoothed by σ = 0.2 s, correlate at {_quartiles(recovery.rate_r)}. The "
            f"displacement of the tissue is off by {number(recovery.motion_error_px)} px (root "
            "mean square over frames and the field of view)."
        )


def _quartiles(values: xr.DataArray | np.ndarray) -> str:
    if not np.size(values):
        return number(None)
    low, middle, high = np.percentile(np.asarray(values), (25, 50, 75))
    return interval(middle, low, high)


if __name__ == "__main__":
    run_stage(plot_movie)
