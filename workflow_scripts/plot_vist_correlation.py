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
from workflow_scripts.analysis.summaries import Summary, summarise_sample
from workflow_scripts.plotting.captions import interval, number, p_value, table, write_caption
from workflow_scripts.plotting.fits import Fit, read_statistics, task_label
from workflow_scripts.plotting.options import FitsFigureOptions
from workflow_scripts.plotting.style import CHANCE_BAND, draw_chance, new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_table

PER_ROW = 3
REFERENCE = "vist"  # what every other encoder is compared with


class Scored(NamedTuple):
    """A fit and what was measured of it."""

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
        Scored(fit, read_table(path), record)
        for (fit, path), record in zip(paired(options.fits, cells, "cells"), records, strict=True)
    ]
    tasks = list(dict.fromkeys(one.fit.task for one in scored))
    by_task = [[one for one in scored if one.fit.task == task] for task in tasks]
    sizes = any(_sizes(group) for group in by_task)
    rows = [len({one.fit.label for one in group}) for group in by_task] + [0] * sizes
    n_rows = -(-len(rows) // PER_ROW)
    n_columns = -(-len(rows) // n_rows)
    heights = [
        0.9 + 0.26 * max(3, *rows[first : first + n_columns])
        for first in range(0, len(rows), n_columns)
    ]
    attributes = provenance("plot_vist_correlation", options, [*cells, *statistics])
    size_in = (max(3.6 * n_columns + 0.6, 7.5), sum(heights) + 0.5)  # the legend needs its width
    with new_figure(figure, size_in, options.dpi, attributes) as image:
        grid = panels(image, len(heights), n_columns, height_ratios=heights)
        for panel, group in zip(grid, by_task, strict=False):
            rates, less = panel.subplots(1, 2, sharey=True, width_ratios=[5, 2])
            _draw_task(rates, group)
            _draw_differences(less, group)
        if sizes:
            _draw_sizes(grid[len(tasks)].subplots(), by_task)
        image.legend(handles=_legend(), loc="outside lower center", ncols=4)
    write_caption(caption, *_describe(by_task))


def _draw_task(axes: Axes, group: list[Scored]) -> None:
    labels = list(dict.fromkeys(one.fit.label for one in group))
    first = group[0].statistics
    axes.axvline(0, color="0.6", linewidth=0.6)
    axes.axvline(first["ceiling_r"]["value"] or np.nan, color="black", linestyle=":")
    for row, label in enumerate(labels):
        seeds = [one for one in group if one.fit.label == label]
        null = [one.statistics["null"] for one in seeds]
        low, high = min(0.0, *(one["mean"] for one in null)), max(one["high"] for one in null)
        axes.barh(row, high - low, left=low, height=0.7, color=CHANCE_BAND, zorder=0)
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


def _draw_differences(axes: Axes, group: list[Scored]) -> None:
    """Each row's encoder less Vi-ST, over the same cells."""
    labels = list(dict.fromkeys(one.fit.label for one in group))
    found = differences(group)
    axes.axvline(0, color="0.6", linewidth=0.6)
    for fit in {one.fit.variant: one.fit for one in group}.values():
        one = found.get(fit.variant)
        if one is None or one.value is None or one.low is None or one.high is None:
            continue
        row = labels.index(fit.label)
        axes.plot([one.low, one.high], [row, row], color="black")
        axes.plot(one.value, row, "o", color=fit.colour, markeredgecolor="black", markersize=4)
    axes.tick_params(labelleft=False)
    axes.set(xlabel="r less Vi-ST's")
    axes.margins(x=0.15)


def _draw_sizes(axes: Axes, by_task: list[list[Scored]]) -> None:
    """What training on some of the cells costs them."""
    for index, group in enumerate(by_task):
        label = group[0].fit.task.replace("_", " ")
        for n, one in _sizes(group).items():
            if one.value is None or one.low is None or one.high is None:
                continue
            place = n * 1.05**index
            axes.plot([place, place], [one.low, one.high], color=f"C{index}")
            axes.plot(place, one.value, "o", markersize=3, color=f"C{index}", label=label)
            label = None
    draw_chance(axes, 0.0, "trained on all cells")
    axes.set(
        xscale="log", xlabel="cells trained on", ylabel="r less that of all cells' model",
        title="population size, the same cells",
    )  # fmt: skip
    axes.legend(fontsize=5)


def differences(group: list[Scored]) -> dict[str, Summary]:
    """Compare every encoder with Vi-ST over the same cells.

    Parameters
    ----------
    group : list of Scored
        Of one task.

    Returns
    -------
    dict of str to Summary
        By variant: r less that of ``vist`` with the same seed, cell by cell, the mean over seeds
        for each cell. Variants without a common seed are left out.
    """
    reference = {one.fit.seed: _by_unit(one) for one in group if one.fit.variant == REFERENCE}
    less: dict[str, dict[str, list[float]]] = {}
    for one in group:
        if one.fit.variant == REFERENCE or one.fit.seed not in reference:
            continue
        of_unit = less.setdefault(one.fit.variant, {})
        for unit, r in _by_unit(one).items():
            of_unit.setdefault(unit, []).append(r - reference[one.fit.seed][unit])
    return {
        variant: summarise_sample([float(np.mean(seeds)) for seeds in of_unit.values()])
        for variant, of_unit in less.items()
    }


def _by_unit(one: Scored) -> dict[str, float]:
    return dict(zip(one.cells["unit_id"].astype(str), one.cells["r"], strict=True))


def _sizes(group: list[Scored]) -> dict[int, Summary]:
    """Differences of the models of some of the cells, by the number of cells trained on."""
    found = differences(group)
    sizes = {one.fit.cells: one.fit.variant for one in group if one.fit.cells}
    return {n: found[sizes[n]] for n in sorted(sizes) if sizes[n] in found}


def _legend() -> list[Line2D | Patch]:
    return [
        Line2D([], [], marker="o", color="black", markerfacecolor="0.7",
               label="mean over cells, 95 % interval"),
        Line2D([], [], marker=".", color="0.5", linestyle="", label="cells"),
        Line2D([], [], color="black", linestyle=":", label="noise ceiling"),
        Patch(color=CHANCE_BAND, label="outlines permuted among cells, up to 95 %"),
    ]  # fmt: skip


def _describe(by_task: list[list[Scored]]) -> Iterator[str]:
    yield (
        "**How well encoders predict retinal ganglion cells.** Signed Pearson correlation of "
        "predicted and recorded rates over all scored frames, per cell (dots), and its mean over "
        "cells with a bootstrap interval over cells. Weights and ridge penalties were selected on "
        "folds of the training movie; the movie that judges was no input of training, and within a "
        "movie its test split was hidden; inferred onsets were fitted to the responses that judge. "
        "Dotted: noise ceiling, the correlation of a perfect model with the mean over trials. "
        "Grey: each encoder's predictions permuted among cells, outlines and gains together. "
        "On the right of each panel: the mean over cells of r less that of Vi-ST with the same "
        "seed, with the interval over cells. "
        "Simulated cells have a known cascade of subunits; 'onsets inferred' marks recordings "
        "whose pieces' times in the movie the data set does not publish."
    )
    for group in by_task:
        first = group[0].statistics
        less = differences(group)
        rows = [_row(one, less.get(one.fit.variant)) for one in group]
        title = (
            f"{task_label(group[0].fit.task, first)}: {len(group[0].cells)} cells, "
            f"{first['n_frames']} frames, ceiling {number(first['ceiling_r']['value'], 3)}, "
            f"reliability {number(first['split_half_r']['value'], 3)}"
        ).replace("\n", " ")
        header = ["encoder", "correlation [95 %]", "less Vi-ST, all seeds", "on training folds",
                  "null, test", "SD-KL (not finite)", "pieces without a peak: predicted, recorded",
                  "weights"]  # fmt: skip
        yield table(title, header, rows)
    sizes = [
        [group[0].fit.task.replace("_", " "), str(n), str(one.n),
         interval(one.value, one.low, one.high, digits=3)]
        for group in by_task
        for n, one in _sizes(group).items()
    ]  # fmt: skip
    if sizes:
        title = "Population size: r less that of the model of all cells, over the same cells"
        header = ["task", "cells trained on", "cells compared", "difference [95 %]"]
        yield table(title, header, sizes)
    noise = by_task[0][0].statistics["sd_kl_of_noise"]
    levels = ", ".join(f"{sd}: {number(one['value'])}" for sd, one in noise.items())
    yield (
        "SD-KL, the divergence of the densities of peak widths, is lower for better predictions; "
        "peaks are sought, and their widths end, within pieces, runs of consecutive frames; "
        f"recorded rates with noise of so many standard deviations added score {levels} "
        f"({by_task[0][0].fit.task.replace('_', ' ')})."
    )


def _row(one: Scored, less: Summary | None) -> list[str]:
    found = one.statistics
    null, density = found["null"], found["sd_kl"]
    return [
        f"{one.fit.label}, seed {one.fit.seed}",
        interval(*(found["r"][key] for key in ("value", "low", "high")), digits=3),
        interval(less.value, less.low, less.high, digits=3) if less else "",
        number(float(np.mean(found["fold_correlation"])), 3),
        f"{number(null['mean'], 3)}, {p_value(null['p'])}",
        f"{number(density['value'])} ({density['n_undefined']})",
        ", ".join(number(found[f"no_peak_{of}"]["value"]) for of in ("predicted", "recorded")),
        str(found["n_weights"]),
    ]


if __name__ == "__main__":
    run_stage(plot_vist_correlation)
