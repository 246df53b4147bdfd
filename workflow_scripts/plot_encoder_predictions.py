"""Draws predicted and recorded responses of example neurons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from workflow_scripts.analysis.encoding import correlation_to_average, single_trial_correlation
from workflow_scripts.plotting.captions import listed, number, write_caption
from workflow_scripts.plotting.colours import OTHER
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.style import new_figure, panels
from workflow_scripts.recordings.reliability import repeat_array
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import open_store

QUANTILES = (0.95, 0.5, 0.05)
N_TRIALS = 120


def plot_encoder_predictions(
    predictions: Path, figure: Path, caption: Path, options: FigureOptions
) -> None:
    """Draw one mouse's neurons of high, median and low correlation: trials, and means of images.

    Parameters
    ----------
    predictions : Path
        From `evaluate_encoder`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : FigureOptions

    Raises
    ------
    InputError
        The store is missing or damaged.
    """
    store = open_store(predictions, load=True)
    session = min(str(name) for name in store if str(name).startswith("response_"))
    session = session.removeprefix("response_")
    response, predicted, stimulus = (
        store[f"{name}_{session}"].to_numpy() for name in ("response", "prediction", "stimulus_id")
    )
    single = single_trial_correlation(response, predicted)
    average = correlation_to_average(response, predicted, stimulus)
    order = np.argsort(np.nan_to_num(single, nan=-1.0), kind="stable")
    chosen = [int(order[round(quantile * (len(order) - 1))]) for quantile in QUANTILES]
    attributes = provenance("plot_encoder_predictions", options, [predictions])
    with new_figure(figure, (10.5, 5.2), options.dpi, attributes) as drawn:
        left, right = panels(drawn, 1, 2, width_ratios=(2.4, 1))
        trials = np.ravel(left.subplots(len(chosen), 1, sharex=True, squeeze=False))
        means = np.ravel(right.subplots(len(chosen), 1, squeeze=False))
        for axes, beside, unit in zip(trials, means, chosen, strict=True):
            _draw_trials(axes, response[unit], predicted[unit])
            axes.set_title(f"neuron {unit}: single-trial r {number(single[unit])}", loc="left")
            _draw_means(beside, response[[unit]], predicted[[unit]], stimulus)
            beside.set_title(f"r to average {number(average[unit])}", loc="left")
        trials[0].legend(loc="upper right", ncols=2)
        trials[-1].set_xlabel("test trial")
        means[-1].set_xlabel("predicted (standard deviations)")
    write_caption(caption, *_describe(store, session, single, chosen))


def _draw_trials(axes: Axes, response: NDArray, predicted: NDArray) -> None:
    axes.plot(response[:N_TRIALS], color="0.6", linewidth=0.8, label="recorded")
    axes.plot(predicted[:N_TRIALS], color=OTHER, linewidth=1.0, label="predicted")
    axes.set_ylabel("response (SD)")


def _draw_means(axes: Axes, response: NDArray, predicted: NDArray, stimulus: NDArray) -> None:
    recorded, expected = (
        repeat_array(values, stimulus)[0] for values in (response, predicted)
    )  # (image, repeat)
    error = np.nanstd(recorded, axis=1, ddof=1) / np.sqrt((~np.isnan(recorded)).sum(axis=1))
    axes.errorbar(
        np.nanmean(expected, axis=1), np.nanmean(recorded, axis=1), error, fmt="o",
        color=OTHER, ecolor="0.75", markersize=2.5, linewidth=0.6,
    )  # fmt: skip
    axes.set_ylabel("recorded (SD)")
    top = max(axes.get_xlim()[1], axes.get_ylim()[1])
    axes.plot([0, top], [0, top], color="0.6", linewidth=0.6)


def _describe(store: xr.Dataset, session: str, single: NDArray, chosen: list[int]) -> Iterator[str]:
    n_images = len(np.unique(store[f"stimulus_id_{session}"]))
    shares = listed([f"{quantile:.0%}" for quantile in QUANTILES]).replace("%", " %")
    yield (
        f"**Example predictions.** {session}, neurons at the quantiles {shares} of single-trial r "
        f"(here {listed([number(single[unit]) for unit in chosen])}) of {len(single)}. Left: the "
        f"first {N_TRIALS} test trials in the order of recording. Right: the means over repeats of "
        f"{n_images} test images, with the standard error of the recorded ones; line: equality. "
        "Responses are in units of each neuron's standard deviation over training trials."
    )


if __name__ == "__main__":
    run_stage(plot_encoder_predictions)
