"""Draws the direction tuning of example units, chosen by a rule and on other data than drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.projections.polar import PolarAxes
from numpy.typing import NDArray

from workflow_scripts.analysis.half_curves import read_half_curves
from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.networks import Network, read_tuning
from workflow_scripts.plotting.captions import number, span, table, write_caption
from workflow_scripts.plotting.colours import BLUE, VERMILION
from workflow_scripts.plotting.options import NetworksFigureOptions
from workflow_scripts.plotting.style import new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import open_store

PERCENTILES = (10, 30, 50, 70, 90)  # of vector strength, one example unit each
RELIABLE_SHARE = 0.1
COLUMNS = ["vector_strength", "dsi", "reliability", "row", "column"]
HALF_COLOURS = {"odd": BLUE, "even": VERMILION}


class _Examples(NamedTuple):
    network: Network
    units: pd.DataFrame
    """The example units, by layer and rising vector strength."""
    curves: NDArray[np.floating]
    """Odd and even half of the repeats, (unit, half, direction)."""
    directions_deg: NDArray[np.floating]


def plot_tuning_curves(
    gratings: list[Path],
    tuning: list[Path],
    figure: Path,
    caption: Path,
    options: NetworksFigureOptions,
) -> None:
    """Draw polar direction curves of example units of every layer.

    Examples are the units at the 10th, 30th, 50th, 70th and 90th percentile of vector strength
    among the tenth of a layer's units, border left out, whose tuning is the most reliable, no
    two of one channel. A unit's spatial and temporal frequency are chosen on one half of the
    phases, and the curve is drawn from the other half, both ways round.

    Parameters
    ----------
    gratings : list of Path
        Responses to gratings, from `stimulate`.
    tuning : list of Path
        Tables from `measure_tuning`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : NetworksFigureOptions

    Raises
    ------
    InputError
        An input is unreadable, or the responses lack a unit of the table.
    """
    tables = paired(options.networks, tuning, "tuning")
    stores = paired(options.networks, gratings, "gratings")
    examples = [
        _examples(network, table_path, store_path)
        for (network, table_path), (_, store_path) in zip(tables, stores, strict=True)
        if network.seed == min(n.seed for n in options.networks if n.variant == network.variant)
    ]
    attributes = provenance("plot_tuning_curves", options, [*gratings, *tuning])
    n_layers = max(one.units.layer.nunique() for one in examples)
    n_rows = math.ceil(len(examples) / 2)
    size_in = (5.7 * min(2, len(examples)), (1.35 * n_layers + 0.35) * n_rows + 0.3)
    with new_figure(figure, size_in, options.dpi, attributes) as drawn:
        blocks = panels(drawn, n_rows, min(2, len(examples)))
        for panel, one in zip(blocks, examples, strict=False):
            _draw(panel, one)
        drawn.legend(handles=_legend(), loc="outside lower center", ncols=2)
    write_caption(caption, *_describe(examples))


def _examples(network: Network, tuning: Path, gratings: Path) -> _Examples:
    table = read_tuning(tuning, COLUMNS)
    units = pd.concat(
        [_choose(of_layer) for _, of_layer in table.groupby("layer", sort=False)], ignore_index=True
    )
    if units.empty:
        raise InputError(f"{tuning}: no unit responds to gratings; is the network's output zero?")
    with open_store(gratings) as store:
        measured = read_half_curves(store, units, gratings)
    return _Examples(network, units, measured.curves, measured.directions_deg)


def _choose(units: pd.DataFrame) -> pd.DataFrame:
    """Choose the example units of one layer; see `plot_tuning_curves`."""
    tuned = units.dropna(subset=["vector_strength", "reliability"])
    if tuned.empty:
        return tuned
    reliable = tuned.loc[tuned.reliability >= tuned.reliability.quantile(1 - RELIABLE_SHARE)]
    chosen: list[int] = []
    for level in np.percentile(reliable.vector_strength, PERCENTILES):
        left = reliable.loc[~reliable.channel.isin(units.channel[chosen])]
        if not left.empty:
            chosen.append((left.vector_strength - level).abs().idxmin())
    return units.loc[chosen].sort_values("vector_strength")


def _draw(panel: SubFigure, examples: _Examples) -> None:
    layers = examples.units.layer.unique()
    panel.suptitle(examples.network.label, fontsize=9, fontweight="bold")
    grid = panel.subplots(
        len(layers), len(PERCENTILES), squeeze=False, subplot_kw={"projection": "polar"}
    )
    for row, layer in zip(grid, layers, strict=True):
        of_layer = np.flatnonzero(examples.units.layer == layer)
        for axes in row[len(of_layer) :]:
            axes.set_axis_off()
        for axes, unit in zip(row, of_layer, strict=False):
            _draw_unit(axes, examples.curves[unit], examples.directions_deg)
            shown = examples.units.iloc[unit]
            axes.set_title(
                f"L1 {number(shown.vector_strength)}  DSI {number(shown.dsi)}", fontsize=6, pad=2
            )
        row[0].text(-0.25, 0.5, layer, transform=row[0].transAxes, rotation=90, va="center",
                    ha="right", fontsize=8)  # fmt: skip


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], color=colour, label=f"measured on the {half} phases")
        for half, colour in HALF_COLOURS.items()
    ]


def _draw_unit(
    axes: PolarAxes, curves: NDArray[np.floating], directions_deg: NDArray[np.floating]
) -> None:
    closed_rad = np.deg2rad(np.append(directions_deg, directions_deg[0]))
    shown = np.maximum(curves, 0) / max(curves.max(), np.finfo(np.float32).tiny)
    for curve, colour in zip(shown, HALF_COLOURS.values(), strict=True):
        closed = np.append(curve, curve[0])
        axes.plot(closed_rad, closed, color=colour, linewidth=0.9)
        axes.fill(closed_rad, closed, color=colour, alpha=0.12, linewidth=0)
    axes.set(ylim=(0, 1.05), yticks=[0.5, 1], yticklabels=[], xticks=np.deg2rad([0, 90, 180, 270]),
             xticklabels=["→", "↑", "←", "↓"])  # fmt: skip
    axes.tick_params(axis="x", pad=-5, labelsize=6, labelcolor="0.4")
    axes.grid(color="0.85", linewidth=0.5)
    axes.spines["polar"].set_color("0.7")


def _describe(examples: Sequence[_Examples]) -> Iterator[str]:
    n_directions = span([len(one.directions_deg) for one in examples])
    yield (
        f"**Direction tuning of example units** to drifting gratings of {n_directions} directions; "
        "the first seed of each variant. Per layer the units at the "
        f"{', '.join(f'{p}th' for p in PERCENTILES)} percentile of vector strength (L1) among the "
        f"{100 * RELIABLE_SHARE:.0f} % of units, border left out, with the most reliable tuning, "
        "of different channels: the range of what is there, not the best. Angle: direction of "
        "motion; radius: response less that to a blank screen, negative ones drawn as 0, divided "
        "by the unit's largest. Spatial and temporal frequency are chosen on one half of the "
        "phases and the curve is measured on the other half: blue measured on the odd phases, "
        "orange on the even ones; where their shapes differ, so much is chance. Reliability, the "
        "Pearson correlation of the two, compares shapes alone: it is near 1, too, where the "
        "phases of one half drive the unit more in all directions. A layer that is not drawn has "
        "no unit that responds."
    )
    yield table(
        "The units drawn",
        ["network", "layer", "channel", "reliability", "L1", "DSI", "largest response"],
        [[one.network.label, *row] for one in examples for row in _rows(one)],
    )


def _rows(examples: _Examples) -> Iterator[list[str]]:
    units = examples.units
    numbers = units[["reliability", "vector_strength", "dsi"]].to_numpy(float)
    names = zip(units.layer, units.channel, strict=True)
    for (layer, channel), values, curves in zip(names, numbers, examples.curves, strict=True):
        cells = [number(value) for value in values]
        yield [layer, str(channel), *cells, number(curves.max(), 3)]


if __name__ == "__main__":
    run_stage(plot_tuning_curves)
