"""Panels of one recording session; each draws what its store holds."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from numpy.typing import NDArray

from workflow_scripts.plotting.colours import ACCENT, OTHER
from workflow_scripts.recordings.receptive_fields import spike_triggered_average

MOST_ROWS = 1500  # of a raster: more are thinned out evenly
MOST_FIELDS = 8
RELIABILITY = {
    "split_half_corrected_r": "split-half r, corrected",
    "oracle_r": "oracle r",
    "ceiling_average_r": "noise ceiling of the average",
}


def best_units(session: xr.Dataset) -> NDArray[np.intp]:
    """Order units by reliability, unknown ones last."""
    reliability = session["split_half_corrected_r"].to_numpy()
    return np.argsort(np.nan_to_num(-reliability, nan=np.inf), kind="stable")


def draw_raster(panel: SubFigure, session: xr.Dataset, unit: int) -> None:
    """Draw one unit's trials, by stimulus, above its mean time course for every stimulus."""
    counts = session["time_course"].to_numpy()[unit]
    stimulus, time_s = session["stimulus_id"].to_numpy(), session["bin_time_s"].to_numpy()
    bin_s = float(np.median(np.diff(time_s)))
    extent = (time_s[0], time_s[-1] + bin_s)
    raster, mean = panel.subplots(2, 1, height_ratios=(2, 1), sharex=True)
    order = np.argsort(stimulus, kind="stable")
    shown = order[:: -(-len(order) // MOST_ROWS)]
    highest = np.nanquantile(counts, 0.995) or np.nanmax(counts) or 1.0
    image = raster.imshow(
        counts[shown], aspect="auto", cmap="gray_r", vmin=0, vmax=highest,
        interpolation="nearest", extent=(*extent, len(order), 0),
    )  # fmt: skip
    panel.colorbar(image, ax=raster, label=session["time_course"].attrs["units"], extend="max")
    unit_name = str(session["unit_id"].to_numpy()[unit])
    raster.set(ylabel="trials, by stimulus", title=f"unit {unit_name}, the most reliable")
    spikes = session["response"].attrs["units"] == "spikes"
    courses = [np.nanmean(counts[stimulus == one], axis=0) for one in np.unique(stimulus)]
    courses = np.array(courses) / (bin_s if spikes else 1.0)
    mean.plot(time_s + bin_s / 2, courses.T, color="0.75", linewidth=0.4)
    mean.plot(time_s + bin_s / 2, courses.mean(axis=0), color=ACCENT)
    mean.set(
        xlabel="time from onset (s)", ylabel="rate (Hz)" if spikes else "response (a.u.)",
        xlim=extent,
    )  # fmt: skip


def draw_repeats(panel: SubFigure, session: xr.Dataset, unit: int) -> None:
    """Draw the single trials of repeated stimuli, in the order of one unit's mean response."""
    stimulus = session["stimulus_id"].to_numpy()
    response = session["response"].to_numpy()[unit]
    repeated = np.flatnonzero(np.bincount(stimulus) > 1)
    groups = [response[stimulus == one] for one in repeated]
    order = np.argsort([group.mean() for group in groups])
    axes = panel.subplots()
    for rank, index in enumerate(order):
        group = groups[index]
        axes.plot(np.full(len(group), rank), group, ".", color="0.6", markersize=2)
    axes.plot(np.arange(len(order)), [groups[index].mean() for index in order], color=ACCENT)
    axes.set(
        xlabel="repeated stimuli, by mean response",
        ylabel=f"response ({session['response'].attrs['units']})",
        title=f"unit {session['unit_id'].to_numpy()[unit]}, the most reliable: single trials",
    )


def draw_population(panel: SubFigure, session: xr.Dataset) -> None:
    """Draw every unit's mean response to every stimulus, in its own range."""
    response, stimulus = session["response"].to_numpy(), session["stimulus_id"].to_numpy()
    shown = np.unique(stimulus)[:200]
    means = np.stack([response[:, stimulus == one].mean(axis=1) for one in shown], axis=1)
    means = means - means.mean(axis=1, keepdims=True)
    means /= np.where((std := means.std(axis=1, keepdims=True)) > 0, std, 1.0)
    axes = panel.subplots()
    image = axes.imshow(
        means[best_units(session)], aspect="auto", cmap="RdBu_r", vmin=-3, vmax=3,
        interpolation="nearest",
    )  # fmt: skip
    panel.colorbar(image, ax=axes, label="mean response (z over stimuli)")
    of = "" if len(shown) == len(np.unique(stimulus)) else "first "
    axes.set(
        xlabel=f"{of}{len(shown)} stimuli", ylabel="units, most reliable first",
        title=f"{len(means)} units",
    )  # fmt: skip


def draw_traces(panel: SubFigure, session: xr.Dataset) -> None:
    """Draw the traces of a continuous recording."""
    time_s, traces = session["time_s"].to_numpy(), session["response"].to_numpy()
    axes = panel.subplots()
    highest = np.quantile(traces, 0.99) or traces.max() or 1.0
    image = axes.imshow(
        traces, aspect="auto", cmap="gray_r", vmin=0, vmax=highest, interpolation="nearest",
        extent=(time_s[0], time_s[-1], len(traces), 0),
    )  # fmt: skip
    label = f"response ({session['response'].attrs['units']})"
    panel.colorbar(image, ax=axes, label=label, extend="max")
    axes.set(xlabel="time (s)", ylabel="units", title=f"response of {len(traces)} units")


def draw_reliability(panel: SubFigure, session: xr.Dataset) -> None:
    """Draw the distributions of the units' reliability, each with its median."""
    grid = np.ravel(panel.subplots(len(RELIABILITY), 1, sharex=True))
    lowest = -0.1
    for axes, (name, label) in zip(grid, RELIABILITY.items(), strict=True):
        values = session[name].to_numpy()
        values = values[np.isfinite(values)]
        # The correction for length takes an r near −1 anywhere below it.
        below = int((values < -1).sum())
        values = np.maximum(values, -1)
        axes.hist(values, bins=np.linspace(-1, 1, 41).tolist(), color="0.35")
        if len(values):
            axes.axvline(float(np.median(values)), color=ACCENT)
            lowest = min(lowest, values.min())
        counted = f" (first bin: {below} below −1)" if below else ""
        axes.set_title(label + counted, loc="left", pad=2, fontsize=7)
        axes.set_ylabel("units")
    grid[-1].set(xlabel="line: median", xlim=(lowest, 1))


def draw_outlines(panel: SubFigure, session: xr.Dataset) -> None:
    """Draw the measured receptive fields on a stimulus, coloured by reliability."""
    masks = session["receptive_field"].to_numpy()
    axes = panel.subplots()
    if "image" in session:
        axes.imshow(session["image"].to_numpy()[0, 0], cmap="gray", alpha=0.6)
    colours = session["split_half_corrected_r"].to_numpy()
    for mask, r in zip(masks, colours, strict=True):
        if mask.any() and not mask.all():
            colour = ACCENT if np.nan_to_num(r) >= np.nanmedian(colours) else OTHER
            axes.contour(mask, levels=[0.5], colors=colour, linewidths=0.6)
    height, width = masks.shape[1:]
    axes.set(
        xlim=(0, width), ylim=(height, 0), aspect="equal", xlabel="pixels of the stimulus",
        title="receptive fields (orange: reliability above the median)",
    )  # fmt: skip


def draw_averages(panel: SubFigure, session: xr.Dataset) -> None:
    """Draw the spike-triggered averages of the most reliable units, over training trials."""
    trained = session["split"].to_numpy() == "train"
    units = best_units(session)[:MOST_FIELDS]
    images = session["image"].to_numpy()[session["stimulus_id"].to_numpy()[trained]]
    averages = spike_triggered_average(
        images.mean(axis=1), session["response"].to_numpy()[units][:, trained], n_lags=1
    )[:, 0]
    grid = np.ravel(panel.subplots(-(-len(units) // 2), 2, squeeze=False))
    for axes in grid:
        axes.set_axis_off()
    for axes, unit, average in zip(grid, units, averages, strict=False):
        limit = np.abs(average).max() or 1.0
        axes.imshow(average, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set_title(f"unit {session['unit_id'].to_numpy()[unit]}", fontsize=6, pad=1)
    panel.suptitle(f"response-weighted images, {trained.sum()} training trials", fontsize=8)


def draw_behaviour(panel: SubFigure, session: xr.Dataset) -> None:
    """Draw what the animal did, trial by trial."""
    traces = _behaviour(session)
    grid = np.ravel(panel.subplots(len(traces), 1, sharex=True, squeeze=False))
    for axes, (name, values) in zip(grid, traces.items(), strict=True):
        axes.plot(values, color="0.35", linewidth=0.4)
        axes.set_title(name, loc="left", pad=2, fontsize=7)
    grid[-1].set_xlabel("trial")


def draw_split(axes: Axes, session: xr.Dataset) -> None:
    """Draw which trials train, choose and judge: by stimulus, or by trial where stimuli recur."""
    split, stimulus = session["split"].to_numpy(), session["stimulus_id"].to_numpy()
    names = list(dict.fromkeys(split))
    stimuli = [set(stimulus[split == name]) for name in names]
    recur = len(set().union(*stimuli)) < sum(map(len, stimuli))
    at = np.arange(len(split)) if recur else stimulus
    for row, name in enumerate(names):
        chosen = at[split == name]
        axes.plot(chosen, np.full(len(chosen), row), "|", color="0.35", markersize=5)
    labels = [f"{name} ({(split == name).sum()})" for name in names]
    axes.set_yticks(range(len(names)), labels)
    axes.set(xlabel="trial" if recur else "stimulus", title="split (trials)",
             ylim=(-0.6, len(names) - 0.4))  # fmt: skip


def _behaviour(session: xr.Dataset) -> dict[str, NDArray]:
    traces = {}
    if "behaviour" in session:
        units = session["behaviour"].attrs["units"]
        names = [f"{str(name).replace('_', ' ')} ({units})" for name in session["variable"].values]
        traces |= dict(zip(names, session["behaviour"].to_numpy().T, strict=True))
    if "pupil_centre" in session:
        for axis, values in zip(
            session["axis"].to_numpy(), session["pupil_centre"].to_numpy().T, strict=True
        ):
            units = session["pupil_centre"].attrs["units"]
            traces[f"pupil centre, {axis} ({units})"] = values
    return traces
