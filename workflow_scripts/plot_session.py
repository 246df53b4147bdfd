"""Draws the quality of one recording session: what its units did, how reliably, and what for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import SubFigure

from workflow_scripts.plotting.captions import interval, number, plain, table, write_caption
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.sessions import (
    RELIABILITY,
    best_units,
    draw_averages,
    draw_behaviour,
    draw_outlines,
    draw_population,
    draw_raster,
    draw_reliability,
    draw_repeats,
    draw_split,
    draw_traces,
)
from workflow_scripts.plotting.style import new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import open_store

N_COLUMNS = 3
Panel = Callable[[SubFigure, xr.Dataset], None]


def plot_session(session: Path, figure: Path, caption: Path, options: FigureOptions) -> None:
    """Draw what a session holds: responses, reliability, receptive fields, behaviour and split.

    Parameters
    ----------
    session : Path
        Session store, see `recordings.sessions`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : FigureOptions

    Raises
    ------
    InputError
        The store is missing or damaged.
    """
    dataset = open_store(session, load=True)
    drawn_panels = list(_panels(dataset))
    n_rows = -(-len(drawn_panels) // N_COLUMNS)
    attributes = provenance("plot_session", options, [session])
    with new_figure(figure, (10.5, 3.4 * n_rows), options.dpi, attributes) as drawn:
        cells = panels(drawn, n_rows, min(N_COLUMNS, len(drawn_panels)))
        for cell, draw in zip(cells, drawn_panels, strict=False):
            draw(cell, dataset)
    write_caption(caption, *_describe(dataset))


def _panels(dataset: xr.Dataset) -> Iterator[Panel]:
    """Choose the panels that this session has data for."""
    if "stimulus_id" not in dataset:
        yield draw_traces
        return
    best = int(best_units(dataset)[0])
    if "time_course" in dataset:
        yield lambda panel, session: draw_raster(panel, session, best)
    elif (dataset["repeat"] > 0).any():
        yield lambda panel, session: draw_repeats(panel, session, best)
    yield draw_population
    yield draw_reliability
    if "receptive_field" in dataset:
        yield draw_outlines
    elif "image" in dataset:
        yield draw_averages
    if "behaviour" in dataset or "pupil_centre" in dataset:
        yield draw_behaviour
    yield lambda panel, session: draw_split(panel.subplots(), session)


def _describe(dataset: xr.Dataset) -> Iterator[str]:
    attributes, sizes = dataset.attrs, dataset.sizes
    what = ", ".join(
        str(attributes[name]) for name in ("species", "area", "modality") if attributes.get(name)
    )
    simulated = any(str(name).startswith("truth_") for name in dataset.variables)
    title = f"**{plain(attributes['session_id'])}.** {what}{'; SIMULATED' if simulated else ''}"
    if "stimulus_id" not in dataset:
        time_s = dataset["time_s"].to_numpy()
        yield (
            f"{title}: {sizes['unit']} units, {sizes['time']} samples, not cut into trials. Each "
            f"row is a unit's response over {number(time_s[-1] - time_s[0], 0)} s, in grey up to "
            "the 99th percentile of all."
        )
        return
    yield (
        f"{title}: {sizes['unit']} units, {sizes['trial']} trials of {sizes['stimulus']} stimuli"
        f"{_onsets(dataset)}. Trials by split: {_splits(dataset)}. Each panel shows what the store "
        "holds; the unit drawn alone is the one with the highest split-half reliability"
        f"{_raster(dataset)}."
    )
    measured = RELIABILITY | {"fev": "fraction of explainable variance"}
    rows = [
        [label, *_quartiles(dataset[name].to_numpy())]
        for name, label in measured.items()
        if name in dataset
    ]
    yield table("Over units", ["measure", "median [quartiles]", "units"], rows)
    if "outline_luminance_r" in dataset:
        r = np.abs(dataset["outline_luminance_r"].to_numpy())
        yield (
            "Over stimuli, the luminance inside a cell's receptive field and its spike count "
            f"correlate at a mean \\|r\\| of {number(float(np.nanmean(r)))}."
        )


def _raster(dataset: xr.Dataset) -> str:
    if "time_course" not in dataset:
        return "; its single trials in grey, their means in orange"
    return "; below its trials, mean time courses: of each stimulus in grey, of all in orange"


def _onsets(dataset: xr.Dataset) -> str:
    inferred = dataset.attrs.get("onsets") == "inferred"
    return "; ONSETS INFERRED from the responses, not published" if inferred else ""


def _splits(dataset: xr.Dataset) -> str:
    counts = Counter(map(str, dataset["split"].to_numpy()))
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def _quartiles(values: np.ndarray) -> tuple[str, str]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return number(None), f"0 of {len(values)}"
    low, middle, high = np.percentile(finite, (25, 50, 75))
    return interval(middle, low, high, 3), f"{len(finite)} of {len(values)}"


if __name__ == "__main__":
    run_stage(plot_session)
