"""Draws where a transformer attends, and what of the animal its attention follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from workflow_scripts.plotting.captions import number, p_value, table, write_caption
from workflow_scripts.plotting.colours import ACCENT, OTHER
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.style import new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_json, read_table
from workflow_scripts.stores.zarr_store import open_store

TESTS = {
    "attention_on_fields": "mean attention and receptive fields, over the image",
    "column_follows_pupil": "column of attention and of the pupil",
    "row_follows_pupil": "row of attention and of the pupil",
    "contrast_follows_running": "contrast of attention and running speed",
    "contrast_follows_dilation": "contrast of attention and pupil dilation",
}


def plot_attention(
    maps: Path, trials: Path, statistics: Path, figure: Path, caption: Path, options: FigureOptions
) -> None:
    """Draw rollouts over images, their mean beside the receptive fields, and the tests.

    Parameters
    ----------
    maps, trials, statistics : Path
        From `measure_attention`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : FigureOptions

    Raises
    ------
    InputError
        An input is missing or damaged.
    """
    store, table_of_trials = open_store(maps, load=True), read_table(trials)
    tests = read_json(statistics)
    sessions = [str(name) for name in store["session"].to_numpy()]
    attributes = provenance("plot_attention", options, [maps, trials, statistics])
    with new_figure(figure, (10.5, 5.6), options.dpi, attributes) as drawn:
        above, below = panels(drawn, 2, 1)
        _draw_examples(above, store.isel(session=0))
        mean, scatter, tested = panels(below, 1, 3, width_ratios=(1.1, 1, 1.3))
        _draw_mean(mean, store.isel(session=0))
        first = table_of_trials.loc[table_of_trials["session"] == sessions[0], :]
        _draw_trials(scatter.subplots(), first)
        _draw_tests(tested.subplots(), {name: tests[name] for name in sessions})
    write_caption(caption, *_describe(sessions, tests, len(table_of_trials)))


def _draw_examples(panel: SubFigure, store: xr.Dataset) -> None:
    images, attention = store["example_image"].to_numpy(), store["example_attention"].to_numpy()
    grid = panel.subplots(2, len(images))
    extent = (0, images.shape[2], images.shape[1], 0)
    low, top = attention.min(), attention.max()
    drawn = None
    for axes, image, share in zip(grid.T, images, attention, strict=True):
        axes[0].imshow(image, cmap="gray", extent=extent)
        axes[1].imshow(image, cmap="gray", extent=extent)
        drawn = axes[1].imshow(
            share,
            cmap="magma",
            alpha=0.7,
            extent=extent,
            vmin=low,
            vmax=top,
            interpolation="nearest",
        )
        for one in axes:
            one.set_xticks([])
            one.set_yticks([])
    grid[0, 0].set_ylabel("test image")
    grid[1, 0].set_ylabel("rollout")
    if drawn is not None:
        panel.colorbar(drawn, ax=grid, label="share of attention", shrink=0.7)


def _draw_mean(panel: SubFigure, store: xr.Dataset) -> None:
    grid = panel.subplots(2, 1)
    names = {
        "attention": ("mean rollout", "share of attention"),
        "field": ("mean receptive field", "share of a unit's field"),
    }
    for axes, (name, (title, label)) in zip(grid, names.items(), strict=True):
        image = axes.imshow(store[name].to_numpy(), cmap="viridis")
        axes.set(xticks=[], yticks=[], title=f"{title}, {store['session'].item()}")
        panel.colorbar(image, ax=axes, shrink=0.8, label=label)


def _draw_trials(axes: Axes, trials: pd.DataFrame) -> None:
    shown = next((name for name in ("running_speed", "pupil_dilation") if name in trials), None)
    if shown is None:
        axes.set_axis_off()
        axes.set_title("neither running nor pupil shown to the network")
        return
    axes.plot(trials[shown], trials["contrast"], ".", color=OTHER, markersize=2)
    axes.set(
        xlabel=f"{shown.replace('_', ' ')} (standard deviations)",
        ylabel="contrast of attention (SD / mean)",
        title=f"{len(trials)} test trials of {trials['session'].iloc[0]}",
    )  # fmt: skip


def _draw_tests(axes: Axes, tests: dict[str, Any]) -> None:
    names = [name for name in TESTS if any(name in of_mouse for of_mouse in tests.values())]
    offsets = np.linspace(-0.2, 0.2, len(tests)) if len(tests) > 1 else [0.0]
    for offset, of_mouse in zip(offsets, tests.values(), strict=True):
        for place, name in enumerate(names):
            if name not in of_mouse:
                continue
            one = of_mouse[name]
            null = [-one["null_bound"], one["null_bound"]]
            axes.plot(null, [place + offset] * 2, color="0.8", linewidth=4, solid_capstyle="butt")
            filled = ACCENT if one["p"] < 0.05 else "white"
            axes.plot(one["r"], place + offset, "o", color=ACCENT, mfc=filled, markersize=4)
    axes.axvline(0, color="0.45", linewidth=0.6)
    axes.set_yticks(range(len(names)), [TESTS[name].replace(" and ", "\nand ") for name in names])
    axes.invert_yaxis()
    axes.set(xlabel="correlation (grey: 95 % of null)", title="a row a mouse; filled: p < .05")


def _describe(sessions: list[str], tests: dict[str, Any], n_trials: int) -> Iterator[str]:
    yield (
        "**Attention.** Rollout over all blocks (half residual path, half the mean of the heads), "
        "averaged over the tokens that readouts can see: above, four test images of "
        f"{sessions[0]}; below, its mean over test trials beside the mean receptive field of the "
        f"mouse's digital twins. {n_trials} test trials of {len(sessions)} mice. The null of the "
        "maps turns one of them around the torus, that of the series turns one of them around in "
        "time, which keeps how slowly they change; p is two-sided and uncorrected. Grey: the 95 % "
        "of the null nearest 0; r lies outside where p < .05."
    )
    rows = []
    for session in sessions:
        for name, one in tests[session].items():
            null = f"±{number(one['null_bound'])}"
            rows.append([session, TESTS[name], number(one["r"]), null, p_value(one["p"])])
    heads = ["mouse", "pair", "r", "95 % of null", "p"]
    yield table("Attention against fields and behaviour", heads, rows)


if __name__ == "__main__":
    run_stage(plot_attention)
