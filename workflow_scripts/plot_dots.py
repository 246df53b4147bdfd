"""Draws responses to random dots against the coherence of their motion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from workflow_scripts.analysis.channels import Estimate, Floats, channel_medians, estimate
from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.networks import Network, read_tuning
from workflow_scripts.analysis.tuning import coherence_columns
from workflow_scripts.plotting.captions import interval, span, table, write_caption
from workflow_scripts.plotting.networks import Look
from workflow_scripts.plotting.options import NetworksFigureOptions
from workflow_scripts.plotting.style import draw_chance, new_figure
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_table


class _Responses(NamedTuple):
    network: Network
    coherences: Floats
    layers: dict[str, Floats]
    """Preferred less null response by layer, (channel, coherence)."""


def plot_dots(
    tuning: list[Path], figure: Path, caption: Path, options: NetworksFigureOptions
) -> None:
    """Draw the response to dots in the preferred less that in the opposite direction.

    The preferred direction is chosen at full coherence on one half of the seeds and measured on the
    other. A channel's value is the median over its units off the border.

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
        A table is unreadable or has no responses to dots.
    """
    responses = [_read(*pair) for pair in paired(options.networks, tuning, "tuning")]
    layers = list(dict.fromkeys(layer for one in responses for layer in one.layers))
    look = Look.of(options.networks)
    attributes = provenance("plot_dots", options, tuning)
    with new_figure(figure, (2.5 * len(layers) + 0.4, 3.4), options.dpi, attributes) as drawn:
        row = drawn.subplots(1, len(layers), sharex=True, squeeze=False)[0]
        for axes, layer in zip(row, layers, strict=True):
            for one in responses:
                if layer in one.layers:
                    _draw_curve(axes, one, layer, look)
            draw_chance(axes, 0, "no preference")
            n_channels = span([len(one.layers[layer]) for one in responses if layer in one.layers])
            axes.set(title=f"{layer} (n = {n_channels} channels)", xlabel="coherence")
        row[0].set_ylabel("preferred − null response (activation)")
        handles, labels = row[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower center", ncols=4)
    write_caption(caption, *_describe(responses))


def _read(network: Network, path: Path) -> _Responses:
    coherences = read_table(path).attrs.get("coherences", [])
    if not coherences:
        raise InputError(f"{path}: no coherences; the table has no dots, rerun measure_tuning")
    columns = coherence_columns(coherences)
    units = read_tuning(path, columns[0] + columns[1])
    differences = units[["layer", "channel"]].assign(
        **{
            preferred: units[preferred] - units[null]
            for preferred, null in zip(*columns, strict=True)
        }
    )
    layers = {
        str(layer): channel_medians(of_layer, columns[0]).to_numpy()
        for layer, of_layer in differences.groupby("layer", sort=False)
    }
    return _Responses(network, np.array(coherences), layers)


def _mean(one: _Responses, layer: str) -> Estimate:
    return estimate(one.layers[layer], np.mean)


def _draw_curve(axes: Axes, one: _Responses, layer: str, look: Look) -> None:
    mean, network = _mean(one, layer), one.network
    colour = look.colours[network.variant]
    axes.fill_between(one.coherences, mean.low, mean.high, color=colour, alpha=0.13, linewidth=0)
    axes.plot(
        one.coherences, mean.value, color=colour, linestyle=look.lines[network.seed], marker="o",
        markersize=3, label=network.label,
    )  # fmt: skip


def _describe(responses: list[_Responses]) -> Iterator[str]:
    n_channels = [len(channels) for one in responses for channels in one.layers.values()]
    yield (
        "**Responses to random dots** against the share of dots that move together: response in "
        "the preferred less that in the opposite direction, mean over channels "
        f"({span(n_channels)} a layer; of each the median over its units off the border) with a "
        "95 % bootstrap interval over channels. The preferred direction and speed are chosen at "
        "full coherence on one half of the seeds and measured on the other half, so 0 is what no "
        "preference gives. Displays in the two directions have the same noise dots: at coherence 0 "
        "they are one and the difference is 0. All channels see the same displays, so no interval "
        "over channels holds what noise of these few is left. "
        "Activations have no unit and no common scale between layers or networks. The seeds of "
        "the dots are the only noise: thresholds do not compare with those of neurons."
    )
    yield table(
        "Preferred less null response, mean over channels [95 % interval]",
        ["network", "layer", *(f"coherence {c:g}" for c in responses[0].coherences)],
        [
            [one.network.label, layer, *_cells(_mean(one, layer))]
            for one in responses
            for layer in one.layers
        ],
    )


def _cells(mean: Estimate) -> list[str]:
    return [interval(*map(float, one), digits=3) for one in zip(*mean, strict=True)]


if __name__ == "__main__":
    run_stage(plot_dots)
