"""Draws how well encoders predict held-out trials, by mouse and without behaviour."""

from __future__ import annotations

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
from workflow_scripts.plotting.captions import MISSING, heading, listed, table, write_caption
from workflow_scripts.plotting.encoders import (
    colour,
    draw_summaries,
    percent,
    read_validation,
    readable,
    written,
)
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.style import draw_chance, new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance

COLUMNS = ["session", "condition", *MEASURES]
INTACT, MEAN = "intact", "mean_response"
HEADS = [f"{heading(one)} ({'median' if one in MEDIANS else 'mean'})" for one in MEASURES]
SHUFFLED = "shuffled_"


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
    with new_figure(figure, (10.5, 5.6), options.dpi, attributes) as drawn:
        above, below = panels(drawn, 2, 1)
        by_mouse, measures = panels(above, 1, 2, width_ratios=(1.4, 1))
        _draw_by_mouse(by_mouse.subplots(), tables)
        _draw_validation(measures.subplots(), runs)
        _draw_ablation(below, tables)
    write_caption(caption, *_describe(tables))


def _values(cells: pd.DataFrame, condition: str, measure: str) -> np.ndarray:
    return cells.loc[cells["condition"] == condition, measure].to_numpy()


def _ceiling(cells: pd.DataFrame, condition: str = INTACT) -> Summary:
    return summarise_sample(_values(cells, condition, "truth_single_trial_r"))


def _draw_by_mouse(axes: Axes, tables: dict[str, pd.DataFrame]) -> None:
    sessions = sorted({session for cells in tables.values() for session in cells["session"]})
    offsets = np.linspace(-0.3, 0.3, len(tables)) if len(tables) > 1 else [0.0]
    for place, session in enumerate(sessions):
        shown = [cells.loc[cells["session"] == session, :] for cells in tables.values()]
        summaries = [summarise_sample(_values(one, INTACT, "single_trial_r")) for one in shown]
        draw_summaries(axes, [place + offset for offset in offsets], summaries)
        ceiling = next((one for one in map(_ceiling, shown) if one.value is not None), None)
        if ceiling is not None and ceiling.value is not None:
            axes.plot([place - 0.4, place + 0.4], [ceiling.value] * 2, color="0.2")
    for index, name in enumerate(tables):
        axes.plot([], [], "o", color=colour(index), markersize=4, label=readable(name))
    axes.plot([], [], color="0.2", label="true mean (simulations)")
    axes.set_xticks(range(len(sessions)), sessions)
    axes.set(
        ylabel="single-trial r on test images", ylim=(0, None), title="mean over neurons, 95 %"
    )
    axes.legend(loc="lower left", bbox_to_anchor=(1, 0))


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
    return summarise_sample(_values(cells, INTACT, measure) - _values(cells, condition, measure))


def _draw_ablation(panel: SubFigure, tables: dict[str, pd.DataFrame]) -> None:
    axes = panel.subplots()
    conditions = _conditions(tables)
    offsets = np.linspace(-0.25, 0.25, len(tables)) if len(tables) > 1 else [0.0]
    for place, condition in enumerate(conditions):
        drops = [
            _drop(cells, condition)
            if condition in set(cells["condition"]) else Summary(None, None, None, 0, 0)
            for cells in tables.values()
        ]  # fmt: skip
        draw_summaries(axes, [place + offset for offset in offsets], drops)
        true = _true_drop(tables, condition)
        if true.value is not None:
            axes.plot([place - 0.35, place + 0.35], [true.value] * 2, color="0.2")
    draw_chance(axes, 0.0, "no loss")
    names = [_shuffled(name) for name in conditions]
    axes.set_xticks(range(len(conditions)), names)
    axes.set(
        ylabel="loss of single-trial r", xlabel="behaviour given in the order of other test trials",
        title="what the predictions owe to behaviour (line: loss of the true mean)",
    )  # fmt: skip


def _true_drop(tables: dict[str, pd.DataFrame], condition: str) -> Summary:
    for cells in tables.values():
        shown = set(cells["condition"])
        if condition in shown:
            return _drop(cells, condition, "truth_single_trial_r")
    return Summary(None, None, None, 0, 0)


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
        f"validation trials, and {held_out[1]}." + known
    )
    rows = [
        [readable(name), *(_cell(cells, INTACT, measure) for measure in MEASURES)]
        for name, cells in tables.items()
    ]
    rows.append(["mean response", *(_cell(first, MEAN, measure) for measure in MEASURES)])
    yield table("Over neurons of all mice [95 % interval, bootstrap over neurons]",
                ["model", *HEADS], rows)  # fmt: skip
    rows = [[readable(name), written(_ahead(first, cells))] for name, cells in tables.items()][1:]
    if rows:
        lead = next(iter(tables))
        yield table(f"Single-trial r of {readable(lead)} less that of others, neuron by neuron",
                    ["other", "difference"], rows)  # fmt: skip
    conditions = _conditions(tables)
    rows = [
        [readable(name), *(_loss(cells, condition) for condition in conditions)]
        for name, cells in tables.items()
    ]
    rows.append(["true mean", *(written(_true_drop(tables, one)) for one in conditions)])
    names = [_shuffled(name) for name in conditions]
    yield table("Loss of single-trial r when behaviour is shuffled over test trials",
                ["model", *names], rows)  # fmt: skip


def _cell(cells: pd.DataFrame, condition: str, measure: str) -> str:
    values = _values(cells, condition, measure)
    return written(summarise_measure(values, measure))


def _ahead(cells: pd.DataFrame, others: pd.DataFrame) -> Summary:
    keys = ["session", "unit_id"]
    intact = [one[one["condition"] == INTACT].set_index(keys)["single_trial_r"]
              for one in (cells, others)]  # fmt: skip
    return summarise_sample((intact[0] - intact[1]).dropna().to_numpy())


def _loss(cells: pd.DataFrame, condition: str) -> str:
    return written(_drop(cells, condition)) if condition in set(cells["condition"]) else MISSING


if __name__ == "__main__":
    run_stage(plot_encoders)
