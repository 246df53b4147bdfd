"""Draws the receptive fields and the orientation tuning of an encoder's digital twins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from workflow_scripts.analysis.tuning import response_curves
from workflow_scripts.plotting.captions import MISSING, interval, table, write_caption
from workflow_scripts.plotting.colours import ACCENT, COLOURS, OTHER
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.style import new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_json, read_table
from workflow_scripts.stores.zarr_store import open_store

N_EXAMPLES = 6
MEASURES = {
    "field_error_px": "distance of the twin's receptive field from the true one (px)",
    "readout_error_px": "distance of the readout's position from the true field (px)",
    "orientation_error_deg": "distance of preferred orientations (degrees)",
    "orientation_strength": "orientation strength",
}


def plot_twins(
    units: Path, statistics: Path, responses: Path, figure: Path, caption: Path,
    options: FigureOptions,
) -> None:  # fmt: skip
    """Draw receptive fields of examples, recovered against true positions, and tuning.

    Parameters
    ----------
    units, statistics : Path
        From `measure_encoder`.
    responses : Path
        From `stimulate_encoder`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : FigureOptions

    Raises
    ------
    InputError
        An input is missing or damaged.
    """
    cells, summary = read_table(units), read_json(statistics)
    store = open_store(responses, load=True)
    attributes = provenance("plot_twins", options, [units, statistics, responses])
    with new_figure(figure, (10.5, 5.6), options.dpi, attributes) as drawn:
        above, below = panels(drawn, 2, 1)
        examples = _draw_fields(above, cells, store)
        left, right = panels(below, 1, 2, width_ratios=(1.6, 1))
        rows, columns, errors = left.subplots(1, 3)
        _draw_recovery(rows, cells, "row")
        _draw_recovery(columns, cells, "column")
        _draw_errors(errors, cells)
        curve, orientation = right.subplots(1, 2)
        _draw_curves(curve, cells.loc[examples])
        _draw_orientations(orientation, cells)
    write_caption(caption, *_describe(cells, summary))


def _draw_fields(panel: SubFigure, cells: pd.DataFrame, store: xr.Dataset) -> list[int]:
    """Draw the maps of the most reliably tuned twins; returns which."""
    best = cells["reliability"].fillna(-1).to_numpy().argsort(kind="stable")[::-1][:N_EXAMPLES]
    grid = np.ravel(panel.subplots(2, N_EXAMPLES // 2, squeeze=False))
    rows, columns = store["row_px"].to_numpy(), store["column_px"].to_numpy()
    step = (rows[1] - rows[0]) / 2
    extent = (columns[0] - step, columns[-1] + step, rows[-1] + step, rows[0] - step)
    for axes, unit, colour in zip(grid, best, COLOURS, strict=False):
        cell = cells.iloc[unit]
        axes.imshow(store["spot_map"].to_numpy()[unit], cmap="viridis", extent=extent)
        axes.plot(cell["field_column_px"], cell["field_row_px"], "+", color="white")
        axes.plot(cell["true_column_px"], cell["true_row_px"], "o", mfc="none", color=ACCENT)
        axes.set_title(f"{cell['session']}, neuron {cell['unit_id']}", fontsize=7, color=colour)
    panel.suptitle(
        "response of twins to spots (+: centre; circle: true receptive field), pixels", fontsize=8
    )
    return [int(unit) for unit in best]


def _draw_recovery(axes: Axes, cells: pd.DataFrame, name: str) -> None:
    axes.plot(cells[f"true_{name}_px"], cells[f"field_{name}_px"], ".", color=OTHER, alpha=0.4,
              markersize=3)  # fmt: skip
    _diagonal(axes)
    axes.set(xlabel=f"true {name} (px)", ylabel=f"{name} of the twin's field (px)")


def _diagonal(axes: Axes) -> None:
    ends = [
        min(axes.get_xlim()[0], axes.get_ylim()[0]),
        max(axes.get_xlim()[1], axes.get_ylim()[1]),
    ]
    axes.plot(ends, ends, color="0.6", linewidth=0.6)


def _draw_errors(axes: Axes, cells: pd.DataFrame) -> None:
    bins = np.linspace(0, 20, 41).tolist()
    for name, label, colour in (("field", "spots", OTHER), ("readout", "readout", ACCENT)):
        axes.hist(cells[f"{name}_error_px"].dropna(), bins=bins, histtype="step", label=label,
                  color=colour)  # fmt: skip
    axes.set(xlabel="distance from the true field (px)", ylabel="neurons")
    axes.legend()


def _draw_curves(axes: Axes, cells: pd.DataFrame) -> None:
    angles, curves = response_curves(cells)
    for curve, colour in zip(curves, COLOURS, strict=False):
        relative = curve / np.abs(curve).max()
        axes.plot(angles, relative, ".-", color=colour, markersize=3, linewidth=0.8)
    axes.set(
        xlabel="orientation of the bars (degrees)", ylabel="response, relative",
        xticks=[0, 90, 180], title="the same twins, by colour",
    )  # fmt: skip


def _draw_orientations(axes: Axes, cells: pd.DataFrame) -> None:
    axes.plot(
        cells["true_orientation_deg"], cells["preferred_orientation_deg"], ".", color=OTHER,
        alpha=0.4, markersize=3,
    )  # fmt: skip
    axes.plot([0, 180], [0, 180], color="0.6", linewidth=0.6)
    axes.set(xlabel="true (degrees)", ylabel="twin (degrees)", xticks=[0, 90, 180],
             yticks=[0, 90, 180], title="preferred orientation")  # fmt: skip


def _describe(cells: pd.DataFrame, summary: dict[str, Any]) -> Iterator[str]:
    known = int(np.isfinite(cells["true_row_px"].to_numpy()).sum())
    yield (
        f"**Digital twins.** The trained twins of {len(cells)} neurons, shown static gratings and "
        "spots at their mouse's mean behaviour. A network of still images has orientation tuning "
        "and no direction: orientation is of the bars, 0 horizontal; what is chosen for a neuron "
        "is chosen on other phases than it is measured on. Of "
        f"{known} simulated neurons the truth is known; it entered no training. Chance permutes "
        "the neurons of a mouse, whose fields lie within the same part of the image."
    )
    rows = [
        [label, _cell(summary.get(name)), _cell(summary.get(f"chance_{name}")),
         str((summary.get(name) or {"n": 0})["n"])]
        for name, label in MEASURES.items()
    ]  # fmt: skip
    yield table("Medians over neurons [95 % interval, bootstrap over neurons]",
                ["measure", "twins", "chance", "neurons"], rows)  # fmt: skip


def _cell(one: dict[str, Any] | None) -> str:
    return MISSING if one is None else interval(one["value"], one["low"], one["high"])


if __name__ == "__main__":
    run_stage(plot_twins)
