"""Draws what trained retinas say to flicker, gratings and dots: filters against their truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.summaries import summarise_sample
from workflow_scripts.plotting.captions import interval, table, write_caption
from workflow_scripts.plotting.colours import ACCENT
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.style import new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import open_store

N_EXAMPLES = 4


@dataclass(frozen=True, kw_only=True)
class PlotVistFiltersOptions(FigureOptions):
    """What the figure shows.

    Parameters
    ----------
    names : list of str
        Of the encoders, in the order of their files.
    """

    names: list[str]


def plot_vist_filters(
    probes: list[Path], figure: Path, caption: Path, options: PlotVistFiltersOptions
) -> None:
    """Draw temporal filters, their agreement with the truth, and direction selectivity.

    Parameters
    ----------
    probes : list of Path
        From `probe_vist`, in the order of ``options.names``.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : PlotVistFiltersOptions

    Raises
    ------
    InputError
        There is not one store per encoder.
    """
    stores = [open_store(path, load=True) for _, path in paired(options.names, probes, "probes")]
    attributes = provenance("plot_vist_filters", options, probes)
    size_in = (10.5, 1.9 * len(stores) + 0.4)
    with new_figure(figure, size_in, options.dpi, attributes) as image:
        for panel, name, store in zip(
            panels(image, len(stores), 1), options.names, stores, strict=True
        ):
            _draw_encoder(panel, name, store)
    write_caption(caption, *_describe(options.names, stores))


def _draw_encoder(panel: SubFigure, name: str, store: xr.Dataset) -> None:
    panel.suptitle(name.replace("_", " "), fontsize=8, x=0.01, ha="left")
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
    for family, colour in (("grating", "0.35"), ("dots", ACCENT)):
        values = store[f"{family}_dsi"].to_numpy()
        selectivity.hist(
            values[np.isfinite(values)], bins=bins, color=colour, histtype="step", label=family
        )
    selectivity.set(xlabel="direction index", ylabel="cells")
    selectivity.legend()


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
        "to drifting gratings, at each cell's best spatial frequency, and to coherent dots. The "
        "simulated cells have no direction selectivity: what there is comes from what was learned."
    )
    measures = [
        ("filter_r", "r with the true filter"),
        ("grating_dsi", "direction index, gratings"),
        ("dots_dsi", "direction index, dots"),
    ]
    rows = []
    for name, store in zip(names, stores, strict=True):
        row = [name.replace("_", " ")]
        for measure, _ in measures:
            if measure not in store:
                row.append("–")
                continue
            found = summarise_sample(store[measure].to_numpy(), statistic=np.median)
            row.append(f"{interval(found.value, found.low, found.high)}, n {found.n}")
        rows.append(row)
    title = "Medians over cells [95 % interval, bootstrap over cells]"
    yield table(title, ["encoder", *(label for _, label in measures)], rows)


if __name__ == "__main__":
    run_stage(plot_vist_filters)
