"""Draws how well encoders predict held-out trials, by mouse and without behaviour."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from workflow_scripts.analysis.encoder_measures import MEASURES, MEDIANS, summarise_measure
from workflow_scripts.analysis.inputs import paired, read_columns
from workflow_scripts.analysis.summaries import Summary, summarise_sample
from workflow_scripts.plotting.captions import heading, listed, table, write_caption
from workflow_scripts.plotting.encoders import (
    colour,
    draw_summaries,
    percent,
    read_validation,
    readable,
    written,
)
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.style import CHANCE_COLOUR, new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance

COLUMNS = ["session", "condition", *MEASURES]
INTACT, MEAN = "intact", "mean_response"
HEADS = [f"{heading(one)} ({'median' if one in MEDIANS else 'mean'})" for one in MEASURES]
SHUFFLED = "shuffled_"
UNKNOWN = Summary(None, None, None, 0, 0)


@dataclass(frozen=True, kw_only=True)
class PlotEncodersOptions(FigureOptions):
    """How the figure is drawn.

    Parameters
    ----------
    encoders : list of str
        Names, in the order of the inputs.
    """

    encoders: list[str]


def plot_encoders(
    units: list[Path], metrics: list[Path], figure: Path, caption: Path,
    options: PlotEncodersOptions,
) -> None:  # fmt: skip
    """Draw correlations by model and mouse, the noise ceiling, and the loss without behaviour.

    Parameters
    ----------
    units : list of Path
        Tables from `evaluate_encoder`.
    metrics : list of Path
        From training.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : PlotEncodersOptions

    Raises
    ------
    InputError
        An input is unreadable or lacks a column, or there is not one per encoder.
    """
    tables = {
        name: read_columns(path, COLUMNS, "evaluate_encoder")
        for name, path in paired(options.encoders, units, "units")
    }
    runs = {
        name: read_validation(path) for name, path in paired(options.encoders, metrics, "metrics")
    }
    attributes = provenance("plot_encoders", options, [*units, *metrics])
    size_in = (11.0, max(2.6, 1.2 + 0.2 * len(tables)))
    with new_figure(figure, size_in, options.dpi, attributes) as drawn:
        rows, course = panels(drawn, 1, 2, width_ratios=(3.2, 1))
        _draw_rows(rows, tables)
        _draw_validation(course.subplots(), runs)
    write_caption(caption, *_describe(tables))


def _values(cells: pd.DataFrame, condition: str, measure: str) -> np.ndarray:
    return cells.loc[cells["condition"] == condition, measure].to_numpy()


def _ceiling(cells: pd.DataFrame, condition: str = INTACT) -> Summary:
    return summarise_sample(_values(cells, condition, "truth_single_trial_r"))


def _draw_rows(panel: SubFigure, tables: dict[str, pd.DataFrame]) -> None:
    """A row per encoder: its correlation, that less the first one's, and what behaviour gives."""
    every, conditions = list(tables.values()), _conditions(tables)
    ratios = [2.2, 1.2, *[1.0] * len(conditions)]
    grid = panel.subplots(1, len(ratios), sharey=True, squeeze=False, width_ratios=ratios)
    correlation, less, *losses = grid[0]
    for row, cells in enumerate(every):
        for mouse in sorted(set(cells["session"])):
            own = _values(cells.loc[cells["session"] == mouse, :], INTACT, "single_trial_r")
            mean = summarise_sample(own).value
            if mean is not None:
                correlation.plot(mean, row, ".", color=colour(row), alpha=0.5)
    _draw_true(correlation, _ceiling(every[0]))
    intact = [summarise_sample(_values(one, INTACT, "single_trial_r")) for one in every]
    draw_summaries(correlation, intact, rows=True)
    correlation.set_yticks(range(len(tables)), [readable(name) for name in tables])
    correlation.set(ylim=(len(tables) - 0.5, -0.5), xlabel="single-trial r on test trials")
    correlation.set_title("over neurons, 95 %\n(dots: mice)")
    differences = [UNKNOWN, *(_less(every[0], one) for one in every[1:])]
    draw_summaries(less, differences, rows=True)
    less.axvline(0, color=CHANCE_COLOUR, linewidth=0.6)
    less.set(xlabel=f"r less that of\n{readable(next(iter(tables)))}")
    for axes, condition in zip(losses, conditions, strict=True):
        _draw_true(axes, _true_drop(tables, condition))
        draw_summaries(axes, [_drop(cells, condition) for cells in every], rows=True)
        axes.axvline(0, color=CHANCE_COLOUR, linewidth=0.6)
        axes.set(xlabel="loss of r")
        axes.set_title(textwrap.fill(f"{_shuffled(condition)} shuffled", 14))
    limits = [axes.get_xlim() for axes in losses]
    for axes in losses:
        axes.set(xlim=(min(low for low, _ in limits), max(high for _, high in limits)))
    for axes in (less, *losses):
        axes.tick_params(labelleft=False)


def _draw_true(axes: Axes, true: Summary) -> None:
    """What the true mean of simulated responses has."""
    if true.value is not None:
        axes.axvline(true.value, color="0.2", linestyle=":")


def _draw_validation(axes: Axes, runs: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for index, (steps, values) in enumerate(runs.values()):
        axes.plot(steps, values, color=colour(index), marker=".", markersize=3)
    axes.set(xlabel="step (one cycle through the mice)", ylabel="r on validation trials",
             title="training")  # fmt: skip


def _shuffled(condition: str) -> str:
    """What a condition shuffles; all behaviour is but the pupil's centre."""
    name = condition.removeprefix(SHUFFLED).replace("_", " ")
    return "all but pupil centre" if name == "behaviour" else name


def _conditions(tables: dict[str, pd.DataFrame]) -> list[str]:
    every = dict.fromkeys(name for cells in tables.values() for name in cells["condition"])
    return [name for name in every if str(name).startswith(SHUFFLED)]


def _drop(cells: pd.DataFrame, condition: str, measure: str = "single_trial_r") -> Summary:
    if condition not in set(cells["condition"]):
        return UNKNOWN
    return summarise_sample(_values(cells, INTACT, measure) - _values(cells, condition, measure))


def _true_drop(tables: dict[str, pd.DataFrame], condition: str) -> Summary:
    for cells in tables.values():
        shown = set(cells["condition"])
        if condition in shown:
            return _drop(cells, condition, "truth_single_trial_r")
    return UNKNOWN


def _describe(tables: dict[str, pd.DataFrame]) -> Iterator[str]:
    first = next(iter(tables.values()))
    sessions, n_units = sorted(set(first["session"])), len(_values(first, INTACT, "feve"))
    ceiling = _ceiling(first)
    best = {
        name: summarise_sample(_values(cells, INTACT, "single_trial_r"))
        for name, cells in tables.items()
    }
    known = "" if ceiling.value is None else (
        f" The true mean of the simulated responses correlates at {written(ceiling)} with single "
        "trials: no model can do better. Reached of it: "
        + listed([f"{readable(name)} {percent(one.value, _ceiling(tables[name]).value)}"
                  for name, one in best.items()]) + "."
    )  # fmt: skip
    seen = max(float(np.nanmax(cells["share_trained"].to_numpy())) for cells in tables.values())
    held_out = "images", "the test images shown to no model before"
    if seen > 0:
        held_out = (
            "trials",
            (
                f"up to {percent(seen, 1.0)} of a mouse's test images shown to the models in other "
                "trials before"
            ),
        )
    yield (
        f"**Prediction of held-out {held_out[0]}.** {listed(sessions)}; {n_units} neurons; images, "
        "behaviour and responses were normalised by training trials only, the weights chosen on "
        f"validation trials, and {held_out[1]}.{known} Dots: mice; dotted lines: the true mean of "
        "simulated responses. Behaviour is shuffled over test trials. The lines of training have "
        "their rows' colours, which begin again after eight."
    )
    rows = [
        [readable(name), *(_cell(cells, INTACT, measure) for measure in MEASURES)]
        for name, cells in tables.items()
    ]
    rows.append(["mean response", *(_cell(first, MEAN, measure) for measure in MEASURES)])
    yield table("Over neurons of all mice [95 % interval, bootstrap over neurons]",
                ["model", *HEADS], rows)  # fmt: skip
    rows = [[readable(name), written(_less(first, cells))] for name, cells in tables.items()][1:]
    if rows:
        lead = next(iter(tables))
        yield table(f"Single-trial r less that of {readable(lead)}, neuron by neuron",
                    ["model", "difference"], rows)  # fmt: skip
    conditions = _conditions(tables)
    rows = [
        [readable(name), *(written(_drop(cells, condition)) for condition in conditions)]
        for name, cells in tables.items()
    ]
    rows.append(["true mean", *(written(_true_drop(tables, one)) for one in conditions)])
    names = [_shuffled(name) for name in conditions]
    yield table("Loss of single-trial r when behaviour is shuffled over test trials",
                ["model", *names], rows)  # fmt: skip


def _cell(cells: pd.DataFrame, condition: str, measure: str) -> str:
    values = _values(cells, condition, measure)
    return written(summarise_measure(values, measure))


def _less(first: pd.DataFrame, cells: pd.DataFrame) -> Summary:
    """Correlation of an encoder less that of the first, over the neurons that both predict."""
    keys = ["session", "unit_id"]
    intact = [one[one["condition"] == INTACT].set_index(keys)["single_trial_r"]
              for one in (first, cells)]  # fmt: skip
    return summarise_sample((intact[1] - intact[0]).dropna().to_numpy())


if __name__ == "__main__":
    run_stage(plot_encoders)
