"""Draws responses to random dots against the coherence of their motion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from workflow_scripts.analysis.channels import Estimate, Floats, estimate
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
    display_error: dict[str, Floats]
    """Error of its mean over channels that comes from the displays, (coherence,)."""


def plot_dots(
    tuning: list[Path], figure: Path, caption: Path, options: NetworksFigureOptions
) -> None:
    """Draw the response to dots in the preferred less that in the opposite direction.

    The preferred direction of a channel, the mean of its units off the border, is chosen at full
    coherence on one half of the seeds and measured on the other.

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
    attributes = read_table(path).attrs
    missing = [name for name in ("coherences", "display_error") if not attributes.get(name)]
    if missing:
        lacking = " and no ".join(missing)
        raise InputError(f"{path}: no {lacking}: the table has no dots; rerun measure_tuning")
    columns = [
        [f"channel_{name}" for name in names]
        for names in coherence_columns(attributes["coherences"])
    ]
    units = read_tuning(path, columns[0] + columns[1])
    channels = units.groupby(["layer", "channel"], sort=False).first()
    preferred, null = (channels[names].to_numpy() for names in columns)
    differences = pd.DataFrame(preferred - null, index=channels.index)
    return _Responses(
        network,
        np.array(attributes["coherences"]),
        {
            str(layer): of_layer.to_numpy()
            for layer, of_layer in differences.groupby("layer", sort=False)
        },
        {layer: np.array(error, float) for layer, error in attributes["display_error"].items()},
    )


def _mean(one: _Responses, layer: str) -> Estimate:
    """Mean over channels; its interval holds the sampling of channels and of displays."""
    channels = estimate(one.layers[layer], np.mean)
    displays = 1.96 * np.nan_to_num(one.display_error[layer])
    return Estimate(
        channels.value,
        channels.value - np.hypot(channels.value - channels.low, displays),
        channels.value + np.hypot(channels.high - channels.value, displays),
    )


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
        f"({span(n_channels)} a layer, each the mean of its units off the border). Bands: 95 %, "
        "the sampling of channels (bootstrap) and of displays (jackknife over their seeds, where "
        "there are four or more) together: all channels see the same few. The preferred direction "
        "and speed are chosen at full coherence on one half of the seeds and measured on the other "
        "half, so 0 is what no preference gives. Displays in the two directions have the same "
        "noise dots: at coherence 0 they are one and the difference is 0. "
        "Activations have no unit and no common scale between layers or networks. The seeds of "
        "the dots are the only noise: thresholds do not compare with those of neurons."
    )
    yield table(
        "Preferred less null response, mean over channels [95 % interval, channels and displays]",
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
