"""Draws what trained retinas say to flicker, gratings and dots: filters against their truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from numpy.typing import NDArray

from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.summaries import summarise_sample
from workflow_scripts.analysis.tuning import tuning_indices
from workflow_scripts.plotting.captions import MISSING, interval, table, write_caption
from workflow_scripts.plotting.colours import ACCENT
from workflow_scripts.plotting.fits import Fit
from workflow_scripts.plotting.options import FitsFigureOptions
from workflow_scripts.plotting.style import new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import open_store

N_EXAMPLES = 4


def plot_vist_filters(
    probes: list[Path], figure: Path, caption: Path, options: FitsFigureOptions
) -> None:
    """Draw temporal filters, their agreement with the truth, and direction selectivity.

    Parameters
    ----------
    probes : list of Path
        From `probe_vist`, in the order of ``options.fits``.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : FitsFigureOptions

    Raises
    ------
    InputError
        There is not one store per encoder.
    """
    stores = [open_store(path, load=True) for _, path in paired(options.fits, probes, "probes")]
    attributes = provenance("plot_vist_filters", options, probes)
    size_in = (10.5, 1.9 * len(stores) + 0.4)
    with new_figure(figure, size_in, options.dpi, attributes) as image:
        names = [_name(fit) for fit in options.fits]
        for panel, name, store in zip(panels(image, len(stores), 1), names, stores, strict=True):
            _draw_encoder(panel, name, store)
    write_caption(caption, *_describe(names, stores))


def _name(fit: Fit) -> str:
    return f"{fit.task.replace('_', ' ').replace(' to ', ' → ')}: {fit.label}, seed {fit.seed}"


def _direction_indices(store: xr.Dataset) -> dict[str, NDArray[np.floating]]:
    """Direction index of every cell, by stimulus; that of dots without motion is chance."""
    measured = {name: store[f"{name}_dsi"].to_numpy() for name in ("grating", "dots")}
    still = np.flatnonzero(store["coherence_level"].to_numpy() == 0)
    if len(still):
        rates = store["dots_hz"].to_numpy()[:, :, still[0]].mean(axis=2)
        indices = tuning_indices(rates, store["direction_deg"].to_numpy())
        measured["coherence 0"] = indices["dsi"].to_numpy()
    return measured


def _draw_encoder(panel: SubFigure, name: str, store: xr.Dataset) -> None:
    panel.suptitle(name, fontsize=8, x=0.01, ha="left")
    *examples, agreement, selectivity = panel.subplots(1, N_EXAMPLES + 2)
    truth = store.get("truth_filter")
    order = np.arange(store.sizes["unit"])
    if truth is not None:
        order = np.argsort(-np.nan_to_num(store["filter_r"].to_numpy(), nan=-2))
    picks = order[np.linspace(0, len(order) - 1, N_EXAMPLES).round().astype(int)]
    for axes, cell in zip(examples, picks, strict=True):
        _draw_filter(axes, store, int(cell))
    examples[0].set_ylabel("weight (a.u.)")
    if truth is None:
        agreement.set_axis_off()
    else:
        r = store["filter_r"].to_numpy()
        agreement.hist(r[np.isfinite(r)], bins=np.linspace(-1, 1, 21).tolist(), color="0.35")
        agreement.set(xlabel="r with true filter", ylabel="cells", xlim=(-1, 1))
    bins = np.linspace(0, 1, 21).tolist()
    styles = (("0.35", "-"), (ACCENT, "-"), (ACCENT, ":"))
    for (family, values), (colour, line) in zip(
        _direction_indices(store).items(), styles, strict=False
    ):
        selectivity.hist(
            values[np.isfinite(values)], bins=bins, color=colour, linestyle=line, histtype="step",
            label=family,
        )  # fmt: skip
    selectivity.set(xlabel="direction index", ylabel="cells")
    selectivity.legend(loc="upper right", fontsize=6)


def _draw_filter(axes: Axes, store: xr.Dataset, cell: int) -> None:
    lag_ms = 1000 * store["lag_s"].to_numpy()
    axes.axhline(0, color="0.8", linewidth=0.6)
    title = f"cell {cell}"
    if "truth_filter" in store:
        axes.plot(
            lag_ms, store["truth_filter"].to_numpy()[cell], color="black", linewidth=2.2, alpha=0.35
        )
        title += f": r {store['filter_r'].to_numpy()[cell]:.2f}"
    axes.plot(lag_ms, store["filter"].to_numpy()[cell], color=ACCENT)
    axes.set(xlabel="before the spike (ms)", title=title, yticks=[])


def _describe(names: list[str], stores: list[xr.Dataset]) -> Iterator[str]:
    yield (
        "**Trained retinas in silico.** Temporal filters from reverse correlation with white "
        "flicker of the whole window (orange), beside the simulated cells' true filters (grey): "
        "four cells from the best to the worst agreement. Right: direction index of the mean rate "
        "to drifting gratings, at each cell's best spatial frequency, and to coherent dots. It "
        "takes the direction of the highest rate for the preferred one: never negative, 0 where "
        "opposite directions give the same rate, above 0 by chance; dotted, what the chance of as "
        "many dots gives where none moves with the others (coherence 0). The simulated cells have "
        "no direction selectivity: none of it is theirs."
    )
    measures = {
        "filter": "r with the true filter",
        "grating": "direction index, gratings",
        "dots": "direction index, dots",
        "coherence 0": "direction index, dots, coherence 0",
    }
    rows = []
    for name, store in zip(names, stores, strict=True):
        measured = _direction_indices(store)
        if "filter_r" in store:
            measured["filter"] = store["filter_r"].to_numpy()
        row = [name]
        for measure in measures:
            if measure not in measured:
                row.append(MISSING)
                continue
            found = summarise_sample(measured[measure], statistic=np.median)
            row.append(f"{interval(found.value, found.low, found.high)}, n {found.n}")
        rows.append(row)
    title = "Medians over cells [95 % interval, bootstrap over cells]"
    yield table(title, ["encoder", *measures.values()], rows)


if __name__ == "__main__":
    run_stage(plot_vist_filters)
