"""Draws how well encoders predict retinal cells: by task and variant, with ceiling and null."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from workflow_scripts.analysis.inputs import paired
from workflow_scripts.plotting.captions import interval, number, p_value, table, write_caption
from workflow_scripts.plotting.fits import Fit, read_statistics, task_label
from workflow_scripts.plotting.options import FitsFigureOptions
from workflow_scripts.plotting.style import CHANCE_BAND, new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_table

PER_ROW = 4


class _Scored(NamedTuple):
    fit: Fit
    cells: pd.DataFrame
    statistics: dict[str, Any]


def plot_vist_correlation(
    cells: list[Path], statistics: list[Path], figure: Path, caption: Path,
    options: FitsFigureOptions,
) -> None:  # fmt: skip
    """Draw a panel per task, a row per encoder, and a curve over the number of cells.

    Parameters
    ----------
    cells, statistics : list of Path
        From `evaluate_vist`, in the order of ``options.fits``.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : FitsFigureOptions

    Raises
    ------
    InputError
        An input is unreadable, or there is not one per encoder.
    """
    records = read_statistics(options.fits, statistics)
    scored = [
        _Scored(fit, read_table(path), record)
        for (fit, path), record in zip(paired(options.fits, cells, "cells"), records, strict=True)
    ]
    tasks = list(dict.fromkeys(one.fit.task for one in scored))
    by_task = [[one for one in scored if one.fit.task == task] for task in tasks]
    variants = max(len({one.fit.label for one in group}) for group in by_task)
    sizes = any(one.fit.cells for one in scored)
    n_panels = len(tasks) + sizes
    n_columns = min(PER_ROW, n_panels)
    n_rows = -(-n_panels // n_columns)
    height = n_rows * (0.9 + 0.26 * max(variants, 3)) + 0.5
    attributes = provenance("plot_vist_correlation", options, [*cells, *statistics])
    size_in = (max(2.6 * n_columns + 0.6, 7.5), height)  # the legend needs its width
    with new_figure(figure, size_in, options.dpi, attributes) as image:
        grid = panels(image, n_rows, n_columns)
        for panel, group in zip(grid, by_task, strict=False):
            _draw_task(panel.subplots(), group)
        if sizes:
            _draw_sizes(grid[len(tasks)].subplots(), by_task)
        image.legend(handles=_legend(), loc="outside lower center", ncols=4)
    write_caption(caption, *_describe(by_task))


def _draw_task(axes: Axes, group: list[_Scored]) -> None:
    labels = list(dict.fromkeys(one.fit.label for one in group))
    first = group[0].statistics
    null = [one.statistics["null"] for one in group]
    axes.axvspan(
        min(0.0, *(one["mean"] for one in null)), max(one["high"] for one in null),
        color=CHANCE_BAND, linewidth=0,
    )  # fmt: skip
    axes.axvline(0, color="0.6", linewidth=0.6)
    axes.axvline(first["split_half_r"]["value"] or np.nan, color="black", linestyle=":")
    for row, label in enumerate(labels):
        seeds = [one for one in group if one.fit.label == label]
        for one in seeds:
            r = one.cells["r"].to_numpy()
            place = row + np.linspace(-0.25, 0.25, len(r))
            axes.plot(r, place, ".", color=one.fit.colour, alpha=0.35, markersize=2.5)
            measured = one.statistics["r"]
            if measured["value"] is not None:
                axes.plot([measured["low"], measured["high"]], [row, row], color="black")
                axes.plot(measured["value"], row, "o", color=one.fit.colour,
                          markeredgecolor="black", markersize=5)  # fmt: skip
    axes.set_yticks(range(len(labels)), labels)
    axes.set(ylim=(len(labels) - 0.5, -0.5), xlim=(-0.3, 1.02), xlabel="correlation (signed)")
    axes.set_title(task_label(group[0].fit.task, first))


def _draw_sizes(axes: Axes, by_task: list[list[_Scored]]) -> None:
    """Mean correlation of the trained cells against their number."""
    for index, group in enumerate(by_task):
        sized = [one for one in group if one.fit.cells or one.fit.variant == "vist"]
        numbers = sorted({len(one.cells) for one in sized})
        means = [
            np.mean([one.cells["r"].mean() for one in sized if len(one.cells) == n])
            for n in numbers
        ]
        label = group[0].fit.task.replace("_", " ")
        axes.plot(numbers, means, "o-", markersize=3, color=f"C{index}", label=label)
    axes.set(xscale="log", xlabel="cells trained on", ylabel="correlation", title="population size")
    axes.legend(fontsize=5)


def _legend() -> list[Line2D | Patch]:
    return [
        Line2D([], [], marker="o", color="black", markerfacecolor="0.7",
               label="mean over cells, 95 % interval"),
        Line2D([], [], marker=".", color="0.5", linestyle="", label="cells"),
        Line2D([], [], color="black", linestyle=":", label="split-half ceiling"),
        Patch(color=CHANCE_BAND, label="outlines permuted among cells, up to 95 %"),
    ]  # fmt: skip


def _describe(by_task: list[list[_Scored]]) -> Iterator[str]:
    yield (
        "**How well encoders predict retinal ganglion cells.** Signed Pearson correlation of "
        "predicted and recorded rates over all scored frames, per cell (dots), and its mean over "
        "cells with a bootstrap interval over cells. Weights and ridge penalties were selected on "
        "folds of the training movie; the movie that judges was no input of training, and within a "
        "movie its test split was hidden. Dotted: correlation of the recording's two halves "
        "(Spearman–Brown). Grey: predictions permuted among cells, outlines and gains together. "
        "Simulated cells have a known cascade of subunits; 'onsets inferred' marks recordings "
        "whose pieces' times in the movie the data set does not publish."
    )
    for group in by_task:
        first = group[0].statistics
        rows = [_row(one) for one in group]
        title = (
            f"{task_label(group[0].fit.task, first)}: {len(group[0].cells)} cells, "
            f"{first['n_frames']} frames, ceiling {number(first['split_half_r']['value'], 3)}"
        ).replace("\n", " ")
        header = ["encoder", "correlation [95 %]", "on training folds", "null, test",
                  "SD-KL (not finite)", "weights"]  # fmt: skip
        yield table(title, header, rows)
    noise = by_task[0][0].statistics["sd_kl_of_noise"]
    levels = ", ".join(f"{sd}: {number(one['value'])}" for sd, one in noise.items())
    yield (
        "SD-KL, the divergence of the densities of peak widths, is lower for better predictions; "
        f"recorded rates with noise of so many standard deviations added score {levels} "
        f"({by_task[0][0].fit.task.replace('_', ' ')})."
    )


def _row(one: _Scored) -> list[str]:
    found = one.statistics
    null, density = found["null"], found["sd_kl"]
    return [
        f"{one.fit.label}, seed {one.fit.seed}",
        interval(*(found["r"][key] for key in ("value", "low", "high")), digits=3),
        number(float(np.mean(found["fold_correlation"])), 3),
        f"{number(null['mean'], 3)}, {p_value(null['p'])}",
        f"{number(density['value'])} ({density['n_undefined']})",
        str(found["n_weights"]),
    ]


if __name__ == "__main__":
    run_stage(plot_vist_correlation)
