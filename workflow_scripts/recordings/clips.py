"""Clips: equally long pieces of videos, and how much moves in them.

A clip is ``frames[start : start + n_frames * stride : stride]`` of a video store.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from numpy.typing import NDArray

# A still picture that was encoded as a video stays below this mean frame difference, in grey
# levels (x264 and MPEG-4 at all usual qualities); the quietest natural video seen here has 0.5.
STILL_GREY_LEVELS = 0.1

_BLOCK_FRAMES = 256


def frame_stride(frame_rate_hz: float, clip_rate_hz: float) -> int:
    """How many frames of a video one frame of a clip stands for: at least 1, rounded."""
    return max(1, round(frame_rate_hz / clip_rate_hz))


def clip_span(n_frames: int, stride: int) -> int:
    """Frames of a video from a clip's first to its last."""
    return (n_frames - 1) * stride + 1


def motion_energy(
    frames: NDArray[np.uint8] | zarr.Array[Any], video: slice, stride: int
) -> NDArray[np.float32]:
    """Mean absolute difference between each frame of a video and the one `stride` later.

    Parameters
    ----------
    frames : NumPy or zarr array of uint8, (time, y, x, channel)
        Frames of all videos; read in blocks, so that memory does not grow with their length.
    video : slice
        The frames of the video, from its first to after its last.
    stride : int
        Distance of the compared frames.

    Returns
    -------
    NDArray[np.float32], one per frame of the video
        In grey levels, 0–255; NaN for the last `stride` frames, which have no later one.
    """
    energy = np.full(video.stop - video.start, np.nan, np.float32)
    for first in range(0, energy.size - stride, _BLOCK_FRAMES):
        last = min(first + _BLOCK_FRAMES, energy.size - stride)
        block = np.asarray(frames[video.start + first : video.start + last + stride])
        earlier, later = block[:-stride], block[stride:]
        # uint8 arithmetic wraps around; this difference does not
        change = np.maximum(earlier, later) - np.minimum(earlier, later)
        energy[first:last] = change.mean(axis=(1, 2, 3), dtype=np.float64)
    return energy


def cut_into_clips(store: xr.Dataset, n_frames: int, hop: float) -> pd.DataFrame:
    """List the clips of a video store, in order.

    Parameters
    ----------
    store : xr.Dataset
        Video store as `ingest_videos` writes it.
    n_frames : int
        Frames of a clip, at least 2.
    hop : float
        From one clip's start to the next, in clip lengths: 1 for end to end, 0.5 for half overlap.

    Returns
    -------
    pd.DataFrame
        One row per clip: ``video_id start n_frames stride frame_rate_hz motion_energy``, with the
        clip's own frame rate, and its motion energy averaged over successive frames of the clip.
        Videos that are too short for one clip have no row.
    """
    energy = store["motion_energy"].to_numpy()
    columns = [store[name].to_numpy() for name in ("start", "n_frames", "stride")]
    tables = []
    for video, (first, n_video_frames, stride) in enumerate(np.column_stack(columns).tolist()):
        starts = first + _clip_starts(n_video_frames, n_frames, stride, hop)
        pairs = starts[:, None] + stride * np.arange(n_frames - 1)
        clips = {
            "video_id": str(store["video_id"].to_numpy()[video]),
            "start": starts,
            "n_frames": n_frames,
            "stride": stride,
            "frame_rate_hz": float(store["frame_rate_hz"][video]) / stride,
            "motion_energy": energy[pairs].mean(axis=1),
        }
        tables.append(pd.DataFrame(clips))
    return pd.concat(tables, ignore_index=True)


def _clip_starts(n_video_frames: int, n_frames: int, stride: int, hop: float) -> NDArray[np.int64]:
    step = max(1, round(hop * n_frames * stride))
    return np.arange(0, n_video_frames - clip_span(n_frames, stride) + 1, step)
