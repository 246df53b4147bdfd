"""Draws the maps of direction and orientation and their pinwheels, beside the control's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.networks import NetworkMap
from workflow_scripts.analysis.preferences import PREFERENCES, Preference
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
from workflow_scripts.plotting.direction_colours import (
    FULL_COLOUR_PERCENTILE,
    draw_wheel,
    full_colour,
    map_pixels,
)
from workflow_scripts.plotting.networks import training_of
from workflow_scripts.plotting.options import MapsFigureOptions
from workflow_scripts.plotting.style import new_figure, panels
from workflow_scripts.plotting.verdicts import sentence
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_table
from workflow_scripts.stores.zarr_store import open_store

DRAWN: tuple[Preference, ...] = ("direction", "orientation")
PANEL_IN, LEGEND_IN = 1.85, 1.35


class _Drawn(NamedTuple):
    of: NetworkMap
    store: xr.Dataset
    pinwheels: pd.DataFrame
    measured: MeasuredMap


def plot_direction_map(
    *,
    maps: list[Path],
    pinwheels: list[Path],
    statistics: list[Path],
    figure: Path,
    caption: Path,
    options: MapsFigureOptions,
) -> None:
    """Draw the maps of every layer: a block of panels per placement of units.

    Drawn are the networks trained on positions and, on the same positions, the α = 0 network whose
    responses made them; the other controls enter the verdict in the caption.

    Parameters
    ----------
    maps, pinwheels, statistics : list of Path
        Outputs of `measure_map`, in the order of ``options.maps``.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : MapsFigureOptions

    Raises
    ------
    InputError
        An input is unreadable, the inputs do not agree, or no map was drawn for a network.
    """
    measured = read_maps(options.maps, statistics)
    paired(options.maps, maps, "maps")
    paired(options.maps, pinwheels, "pinwheels")
    shown = [
        _Drawn(one.of, _read_map(store, one), read_table(table), one)
        for one, store, table in zip(measured, maps, pinwheels, strict=True)
        if one.of.role != "control"
    ]
    drawn = sorted(shown, key=lambda one: one.of.role == "source")  # the control comes last
    if not drawn:
        raise InputError("--options: maps holds controls only; name the map of a network")
    full_at: dict[Preference, float] = {
        name: full_colour(
            one.store[PREFERENCES[name].variable].to_numpy()[one.store["roi"].to_numpy()]
            for one in drawn
        )
        for name in DRAWN
    }
    placements = dict.fromkeys(one.of.positions for one in drawn)
    blocks = [[one for one in drawn if one.of.positions == name] for name in placements]
    attributes = provenance("plot_direction_map", options, [*maps, *pinwheels, *statistics])
    heights, width_in = _heights_in(blocks), _width_in(blocks)
    with new_figure(figure, (width_in, sum(heights)), options.dpi, attributes) as image:
        wheels, *rows = panels(image, len(heights), 1, height_ratios=heights)
        _draw_wheels(wheels, full_at)
        for row, pair in zip(rows, _rows_of_blocks(blocks), strict=True):
            widths = [len(block) for block in pair]
            if spare := _most_maps(blocks) - sum(widths):
                widths.append(spare)  # panels are as wide in every row
            columns = panels(row, 1, len(widths), width_ratios=widths)
            for panel, block in zip(columns, pair, strict=False):
                _draw_block(panel, block, full_at)
    write_caption(caption, *_describe(drawn, measured, full_at))


def _read_map(path: Path, measured: MeasuredMap) -> xr.Dataset:
    store = open_store(path, load=True)
    layers = store["layer"].to_numpy().tolist()
    if sorted(layers) != sorted(measured.layers):
        raise InputError(
            f"{path}: layers {layers}, but its statistics have {sorted(measured.layers)}; "
            "rerun measure_map"
        )
    return store.assign_coords(layer=layers)


def _rows_of_blocks(blocks: list[list[_Drawn]]) -> list[list[list[_Drawn]]]:
    return [blocks[first : first + 2] for first in range(0, len(blocks), 2)]


def _heights_in(blocks: list[list[_Drawn]]) -> list[float]:
    """Height of the legend and of each row of blocks."""
    n_layers = len(blocks[0][0].measured.layers)
    row_in = n_layers * (PANEL_IN + 0.3) + 0.6
    return [LEGEND_IN, *(row_in for _ in _rows_of_blocks(blocks))]


def _most_maps(blocks: list[list[_Drawn]]) -> int:
    return max(sum(map(len, pair)) for pair in _rows_of_blocks(blocks))


def _width_in(blocks: list[list[_Drawn]]) -> float:
    return max(2 * PANEL_IN * _most_maps(blocks) + 0.6, 6.0)


def _draw_wheels(panel: SubFigure, full_at: dict[Preference, float]) -> None:
    *wheels, legend = panel.subplots(1, 3, width_ratios=(1, 1, 1.6))
    for axes, preference in zip(wheels, DRAWN, strict=True):
        draw_wheel(axes, PREFERENCES[preference].period_deg, full_at[preference])
    legend.set_axis_off()
    legend.set(xlim=(0, 1), ylim=(0, 1))
    for sign, y in ((1, 0.72), (-1, 0.42)):
        _mark(legend, np.array([0.06]), np.array([y]), sign, size=22)
        kind = "counter-clockwise" if sign > 0 else "clockwise"
        legend.text(0.12, y, f"pinwheel, preference turns {kind} around it", va="center")
    legend.text(0.0, 0.1, "Δ: mean difference of near pairs, with its 95 % interval", va="center")


def _draw_block(panel: SubFigure, block: list[_Drawn], full_at: dict[Preference, float]) -> None:
    layers = block[0].store["layer"].to_numpy().tolist()
    grid = panel.subplots(len(layers), 2 * len(block), squeeze=False)
    panel.suptitle(f"positions {block[0].of.positions}", fontsize=9, fontweight="bold")
    for row, layer in enumerate(layers):
        for column, (one, preference) in enumerate(product(block, DRAWN)):
            axes = grid[row, column]
            _draw_map(axes, one, layer, preference, full_at[preference])
            if row == 0:
                axes.set_title(f"{one.of.label}\n{preference}", fontsize=7)
        grid[row, 0].set_ylabel(layer, fontsize=9)
    _draw_scale_bar(grid[-1, 0], block[0].measured.layers[layers[-1]]["sheet_mm"])


def _draw_map(axes: Axes, one: _Drawn, layer: str, preference: Preference, full_at: float) -> None:
    name = PREFERENCES[preference].variable
    of_layer = one.store.sel(layer=layer)
    sheet_mm = one.measured.layers[layer]["sheet_mm"]
    pixels = map_pixels(of_layer[name].to_numpy(), of_layer["roi"].to_numpy(), full_at)
    axes.imshow(pixels, extent=(0, sheet_mm, sheet_mm, 0), interpolation="nearest")
    found = one.pinwheels.loc[
        (one.pinwheels["layer"] == layer) & (one.pinwheels["map"] == preference)
    ]
    for sign in (1, -1):
        of_sign = found.loc[found.sign == sign]
        # The image's rows go down, where angles turn the other way.
        _mark(axes, of_sign.x_mm, of_sign.y_mm, -sign, size=9)
    axes.set(xticks=[], yticks=[], xlim=(0, sheet_mm), ylim=(sheet_mm, 0))
    axes.spines[:].set(visible=True, color="0.6")
    near = one.measured.near(layer, preference)
    delta = interval(near["mean_deg"], near["low_deg"], near["high_deg"], 0, "°")
    axes.set_xlabel(
        f"Δ {delta}\nchance {number(near['null_mean_deg'], 0, '°')}, {p_value(near['p'])}",
        fontsize=6.5, labelpad=2,
    )  # fmt: skip


def _mark(axes: Axes, x: np.ndarray | pd.Series, y: np.ndarray | pd.Series, sign: int,
          size: float) -> None:  # fmt: skip
    face, edge = ("white", "black") if sign > 0 else ("black", "white")
    axes.scatter(x, y, s=size, c=face, edgecolors=edge, linewidths=0.5)


def _draw_scale_bar(axes: Axes, sheet_mm: float) -> None:
    length_mm = next(mm for mm in (10, 5, 2, 1, 0.5, 0.2, 0.1) if mm <= 0.4 * sheet_mm)
    x, y = 0.04 * sheet_mm, 0.96 * sheet_mm
    axes.plot([x, x + length_mm], [y, y], color="black", linewidth=3, solid_capstyle="butt")
    axes.text(x, y - 0.03 * sheet_mm, f"{length_mm:g} mm", fontsize=7, va="bottom",
              bbox={"facecolor": "white", "alpha": 0.7, "pad": 0.5, "linewidth": 0})  # fmt: skip


def _describe(
    drawn: Sequence[_Drawn], measured: Sequence[MeasuredMap], full_at: dict[Preference, float]
) -> Iterator[str]:
    layers = [statistics for one in drawn for statistics in one.measured.layers.values()]
    near = [one.measured.near(layer, "direction") for one in drawn for layer in one.measured.layers]
    yield "**Verdict**"
    yield bullets(sentence(verdict) for verdict in judge(measured))
    yield (
        "**Maps of direction and of orientation**, from drifting gratings and from gratings that "
        "stand still, in every block from early to late (macaque V1 has a map of orientation and "
        "none of direction). They are smoothed by a Gaussian kernel of "
        f"{span([layer['kernel_mm'] for layer in layers], 2, ' mm')}; white: not measured (sheet's "
        "edge, few units). Colour is the preferred direction of motion (or orientation of bars, "
        "180° apart being one), its saturation the length of the mean vector: full from "
        f"{full_at['direction']:.2f} (direction) and {full_at['orientation']:.2f} (orientation) "
        f"upwards, the {FULL_COLOUR_PERCENTILE}th percentile of all maps drawn. Dots: pinwheels, "
        "white where the preference turns counter-clockwise as one goes counter-clockwise around "
        f"them. {span([layer['n_units'] for layer in layers])} units of "
        f"{span([layer['n_channels'] for layer in layers])} channels a map, units at the border of "
        "their feature map left out. The network with α = 0 is drawn on the positions that were "
        "made of its own responses; α > 0 is trained on the same positions. "
        f"{plain(training_of(one.of.network for one in drawn))}"
    )
    yield (
        "Smoothing makes pinwheels and patches of any preferences: that there is a map must be "
        "read from Δ, the mean difference between units of different channels up to "
        f"{span([one['distance_high_mm'] for one in near], 2, ' mm')} apart, with an interval from "
        "a bootstrap over channels, against chance: the mean of a null that permutes channels "
        f"jointly over all places. {span([one['n_pairs'] for one in near])} pairs; "
        f"{span([100 * one['same_channel_share'] for one in near], 0, ' %')} of the pairs share a "
        "channel and are left out."
    )
    yield f"The rule: {RULE}"
    for preference in DRAWN:
        yield table(
            f"Maps of {preference}: near pairs, pinwheels and, where it may be reported, their "
            "density",
            ["map", "positions", "layer", "Δ", "chance ± sd", "p", "pinwheels",
             "per squared spacing"],
            [row for one in drawn for row in _rows(one.measured, preference)],
        )  # fmt: skip
    yield table(
        "Pinwheels, fractures and wiring of direction maps: value [interval]; shuffled preferences",
        ["map", "positions", "layer", "spacing, wavelet (mm)", "spacing, spectrum (mm)",
         "pinwheels per mm²", "nearest of same sign (Λ)", "of opposite sign (Λ)",
         "sd of counts / Poisson, 1 Λ²", "fractures (mm per mm²)", "wiring saved", "its p"],
        [row for one in drawn for row in _pattern_rows(one.measured)],
    )  # fmt: skip


def _pattern_rows(one: MeasuredMap) -> Iterator[list[str]]:
    for layer, statistics in one.layers.items():
        of_map = statistics["direction"]
        pattern, counts, wiring = of_map["pattern"], of_map["pattern"]["counts"], of_map["wiring"]
        counted = counts["area_squared_spacings"].index(1.0)
        yield [
            one.of.label,
            one.of.positions,
            layer,
            *(
                _beside_shuffled(pattern[name])
                for name in (
                    "spacing_wavelet_mm", "spacing_spectrum_mm", "density_per_mm2",
                    "neighbour_same_spacings", "neighbour_opposite_spacings",
                )
            ),
            "; ".join(
                number(counts[name][counted])
                for name in ("sd_over_poisson", "shuffled_sd_over_poisson")
            ),
            _beside_shuffled(statistics["fractures"]["length_per_mm2"]),
            number(wiring["saved"], 3),
            p_value(wiring["p"]),
        ]  # fmt: skip


def _beside_shuffled(measured: dict[str, Any]) -> str:
    value = interval(measured["value"], measured["low"], measured["high"])
    return f"{value}; {number(measured['shuffled']['mean'])}"


def _rows(one: MeasuredMap, preference: Preference) -> Iterator[list[str]]:
    for layer, statistics in one.layers.items():
        near, pattern = one.near(layer, preference), statistics[preference]["pattern"]
        yield [
            one.of.label,
            one.of.positions,
            layer,
            interval(near["mean_deg"], near["low_deg"], near["high_deg"], 1, "°"),
            f"{number(near['null_mean_deg'], 1)} ± {number(near['null_sd_deg'], 1)}°",
            p_value(near["p"]),
            number(pattern["n_pinwheels"]["value"], 0),
            _density(pattern),
        ]


def _density(pattern: dict[str, Any]) -> str:
    """Density beside that of random preferences, or why none is reported."""
    conditions = dict(pattern["density_conditions"])
    if not conditions.pop("all"):
        failed = [name.replace("_", " ") for name, holds in conditions.items() if not holds]
        return f"not reported (fails: {', '.join(failed)})"
    density = pattern["density_per_squared_spacing"]
    chance = number(density["shuffled"]["mean"], 1)
    return f"{interval(density['value'], density['low'], density['high'], 1)}; random: {chance}"


if __name__ == "__main__":
    run_stage(plot_direction_map)
