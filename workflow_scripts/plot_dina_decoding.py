"""Draws which images an alignment finds, against chance and other decoders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from workflow_scripts.analysis.metrics import read_lines
from workflow_scripts.plotting.captions import interval, number, plain, table, write_caption
from workflow_scripts.plotting.colours import ACCENT, OTHER
from workflow_scripts.plotting.options import AlignmentFigureOptions
from workflow_scripts.plotting.style import (
    CHANCE_BAND,
    CHANCE_COLOUR,
    draw_chance,
    new_figure,
    panels,
)
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_json, read_table
from workflow_scripts.stores.zarr_store import open_store

MOST_MATRICES = 5
METHODS = {
    "dina": "DINA",
    "latent": "linear from latent, pixels",
    "ridge": "ridge, pixels",
    "cnn": "CNN, pixels",
    "probe_latent": "identity probe, latent*",
    "probe_response": "identity probe, response*",
}
QUERIES = {"average": (ACCENT, "averaged trials"), "single": (OTHER, "single trials")}


def plot_dina_decoding(
    metrics: Path,
    scores: Path,
    decoded: Path,
    statistics: Path,
    figure: Path,
    caption: Path,
    options: AlignmentFigureOptions,
) -> None:
    """Draw similarity of latents, retrieval against chance and baselines, confidence, training.

    Parameters
    ----------
    metrics : Path
        From `train_dina`.
    scores, decoded, statistics : Path
        From `decode_dina`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : AlignmentFigureOptions

    Raises
    ------
    InputError
        An input is unreadable, or the scores hold no retrieval by DINA.
    """
    table_of_scores, found, summary = read_table(scores), open_store(decoded), read_json(statistics)
    if "dina" not in set(table_of_scores["method"]):
        raise InputError(f"{scores}: no scores of DINA; rerun decode_dina")
    inputs = [metrics, scores, decoded, statistics]
    attributes = provenance("plot_dina_decoding", options, inputs)
    with new_figure(figure, (10.5, 7.2), options.dpi, attributes) as drawn:
        top, bottom = panels(drawn, 2, 1, height_ratios=(1, 1.25))
        _draw_matrices(top, found)
        left, middle, right = panels(bottom, 1, 3, width_ratios=(1.35, 1, 1))
        _draw_methods(left.subplots(), summary)
        upper, lower = middle.subplots(2, 1)
        _draw_candidates(upper, summary)
        _draw_training(lower, metrics)
        _draw_confidence(right.subplots(), table_of_scores)
    write_caption(caption, *_describe(options.alignment, summary, table_of_scores))


def _draw_matrices(panel: SubFigure, found: xr.Dataset) -> None:
    shown = range(min(found.sizes["group"], MOST_MATRICES))
    grid = np.ravel(panel.subplots(1, len(shown), squeeze=False))
    cosine = found["cosine"].to_numpy()
    # The similarity that all pairs share says nothing about the image.
    cosine = cosine - np.nanmean(cosine, axis=2, keepdims=True)
    limit = float(np.nanquantile(np.abs(cosine), 0.995)) or 1.0
    images = []
    for axes, group in zip(grid, shown, strict=True):
        n = int(np.isfinite(cosine[group, 0]).sum())
        shades = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        images.append(axes.imshow(cosine[group, :n, :n], **shades))
        fold = f", fold {int(found['fold'][group])}" if (found["fold"] > 0).any() else ""
        axes.set_title(f"{found['session'].to_numpy()[group]}{fold}")
        axes.set_xlabel("image")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5, integer=True))
    grid[0].set_ylabel("averaged response")
    panel.colorbar(images[0], ax=list(grid), label="cosine less row mean", shrink=0.8)
    panel.suptitle("similarity of neural and image latents, test images", fontsize=9)


def _draw_methods(axes: Axes, summary: dict[str, Any]) -> None:
    rows = list(_rows(summary))
    for y, (_, method, measured, query) in enumerate(rows):
        colour, _ = QUERIES[query]
        permuted = summary["permuted"].get(method, {}).get(query)
        if permuted:
            low, high = permuted["top1"]["low"], permuted["top1"]["high"]
            axes.barh(y, high - low, left=low, height=0.7, color=CHANCE_BAND, zorder=0)
        for measure, fill in (("top5", "white"), ("top1", colour)):
            one = measured[measure]
            axes.plot([one["low"], one["high"]], [y, y], color=colour, linewidth=1)
            axes.plot(one["value"], y, "o", color=colour, markerfacecolor=fill, markersize=4,
                      clip_on=False)  # fmt: skip
    for name, style in (("top1", "--"), ("top5", ":")):
        axes.axvline(summary["chance"][name], color=CHANCE_COLOUR, linestyle=style, linewidth=0.9)
    axes.set_yticks(range(len(rows)), [label for label, *_ in rows])
    for query, (colour, label) in QUERIES.items():
        if any(row[3] == query for row in rows):
            axes.plot([], [], "o", color=colour, label=label, markersize=4)
    axes.plot([], [], "o", color="0.3", markerfacecolor="white", label="among the best 5")
    axes.plot([], [], "--", color=CHANCE_COLOUR, label="chance, best and best 5 (dotted)")
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel=f"share of images found among {summary['n_candidates']}")
    axes.legend(loc="upper center", bbox_to_anchor=(0.3, -0.14), ncols=2)


def _rows(summary: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    """Label, method, measures and query of what was decoded, over sessions together."""
    for method, label in METHODS.items():
        for query in QUERIES:
            measured = summary["decoding"]["all"].get(method, {}).get(query)
            if measured:
                yield f"{label}, {query}", method, measured, query
    pooled = summary["decoding"].get("pooled")
    if pooled:
        label = f"DINA, {summary['n_sessions']} sessions pooled"
        yield label, "pooled", pooled["dina"]["average"], "average"


def _draw_candidates(axes: Axes, summary: dict[str, Any]) -> None:
    curve = pd.DataFrame(summary["top1_by_candidates"])
    n = curve["n_candidates"]
    axes.fill_between(n, curve["low"], curve["high"], color=ACCENT, alpha=0.2, linewidth=0)
    axes.plot(n, curve["value"], "o-", color=ACCENT, markersize=3, label="DINA, averaged")
    axes.plot(n, 1 / n, color=CHANCE_COLOUR, linestyle="--", label="chance")
    axes.set(xlabel="candidate images", ylabel="top-1", ylim=(0, 1), xscale="log")
    sizes = n.tolist()
    # Labels of sizes that are near each other would overlap.
    apart = [n for n, before in zip(sizes, [0, *sizes], strict=False) if n >= 1.5 * before]
    axes.set_xticks(apart, [str(size) for size in apart])
    axes.minorticks_off()
    axes.legend()


def _draw_training(axes: Axes, metrics: Path) -> None:
    lines = read_lines(metrics)
    for name, colour, label in (("loss", "0.6", "training loss"),
                                ("validation_log_likelihood", ACCENT, "validation")):  # fmt: skip
        sign = 1 if name == "loss" else -1
        for fold, rows in lines.dropna(subset=[name]).groupby("fold"):
            axes.plot(rows["step"], sign * rows[name], color=colour, linewidth=0.9,
                      label=label if fold == 0 else None)  # fmt: skip
    axes.set(xlabel="step", ylabel="nats", title="InfoNCE (other numbers of candidates)")
    axes.legend()


def _draw_confidence(axes: Axes, scores: pd.DataFrame) -> None:
    rows = scores.loc[
        (scores["method"] == "dina") & (scores["query"] == "average")
        & (scores["session"] != "pooled")
    ].sort_values("confidence")  # fmt: skip
    right = rows["top1"].to_numpy() > 0.5
    at = np.arange(len(rows))
    for chosen, colour, label in ((right, ACCENT, "found"), (~right, "0.55", "not found")):
        axes.plot(at[chosen], rows["confidence"][chosen], ".", color=colour, markersize=4,
                  label=f"{label} ({chosen.sum()})")  # fmt: skip
    draw_chance(axes, 1 / float(rows["n_candidates"].min()), "chance")
    axes.set(xlabel="image (of each session), by confidence", title="confidence by image")
    axes.set(ylabel="probability that DINA gives its guess", ylim=(0, 1.02))
    axes.legend()


def _describe(alignment: str, summary: dict[str, Any], scores: pd.DataFrame) -> Iterator[str]:
    kind = "SIMULATED populations" if summary["simulated"] else "Real recording"
    folds = summary["n_folds"]
    division = f"{folds} folds over images" if folds > 1 else "one division of the images"
    yield (
        f"**Decoding of {plain(alignment)}.** {kind}: {summary['n_sessions']} session(s), "
        f"{summary['n_images']} held-out images in {division}; each response looks for its image "
        f"among {summary['n_candidates']} that no training trial showed. Chance is "
        f"{number(summary['chance']['top1'], 3)} for the best guess and "
        f"{number(summary['chance']['top5'], 3)} for the best five; grey: 95 % of what the same "
        "guesses reach where they are dealt to the images at random. Intervals: 95 %, bootstrap "
        "over images (sessions are averaged over first; trials of an image are no independent "
        f"samples). {_calibration(scores)}"
    )
    yield (
        "\\* The identity probe is closed-set: it is fitted to half of the trials of the same test "
        "images and judged on the other half, so it is split by trial and not by image. Pixel "
        "decoders find the candidate that their reconstruction correlates with most. Pearson r "
        "and SSIM compare reconstruction and image; *r with others* is that of other test images."
    )
    header = ["decoder", "top-1", "top-5", "Pearson r", "r with others", "SSIM"]
    rows = [
        [label, *(_cell(measured.get(name)) for name in
                  ("top1", "top5", "pearson", "pearson_others", "ssim"))]
        for label, _, measured, _ in _rows(summary)
    ]  # fmt: skip
    yield table("Mean over images [95 % interval]", header, rows)
    classes = summary["decoding"]["all"].get("class_latent")
    if classes:
        found, commonest = classes["average"]["top1"], classes["average"]["commonest"]["value"]
        yield (
            f"Image class, linear from latent: {_cell(found)}; always guessing the commonest class "
            f"reaches {number(commonest)}."
        )
    of_sessions = {k: v for k, v in summary["decoding"].items() if k not in ("all", "pooled")}
    if len(of_sessions) > 1:
        rows = [
            [name, *(_cell(found["dina"][query]["top1"]) for query in QUERIES)]
            for name, found in of_sessions.items()
        ]
        yield table("DINA, top-1 by session", ["session", *QUERIES], rows)


def _calibration(scores: pd.DataFrame) -> str:
    rows = scores.loc[(scores["method"] == "dina") & (scores["query"] == "single")]
    rows = rows.loc[rows["session"] != "pooled"]
    return (
        f"On single trials the model's mean confidence is {number(rows['confidence'].mean())} "
        f"and its accuracy {number(rows['top1'].mean())}."
    )


def _cell(measured: dict[str, float] | None) -> str:
    if measured is None:
        return number(None)
    return interval(measured["value"], measured["low"], measured["high"])


if __name__ == "__main__":
    run_stage(plot_dina_decoding)
