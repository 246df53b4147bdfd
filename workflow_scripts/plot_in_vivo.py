"""Draws networks, controls, a fixed model and recorded cells beside values measured in vivo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from workflow_scripts.analysis.in_vivo import LEAST_FIT_R2, PROPERTIES
from workflow_scripts.analysis.inputs import read_columns
from workflow_scripts.analysis.networks import Network
from workflow_scripts.plotting.captions import MISSING, interval, number, table, write_caption
from workflow_scripts.plotting.colours import GREEN
from workflow_scripts.plotting.networks import Mark
from workflow_scripts.plotting.options import NetworksFigureOptions
from workflow_scripts.plotting.style import new_figure
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance

COLUMNS = ["property", "label", "kind", "subject", "layer", "value", "low", "high", "n",
           "n_at_edge", "shown_low", "shown_high", "source", "certainty"]  # fmt: skip
UNVERIFIED = "check_original"
LOGARITHMIC = ("preferred_speed",)
N_COLUMNS = 4
REFERENCE_COLOUR = GREEN


class _Row(NamedTuple):
    """What a row of the comparison says of its property."""

    label: str
    subject: str
    layer: str
    value: float
    low: float
    high: float
    n: float
    n_at_edge: float
    source: str
    certainty: str


def plot_in_vivo(
    comparison: Path, figure: Path, caption: Path, options: NetworksFigureOptions
) -> None:
    """Draw every property: a place per layer and subject, a band per in-vivo value.

    Parameters
    ----------
    comparison : Path
        Table from `compare_in_vivo`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : NetworksFigureOptions

    Raises
    ------
    InputError
        The table is unreadable or lacks a column.
    """
    rows = read_columns(comparison, COLUMNS, "compare_in_vivo")
    attributes = provenance("plot_in_vivo", options, [comparison])
    n_rows = -(-len(PROPERTIES) // N_COLUMNS)
    with new_figure(figure, (11.5, 2.4 * n_rows + 0.8), options.dpi, attributes) as drawn:
        _draw(drawn, rows, n_rows, options.networks)
    write_caption(caption, *_describe(rows))


def _rows(comparison: pd.DataFrame) -> Iterator[_Row]:
    return map(_Row._make, comparison.loc[:, list(_Row._fields)].itertuples(index=False))


def _draw(drawn: Figure, rows: pd.DataFrame, n_rows: int, networks: list[Network]) -> None:
    measured = rows.loc[rows["kind"] != "in vivo"]
    marks = Mark.of(measured["subject"].unique(), networks)
    layers = [layer for layer in measured["layer"].unique() if layer]
    grid = np.ravel(drawn.subplots(n_rows, N_COLUMNS, squeeze=False))
    for axes, name in zip(grid, PROPERTIES, strict=False):
        of_property = rows.loc[rows["property"] == name]
        axes.set_title(of_property["label"].iloc[0])
        if name in LOGARITHMIC:
            axes.set_yscale("log")
        _draw_references(axes, of_property[of_property["kind"] == "in vivo"])
        _draw_measured(axes, of_property[of_property["kind"] != "in vivo"], layers, marks)
    for axes in grid[len(PROPERTIES) :]:
        axes.set_axis_off()
    handles = [
        *(Line2D([], [], color=mark.colour, marker=mark.marker, linestyle="", label=name)
          for name, mark in marks.items()),
        Patch(color=REFERENCE_COLOUR, alpha=0.3, label="in vivo"),
        Patch(facecolor="white", edgecolor=REFERENCE_COLOUR, hatch="////",
              label="in vivo, not checked against the original"),
    ]  # fmt: skip
    drawn.legend(handles=handles, loc="outside lower center", ncols=6)


def _draw_references(axes: Axes, references: pd.DataFrame) -> None:
    for place, one in enumerate(_rows(references.sort_values("value", ascending=False))):
        if one.certainty == "none":
            axes.text(0.98, 0.97, "in vivo: none", transform=axes.transAxes, ha="right", va="top",
                      fontsize=6, color=REFERENCE_COLOUR)  # fmt: skip
            continue
        hatch = "////" if one.certainty == UNVERIFIED else None
        if np.isfinite(one.low):
            face = "none" if hatch else REFERENCE_COLOUR
            axes.axhspan(one.low, one.high, facecolor=face, edgecolor=REFERENCE_COLOUR,
                         hatch=hatch, alpha=0.3, linewidth=0)  # fmt: skip
        axes.axhline(one.value, color=REFERENCE_COLOUR, linewidth=1,
                     linestyle="--" if hatch else "-")  # fmt: skip
        axes.text(0.01, one.value, one.subject, transform=axes.get_yaxis_transform(), fontsize=5.5,
                  color=REFERENCE_COLOUR, va="top" if place else "bottom",
                  bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5},
                  zorder=3)  # fmt: skip


def _draw_measured(
    axes: Axes, measured: pd.DataFrame, layers: list[str], marks: dict[str, Mark]
) -> None:
    places = {layer: x for x, layer in enumerate([*layers, "cells"])}
    subjects = list(marks)
    for one in _rows(measured):
        beside = 0.7 * (subjects.index(one.subject) / max(len(subjects) - 1, 1) - 0.5)
        error = np.nan_to_num([[one.value - one.low], [one.high - one.value]])
        mark = marks[one.subject]
        axes.errorbar(places[one.layer or "cells"] + beside, one.value, yerr=error, fmt=mark.marker,
                      color=mark.colour, markersize=3, elinewidth=0.8)  # fmt: skip
    axes.set_xticks(range(len(places)), list(places), fontsize=6)
    axes.set_xlim(-0.6, len(places) - 0.4)


def _describe(rows: pd.DataFrame) -> Iterator[str]:
    yield (
        "**Against measurements in vivo.** Each point is one network and layer (median, or share, "
        "over channels), the fixed cascade of V1 and MT, or one recording of real cells (mouse V1, "
        "over cells), all measured by the same functions, with 95 % bootstrap intervals. Green: "
        "values from the literature on MT with their range where one is given; hatched and dashed, "
        "those that have not been checked against the original paper. Where no value with a source "
        "is at hand the panel and the table say none. A value agrees only where intervals "
        "overlap, and criteria differ from paper to paper. Widths (at most 180°) and axial "
        f"components are those of curves that the fit describes (R² ≥ {LEAST_FIT_R2}). Networks "
        "with α = 0 are the controls. The networks' share with a surround is no agreement with MT: "
        "group normalisation divides each clip by its own statistics, so that every surround "
        f"suppresses, whatever was learned.{_speeds(rows)} Category and face maps of the ventral "
        "stream are not measured."
    )
    yield table(
        "Measured and in-vivo values [interval or range], n, certainty",
        ["property", "subject", "layer", "value", "n", "source (certainty)"],
        [_cells(one) for one in _rows(rows.sort_values(["label", "kind"], kind="stable"))],
    )


def _speeds(rows: pd.DataFrame) -> str:
    """Say between which bounds preferred speeds can lie at all."""
    low, high = rows["shown_low"].min(), rows["shown_high"].max()
    if not np.isfinite(low):
        return ""
    return (
        f" Preferred speeds of networks lie within those shown, {low:g}–{high:g} °/s: channels "
        "that prefer more or less lie at an end, and are counted in the table; a value in vivo "
        "beyond the ends cannot be reached."
    )


def _cells(one: _Row) -> list[str]:
    if one.certainty == "none":
        return [one.label, "in vivo", MISSING, "none", MISSING, "none"]
    source = f"{one.source} ({one.certainty})" if one.source else ""
    value = interval(one.value, one.low, one.high)
    if one.n_at_edge > 0:
        value += f"; {one.n_at_edge:.0f} at an end"
    return [one.label, one.subject, one.layer, value, number(one.n, 0), source]


if __name__ == "__main__":
    run_stage(plot_in_vivo)
