"""Draws recorded spikes and rates of some cells beside what encoders predict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import SubFigure
from numpy.typing import NDArray

from workflow_scripts.analysis.inputs import paired
from workflow_scripts.plotting.captions import number, table, write_caption
from workflow_scripts.plotting.fits import Fit
from workflow_scripts.plotting.options import FitsFigureOptions
from workflow_scripts.plotting.style import new_figure, panels
from workflow_scripts.recordings.reliability import pearson
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import open_store

QUANTILES = (0.95, 0.5, 0.2)  # of the cells' best correlation: a good one, a median, a poor one
MOST_FRAMES = 240


def plot_vist_rates(
    session: Path, predictions: list[Path], figure: Path, caption: Path,
    options: FitsFigureOptions,
) -> None:  # fmt: skip
    """Draw rasters, recorded rates and predictions of three cells.

    Parameters
    ----------
    session : Path
        Session store of the movie that judged.
    predictions : list of Path
        From `evaluate_vist`, in the order of ``options.fits``.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : FitsFigureOptions

    Raises
    ------
    InputError
        There is not one store per encoder.
    """
    named = paired(options.fits, predictions, "predictions")
    recording = open_store(session, load=True)
    # Encoders that were trained on some of the cells have no row for the others.
    whole = [(fit, path) for fit, path in named if not fit.cells]
    fits = [fit for fit, _ in whole]
    stores = [open_store(path, load=True) for _, path in whole]
    r = np.stack([pearson(*_rates(store)) for store in stores])
    cells = _examples(r)
    attributes = provenance("plot_vist_rates", options, [session, *predictions])
    with new_figure(figure, (10.5, 2.3 * len(cells)), options.dpi, attributes) as image:
        for panel, cell in zip(panels(image, len(cells), 1), cells, strict=True):
            _draw_cell(panel, recording, _first_of_colour(fits, stores), cell)
    write_caption(caption, *_describe(recording, fits, stores[0], r, cells))


def _rates(store: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return tuple(store[name].to_numpy().astype(float) for name in ("predicted", "recorded"))  # type: ignore[return-value]


def _examples(r: NDArray[np.float64]) -> list[int]:
    best = np.nan_to_num(r, nan=-1).max(axis=0)
    order = np.argsort(best)
    picks = [int(order[round(q * (len(order) - 1))]) for q in QUANTILES]
    return list(dict.fromkeys(picks))


def _first_of_colour(fits: list[Fit], stores: list[xr.Dataset]) -> list[tuple[Fit, xr.Dataset]]:
    """Leave out further seeds and forms of an encoder: their lines could not be told apart."""
    first: dict[str, tuple[Fit, xr.Dataset]] = {}
    for fit, store in zip(fits, stores, strict=True):
        first.setdefault(fit.colour, (fit, store))
    return list(first.values())


def _draw_cell(
    panel: SubFigure, recording: xr.Dataset, encoders: list[tuple[Fit, xr.Dataset]], cell: int
) -> None:
    shown = slice(0, MOST_FRAMES)
    _, scored = encoders[0]
    stimulus = scored["stimulus_id"].to_numpy()[shown]
    raster, rates = panel.subplots(2, 1, sharex=True, height_ratios=(1, 1.6))
    trials = _raster(recording, stimulus, cell)
    raster.imshow(
        trials, aspect="auto", cmap="gray_r", vmin=0, vmax=max(trials.max(), 1),
        interpolation="nearest", extent=(0, len(stimulus), len(trials), 0),
    )  # fmt: skip
    raster.set(ylabel="trials", yticks=[])
    middle = np.arange(len(stimulus)) + 0.5
    rates.fill_between(middle, scored["recorded"].to_numpy()[cell, shown], color="0.85",
                       label="recorded", linewidth=0)  # fmt: skip
    for fit, store in encoders:
        predicted, recorded = (one[cell] for one in _rates(store))
        r = pearson(predicted[None], recorded[None])[0]
        rates.plot(middle, predicted[shown], color=fit.colour, linewidth=0.9,
                   label=f"{fit.label}: r {number(float(r))}")  # fmt: skip
    for axes in (raster, rates):
        for edge in np.flatnonzero(np.diff(stimulus)) + 1:
            axes.axvline(edge, color="0.5", linewidth=0.3)
    name = recording["unit_id"].to_numpy()[cell]
    raster.set_title(f"cell {name}", loc="left")
    rates.set(xlim=(0, len(stimulus)), xlabel="recorded frames, one piece after the other",
              ylabel="rate (Hz)")  # fmt: skip
    rates.legend(ncols=8, loc="upper left", bbox_to_anchor=(0, 1.2), fontsize=6)


def _raster(
    recording: xr.Dataset, stimulus: NDArray[np.integer], cell: int
) -> NDArray[np.floating]:
    """Counts of single trials in the order of the shown frames, (trial, frame)."""
    counts = recording["time_course"].to_numpy()[cell]
    shown_id = recording["stimulus_id"].to_numpy()
    pieces = list(dict.fromkeys(stimulus.tolist()))
    n_trials = min(int((shown_id == piece).sum()) for piece in pieces)
    columns = []
    for piece in pieces:
        n_frames = int((stimulus == piece).sum())
        trials = counts[shown_id == piece][:n_trials]
        # As many bins as frames, but where bins are shorter than frames: then the nearest.
        nearest = (
            np.minimum(np.arange(n_frames) * trials.shape[1] // n_frames, trials.shape[1] - 1)
            if n_frames < trials.shape[1] and piece != pieces[-1]
            else np.arange(n_frames)
        )
        columns.append(trials[:, nearest])
    return np.concatenate(columns, axis=1)


def _describe(
    recording: xr.Dataset, fits: list[Fit], store: xr.Dataset, r: NDArray[np.float64],
    cells: list[int],
) -> Iterator[str]:  # fmt: skip
    shown = store["stimulus_id"].to_numpy()[:MOST_FRAMES]
    n_trials = len(_raster(recording, shown, cells[0]))
    piece_s = recording.sizes["bin"] * float(np.median(np.diff(recording["bin_time_s"])))
    frame_ms = 1000 * piece_s / np.bincount(store["stimulus_id"]).max()  # of a whole piece
    onsets = recording.attrs["onsets"]
    inferred = (
        " The pieces' times in the movie are not published with the data: they were inferred."
        if onsets == "inferred" else ""
    )  # fmt: skip
    yield (
        f"**Recorded and predicted rates, {fits[0].task.replace('_', ' ')}.** A cell that is "
        f"predicted well, a median and a poor one of {r.shape[1]}, chosen by their best encoder; "
        f"spikes of {n_trials} single trials above, the mean over trials in grey; of each kind of "
        "encoder the first is drawn, further seeds and forms stand in the table. Of "
        f"{store.sizes['frame']} scored frames of {number(frame_ms, 0)} ms the first "
        f"{min(MOST_FRAMES, store.sizes['frame'])}; lines part the pieces.{inferred}"
    )
    rows = [
        [fit.label + f", seed {fit.seed}", *(number(float(one[cell])) for cell in cells)]
        for fit, one in zip(fits, r, strict=True)
    ]
    names = [f"cell {recording['unit_id'].to_numpy()[cell]}" for cell in cells]
    yield table("Correlation over all scored frames", ["encoder", *names], rows)


if __name__ == "__main__":
    run_stage(plot_vist_rates)
