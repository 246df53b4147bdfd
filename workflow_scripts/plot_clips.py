"""Draws example clips and how much moves in the clips of each video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from numpy.typing import NDArray

from workflow_scripts.analysis.inputs import read_columns
from workflow_scripts.plotting.captions import number, span, write_caption
from workflow_scripts.plotting.colours import ACCENT
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.style import new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import open_store

MOST_EXAMPLES = 7
FRAMES_SHOWN = 5
MOST_VIDEOS = 30  # in the panel of distributions
COLUMNS = ["video_id", "batch", "start", "n_frames", "stride", "frame_rate_hz", "motion_energy"]


def plot_clips(
    clips: Path, batches: list[Path], figure: Path, caption: Path, options: FigureOptions
) -> None:
    """Draw frames of example clips beside the motion energy of all clips, by video.

    The examples are chosen by rank: videos evenly spread from the stillest to the liveliest median,
    and of each the clip with the median motion energy.

    Parameters
    ----------
    clips : Path
        Table from `index_clips`.
    batches : list of Path
        The video stores that its column ``batch`` counts.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : FigureOptions

    Raises
    ------
    InputError
        An input is unreadable, the table is empty, or it points to a store that is not given.
    """
    table = _read_clips(clips, batches)
    by_video = table.groupby("video_id").motion_energy.median().sort_values()
    examples = [
        _median_clip(table.loc[table.video_id == name]) for name in _spread(by_video, MOST_EXAMPLES)
    ]
    attributes = provenance("plot_clips", options, [clips, *batches])
    height_in = max(1.05 * len(examples), 4.5)
    with new_figure(figure, (10.5, height_in), options.dpi, attributes) as drawn:
        left, right = panels(drawn, 1, 2, width_ratios=(1.45, 1))
        _draw_examples(left, examples, batches)
        _draw_motion(right, table, by_video)
    write_caption(caption, *_describe(table, by_video, examples))


def _read_clips(path: Path, batches: list[Path]) -> pd.DataFrame:
    table = read_columns(path, COLUMNS, "index_clips")
    if table.empty:
        raise InputError(f"{path}: no clips; rerun index_clips")
    if not table.batch.between(0, len(batches) - 1).all():
        raise InputError(
            f"{path}: clips of {table.batch.max() + 1} video stores, but --batches names "
            f"{len(batches)}; give them all, in the order of index_clips"
        )
    return table


def _spread(by_video: pd.Series, most: int) -> list[str]:
    """Names of at most so many videos, evenly spread over the ranks, both ends included."""
    ranks = np.linspace(0, len(by_video) - 1, min(most, len(by_video))).round().astype(int)
    return [str(name) for name in by_video.index[ranks]]


def _median_clip(clips: pd.DataFrame) -> pd.Series:
    return clips.sort_values("motion_energy").iloc[len(clips) // 2]


def _frames(clip: pd.Series, batches: list[Path]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Frames of a clip (frame, y, x, channel), evenly spread, and their times in s."""
    shown = np.linspace(0, clip.n_frames - 1, min(FRAMES_SHOWN, clip.n_frames)).round().astype(int)
    with open_store(batches[clip.batch]) as store:
        frames = store["frames"].isel(time=clip.start + shown * clip.stride).to_numpy()
    return frames, shown / clip.frame_rate_hz


def _draw_examples(panel: SubFigure, examples: list[pd.Series], batches: list[Path]) -> None:
    grid = panel.subplots(len(examples), FRAMES_SHOWN, squeeze=False)
    for row, clip in zip(grid, examples, strict=True):
        frames, times_s = _frames(clip, batches)
        for axes in row:
            axes.set_axis_off()
        for axes, frame, time_s in zip(row, frames, times_s, strict=False):
            axes.imshow(frame.squeeze(), cmap="gray", vmin=0, vmax=255)
            label = axes.text(0.97, 0.04, f"{1000 * time_s:.0f} ms", transform=axes.transAxes,
                              ha="right", va="bottom", fontsize=6, color="white")  # fmt: skip
            label.set_bbox({"facecolor": "black", "alpha": 0.55, "pad": 1, "linewidth": 0})
        title = f"{clip.video_id}  ({clip.motion_energy:.1f} grey levels)"
        row[0].set_title(title, loc="left", fontsize=7, pad=2)


def _draw_motion(panel: SubFigure, table: pd.DataFrame, by_video: pd.Series) -> None:
    whole, videos = panel.subplots(2, 1, height_ratios=(1, 2.6), sharex=True)
    energy = table.motion_energy.to_numpy()
    bins = np.geomspace(energy.min(), energy.max() * 1.001, 31) if energy.min() > 0 else 30
    whole.hist(energy, bins=bins, color="0.35")
    whole.axvline(np.median(energy), color=ACCENT)
    whole.set(ylabel="clips", title=f"all {len(table)} clips (line: median)")
    shown = _spread(by_video, MOST_VIDEOS)
    _draw_boxes(videos, [table.motion_energy[table.video_id == name] for name in shown])
    labels = [f"{name} ({(table.video_id == name).sum()})" for name in shown]
    videos.set_yticks(range(len(shown)), labels)
    if energy.min() > 0:
        videos.set_xscale("log")
    videos.set(
        xlabel="motion energy of a clip (grey levels of 0–255)",
        title=f"{len(shown)} of {len(by_video)} videos (number of clips)",
    )


def _draw_boxes(axes: Axes, groups: list[pd.Series]) -> None:
    axes.boxplot(
        groups, orientation="horizontal", positions=range(len(groups)), widths=0.6, whis=(0, 100),
        medianprops={"color": ACCENT}, boxprops={"linewidth": 0.7},
        whiskerprops={"linewidth": 0.7}, capprops={"linewidth": 0.7},
    )  # fmt: skip


def _describe(table: pd.DataFrame, by_video: pd.Series, examples: list[pd.Series]) -> Iterator[str]:
    duration_s = table.n_frames / table.frame_rate_hz
    low, middle, high = (number(q, 1) for q in np.percentile(table.motion_energy, (5, 50, 95)))
    yield (
        f"**Natural video.** {len(table)} clips of {len(by_video)} videos, "
        f"{span(table.n_frames)} frames each at {span(table.frame_rate_hz, 1)} frames/s "
        f"({span(duration_s, 2)} s), {duration_s.sum():.0f} s of clips. Left: {FRAMES_SHOWN} "
        f"frames of one clip from each of {len(examples)} videos, chosen by rank from the stillest "
        "to the liveliest video; the clip is the one with its video's median motion energy."
    )
    yield (
        "Right: motion energy, the mean absolute difference between successive frames of a clip. "
        f"Median {middle} grey levels, 5th and 95th percentile {low} and {high}; boxes hold the "
        "quartiles of a video's clips, whiskers all of them. Motion energy counts the camera's "
        "motion, too."
    )


if __name__ == "__main__":
    run_stage(plot_clips)
