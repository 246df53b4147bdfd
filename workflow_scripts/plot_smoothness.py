"""Draws how preferences change with cortical distance, for networks and controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from workflow_scripts.analysis.inputs import paired, read_columns
from workflow_scripts.analysis.networks import NetworkMap
from workflow_scripts.analysis.preferences import Preference
from workflow_scripts.analysis.verdict import RULE, MeasuredMap, judge, read_maps
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
from workflow_scripts.plotting.networks import Look, training_of
from workflow_scripts.plotting.options import MapsFigureOptions
from workflow_scripts.plotting.style import CHANCE_COLOUR, new_figure, panels
from workflow_scripts.plotting.verdicts import sentence
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance

HATCH = "//////"  # of the null
ROLES = ("spatial", "source", "control")
DRAWN: tuple[Preference, ...] = ("direction", "axis")
COLUMNS = ["layer", "statistic", "distance_low_mm", "distance_high_mm", "mean_deg", "low_deg",
           "high_deg", "null_mean_deg", "null_low_deg", "null_high_deg"]  # fmt: skip


class _Curves(NamedTuple):
    of: NetworkMap
    curves: pd.DataFrame
    measured: MeasuredMap


def plot_smoothness(
    smoothness: list[Path],
    statistics: list[Path],
    figure: Path,
    caption: Path,
    options: MapsFigureOptions,
) -> None:
    """Draw difference of preference against distance: a row per comparison, a column per layer.

    Parameters
    ----------
    smoothness, statistics : list of Path
        Outputs of `measure_map`, in the order of ``options.maps``.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : MapsFigureOptions

    Raises
    ------
    InputError
        An input is unreadable, or the inputs do not agree.
    """
    measured = read_maps(options.maps, statistics)
    drawn = [
        _Curves(of, read_columns(path, COLUMNS, "measure_map"), of_map)
        for (of, path), of_map in zip(
            paired(options.maps, smoothness, "smoothness"), measured, strict=True
        )
    ]
    by_role = sorted(options.maps, key=lambda one: ROLES.index(one.role))
    rows = list(dict.fromkeys(one.label for one in by_role))
    layers = list(measured[0].layers)
    attributes = provenance("plot_smoothness", options, [*smoothness, *statistics])
    size_in = (2 * (1.55 * len(layers) + 0.6), 1.45 * len(rows) + 1.2)
    with new_figure(figure, size_in, options.dpi, attributes) as image:
        layout = cast("ConstrainedLayoutEngine", image.get_layout_engine())
        layout.set(h_pad=0.09)  # room for titles of rows
        for panel, preference in zip(panels(image, 1, 2), DRAWN, strict=True):
            _draw_preference(panel, drawn, preference, rows, layers)
        image.legend(handles=_legend(drawn), loc="outside lower center", ncols=5)
    write_caption(caption, *_describe(measured))


def _draw_preference(
    panel: SubFigure, drawn: Sequence[_Curves], preference: Preference, rows: list[str],
    layers: list[str],
) -> None:  # fmt: skip
    look = Look.of(one.of.network for one in drawn)
    grid = panel.subplots(len(rows), len(layers), sharex=True, sharey=True, squeeze=False)
    panel.suptitle(f"difference of preferred {preference}", fontsize=9, fontweight="bold")
    panel.supxlabel("distance on the cortical sheet (mm)", fontsize=8)
    panel.supylabel("mean difference (°)", fontsize=8)
    for axes_row, label in zip(grid, rows, strict=True):
        of_row = [one for one in drawn if one.of.label == label]
        axes_row[0].set_title(label, loc="left", fontsize=7, pad=3)
        for axes, layer in zip(axes_row, layers, strict=True):
            for one in of_row:
                network = one.of.network
                of_layer = one.curves.loc[
                    (one.curves.layer == layer) & (one.curves.statistic == preference)
                ]
                _draw_curve(axes, of_layer, look.colours[network.variant], look.lines[network.seed])
            found = ", ".join(p_value(one.measured.near(layer, preference)["p"]) for one in of_row)
            axes.text(0.98, 0.03, found, transform=axes.transAxes, ha="right", fontsize=6)
    for axes, layer in zip(grid[0], layers, strict=True):
        axes.set_title(f"{layer}\n", pad=3, fontweight="bold")


def _draw_curve(axes: Axes, curve: pd.DataFrame, colour: str, line: object) -> None:
    """One seed's curve with its interval, on the band and mean of its null."""
    centre_mm = (curve.distance_low_mm + curve.distance_high_mm) / 2
    # Hatched, for controls are grey and black, and so are their intervals.
    axes.fill_between(centre_mm, curve.null_low_deg, curve.null_high_deg, facecolor="none",
                      edgecolor=CHANCE_COLOUR, hatch=HATCH, hatch_linewidth=0.4, linewidth=0.4,
                      linestyle=line)  # fmt: skip
    axes.plot(centre_mm, curve.null_mean_deg, color=CHANCE_COLOUR, linewidth=0.7, linestyle=line)
    axes.fill_between(centre_mm, curve.low_deg, curve.high_deg, color=colour, alpha=0.18,
                      linewidth=0)  # fmt: skip
    axes.plot(centre_mm, curve.mean_deg, color=colour, linestyle=line, marker="o", markersize=1.8)


def _legend(drawn: Sequence[_Curves]) -> list[Line2D | Patch]:
    lines = Look.of(one.of.network for one in drawn).lines
    return [
        *(Line2D([], [], color="black", linestyle=lines[seed], label=f"tuning of seed {seed}")
          for seed in lines),
        Patch(color="black", alpha=0.18, linewidth=0, label="interval, 95 %"),
        Patch(facecolor="none", edgecolor=CHANCE_COLOUR, hatch=HATCH, hatch_linewidth=0.4,
              linewidth=0.4, label="chance: 95 % of channel permutations"),
    ]  # fmt: skip


def _describe(measured: Sequence[MeasuredMap]) -> Iterator[str]:
    near = [(one, layer, one.near(layer, "direction")) for one in measured for layer in one.layers]
    limit = span([n["distance_high_mm"] for _, _, n in near], 2, " mm")
    yield (
        "**Smoothness of the maps.** Mean difference between the preferred directions (left, "
        "0–180°) and axes (right, 0–90°) of two units against their distance on the sheet, with "
        "a 95 % interval from a bootstrap over channels (filled band). Hatched: mean and 95 % band "
        "of the null that permutes channel labels jointly over all places; it, and not 90° or 45°, "
        "is chance. The null keeps the channels' preferences and permutes their places; the "
        "interval resamples which preferences there are, so it is wider, and a curve may leave its "
        "hatched band although its interval meets it. Pairs of one channel and units at the border "
        "are left out. Line styles are "
        f"seeds. Numbers: one-sided p of pairs up to {limit}, by seed, from the same null."
    )
    yield (
        "Controls: the α = 0 network on the same positions, which were made of its own responses "
        "and may carry some of its tuning (the decisive comparison); every other row should stay "
        "in its hatched band. "
        f"Direction: {span([n['n_pairs'] for *_, n in near])} near pairs a map; "
        f"{span([100 * n['same_channel_share'] for *_, n in near], 0, ' %')} of all near pairs "
        "share a channel and are left out. "
        f"{plain(training_of(one.of.network for one in measured))}"
    )
    for preference in DRAWN:
        yield f"**Verdict on the {preference} map**"
        yield bullets(sentence(verdict) for verdict in judge(measured, preference))
    yield f"The rule: {RULE}"
    yield table(
        f"Pairs up to {limit}: mean difference [95 % interval over channels], chance, p",
        ["map", "network on positions", "layer", "direction", "axis", "pairs", "same channel"],
        [_row(one, layer) for one, layer, _ in near],
    )


def _row(one: MeasuredMap, layer: str) -> list[str]:
    direction = one.near(layer, "direction")
    return [
        one.of.label,
        f"{one.of.network.name} on {one.of.positions}",
        layer,
        *(_cell(one.near(layer, preference)) for preference in DRAWN),
        number(direction["n_pairs"], 0),
        number(100 * direction["same_channel_share"], 1, " %"),
    ]


def _cell(near: dict[str, float]) -> str:
    delta = interval(near["mean_deg"], near["low_deg"], near["high_deg"], 1, "°")
    chance = f"{number(near['null_mean_deg'], 1)} ± {number(near['null_sd_deg'], 1)}°"
    return f"{delta}; {chance}; {p_value(near['p'])}"


if __name__ == "__main__":
    run_stage(plot_smoothness)
