"""Draws the direction tuning of recorded cells and how well its two halves agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from numpy.typing import NDArray

from workflow_scripts.analysis.inputs import read_columns
from workflow_scripts.analysis.tuning import response_curves
from workflow_scripts.plotting.captions import interval, number, table, write_caption
from workflow_scripts.plotting.colours import ACCENT
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.style import draw_chance, new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_json

N_EXAMPLES = 6
MEASURES = {
    "reliability": "r of even and odd repeats' curves",
    "dsi": "direction selectivity index",
    "vector_strength": "vector strength",
    "orientation_strength": "orientation strength",
}


def plot_session_tuning(
    tuning: Path, statistics: Path, figure: Path, caption: Path, options: FigureOptions
) -> None:
    """Draw tuning curves, their split-half reliability and the selectivity of a session's cells.

    Parameters
    ----------
    tuning, statistics : Path
        Table and JSON from `measure_session_tuning`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : FigureOptions

    Raises
    ------
    InputError
        An input is unreadable or lacks a column.
    """
    cells = read_columns(tuning, [*MEASURES, "vector_strength_p"], "measure_session_tuning")
    summary = read_json(statistics)
    attributes = provenance("plot_session_tuning", options, [tuning, statistics])
    with new_figure(figure, (10.5, 4.4), options.dpi, attributes) as drawn:
        left, right = panels(drawn, 1, 2, width_ratios=(1.3, 1))
        _draw_curves(left, cells)
        reliability, halves, selectivity, preferred = right.subplots(2, 2).ravel()
        _draw_reliability(reliability, cells)
        _draw_halves(halves, cells)
        _draw_selectivity(selectivity, cells)
        _draw_preferred(preferred, cells)
    write_caption(caption, *_describe(cells, summary))


def _draw_curves(panel: SubFigure, cells: pd.DataFrame) -> None:
    directions, curves = response_curves(cells)
    best = np.argsort(-cells["reliability"].fillna(-1).to_numpy(), kind="stable")[:N_EXAMPLES]
    grid = np.ravel(panel.subplots(2, 3, sharex=True))
    for axes, cell in zip(grid, best, strict=False):
        row = cells.iloc[cell]
        axes.plot(directions, curves[cell], "o-", color=ACCENT, markersize=3)
        draw_chance(axes, 0.0, "baseline")
        agreement, dsi = number(row["reliability"]), number(row["dsi"])
        axes.set_title(f"{row['unit_id']}: r {agreement}, DSI {dsi}")
        axes.set_xticks([0, 90, 180, 270])
    for axes in grid[len(best) :]:
        axes.set_axis_off()
    panel.supxlabel("direction as published (degrees)", fontsize=8)
    panel.supylabel("response above baseline (a.u.)", fontsize=8)
    panel.suptitle("the cells whose two halves agree best", fontsize=8)


def _draw_reliability(axes: Axes, cells: pd.DataFrame) -> None:
    values = cells["reliability"].dropna().to_numpy()
    axes.hist(values, bins=np.linspace(-1, 1, 21).tolist(), color="0.35")
    axes.axvline(float(np.median(values)), color=ACCENT)
    axes.set(xlabel="r of even and odd repeats", ylabel="cells", title="reliability (line: median)")


def _draw_halves(axes: Axes, cells: pd.DataFrame) -> None:
    tuned = _tuned(cells)
    even, odd = (cells[f"preferred_orientation_deg_{half}"].to_numpy() for half in ("even", "odd"))
    axes.plot(even[~tuned], odd[~tuned], "o", color="0.75", markersize=2.5)
    axes.plot(even[tuned], odd[tuned], "o", color=ACCENT, markersize=2.5)
    axes.plot([0, 180], [0, 180], color="0.6", linewidth=0.6)
    axes.set(
        xlabel="even repeats (degrees)", ylabel="odd repeats (degrees)", xticks=[0, 90, 180],
        yticks=[0, 90, 180], title="preferred orientation",
    )  # fmt: skip


def _draw_selectivity(axes: Axes, cells: pd.DataFrame) -> None:
    tuned = _tuned(cells)
    for chosen, colour in ((~tuned, "0.75"), (tuned, ACCENT)):
        axes.plot(
            cells["orientation_strength"][chosen], cells["vector_strength"][chosen], "o",
            color=colour, markersize=2.5, clip_on=False,
        )  # fmt: skip
    axes.set(
        xlabel="orientation strength", ylabel="vector strength", xlim=(0, 1), ylim=(0, 1),
        title="selectivity",
    )  # fmt: skip


def _draw_preferred(axes: Axes, cells: pd.DataFrame) -> None:
    preferred = cells["preferred_direction_deg"].to_numpy()[_tuned(cells)]
    chosen = preferred[np.isfinite(preferred)]
    axes.hist(chosen, bins=np.arange(0, 361, 45).tolist(), color="0.35")
    axes.set(
        xlabel="preferred direction (degrees)", ylabel="tuned cells", xticks=[0, 90, 180, 270, 360],
        title=f"{len(chosen)} tuned cells",
    )  # fmt: skip


def _tuned(cells: pd.DataFrame) -> NDArray[np.bool_]:
    """Cells whose direction or orientation tuning no shuffling of directions explains, p < .05."""
    p = cells[["vector_strength_p", "orientation_strength_p"]].to_numpy()
    return np.asarray((p < 0.05).any(axis=1))


def _describe(cells: pd.DataFrame, summary: dict[str, Any]) -> Iterator[str]:
    directions, _ = response_curves(cells)
    tuned = _tuned(cells)
    agreement = np.nanmedian(cells["reliability"].to_numpy()[tuned]) if tuned.any() else None
    yield (
        f"**Direction tuning of recorded cells.** {summary['n_cells']} cells, {len(directions)} "
        "directions, measured with the functions that measure the models' units. Split half: "
        "tuning curves of even and odd repeats correlate at a median of "
        f"{number(summary['reliability']['value'])}; among the {tuned.sum()} tuned cells "
        "(orange: direction or orientation, permutation test, p < .05 uncorrected) at "
        f"{number(agreement)}. Directions are those that the data set states. Drawn alone: the "
        f"{N_EXAMPLES} cells of the highest such correlation, tuned or not: no sample of all."
    )
    rows = [
        [label, interval(*(summary[name][key] for key in ("value", "low", "high"))),
         str(summary[name]["n"])]
        for name, label in MEASURES.items()
    ]  # fmt: skip
    rows += [
        [f"share of cells with p < .05, {label}", number(summary[f"share_{name}_p_below_05"]), ""]
        for name, label in list(MEASURES.items())[2:]
    ]
    title = "Medians over cells [95 % interval, bootstrap over cells]"
    yield table(title, ["measure", "value", "cells"], rows)


if __name__ == "__main__":
    run_stage(plot_session_tuning)
