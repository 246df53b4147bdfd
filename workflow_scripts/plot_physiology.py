"""Draws what a battery of many stimuli shows of the channels of each layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from workflow_scripts.analysis.channels import Estimate, estimate
from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.plaid_tuning import CLASSES, CRITERION
from workflow_scripts.plotting.captions import interval, number, span, table, write_caption
from workflow_scripts.plotting.networks import Mark
from workflow_scripts.plotting.options import NetworksFigureOptions
from workflow_scripts.plotting.style import CHANCE_COLOUR, new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_table

# column → label, digits; those that no battery showed are left out
MEASURES = {
    "sf_preferred": "preferred spatial frequency (c/°)",
    "tf_preferred": "preferred temporal frequency (Hz)",
    "speed_preferred": "preferred speed (°/s)",
    "contrast_c50": "semi-saturation contrast",
    "surround_index": "surround index",
    "second_order_dsi": "DSI for second-order motion",
    "second_order_r": "likeness to gratings: second order",
    "bar_r": "likeness to gratings: bars",
    "natural_index": "natural against scrambled",
    "threshold": "dot threshold (coherence)",
}
LOGARITHMIC = ("sf_preferred", "tf_preferred", "speed_preferred", "contrast_c50", "threshold")
N_COLUMNS = 5
OUT_OF_SIGHT = (1, 99)  # percentiles between which the linear axes end
Z_LIMITS = (-4.0, 8.0)


@dataclass(frozen=True, kw_only=True)
class PlotPhysiologyOptions(NetworksFigureOptions):
    """What the figure shows.

    Parameters
    ----------
    physiology_networks : list of str
        Names, in the order of their tables.
    """

    physiology_networks: list[str]


def plot_physiology(
    physiology: list[Path], figure: Path, caption: Path, options: PlotPhysiologyOptions
) -> None:
    """Draw the measures of every channel by layer, and plaids as pattern against component.

    Parameters
    ----------
    physiology : list of Path
        Tables from `measure_physiology`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : PlotPhysiologyOptions

    Raises
    ------
    InputError
        A table is unreadable, or no table holds a measure.
    """
    tables = [
        read_table(path).assign(network=name)
        for name, path in paired(options.physiology_networks, physiology, "physiology")
    ]
    channels = pd.concat(tables, ignore_index=True)
    measures = {name: label for name, label in MEASURES.items() if name in channels}
    if not measures:
        raise InputError("--physiology: the tables hold no measure; show the battery physiology")
    attributes = provenance("plot_physiology", options, physiology)
    n_rows = -(-len(measures) // N_COLUMNS)
    plaids = "plaid_class" in channels
    size_in = (11.5, 2.1 * n_rows + (2.6 if plaids else 0) + 0.4)
    marks = Mark.of(options.physiology_networks, options.networks)
    with new_figure(figure, size_in, options.dpi, attributes) as drawn:
        ratios = [2.1 * n_rows, 2.6] if plaids else [1]
        parts = panels(drawn, len(ratios), 1, height_ratios=ratios)
        _draw_measures(parts[0], channels, measures, n_rows, marks)
        if plaids:
            _draw_plaids(parts[1], channels, marks)
    write_caption(caption, *_describe(channels, measures))


def _draw_measures(
    panel: SubFigure, channels: pd.DataFrame, measures: dict[str, str], n_rows: int,
    marks: dict[str, Mark],
) -> None:  # fmt: skip
    grid = np.ravel(panel.subplots(n_rows, N_COLUMNS, squeeze=False))
    layers = list(dict.fromkeys(channels["layer"]))
    for axes, (measure, label) in zip(grid, measures.items(), strict=False):
        axes.set_title(label)
        if measure in LOGARITHMIC:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.axhline(0, color=CHANCE_COLOUR, linewidth=0.6, linestyle=":")
            _limit(axes, channels[measure].to_numpy(float))
        for place, (network, mark) in enumerate(marks.items()):
            beside = 0.7 * (place / max(len(marks) - 1, 1) - 0.5)
            for x, layer in enumerate(layers):
                chosen = (channels["network"] == network) & (channels["layer"] == layer)
                _draw_channels(axes, x + beside, channels.loc[chosen, measure], mark)
        axes.set_xticks(range(len(layers)), layers, fontsize=6, rotation=30)
    for axes in grid[len(measures) :]:
        axes.set_axis_off()
    handles = [
        Line2D([], [], color=mark.colour, marker=mark.marker, linestyle="", label=name)
        for name, mark in marks.items()
    ]
    panel.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _limit(axes: Axes, values: NDArray[np.floating]) -> None:
    """Leave the few channels out of sight whose responses are next to nothing."""
    low, high = np.nanpercentile(values, OUT_OF_SIGHT)
    room = 0.08 * (high - low)
    if np.isfinite(room) and room > 0:
        axes.set_ylim(min(low - room, 0), high + room)


def _draw_channels(axes: Axes, x: float, values: pd.Series, mark: Mark) -> None:
    """One dot per channel, and the median with its interval."""
    known = values.to_numpy(float)
    finite = np.sort(known[np.isfinite(known)])
    if not finite.size:
        return
    sideways = 0.16 * (np.arange(len(finite)) * 0.618 % 1 - 0.5)
    axes.scatter(
        x + sideways, finite, s=3, color=mark.colour, marker=mark.marker, alpha=0.3, linewidths=0
    )
    median = _median(values)
    if not np.isfinite(median.value):
        return
    high = np.minimum(median.high, finite[-1])
    error = np.nan_to_num([[median.value - median.low], [high - median.value]])
    axes.errorbar(x, float(median.value), yerr=error, fmt="_", color=mark.colour, markersize=9,
                  markeredgewidth=1.8, elinewidth=1.2)  # fmt: skip


def _median(values: pd.Series) -> Estimate:
    """Median over channels; infinite, as its bounds, where it lies among infinite values."""
    known = values.dropna().to_numpy(float)
    top = known[np.isfinite(known)].max(initial=0)
    median = estimate(np.minimum(known, top + 1), np.median)
    return Estimate(*(np.where(bound > top, np.inf, bound) for bound in median))


def _draw_plaids(panel: SubFigure, channels: pd.DataFrame, marks: dict[str, Mark]) -> None:
    """Z of the pattern against Z of the component prediction, a panel per layer."""
    layers = list(dict.fromkeys(channels["layer"]))
    known = channels[channels["plaid_class"] != ""]
    low, high = Z_LIMITS
    grid = np.ravel(panel.subplots(1, len(layers), sharex=True, sharey=True, squeeze=False))
    for axes, layer in zip(grid, layers, strict=True):
        of_layer = known[known["layer"] == layer]
        for network, mark in marks.items():
            one = of_layer[of_layer["network"] == network]
            x, y = (one[f"z_{name}"].clip(low, high) for name in ("component", "pattern"))
            axes.plot(x, y, mark.marker, color=mark.colour, markersize=2.2)
        far = np.array([0, high + 2])
        for x, y in ((far, far + CRITERION), (far + CRITERION, far)):
            axes.plot(x, y, color=CHANCE_COLOUR, linewidth=0.8)
        axes.plot([low, 0], [CRITERION] * 2, color=CHANCE_COLOUR, linewidth=0.8)
        axes.plot([CRITERION] * 2, [low, 0], color=CHANCE_COLOUR, linewidth=0.8)
        axes.set(
            xlim=(low - 0.3, high + 0.3),
            ylim=(low - 0.3, high + 0.3),
            title=layer,
            xlabel="Z component",
        )
    grid[0].set_ylabel("Z pattern")
    panel.suptitle("plaids: pattern cells upper left, component cells lower right", fontsize=8)


def _describe(channels: pd.DataFrame, measures: dict[str, str]) -> Iterator[str]:
    seeds = ""
    if "n_seeds" in channels:
        n_seeds = span(channels["n_seeds"].dropna().unique())
        seeds = (
            " Dot thresholds are coherences of 82 % correct of a Weibull function of the ROC area "
            f"between preferred and null direction, {n_seeds} seeds a coherence; the stimulus is "
            "the only noise, so they compare with no animal's. A channel that never gets there "
            "(up to twice the largest coherence) counts as above all that do, and – is a median or "
            "bound among such channels; thresholds at the lower end of the fit, a quarter of the "
            "smallest coherence, may be lower still."
        )
    yield (
        "**Physiology beyond direction.** Each dot is a channel, its responses averaged over its "
        "units off the border (apertures: over the units in the middle of the screen); bars are "
        "medians with 95 % bootstrap intervals; linear axes leave out the outermost 1 % of the "
        "channels on either side. Curves are measured in the direction that the "
        "other half of the repeats prefers. Frequencies and speeds are peaks of log-Gaussian fits, "
        "and pile up at the ends of the range shown where a channel prefers more or less than "
        "that. Surround index: 1 − response to the largest disc / largest response. Likeness: "
        "correlation of the direction curve with that for gratings; for second-order motion a "
        "linear motion filter has none. Natural against scrambled: (natural − scrambled) / sum. "
        "The networks' group normalisation divides each clip by its own statistics, so that they "
        "hardly see contrast and every surround suppresses. The cascade is a fixed model: its V1 "
        "cells are component cells, and of its MT cells those are pattern cells that prefer the "
        f"speed of the gratings.{seeds}"
    )
    if "plaid_class" in channels:
        n = span(channels["n_plaid_directions"].dropna().unique())
        yield (
            "Plaids of two gratings 120° apart: partial correlations with the pattern and the "
            f"component prediction, Fisher-transformed and scaled by √(n − 3) with n = {n} "
            f"directions; lines: differences of {CRITERION}; what lies beyond {Z_LIMITS[1]:g} is "
            "drawn there."
        )
    yield table(
        "Median over channels [95 % interval]",
        ["network", "layer", "channels", *measures.values(), *CLASSES],
        list(_rows(channels, measures)),
    )


def _rows(channels: pd.DataFrame, measures: dict[str, str]) -> Iterator[list[str]]:
    for names, group in channels.groupby(["network", "layer"], sort=False):
        cells = []
        for measure in measures:
            median = _median(group.loc[:, measure])
            cell = interval(float(median.value), float(median.low), float(median.high))
            cells.append(f"{cell}; {_reached(group)}" if measure == "threshold" else cell)
        classes = group.get("plaid_class", pd.Series(dtype=object))
        counts = [number(float((classes == name).sum()), 0) for name in CLASSES]
        yield [*map(str, cast("tuple", names)), number(len(group), 0), *cells, *counts]


def _reached(channels: pd.DataFrame) -> str:
    """Count the thresholds, and those at the end of the fit."""
    known = channels.loc[:, "threshold"].dropna().to_numpy(float)
    reached = f"reached by {np.isfinite(known).sum()} of {len(known)}"
    at_edge = np.nansum(channels.loc[:, "threshold_at_edge"].to_numpy(float))
    return f"{reached}, {at_edge:.0f} at the lower end" if at_edge else reached


if __name__ == "__main__":
    run_stage(plot_physiology)
