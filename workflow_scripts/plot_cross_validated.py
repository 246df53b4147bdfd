"""Draws how well encoders predict small sessions whose trials were each held out once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from workflow_scripts.analysis.encoder_measures import MEASURES, summarise_measure
from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.summaries import Summary, summarise_sample
from workflow_scripts.plotting.captions import heading, interval, table, write_caption
from workflow_scripts.plotting.colours import OTHER
from workflow_scripts.plotting.encoders import draw_summaries, readable, written
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.style import draw_chance, new_figure
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_json, read_table
from workflow_scripts.stores.zarr_store import open_store

BASELINES = ("stimulus_mean", "mean_response")
HEADS = [heading(one) for one in MEASURES]
Tables = dict[str, dict[str, pd.DataFrame]]


@dataclass(frozen=True)
class Pair:
    """An encoder and the session that it predicts."""

    encoder: str
    session: str


@dataclass(frozen=True, kw_only=True)
class PlotCrossValidatedOptions(FigureOptions):
    """How the figure is drawn.

    Parameters
    ----------
    cross_validated : list of Pair
        In the order of the inputs.
    """

    cross_validated: list[Pair]


def plot_cross_validated(
    units: list[Path], statistics: list[Path], predictions: list[Path], figure: Path, caption: Path,
    options: PlotCrossValidatedOptions,
) -> None:  # fmt: skip
    """Draw each session's models and baselines, and what models differ in, unit by unit.

    Parameters
    ----------
    units, statistics, predictions : list of Path
        From `cross_validate_encoder`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : PlotCrossValidatedOptions

    Raises
    ------
    InputError
        An input is unreadable, or there is not one per pair of encoder and session.
    """
    tables = _by_session(units, options)
    predicted = _of_first(options, predictions, "predictions")
    measured = _of_first(options, statistics, "statistics")
    attributes = provenance("plot_cross_validated", options, [*units, *statistics, *predictions])
    with new_figure(figure, (10.5, 2.9 * len(tables)), options.dpi, attributes) as drawn:
        grid = drawn.subplots(len(tables), 3, squeeze=False)
        for axes, (session, models) in zip(grid, tables.items(), strict=True):
            _draw_models(axes[0], session, models)
            _draw_difference(axes[1], models)
            _draw_tuning(axes[2], next(iter(models)), open_store(predicted[session], load=True))
    carry_over = {
        session: read_json(path).get("carry_over", {}) for session, path in measured.items()
    }
    write_caption(caption, *_describe(tables, carry_over))


def _by_session(units: list[Path], options: PlotCrossValidatedOptions) -> Tables:
    """Tables of one row per unit: session → model or baseline → table."""
    tables: Tables = {}
    for pair, path in paired(options.cross_validated, units, "units"):
        of_session = tables.setdefault(pair.session, {})
        for predictor, part in read_table(path).groupby("predictor"):
            name = readable(pair.encoder) if predictor == "model" else str(predictor)
            of_session[name] = part.reset_index(drop=True)
    # Models first, as configured; then the baselines.
    return {
        session: dict(sorted(models.items(), key=lambda item: _rank(item[0])))
        for session, models in tables.items()
    }


def _rank(name: str) -> int:
    return BASELINES.index(name) if name in BASELINES else -1


def _of_first(options: PlotCrossValidatedOptions, files: list[Path], what: str) -> dict[str, Path]:
    """File of each session's first encoder."""
    first: dict[str, Path] = {}
    for pair, path in paired(options.cross_validated, files, what):
        first.setdefault(pair.session, path)
    return first


def _draw_models(axes: Axes, session: str, models: dict[str, pd.DataFrame]) -> None:
    summaries = [summarise_sample(cells["single_trial_r"].to_numpy()) for cells in models.values()]
    draw_summaries(axes, summaries)
    draw_chance(axes, 0.0, "chance")
    names = [name.replace("_", " ").replace(" ", "\n") for name in models]
    axes.set_xticks(range(len(models)), names)
    n_units = len(next(iter(models.values())))
    axes.set(ylabel="single-trial r, within folds", title=f"{session}, {n_units} cells",
             xlim=(-0.5, len(models) - 0.5))  # fmt: skip


def _compared(models: dict[str, pd.DataFrame]) -> tuple[str, str]:
    """The first model, and the second or else the first baseline."""
    names = list(models)
    return names[0], names[1]


def _difference(models: dict[str, pd.DataFrame], measure: str) -> Summary:
    one, other = (models[name][measure].to_numpy() for name in _compared(models))
    return summarise_sample(one - other)


def _draw_difference(axes: Axes, models: dict[str, pd.DataFrame]) -> None:
    first, second = _compared(models)
    x, y = (models[name]["single_trial_r"].to_numpy() for name in (second, first))
    axes.plot(x, y, ".", color=OTHER, markersize=3)
    low, high = np.nanmin([x, y]), np.nanmax([x, y])
    axes.plot([low, high], [low, high], color="0.6", linewidth=0.6)
    axes.set(
        xlabel=f"r, {second.replace('_', ' ')}", ylabel=f"r, {first.replace('_', ' ')}",
        title=f"difference {written(_difference(models, 'single_trial_r'))}",
    )  # fmt: skip


def _draw_tuning(axes: Axes, model: str, store: xr.Dataset) -> None:
    # Not over folds: the mean of their predictions holds the responses that they predict.
    stimulus, fold = store["stimulus_id"].to_numpy(), store["fold"].to_numpy()
    shown = fold * (stimulus.max() + 1) + stimulus
    means = {
        name: np.stack(
            [store[name].to_numpy()[:, shown == one].mean(axis=1) for one in np.unique(shown)],
            axis=1,
        )
        for name in ("response", "model")
    }
    scale = means["response"].std()
    axes.plot(
        means["response"].ravel() / scale, means["model"].ravel() / scale, ".", color=OTHER,
        markersize=2, alpha=0.5,
    )  # fmt: skip
    low, high = np.quantile(means["response"] / scale, [0.001, 0.999])
    axes.plot([low, high], [low, high], color="0.6", linewidth=0.6)
    axes.set(
        xlabel="mean response to a stimulus in a fold (SD over all)",
        ylabel=f"predicted by {model} (the same SD)",
        title=f"cells × {means['model'].shape[1]} stimuli of folds",
    )  # fmt: skip


def _describe(tables: Tables, carry_over: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield (
        "**Small sessions, cross-validated.** Every trial is predicted by a network that was "
        "trained on other trials: of gratings whole blocks of trials are held out, with gaps; of "
        "images whole images. All measures but the likelihood compare within folds: a fold's mean "
        "is subtracted from its responses and from its predictions, so that chance is 0 and "
        "neither a fold's level nor drift between folds counts, and repeats are those in a fold, "
        "so few that normalised r may pass 1. "
        "``stimulus_mean`` is the mean of the training trials with the same stimulus, "
        "``mean_response`` that of all training trials, which does not vary within a fold and "
        "correlates with nothing. A still grating is that of the opposite direction, too, so that "
        "the networks know orientations and no directions."
    )
    for session, models in tables.items():
        rows = [
            [name.replace("_", " "), *(_cell(cells, measure) for measure in MEASURES)]
            for name, cells in models.items()
        ]
        first, second = _compared(models)
        rows.append([f"{first} less {second}",
                     *(written(_difference(models, measure)) for measure in MEASURES)])  # fmt: skip
        title = f"{session}: means over cells (FEVE, normalised r: medians) [95 % interval]"
        yield table(title, ["model", *HEADS], rows)
    rows = [
        [session, lag.removeprefix("lag_"), interval(one["value"], one["low"], one["high"])]
        for session, lags in carry_over.items()
        for lag, one in lags.items()
    ]
    if rows:
        yield table("Carry-over: autocorrelation of responses less their stimulus' mean, above "
                    "that of trials permuted within stimuli, median over cells; the longer lag is "
                    "the shortest between training and test trials",
                    ["session", "trials later", "r"], rows)  # fmt: skip


def _cell(cells: pd.DataFrame, measure: str) -> str:
    return written(summarise_measure(cells[measure].to_numpy(), measure))


if __name__ == "__main__":
    run_stage(plot_cross_validated)
