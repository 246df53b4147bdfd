"""List the clips of all videos, after checking that every video can be used."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import xarray as xr

from workflow_scripts.recordings.clips import clip_span, cut_into_clips
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import write_table
from workflow_scripts.stores.zarr_store import open_store


@dataclass(frozen=True)
class IndexClipsOptions:
    """Options of `index_clips`.

    Parameters
    ----------
    n_frames : int
        Frames of a clip, at least 2.
    hop : float
        From one clip's start to the next, in clip lengths: 1 for end to end, 0.5 for half overlap.
    min_motion_energy : float
        Clips in which less moves are left out, in grey levels (0–255) of mean absolute difference
        between successive frames; 0 keeps all.
    """

    n_frames: int
    hop: float = 1.0
    min_motion_energy: float = 0.0

    def __post_init__(self) -> None:
        if self.n_frames < 2:
            raise InputError(f"clips.n_frames: {self.n_frames}; a clip needs at least 2 frames")
        if self.hop <= 0:
            raise InputError(f"clips.hop: {self.hop}; give a positive number of clip lengths")


def index_clips(
    batches: list[Path], problems: list[Path], clips: Path, options: IndexClipsOptions
) -> None:
    """Cut the videos of all batches into clips of equal length.

    Parameters
    ----------
    batches : list of Path
        Video stores of `ingest_videos`.
    problems : list of Path
        Their tables of problems.
    clips : Path
        Table to write (parquet), one row per clip: `video_id`, `batch` (place of its store in
        `batches`), `start` (frame of that store), `n_frames`, `stride`, `frame_rate_hz` (of the
        clip) and `motion_energy` (grey levels). The clip is ``frames[start : start + n_frames *
        stride : stride]``.
    options : IndexClipsOptions
        How clips are cut and chosen.

    Raises
    ------
    InputError
        Naming all videos that cannot be used, or are too short for one clip, with what to do; or
        no clip is left.
    """
    stores = [open_store(path) for path in batches]
    bad = [row for path in problems for row in _read_problems(path)]
    bad += [row for store in stores for row in _too_short(store, options.n_frames)]
    if bad:
        raise InputError(_message(bad))
    cut = [cut_into_clips(store, options.n_frames, options.hop) for store in stores]
    for batch, frame in enumerate(cut):
        frame.insert(1, "batch", batch)
    table = pd.concat(cut, ignore_index=True)
    kept = table.loc[table["motion_energy"] >= options.min_motion_energy, :]
    if kept.empty:
        liveliest = table["motion_energy"].max()
        raise InputError(
            f"clips.min_motion_energy: {options.min_motion_energy} leaves none of {len(table)} "
            f"clips, of which the liveliest has {liveliest:.2f} grey levels; lower it"
        )
    print(
        f"{len(kept)} clips of {len(set(kept['video_id']))} videos; {len(table) - len(kept)} "
        f"stiller than {options.min_motion_energy} grey levels left out",
        flush=True,
    )
    write_table(clips, kept, provenance("index_clips", options, [*batches, *problems]))


def _read_problems(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file, delimiter="\t"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}); run ingest_videos again") from error


def _too_short(store: xr.Dataset, n_frames: int) -> Iterator[dict[str, str]]:
    columns = [store[name].to_numpy() for name in ("video_id", "path", "n_frames", "stride")]
    for video_id, path, n_video_frames, stride in zip(*columns, strict=True):
        span = clip_span(n_frames, int(stride))
        if n_video_frames < span:
            yield {
                "video_id": video_id,
                "path": path,
                "problem": f"too short: {n_video_frames} frames, where one clip takes {span}",
                "remedy": "leave it out, or shorten clips.n_frames",
            }


def _message(bad: list[dict[str, str]]) -> str:
    rows = ["  {video_id} ({path}): {problem}; {remedy}".format(**row) for row in bad]
    names = json.dumps([row["video_id"] for row in bad], ensure_ascii=False)
    return "\n".join(
        [
            f"{len(bad)} video(s) cannot be used:",
            *rows,
            "To go on without them, set in config.yaml",
            f"  videos: {{exclude: {names}}}",
            "beside what is excluded already, or delete their rows from the sheet of videos.",
        ]
    )


if __name__ == "__main__":
    run_stage(index_clips)
