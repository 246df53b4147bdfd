"""Draws what an alignment rests on: neurons, their places and pairs, spatial frequencies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from workflow_scripts.plotting.captions import (
    bullets,
    interval,
    number,
    p_value,
    plain,
    span,
    table,
    write_caption,
)
from workflow_scripts.plotting.colours import ACCENT, OTHER
from workflow_scripts.plotting.options import AlignmentFigureOptions
from workflow_scripts.plotting.style import draw_chance, new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_json, read_table
from workflow_scripts.stores.zarr_store import open_store

COLOURS = {
    "attribution": ACCENT, "random": "0.4", "reverse": OTHER, "low_pass": ACCENT,
    "high_pass": OTHER,
}  # fmt: skip
N_FOOTPRINTS = 6


def plot_dina_interpretation(
    neurons: Path,
    maps: Path,
    statistics: Path,
    figure: Path,
    caption: Path,
    options: AlignmentFigureOptions,
) -> None:
    """Draw neuron-count curve, frequency ablation, attribution, footprints, interactions, places.

    Parameters
    ----------
    neurons, maps, statistics : Path
        From `interpret_dina`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : AlignmentFigureOptions

    Raises
    ------
    InputError
        An input is unreadable, or the table and the store differ in their neurons.
    """
    of_neurons, summary = read_table(neurons), read_json(statistics)
    seen = open_store(maps, load=True)
    if len(of_neurons) != seen.sizes["neuron"]:
        raise InputError(f"{neurons}: not the neurons of {maps}; rerun interpret_dina")
    attributes = provenance("plot_dina_interpretation", options, [neurons, maps, statistics])
    curves = pd.DataFrame(summary["curves"])
    with new_figure(figure, (10.5, 7.6), options.dpi, attributes) as drawn:
        top, bottom = panels(drawn, 2, 1)
        kept, frequency, attribution = top.subplots(1, 3)
        _draw_kept(kept, curves, summary)
        _draw_frequency(frequency, curves, summary)
        _draw_attribution(attribution, of_neurons)
        left, middle, right = panels(bottom, 1, 3, width_ratios=(1.3, 1, 1))
        _draw_footprints(left, of_neurons, seen)
        _draw_interactions(middle, seen)
        _draw_places(right, seen)
    write_caption(caption, *_describe(options.alignment, summary, of_neurons))


def _draw_curve(axes: Axes, curves: pd.DataFrame, name: str, label: str) -> None:
    rows, colour = curves.loc[curves["curve"] == name], COLOURS[name]
    axes.fill_between(rows["x"], rows["low"], rows["high"], color=colour, alpha=0.18, linewidth=0)
    axes.plot(rows["x"], rows["value"], "o-", color=colour, markersize=3, label=label)


def _draw_kept(axes: Axes, curves: pd.DataFrame, summary: dict[str, Any]) -> None:
    for name, label in (("attribution", "highest attribution first"), ("random", "random order"),
                        ("reverse", "lowest first")):  # fmt: skip
        _draw_curve(axes, curves, name, label)
    reached = summary["share_for_90_percent"]
    axes.axvspan(reached["low"], reached["high"], color=ACCENT, alpha=0.1, linewidth=0)
    axes.axvline(reached["value"], color=ACCENT, linewidth=0.8, linestyle=":",
                 label="90 % of the full accuracy")  # fmt: skip
    draw_chance(axes, 1 / summary["n_candidates"], "chance")
    axes.set(xlabel=f"share of {summary['n_neurons']:.0f} neurons kept", ylabel="top-1",
             ylim=(0, 1), title="how many neurons it takes")  # fmt: skip
    _legend_below(axes)


def _draw_frequency(axes: Axes, curves: pd.DataFrame, summary: dict[str, Any]) -> None:
    _draw_curve(axes, curves, "low_pass", "low-pass: below the cut-off left")
    _draw_curve(axes, curves, "high_pass", "high-pass: above the cut-off left")
    full = curves.loc[(curves["curve"] == "attribution") & (curves["x"] == 1), "value"]
    axes.axhline(float(full.iloc[0]), color="0.2", linewidth=0.8, label="whole images")
    draw_chance(axes, 1 / summary["n_candidates"], "chance")
    axes.set(xscale="log", xlabel="cut-off (cycles per longest side)", ylabel="top-1", ylim=(0, 1),
             title="candidate images filtered")  # fmt: skip
    ticks = [0.5, 1, 2, 4, 8, 16, 32]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    cutoffs = curves.loc[curves["curve"] == "low_pass", "x"]
    axes.set_xlim(0.9 * cutoffs.min(), 1.1 * cutoffs.max())
    _legend_below(axes)


def _legend_below(axes: Axes) -> None:
    """Curves may run anywhere in these axes."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize=6)


def _draw_attribution(axes: Axes, neurons: pd.DataFrame) -> None:
    for _, rows in neurons.groupby(["session", "fold"]):
        ordered = rows.sort_values("rank")
        share = (ordered["rank"] + 0.5) / len(ordered)
        axes.plot(share, ordered["attribution"], color=ACCENT, linewidth=0.8, alpha=0.7)
        decoy = ordered["decoy"].to_numpy()
        axes.plot(share[decoy], ordered["attribution"][decoy], ".", color="black", markersize=3)
    axes.axhline(0, color="0.6", linewidth=0.6)
    axes.set(xlabel="neurons, by rank (a line per session and fold)", ylabel="nats",
             title="attribution by integrated gradients")  # fmt: skip
    if neurons["decoy"].to_numpy().any():
        axes.plot([], [], ".", color="black", label="decoys: know nothing")
        axes.legend()


def _draw_footprints(panel: SubFigure, neurons: pd.DataFrame, seen: xr.Dataset) -> None:
    first = np.flatnonzero(seen["neuron_group"].to_numpy() == 0)
    best = first[np.argsort(neurons["rank"].to_numpy()[first])][:N_FOOTPRINTS]
    grid = np.ravel(panel.subplots(2, 3))
    for axes in grid:
        axes.set_axis_off()
    for axes, neuron in zip(grid, best, strict=False):
        axes.imshow(seen["footprint"].to_numpy()[neuron], cmap="magma", vmin=0)
        inside = number(float(neurons["share_inside"].iloc[neuron]))
        of = int(neurons["neuron"].iloc[neuron])
        axes.set_title(f"neuron {of}: {inside} in field", fontsize=6, pad=2)
    panel.suptitle("footprints of the neurons of highest attribution", fontsize=8)


def _draw_interactions(panel: SubFigure, seen: xr.Dataset) -> None:
    values = seen["interaction"].to_numpy().mean(axis=0)  # NaN on the diagonal
    limit = float(np.nanmax(np.abs(values))) or 1.0
    axes = panel.subplots()
    image = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
    panel.colorbar(image, ax=axes, label="nats (blue: stand in for each other)", shrink=0.8)
    axes.set(xlabel="neuron, by attribution", ylabel="neuron",
             title="pairwise interaction")  # fmt: skip


def _draw_places(panel: SubFigure, seen: xr.Dataset) -> None:
    side = seen.sizes["row"]
    rows, columns = (seen[f"patch_{name}"].to_numpy().ravel() for name in ("row", "column"))
    known = np.isfinite(rows)
    bins = [np.linspace(-0.5, side - 0.5, min(16, side) + 1)] * 2
    density, _, _ = np.histogram2d(rows[known], columns[known], bins=bins)
    margin = np.nanmean(seen["margin"].to_numpy(), axis=(0, 1))
    upper, lower = panel.subplots(2, 1)
    found = upper.imshow(density, cmap="magma")
    panel.colorbar(found, ax=upper, label="channels × images")
    upper.set_title("where channels find their patch", fontsize=7, pad=2)
    limit = float(np.abs(margin).max()) or 1.0
    shades = lower.imshow(margin, cmap="RdBu_r", vmin=-limit, vmax=limit)
    panel.colorbar(shades, ax=lower, label="nats")
    lower.set_title("where images are decoded (mean margin)", fontsize=7, pad=2)
    for axes in (upper, lower):
        axes.set_xticks([])
        axes.set_yticks([])


def _describe(alignment: str, summary: dict[str, Any], neurons: pd.DataFrame) -> Iterator[str]:
    reached, n = summary["share_for_90_percent"], summary["n_neurons"]
    low, high = n * reached["low"], n * reached["high"]
    yield (
        f"**What {plain(alignment)} rests on.** Averaged responses, "
        f"{summary['n_images']} test images, {summary['n_candidates']} candidates each; bands are "
        "95 % intervals from a bootstrap over images. Neurons are ranked by integrated gradients "
        "of the shown image's margin (its logit less the others' mean) on validation images, and "
        "judged on test images; neurons that are not kept respond at their mean. Footprints, the "
        "places through which a neuron changes that margin, run from 0 (black) to each one's "
        "largest. 90 % of the "
        "full accuracy takes "
        f"{interval(n * reached['value'], low, high, 0)} of {number(n, 0)} neurons. "
        f"{_frequency_sentence(summary)}"
    )
    mean, low, high = (summary["interaction_nats"][key] for key in ("value", "low", "high"))
    pairs = interval(mean, low, high, 4)
    error = f"{summary['completeness_error_nats']:.1e}"
    agreement = number(summary["gradient_input_r"])
    facts = [
        f"Integrated gradients sum to the difference of margins within {error} nats.",
        f"Integrated gradients and gradient × input rank neurons alike: Spearman r {agreement}.",
        f"Two of the highest neurons together add {pairs} nats (mean of pairs) to what each adds.",
    ]
    if summary["informative_auc"] is not None:
        n_decoys, auc = np.count_nonzero(neurons["decoy"]), number(summary["informative_auc"], 3)
        facts.append(
            f"{n_decoys} decoys, neurons of permuted trials, rank below others: AUC {auc}."
        )
    yield bullets(facts)
    tested = summary["footprints"]
    if tested:
        rows = [
            [f"{one['session']}, fold {one['fold']}", str(one["n_neurons"]), number(one["own"], 3),
             number(one["null"], 3), p_value(one["p"])]
            for one in tested
        ]  # fmt: skip
        yield table(
            "Share of a neuron's footprint in its own receptive field, and in permuted ones",
            ["session", "neurons", "own", "permuted", "one-sided p"], rows,
        )  # fmt: skip


def _frequency_sentence(summary: dict[str, Any]) -> str:
    curves = pd.DataFrame(summary["curves"])
    whole = (curves["curve"] == "attribution") & (curves["x"] == 1)
    full = float(curves.loc[whole, "value"].iloc[0])
    parts = []
    for kind, label in (("low_pass", "low-pass"), ("high_pass", "high-pass")):
        rows = curves.loc[curves["curve"] == kind]
        half = rows.loc[rows["value"] >= full / 2, "x"]
        at = span([half.min() if kind == "low_pass" else half.max()], 1)
        parts.append(f"{at} for {label}")
    return (
        f"Of the {number(full)} with whole images, at least half is left at cut-offs from "
        f"{parts[0]} and up to {parts[1]} images (cycles per longest side)."
    )


if __name__ == "__main__":
    run_stage(plot_dina_interpretation)
