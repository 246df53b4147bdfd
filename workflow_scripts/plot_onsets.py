"""Draws the evidence for inferred onsets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from workflow_scripts.plotting.captions import number, p_value, write_caption
from workflow_scripts.plotting.colours import ACCENT
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.style import draw_chance, new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import open_store


def plot_onsets(onsets: Path, figure: Path, caption: Path, options: FigureOptions) -> None:
    """Draw how far the inferred onsets stand out, and whether parts of the recording agree.

    Parameters
    ----------
    onsets : Path
        Store from `infer_onsets`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : FigureOptions

    Raises
    ------
    InputError
        The store is missing or damaged.
    """
    fit = open_store(onsets, load=True)
    attributes = provenance("plot_onsets", options, [onsets])
    with new_figure(figure, (10.5, 5.2), options.dpi, attributes) as drawn:
        searched, right = panels(drawn, 1, 2, width_ratios=(1.2, 1))
        _draw_search(searched, fit)
        null, units, blocks = right.subplots(3, 1)
        _draw_null(null, fit)
        _draw_units(units, fit)
        _draw_blocks(blocks, fit)
    write_caption(caption, *_describe(fit))


def _draw_search(panel: SubFigure, fit: xr.Dataset) -> None:
    axes = panel.subplots()
    first_s = fit["candidate_first_s"].to_numpy()
    interval_s = fit["candidate_interval_s"].to_numpy()
    image = axes.imshow(
        _highest(fit["score"].to_numpy()), aspect="auto", origin="lower", cmap="gray_r", vmin=0,
        interpolation="nearest", extent=(first_s[0], first_s[-1], interval_s[0], interval_s[-1]),
    )  # fmt: skip
    axes.plot(
        float(fit["first_onset_s"]), float(fit["interval_length_s"]), "o", markersize=14,
        markerfacecolor="none", markeredgecolor=ACCENT,
    )  # fmt: skip
    panel.colorbar(image, ax=axes, label="mean r over cells (highest of the candidates in a pixel)")
    axes.set(
        xlabel="onset of the first piece (s)", ylabel="interval between pieces (s)",
        title=f"{fit['score'].size} candidates (circle: the best)",
    )  # fmt: skip


def _highest(score: np.ndarray, most: int = 500) -> np.ndarray:
    """Thin out a grid by the highest value of each tile: a narrow peak must not fall between."""
    rows, columns = (-(-size // most) for size in score.shape)
    pad = [(0, -score.shape[0] % rows), (0, -score.shape[1] % columns)]
    filled = np.pad(np.nan_to_num(score, nan=-1.0), pad, constant_values=-1.0)
    tiles = filled.reshape(filled.shape[0] // rows, rows, filled.shape[1] // columns, columns)
    return tiles.max(axis=(1, 3))


def _draw_null(axes: Axes, fit: xr.Dataset) -> None:
    null = fit["null_score"].to_numpy()
    axes.hist(null, bins=25, color="0.6", label=f"{len(null)} permutations")
    axes.axvline(float(fit["held_out_score"]), color=ACCENT, label="as recorded")
    axes.set(
        xlabel="mean r over half of the cells, at the others' onsets", ylabel="permutations",
        title="receptive fields permuted among cells",
    )  # fmt: skip
    axes.legend()


def _draw_units(axes: Axes, fit: xr.Dataset) -> None:
    scores = np.sort(fit["unit_score"].to_numpy())[::-1]
    axes.bar(np.arange(len(scores)), scores, color="0.35")
    axes.set(xlabel="cells, by r", ylabel="r", title="drive in the outline against response")


def _draw_blocks(axes: Axes, fit: xr.Dataset) -> None:
    shift_ms = 1000 * fit["block_shift_s"].to_numpy()
    axes.plot(np.arange(len(shift_ms)), shift_ms, "o", color=ACCENT)
    axes.set_xticks(range(len(shift_ms)))
    draw_chance(axes, 0.0, "common onsets")
    limit = max(50.0, 1.2 * np.abs(shift_ms).max())
    axes.set(
        xlabel="block of ten pieces", ylabel="shift (ms)", ylim=(-limit, limit),
        title="fitted alone, each block agrees where its shift is near 0",
    )  # fmt: skip


def _describe(fit: xr.Dataset) -> Iterator[str]:
    best, held_out, first_s, interval_s = (
        float(fit[name])
        for name in ("best_score", "held_out_score", "first_onset_s", "interval_length_s")
    )
    null = fit["null_score"].to_numpy()
    reached = int((null >= held_out).sum())
    z_null = (held_out - null.mean()) / null.std(ddof=1)
    shift_ms = 1000 * np.abs(fit["block_shift_s"].to_numpy())
    yield (
        f"**Onsets, inferred.** Piece k is taken to start {number(first_s, 3)} + "
        f"{number(interval_s, 5)} · k s into the movie ({int(fit['kept'].sum())} of "
        f"{fit.sizes['piece']} pieces start an interval; the others repeat spikes of the piece "
        "before and are left out). There an OFF-transient drive in each cell's receptive field "
        f"correlates with its response at a mean r of {number(best, 3)}, the highest of "
        f"{fit['score'].size} candidates, which no chance is known for."
    )
    yield (
        "The test: at the onsets that every second cell chooses, the other cells have a mean r of "
        f"{number(held_out, 3)}; with their receptive fields permuted among them "
        f"{number(null.mean(), 3)} ± {number(null.std(ddof=1), 3)}: z = {number(z_null, 1)}, "
        f"{reached} of {len(null)} permutations reach it "
        f"({p_value((reached + 1) / (len(null) + 1))}). Blocks of ten pieces, fitted alone, differ "
        f"by at most {number(shift_ms.max(), 0)} ms (median {number(np.median(shift_ms), 0)} ms)."
    )


if __name__ == "__main__":
    run_stage(plot_onsets)
