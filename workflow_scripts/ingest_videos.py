"""Decode a batch of videos into one store, and list the videos that cannot be used."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray

from workflow_scripts.recordings.clips import STILL_GREY_LEVELS, frame_stride, motion_energy
from workflow_scripts.recordings.video import FrameFormat, VideoError, VideoFile, read_frames
from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import COMPRESSOR, StoreWriter

# A clip touches few chunks, and a store of an hour of video is a hundred files.
CHUNK_FRAMES = 16
SHARD_FRAMES = 1024


@dataclass(frozen=True)
class IngestVideosOptions:
    """Options of `ingest_videos`.

    Parameters
    ----------
    videos : list of VideoFile
        The videos of the batch: `video_id`, `path`, and `frame_rate_hz` for ``.npy`` arrays.
    height_px, width_px : int
        Size of the stored frames: videos are scaled to cover it and cropped about their centre.
    channels : 1 or 3
        Grey, or red, green and blue.
    frame_rate_hz : float
        Frame rate that clips will have. Every frame is stored; this sets each video's `stride`,
        and with it the frames between which motion energy is measured.
    """

    videos: list[VideoFile]
    height_px: int
    width_px: int
    channels: Literal[1, 3]
    frame_rate_hz: float

    def __post_init__(self) -> None:
        for name in ("height_px", "width_px", "frame_rate_hz"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name}: {getattr(self, name)}; give a positive number")

    @property
    def frame_format(self) -> FrameFormat:
        """Size and channels of the stored frames."""
        return FrameFormat(self.height_px, self.width_px, self.channels)


def ingest_videos(
    store: Path, problems: Path, options: IngestVideosOptions, threads: int = 1
) -> None:
    """Decode the videos of one batch; those that cannot be used do not stop the others.

    Parameters
    ----------
    store : Path
        Video store to write: `frames (time, y, x, channel)` uint8 holds all videos one after the
        other; `frame_time (time)` is each frame's time from its own video's start, in s, and
        `motion_energy (time)` the mean absolute difference from the frame one `stride` later, in
        grey levels; `video_id path start n_frames frame_rate_hz stride (video)` describe the good
        videos. Frames of a video that turned out to be bad stay in the array, without a video
        that claims them.
    problems : Path
        Table to write (tab-separated `video_id path problem remedy`): a row for each video that is
        missing, empty, undecodable, truncated, damaged or still. `index_clips` refuses to go on
        until they are mended or excluded.
    options : IngestVideosOptions
        What to decode, and how.
    threads : int
        Decoder threads; the store does not depend on them.
    """
    files = [video.path for video in options.videos if video.path.is_file()]
    with StoreWriter(store, provenance("ingest_videos", options, files)) as group:
        frames = _FrameWriter(group, options.frame_format)
        videos, found = _decode(options, frames, threads)
        energy = np.full(len(frames.times_s), np.nan, np.float32)
        for video in videos:
            energy[video.own] = motion_energy(frames.array, video.own, video.stride)
        still = [problem for video in videos if (problem := _stillness(video, energy))]
        named = {problem.video_id for problem in still}
        _describe_frames(group, frames.times_s, energy)
        _describe_videos(group, [video for video in videos if video.video_id not in named])
    found += still
    _write_problems(problems, found)
    print(f"{len(options.videos)} videos, {len(found)} with problems: {problems}", flush=True)


@dataclass(frozen=True)
class _Video:
    """Where a decoded video's frames are, and its rates."""

    video_id: str
    path: str
    start: int
    n_frames: int
    frame_rate_hz: float
    stride: int

    @property
    def own(self) -> slice:
        return slice(self.start, self.start + self.n_frames)


@dataclass(frozen=True)
class _Problem:
    video_id: str
    path: str
    problem: str
    remedy: str


class _FrameWriter:
    """Appends frames to the store's array, whole shards at a time."""

    def __init__(self, group: zarr.Group, frame_format: FrameFormat) -> None:
        size = (frame_format.height_px, frame_format.width_px, frame_format.channels)
        self.array = group.create_array(
            "frames",
            shape=(0, *size),
            dtype="uint8",
            chunks=(CHUNK_FRAMES, *size),
            shards=(SHARD_FRAMES, *size),
            compressors=COMPRESSOR,
            dimension_names=("time", "y", "x", "channel"),
            attributes={"units": "grey level", "long_name": "frames of all videos"},
        )
        self.times_s: list[float] = []
        self._shard = np.empty((SHARD_FRAMES, *size), np.uint8)

    def append(self, time_s: float, frame: NDArray[np.uint8]) -> None:
        self._shard[len(self.times_s) % SHARD_FRAMES] = frame
        self.times_s.append(time_s)
        if len(self.times_s) % SHARD_FRAMES == 0:
            self.flush()

    def flush(self) -> None:
        """Write what waits; after a part of a shard nothing can be appended."""
        waiting = len(self.times_s) - self.array.shape[0]
        if waiting:
            self.array.append(self._shard[:waiting])


def _decode(
    options: IngestVideosOptions, frames: _FrameWriter, threads: int
) -> tuple[list[_Video], list[_Problem]]:
    videos: list[_Video] = []
    problems: list[_Problem] = []
    for file in track(options.videos, "videos decoded"):
        start = len(frames.times_s)
        try:
            for time_s, frame in read_frames(file, options.frame_format, threads):
                frames.append(time_s, frame)
        except VideoError as error:
            names = file.video_id, str(file.path)
            problems.append(_Problem(*names, error.problem, error.remedy))
            continue
        n_frames = len(frames.times_s) - start
        # From the time stamps: some containers give no rate, or a wrong one, in their header.
        rate_hz = (n_frames - 1) / frames.times_s[-1]
        stride = frame_stride(rate_hz, options.frame_rate_hz)
        videos.append(_Video(file.video_id, str(file.path), start, n_frames, rate_hz, stride))
    frames.flush()
    return videos, problems


def _stillness(video: _Video, energy: NDArray[np.float32]) -> _Problem | None:
    change = energy[video.own][: -video.stride]
    if change.size == 0 or change.mean() >= STILL_GREY_LEVELS:
        return None
    problem = f"still: its frames differ by {change.mean():.3f} grey levels on average"
    return _Problem(video.video_id, video.path, problem, "leave it out")


def _describe_frames(group: zarr.Group, times_s: list[float], energy: NDArray[np.float32]) -> None:
    _add(
        group,
        "time",
        "frame_time",
        np.array(times_s),
        units="s",
        long_name="time from the video's first frame",
    )
    long_name = "mean absolute difference from the frame one stride later"
    _add(group, "time", "motion_energy", energy, units="grey level", long_name=long_name)


def _describe_videos(group: zarr.Group, videos: list[_Video]) -> None:
    text = np.dtypes.StringDType()
    for name, dtype, units, long_name in (
        ("video_id", text, "1", "name of the video"),
        ("path", text, "1", "file of the video"),
        ("start", np.int64, "frame", "first frame of the video"),
        ("n_frames", np.int64, "frame", "number of frames of the video"),
        ("frame_rate_hz", np.float64, "Hz", "mean frame rate, from the time stamps"),
        ("stride", np.int64, "frame", "frames of the video per frame of a clip"),
    ):
        values = np.array([getattr(video, name) for video in videos], dtype)
        _add(group, "video", name, values, units=units, long_name=long_name)


def _add(
    group: zarr.Group, dim: str, name: str, values: NDArray[Any], *, units: str, long_name: str
) -> None:
    group.create_array(
        name,
        data=values,
        compressors=COMPRESSOR,
        dimension_names=(dim,),
        attributes={"units": units, "long_name": long_name},
    )


def _write_problems(path: Path, problems: list[_Problem]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(_Problem)], delimiter="\t")
        table.writeheader()
        table.writerows(asdict(problem) for problem in problems)


if __name__ == "__main__":
    run_stage(ingest_videos)
