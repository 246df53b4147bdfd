"""The videos of a study: from a sample sheet or a folder to batches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.sheets import Row, read_sheet, short_path

# What a folder is searched for; a sheet may name any file, and raw .npy arrays.
SUFFIXES = frozenset({
    ".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mxf", ".ogv", ".ts",
    ".webm", ".wmv",
})  # fmt: skip


class Video(NamedTuple):
    """One video file; `path` is relative to the working directory where that is possible."""

    video_id: str
    path: str
    frame_rate_hz: float | None = None
    licence: str = ""
    source: str = ""

    def options(self) -> dict[str, Any]:
        """What `ingest_videos` is told about it."""
        read = {"video_id": self.video_id, "path": self.path}
        return read if self.frame_rate_hz is None else read | {"frame_rate_hz": self.frame_rate_hz}


def batches_of_videos(section: Mapping[str, Any], root: Path) -> dict[str, tuple[Video, ...]]:
    """Group the configured videos into batches, each one job.

    Excluding a video leaves all other batches as they are.

    Parameters
    ----------
    section : Mapping[str, Any]
        The config's `videos`: `source`, `exclude`, `batch_size`.
    root : Path
        Folder that relative paths start from.

    Returns
    -------
    dict[str, tuple[Video, ...]]
        Batch name (``"000"``) to its videos; batches without a video are left out.

    Raises
    ------
    InputError
        With every problem at once: no such sheet or folder, a malformed row, an identifier twice,
        a file that is not there, an exclusion that matches no video, no video left.
    """
    source = root / section["source"]
    videos, problems = list_videos(section, root)
    if problems:
        raise InputError(f"{source}: {len(problems)} problem(s)\n  " + "\n  ".join(problems))
    excluded = set(section["exclude"])
    unknown = sorted(excluded - {video.video_id for video in videos})
    if unknown:
        raise InputError(f"videos.exclude names no known video: {', '.join(unknown)}; delete them")
    size = section["batch_size"]
    batches = {
        f"{first // size:03d}": tuple(
            video for video in videos[first : first + size] if video.video_id not in excluded
        )
        for first in range(0, len(videos), size)
    }
    kept = {name: batch for name, batch in batches.items() if batch}
    if not kept:
        raise InputError(f"videos.source: no video is left of {source}; add one")
    return kept


def list_videos(section: Mapping[str, Any], root: Path) -> tuple[list[Video], list[str]]:
    """List the videos of a sheet or folder, excluded ones too, and the problems of the sheet.

    Parameters
    ----------
    section, root
        As in `batches_of_videos`.

    Returns
    -------
    videos : list[Video]
        Those whose row is in order.
    problems : list[str]
        What is wrong with the other rows.

    Raises
    ------
    InputError
        There is no such sheet or folder.
    """
    source = root / section["source"]
    if source.is_dir():
        return _list_folder(source), []
    if not source.is_file():
        raise InputError(
            f"videos.source: nothing at {source}; give a folder or a tab-separated sheet"
        )
    schema = root / "resources/schemas/videos.schema.yaml"
    rows, problems = read_sheet(source, schema, "video_id", _missing_file)
    return [_video(row, source.parent) for row in rows], problems


def _missing_file(row: Row, folder: Path) -> Iterator[str]:
    if "path" in row and not (folder / row["path"]).is_file():
        yield f"path: no file {folder / row['path']}; mend or delete the row"


def _video(row: Row, folder: Path) -> Video:
    return Video(
        row["video_id"],
        short_path(folder / row["path"]),
        float(row["frame_rate_hz"]) if "frame_rate_hz" in row else None,
        row.get("licence", ""),
        row.get("source", ""),
    )


def _list_folder(folder: Path) -> list[Video]:
    """List a folder tree (Kinetics: one subfolder per class); a video's id is its path in it."""
    files = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return [
        Video(file.relative_to(folder).as_posix(), short_path(file))
        for file in _in_order(files)
        if file.suffix.lower() in SUFFIXES
    ]


def _in_order(files: Iterable[Path]) -> list[Path]:
    return sorted(files, key=lambda file: file.as_posix())
