"""Draws how training went: contrastive loss and accuracy, and the spatial loss of each layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.metrics import at_the_end, read_metrics, spatial_columns
from workflow_scripts.analysis.networks import Network
from workflow_scripts.plotting.captions import number, plain, span, table, write_caption
from workflow_scripts.plotting.networks import Look
from workflow_scripts.plotting.options import NetworksFigureOptions
from workflow_scripts.plotting.style import draw_chance, new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance

SPATIAL_COLUMNS = 4
SPATIAL_CHANCE = 0.5  # (1 − Pearson) / 2 of correlations that have nothing to do with distance


class _Run(NamedTuple):
    network: Network
    metrics: pd.DataFrame


def plot_training(
    metrics: list[Path], figure: Path, caption: Path, options: NetworksFigureOptions
) -> None:
    """Draw the training curves of all networks against chance.

    Chance of the contrastive loss is ln(K + 1) and of its accuracy 1 / (K + 1), equal logits for K
    keys of the queue and the own one; chance of the spatial loss is 0.5.

    Parameters
    ----------
    metrics : list of Path
        Metrics (JSON lines) from `train_tdann`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : NetworksFigureOptions

    Raises
    ------
    InputError
        An input is unreadable, or no network has been trained.
    """
    named = paired(options.networks, metrics, "metrics")
    runs = [_Run(network, read_metrics(path)) for network, path in named]
    trained = [run for run in runs if not run.metrics.empty]
    if not trained:
        raise InputError(f"--metrics: none of {len(runs)} files holds a training step; rerun them")
    spatial = list(dict.fromkeys(name for run in trained for name in spatial_columns(run.metrics)))
    attributes = provenance("plot_training", options, metrics)
    n_spatial_rows = math.ceil(len(spatial) / SPATIAL_COLUMNS)
    height_in = 3.3 + 2.2 * n_spatial_rows
    with new_figure(figure, (10.5, height_in), options.dpi, attributes) as drawn:
        top, *below = panels(
            drawn, 1 + n_spatial_rows, 1, height_ratios=[2.9, *[2.2] * n_spatial_rows]
        )
        look = Look.of(options.networks)
        named_lines = _draw_contrast(top, trained, look)
        for row, panel in enumerate(below):
            first = row * SPATIAL_COLUMNS
            _draw_spatial(panel, trained, spatial[first : first + SPATIAL_COLUMNS], look)
        drawn.legend(*named_lines.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    untrained = [run.network for run in runs if run.metrics.empty]
    write_caption(caption, *_describe(trained, untrained, spatial))


def _draw_contrast(panel: SubFigure, runs: list[_Run], look: Look) -> Axes:
    """Draw both contrastive measures; the axes that name the lines come back."""
    loss, accuracy = panel.subplots(1, 2)
    _draw_curves(loss, runs, "contrastive_loss", look)
    _draw_curves(accuracy, runs, "contrastive_accuracy", look)
    for n_keys in sorted({run.network.queue_length for run in runs}):
        draw_chance(loss, math.log(n_keys + 1), f"chance (of {n_keys} + 1 keys; spatial: 0.5)")
        draw_chance(accuracy, 1 / (n_keys + 1), "chance")
    loss.set(ylabel="contrastive loss (nats)", xlabel="training step", title="momentum contrast")
    accuracy.set(
        ylabel="contrastive accuracy", xlabel="training step", ylim=(0, None),
        title="share of queries whose own key is the nearest of all",
    )  # fmt: skip
    return loss


def _draw_spatial(panel: SubFigure, runs: list[_Run], names: list[str], look: Look) -> None:
    row = panel.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for axes, name in zip(row, names, strict=True):
        _draw_curves(axes, [run for run in runs if name in run.metrics], name, look)
        draw_chance(axes, SPATIAL_CHANCE, "chance")
        axes.set(xlabel="training step", title=name.removeprefix("spatial_loss_"))
    row[0].set_ylabel("spatial loss")


def _draw_curves(axes: Axes, runs: Iterable[_Run], name: str, look: Look) -> None:
    for network, metrics in runs:
        axes.plot(
            metrics.step, metrics[name], label=network.label,
            color=look.colours[network.variant], linestyle=look.lines[network.seed],
        )  # fmt: skip


def _describe(runs: list[_Run], untrained: list[Network], spatial: list[str]) -> Iterator[str]:
    steps = {int(run.metrics.step.max()) for run in runs}
    equal = "all equally long" if len(steps) == 1 else "NOT equally long: do not compare them"
    yield (
        f"**Training.** {len(runs)} networks, {span(steps)} steps ({equal}); each point is the "
        "mean of the steps since the point before. Dashed grey: chance, that is equal logits for "
        f"the contrast and, for the spatial loss, {SPATIAL_CHANCE} where correlations between "
        "units have nothing to do with their distance. Contrastive accuracy is measured while "
        "training, on the training clips. Networks with α = 0 have no spatial loss."
    )
    if untrained:
        yield f"Without a training step: {plain(', '.join(one.label for one in untrained))}."
    yield table(
        "Means over the last tenth of the steps",
        ["network", "start", "contrastive loss", "accuracy", "chance",
         *(name.removeprefix("spatial_loss_") for name in spatial)],
        [_row(run, spatial) for run in runs],
    )  # fmt: skip


def _row(run: _Run, spatial: list[str]) -> list[str]:
    last, network = at_the_end(run.metrics), run.network
    return [
        network.label,
        network.start or "scratch",
        number(last.contrastive_loss),
        number(last.contrastive_accuracy, 3),
        f"{math.log(network.queue_length + 1):.2f}; {1 / (network.queue_length + 1):.4f}",
        *(number(last.get(name, np.nan), 3) for name in spatial),
    ]


if __name__ == "__main__":
    run_stage(plot_training)
