"""Draws what the spatial weight buys and costs, and what each ablation does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.analysis.inputs import read_columns
from workflow_scripts.analysis.seeds import FEWEST_SEEDS
from workflow_scripts.analysis.tradeoff import OUTCOMES, over_seeds
from workflow_scripts.plotting.captions import interval, listed, number, span, table, write_caption
from workflow_scripts.plotting.colours import ACCENT, OTHER
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.style import CHANCE_COLOUR, new_figure
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance

COLUMNS = ["variant", "alpha", "by_alpha", "seed", "layer", "outcome", "value", "low", "high"]
SEED_COLOUR = "0.6"
REFERENCE = {
    "smoothness_index": 0.0, "smoothness_beyond": 0.0, "dsi": 0.0,
    "density_per_squared_spacing": np.pi,
}  # fmt: skip


def plot_tradeoff(tradeoff: Path, figure: Path, caption: Path, options: FigureOptions) -> None:
    """Draw every outcome against α and beside it the ablations, a column per layer.

    Parameters
    ----------
    tradeoff : Path
        Table from `measure_tradeoff`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : FigureOptions

    Raises
    ------
    InputError
        The table is unreadable or lacks a column.
    """
    points = read_columns(tradeoff, COLUMNS, "measure_tradeoff")
    points = points.sort_values(["by_alpha", "alpha", "variant"], ascending=[False, True, True])
    means = over_seeds(points)
    layers = [layer for layer in points["layer"].unique() if layer]
    n_places = len(points["variant"].unique())
    attributes = provenance("plot_tradeoff", options, [tradeoff])
    size_in = (1.0 + len(layers) * max(1.6, 0.21 * n_places), 1.35 * len(OUTCOMES) + 1.3)
    with new_figure(figure, size_in, options.dpi, attributes) as drawn:
        _draw(drawn, points, means, sorted(layers))
    write_caption(caption, *_describe(points, means))


def _draw(drawn: Figure, points: pd.DataFrame, means: pd.DataFrame, layers: list[str]) -> None:
    variants = list(dict.fromkeys(points["variant"]))
    grid = drawn.subplots(len(OUTCOMES), len(layers), sharex=True, sharey="row", squeeze=False)
    for row, (outcome, label) in zip(grid, OUTCOMES.items(), strict=True):
        row[0].set_ylabel(label)
        for axes, layer in zip(row, layers, strict=True):
            of_layer = "" if outcome == "contrastive_accuracy" else layer
            if outcome in REFERENCE:
                axes.axhline(REFERENCE[outcome], color=CHANCE_COLOUR, linewidth=0.7, linestyle=":")
            shown, seeds = (
                frame.loc[(frame["outcome"] == outcome) & (frame["layer"] == of_layer)]
                for frame in (means, points)
            )
            _draw_panel(axes, shown, seeds, variants)
    for axes, layer in zip(grid[0], layers, strict=True):
        axes.set_title(layer, fontweight="bold")
    by_variant = points.drop_duplicates("variant").set_index("variant")
    for axes in grid[-1]:
        axes.set_xlim(-0.6, len(variants) - 0.4)
        labels = [
            f"α = {by_variant.loc[name, 'alpha']:g}" if by_variant.loc[name, "by_alpha"]
            else name.replace("_", " ") for name in variants
        ]  # fmt: skip
        axes.set_xticks(range(len(variants)), labels, rotation=90, fontsize=6)


def _draw_panel(axes: Axes, means: pd.DataFrame, seeds: pd.DataFrame, variants: list[str]) -> None:
    place = {name: x for x, name in enumerate(variants)}
    axes.scatter([place[name] for name in seeds["variant"]], seeds["value"], s=6,
                 color=SEED_COLOUR, linewidths=0, zorder=1)  # fmt: skip
    for by_alpha, colour in ((True, OTHER), (False, ACCENT)):
        chosen = means[(means["by_alpha"] == by_alpha) & means["mean"].notna()]
        if chosen.empty:
            continue
        x = [place[name] for name in chosen["variant"]]
        error = np.stack([chosen["mean"] - chosen["low"], chosen["high"] - chosen["mean"]])
        axes.errorbar(x, chosen["mean"], yerr=np.nan_to_num(error), color=colour, markersize=3.5,
                      fmt="o-" if by_alpha else "o", elinewidth=1)  # fmt: skip
    if means.dropna(subset=["mean"]).empty:
        axes.text(0.5, 0.5, "none may be\nreported", transform=axes.transAxes, ha="center",
                  va="center", fontsize=6, color="0.4")  # fmt: skip


def _describe(points: pd.DataFrame, means: pd.DataFrame) -> Iterator[str]:
    n_seeds = points.groupby("variant")["seed"].nunique()
    ablations = [
        name.replace("_", " ") for name in points.loc[~points["by_alpha"], "variant"].unique()
    ]
    yield (
        "**The trade-off.** Blue: networks that differ in the weight α of the spatial loss alone; "
        f"orange: ablations ({listed(ablations) or 'none'}). Grey dots are seeds "
        f"({span(n_seeds)} a variant); points are means over seeds with Student's "
        f"95 % interval, of fewer than {FEWEST_SEEDS} seeds with an interval over the channels of "
        "those seeds alone, which says nothing of other seeds. Contrastive accuracy "
        "is that of the whole network, the same in each column. DSI, direction CV and the axial "
        "component (weight of the null lobe of the fit) are medians over channels. The smoothness "
        "index is 1 − Δ / chance of near pairs of different channels (dotted: 0, no map); below it "
        "stands by how much it exceeds that of the α = 0 network of the same seed on the same "
        "positions, where there is one: what the spatial loss adds to what the positions carry. "
        "Pinwheel densities stand only where a density may be reported (dotted: π per squared "
        "spacing)."
    )
    yield table(
        "Mean over seeds [95 % interval]",
        ["variant", "α", "layer", *OUTCOMES.values()],
        list(_rows(means)),
    )


def _rows(means: pd.DataFrame) -> Iterator[list[str]]:
    accuracy = means[means["outcome"] == "contrastive_accuracy"].set_index("variant")
    of_layers = means.loc[means["layer"] != ""]
    for (variant, alpha, layer), group in of_layers.groupby(
        ["variant", "alpha", "layer"], sort=False
    ):
        by_outcome = group.set_index("outcome").reindex(list(OUTCOMES))
        cells = [
            (accuracy.loc[variant] if name == "contrastive_accuracy" else by_outcome.loc[name])
            for name in OUTCOMES
        ]
        yield [
            str(variant),
            number(float(alpha), 2),
            str(layer),
            *(interval(float(c["mean"]), float(c["low"]), float(c["high"])) for c in cells),
        ]


if __name__ == "__main__":
    run_stage(plot_tradeoff)
