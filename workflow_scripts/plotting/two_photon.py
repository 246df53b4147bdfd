"""Panels of one two-photon movie: cells, motion, traces, and what of a truth was found."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from numpy.typing import NDArray
from scipy.sparse import csr_array

from workflow_scripts.analysis.two_photon_recovery import Recovery
from workflow_scripts.plotting.colours import ACCENT, OTHER, THIRD
from workflow_scripts.recordings.footprints import footprint_areas, footprints_from_dataset

MOST_POINTS = 3000  # of a trace over the whole movie
SHOWN_S = 60.0
SHOWN_CELLS = 4


def draw_cells(
    panel: SubFigure, movie: Mapping[str, xr.Dataset], recovery: Recovery | None
) -> None:
    """Draw the mean image with the outlines of the cells."""
    image = movie["registration"]["mean_image"].to_numpy()
    axes = panel.subplots()
    low, high = np.percentile(image, (1, 99.5))
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    found = footprints_from_dataset(movie["rois"], image.shape)
    _draw_outlines(axes, found, image.shape, ACCENT)
    title = f"{len(found.indptr) - 1} cells, mean of registered frames"
    if recovery is not None:
        true = footprints_from_dataset(movie["truth"], image.shape)
        missed = np.setdiff1d(np.arange(recovery.n_true), recovery.pairs[:, 1])
        _draw_outlines(axes, csr_array(true[missed]), image.shape, THIRD)
        title += f" (green: {len(missed)} missed)"
    axes.contour(movie["rois"]["usable"].to_numpy(), levels=[0.5], colors="0.7", linewidths=0.5)
    axes.set(title=title, xlabel="column (px)", ylabel="row (px)")


def draw_motion(panel: SubFigure, movie: Mapping[str, xr.Dataset]) -> None:
    """Draw the rigid shift, the largest bend and the height of the correlation's peak."""
    registration = movie["registration"]
    time_s = movie["traces"]["time_s"].to_numpy()
    shown = slice(None, None, max(1, len(time_s) // MOST_POINTS))
    shift, bend, peak = panel.subplots(3, 1, sharex=True)
    for axis, (name, colour) in enumerate((("rows", ACCENT), ("columns", OTHER))):
        values = registration["shift_px"].to_numpy()[shown, axis]
        shift.plot(time_s[shown], values, color=colour, linewidth=0.5, label=name)
    shift.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 0.95))
    shift.set_ylabel("shift (px)")
    blocks = registration["bend_px"].to_numpy()[shown].astype(float)
    largest = np.sqrt((blocks**2).sum(-1)).max((1, 2), initial=0)
    bend.plot(time_s[shown], largest, color="0.35", linewidth=0.5)
    bend.set_ylabel("bend (px)")
    peak.plot(time_s[shown], registration["peak"].to_numpy()[shown], color="0.35", linewidth=0.5)
    peak.set(xlabel="time (s)", ylabel="peak")


def draw_contamination(panel: SubFigure, movie: Mapping[str, xr.Dataset]) -> None:
    """Draw how much neuropil the cells hold, and how noisy their ΔF/F is."""
    traces = movie["traces"]
    left, right = panel.subplots(2, 1)
    left.hist(
        traces["neuropil_ratio"].to_numpy(), bins=np.linspace(0, 1, 21).tolist(), color="0.35"
    )
    left.set(xlabel="neuropil in / around the cell", ylabel="cells", title="contamination")
    right.hist(traces["noise"].to_numpy(), bins=20, color="0.35")
    right.set(xlabel="noise of ΔF/F (SD)", ylabel="cells")


def draw_recovery(panel: SubFigure, recovery: Recovery) -> None:
    """Draw recall and precision, and how well the true spike rates are recovered."""
    bars, rates = panel.subplots(2, 1)
    scores = {"recall": recovery.recall, "precision": recovery.precision, "F1": recovery.f1}
    bars.barh(list(scores), list(scores.values()), color="0.35")
    bars.set(xlim=(0, 1), title="cells against truth")
    bars.invert_yaxis()
    rates.hist(recovery.rate_r, bins=np.linspace(0, 1, 21).tolist(), color="0.35")
    if len(recovery.rate_r):
        rates.axvline(float(np.median(recovery.rate_r)), color=ACCENT)
    rates.set(xlabel="r of rate with truth", ylabel="cells", xlim=(0, 1))


def draw_examples(
    panel: SubFigure, movie: Mapping[str, xr.Dataset], recovery: Recovery | None
) -> None:
    """Draw light, neuropil, ΔF/F and spike rate of cells from the most to the least active."""
    traces = movie["traces"]
    time_s = traces["time_s"].to_numpy()
    shown = time_s < time_s[0] + SHOWN_S
    cells = _spread_over_activity(traces)
    grid = panel.subplots(3, len(cells), sharex=True, squeeze=False)
    true_of = {} if recovery is None else dict(map(tuple, recovery.pairs.tolist()))
    for column, cell in zip(grid.T, cells, strict=True):
        light, relative, rate = column
        values = {
            name: traces[name].to_numpy()[cell, shown]
            for name in ("fluorescence", "neuropil", "delta_f_over_f", "denoised", "response")
        }
        light.plot(time_s[shown], values["fluorescence"], color="0.35", linewidth=0.5, label="cell")
        light.plot(time_s[shown], values["neuropil"], color=OTHER, linewidth=0.5, label="neuropil")
        relative.plot(time_s[shown], values["delta_f_over_f"], color="0.6", linewidth=0.5)
        relative.plot(time_s[shown], values["denoised"], color=ACCENT, linewidth=0.8)
        rate.plot(time_s[shown], values["response"], color=ACCENT, linewidth=0.6)
        if cell in true_of:
            spikes = movie["truth"]["spikes"].to_numpy()[true_of[cell], shown]
            bottom = np.full(int((spikes > 0).sum()), -0.08 * max(values["response"].max(), 1e-6))
            rate.plot(time_s[shown][spikes > 0], bottom, "|", color="black", markersize=4)
        light.set_title(f"cell {cell}, neuropil × {float(traces['neuropil_ratio'][cell]):.2f}")
        rate.set_xlabel("time (s)")
    grid[0, 0].legend(loc="upper left", ncols=2, bbox_to_anchor=(0, 1.02), handlelength=1)
    for axes, label in zip(grid[:, 0], ("light (counts)", "ΔF/F", "rate (ΔF/F/s)"), strict=True):
        axes.set_ylabel(label)


def _spread_over_activity(traces: xr.Dataset) -> NDArray[np.intp]:
    order = np.argsort(-traces["response"].to_numpy().var(axis=1), kind="stable")
    ranks = np.linspace(0, len(order) - 1, min(SHOWN_CELLS, len(order))).astype(int)
    return order[ranks]


def _draw_outlines(axes: Axes, footprints: csr_array, size: tuple[int, int], colour: str) -> None:
    areas = footprint_areas(footprints)
    for row in range(len(areas.indptr) - 1):
        mask = np.zeros(size)
        mask.flat[areas.indices[areas.indptr[row] : areas.indptr[row + 1]]] = 1
        if mask.any():
            axes.contour(mask, levels=[0.5], colors=colour, linewidths=0.7)
