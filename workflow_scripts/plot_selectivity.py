"""Draws how selective the channels of each layer are for direction and for orientation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.analysis.channels import channel_medians, estimate
from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.networks import Network, read_tuning
from workflow_scripts.plotting.captions import interval, number, span, table, write_caption
from workflow_scripts.plotting.networks import Look
from workflow_scripts.plotting.options import NetworksFigureOptions
from workflow_scripts.plotting.style import CHANCE_COLOUR, new_figure
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance

INDICES = {
    "vector_strength": "vector strength L1",
    "dsi": "direction selectivity DSI",
    "orientation_strength": "orientation strength L2",
}
FLOORS = {
    "vector_strength": "vector_strength_floor",
    "orientation_strength": "orientation_strength_floor",
}
TUNED, TUNED_Q = "channel_vector_strength_q", 0.05


class _Tuned(NamedTuple):
    network: Network
    layers: dict[str, pd.DataFrame]
    """Channel medians by layer."""
    n_units: dict[str, int]


def plot_selectivity(
    tuning: list[Path], figure: Path, caption: Path, options: NetworksFigureOptions
) -> None:
    """Draw the channels' L1, DSI and L2 in every layer of every network.

    A channel's value is the median over its units off the border; preferred settings and, for
    the DSI, the preferred direction were chosen on other phases than measured.

    Parameters
    ----------
    tuning : list of Path
        Tables from `measure_tuning`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : NetworksFigureOptions

    Raises
    ------
    InputError
        A table is unreadable or lacks a column, or the networks have other layers.
    """
    tuned = [_read(*pair) for pair in paired(options.networks, tuning, "tuning")]
    layers = list(tuned[0].layers)
    for one in tuned:
        if list(one.layers) != layers:
            raise InputError(
                f"{one.network.name}: layers {list(one.layers)}, the first network has {layers}; "
                "stimulate the same layers in all"
            )
    attributes = provenance("plot_selectivity", options, tuning)
    size_in = (1.1 + len(layers) * max(1.4, 0.36 * len(tuned) + 0.6), 7.0)
    with new_figure(figure, size_in, options.dpi, attributes) as drawn:
        _draw(drawn, tuned, layers)
    write_caption(caption, *_describe(tuned, layers))


def _read(network: Network, path: Path) -> _Tuned:
    columns = [*INDICES, *FLOORS.values(), TUNED]
    units = read_tuning(path, columns)
    layers = {
        str(layer): channel_medians(of_layer, columns)
        for layer, of_layer in units.groupby("layer", sort=False)
    }
    return _Tuned(network, layers, units.layer.value_counts().to_dict())


def _draw(figure: Figure, tuned: list[_Tuned], layers: list[str]) -> None:
    look = Look.of(one.network for one in tuned)
    grid = figure.subplots(len(INDICES), len(layers), sharex=True, sharey="row", squeeze=False)
    for row, (index, label) in zip(grid, INDICES.items(), strict=True):
        row[0].set_ylabel(label)
        row[0].axhline(0, color="0.8", linewidth=0.6, zorder=0)
        for axes, layer in zip(row, layers, strict=True):
            for place, one in enumerate(tuned):
                channels = one.layers[layer]
                colour = look.colours[one.network.variant]
                _draw_channels(axes, place, channels[index].to_numpy(), colour)
                if index in FLOORS:
                    floor = channels[FLOORS[index]].median()
                    axes.hlines(floor, place - 0.4, place + 0.4, color=CHANCE_COLOUR,
                                linestyle=":", linewidth=1.2)  # fmt: skip
    for axes, layer in zip(grid[0], layers, strict=True):
        n_channels = span([len(one.layers[layer]) for one in tuned])
        axes.set_title(f"{layer} (n = {n_channels} channels)")
    for axes in grid[-1]:
        axes.set_xlim(-0.6, len(tuned) - 0.2)
        axes.set_xticks(range(len(tuned)), [one.network.label for one in tuned], rotation=90)


def _draw_channels(axes: Axes, place: int, values: np.ndarray, colour: str) -> None:
    """One dot per channel, spread sideways by rank, and the median with its interval."""
    finite = np.sort(values[np.isfinite(values)])
    if not finite.size:
        return
    sideways = 0.5 * (np.arange(len(finite)) * 0.618 % 1 - 0.5)
    axes.scatter(place + sideways, finite, s=5, color=colour, alpha=0.35, linewidths=0)
    median = estimate(values, np.median)
    middle = float(median.value)
    error = [[median.value - median.low], [median.high - median.value]]
    axes.errorbar(place, middle, yerr=np.nan_to_num(error), fmt="_", color=colour,
                  markersize=15, markeredgewidth=2.2, elinewidth=2.2)  # fmt: skip
    axes.text(place + 0.3, middle, number(middle), fontsize=6, va="bottom")


def _describe(tuned: list[_Tuned], layers: list[str]) -> Iterator[str]:
    n_channels = [len(channels) for one in tuned for channels in one.layers.values()]
    n_units = [n for one in tuned for n in one.n_units.values()]
    yield (
        "**Selectivity for drifting gratings.** Each dot is a channel, the sample of these "
        "statistics: weight sharing copies it over the sheet, and its value is the median over its "
        f"units off the border ({span(n_channels)} channels and {span(n_units)} units a layer). "
        "Bars: median over channels with its 95 % bootstrap interval. Preferred spatial and "
        "temporal frequency, and for the DSI the preferred direction, are chosen on one half of "
        "the phases and measured on the other. Dotted: the median noise floor, L1 and L2 with "
        f"direction labels permuted; a channel is tuned where its L1 exceeds them (q < {TUNED_Q}, "
        "corrected for the number of channels). A DSI of 0 is no selectivity. Untrained "
        "networks can be as selective as trained ones, so that selectivity as such is no "
        "evidence of learning, nor of a map."
    )
    yield table(
        "Median over channels [95 % interval]",
        ["network", "layer", "tuned channels", *INDICES.values(), "floor of L1", "floor of L2"],
        [_row(one, layer) for one in tuned for layer in layers],
    )


def _row(one: _Tuned, layer: str) -> list[str]:
    channels = one.layers[layer]
    medians = [estimate(channels[index].to_numpy(), np.median) for index in INDICES]
    n_tuned = np.count_nonzero(channels[TUNED].to_numpy() < TUNED_Q)
    return [
        one.network.label,
        layer,
        f"{n_tuned} of {len(channels)}",
        *(interval(float(m.value), float(m.low), float(m.high)) for m in medians),
        *(number(floor) for floor in channels[list(FLOORS.values())].median().tolist()),
    ]


if __name__ == "__main__":
    run_stage(plot_selectivity)
