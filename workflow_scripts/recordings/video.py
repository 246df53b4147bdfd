"""Video files as frames of one size, streamed: memory does not grow with a video's length."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.progress import track

# A video may end this much before the end that its header announces. The duration of the video
# stream itself is exact to a frame or so; that of the whole file includes the audio, which may be
# the longer of the two.
STREAM_SHORTFALL = 0.02
FILE_SHORTFALL = 0.1
SHORTFALL_FRAMES = 3
# Recordings that were cut out of a longer one may open with frames that refer to lost ones.
DAMAGED_SHARE = 0.02

FETCH_AGAIN = "fetch or export the file again"


@dataclass(frozen=True)
class VideoFile:
    """One video: a file that PyAV opens, or a raw ``.npy`` array.

    Parameters
    ----------
    video_id : str
        Name of the video in tables and messages.
    path : Path
        The file. A ``.npy`` file holds uint8 (time, y, x) or (time, y, x, channel), with 1 or 3
        (red, green, blue) channels.
    frame_rate_hz : float, optional
        Frame rate of a ``.npy`` array; other files carry their own time stamps.
    """

    video_id: str
    path: Path
    frame_rate_hz: float | None = None


@dataclass(frozen=True)
class FrameFormat:
    """Size of decoded frames in pixels, and their channels: 1 (grey) or 3 (red, green, blue)."""

    height_px: int
    width_px: int
    channels: Literal[1, 3] = 1


class VideoError(InputError):
    """A video that cannot be used: `problem` says why, `remedy` what to do about it."""

    def __init__(self, path: Path, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


def read_frames(
    video: VideoFile, frame_format: FrameFormat, threads: int = 1
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Decode a video frame by frame, scaled to cover the format and cropped about its centre.

    Decoder and scaler hand out the wanted size and pixel format directly; rotation flags and
    non-square pixels are taken into account. Grey is the luma that the video stores, stretched to
    the full range 0–255.

    Parameters
    ----------
    video : VideoFile
        The file to decode.
    frame_format : FrameFormat
        Size and channels of the frames.
    threads : int
        Decoder threads; the frames do not depend on them.

    Yields
    ------
    time_s : float
        Time stamp of the frame, in seconds from the video's first frame.
    frame : NDArray[np.uint8], (y, x, channel)

    Raises
    ------
    VideoError
        At the first frame: the file is missing, empty or not a video. Later: a frame cannot be
        decoded, or, after the last one, the video ended earlier than its header announces, more
        than 2 % of its frames are damaged, or it has fewer than two frames.
    """
    decode = _decode_array if video.path.suffix == ".npy" else _decode_file
    n_frames = 0
    for time_s, frame in decode(video, frame_format, threads):
        yield time_s, frame
        n_frames += 1
    if n_frames < 2:
        problem = f"holds {n_frames} frame(s) and therefore no motion"
        raise VideoError(video.path, problem, FETCH_AGAIN)


class GreyMovie(NamedTuple):
    """A whole movie; its rate is that over all frames, for time stamps may be rounded to ms."""

    frames: NDArray[np.uint8]
    """(time, y, x)."""
    last_s: float
    """Time stamp of the last frame."""

    @property
    def frame_s(self) -> float:
        """Time that a frame is shown."""
        return self.last_s / (len(self.frames) - 1)

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return (len(self.frames) - 1) / self.last_s


def read_grey(movie: Path, height_px: int, width_px: int) -> GreyMovie:
    """Decode a whole movie in grey, scaled and cropped as by `read_frames`.

    Raises
    ------
    VideoError
        As `read_frames`.
    """
    video, size = VideoFile(movie.stem, movie), FrameFormat(height_px, width_px)
    stamped = list(track(read_frames(video, size), "frames"))
    return GreyMovie(np.stack([frame[..., 0] for _, frame in stamped]), stamped[-1][0])


def frame_size(movie: Path) -> tuple[int, int]:
    """Height and width of a movie's frames, pixels.

    Raises
    ------
    VideoError
        The file is missing, empty or not a video.
    """
    with _open(movie) as container:
        stream = container.streams.video[0]
        return stream.height, stream.width


@dataclass(frozen=True)
class VideoHeader:
    """What a video announces: frames (0 where it does not say) and their rate in Hz."""

    n_frames: int
    frame_rate_hz: float


def read_header(video: VideoFile) -> VideoHeader:
    """Read a video's header and decode two frames: milliseconds, whatever its length.

    Raises
    ------
    VideoError
        The file is missing, empty or not a video, or has not two frames that can be decoded.
    """
    deque(islice(read_frames(video, FrameFormat(16, 16)), 2))
    if video.path.suffix == ".npy":
        array = np.load(video.path, mmap_mode="r", allow_pickle=False)
        return VideoHeader(len(array), video.frame_rate_hz or 0.0)
    with _open(video.path) as container:
        stream = container.streams.video[0]
        rate_hz = float(stream.average_rate or stream.guessed_rate or 25)
        end_s, _ = _announced_end(container, stream, 0.0)
        return VideoHeader(stream.frames or round(end_s * rate_hz), rate_hz)


def _decode_array(
    video: VideoFile, frame_format: FrameFormat, threads: int
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    del threads  # there is nothing to decode
    try:
        array = np.load(video.path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise VideoError(video.path, f"not a readable .npy array ({error})", FETCH_AGAIN) from error
    if array.dtype != np.uint8 or array.ndim < 3 or array.shape[3:] not in {(), (1,), (3,)}:
        problem = f"holds {array.dtype} of shape {array.shape}"
        raise VideoError(video.path, problem, "save uint8 (time, y, x) or (time, y, x, 1 or 3)")
    if not video.frame_rate_hz:
        remedy = "give its frame_rate_hz in the sheet of videos"
        raise VideoError(video.path, "a raw array has no time stamps", remedy)
    colour = array.shape[3:] == (3,)
    scale = _Scaler(frame_format)
    for index, image in enumerate(array if colour else array.reshape(array.shape[:3])):
        pixels = np.ascontiguousarray(image)
        frame = VideoFrame.from_ndarray(pixels, format="rgb24" if colour else "gray")
        yield index / video.frame_rate_hz, scale(frame)


def _decode_file(
    video: VideoFile, frame_format: FrameFormat, threads: int
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    with _open(video.path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        tally = _Tally(float(stream.guessed_rate or stream.average_rate or 25))
        scale = _Scaler(frame_format, float(stream.sample_aspect_ratio or 1))
        try:
            for frame in container.decode(stream):
                yield tally.add(frame), scale(frame)
        except FFmpegError as error:
            problem = f"cannot be decoded beyond {tally.end_s:.2f} s ({error.strerror})"
            raise VideoError(video.path, problem, FETCH_AGAIN) from error
        problem = tally.problem(*_announced_end(container, stream, tally.first_s))
    if problem:
        raise VideoError(video.path, problem, FETCH_AGAIN)


class _Tally:
    """Counts what comes out of a decoder, to compare it with what the header announces."""

    def __init__(self, frame_rate_hz: float) -> None:
        self.frame_rate_hz = frame_rate_hz
        self.first_s = self.end_s = 0.0
        self.n_frames = self.n_damaged = 0

    def add(self, frame: VideoFrame) -> float:
        """Count a frame and return its time in seconds from the first one."""
        # Raw streams have no time stamps: there the number of the frame stands in.
        time_s = self.n_frames / self.frame_rate_hz if frame.pts is None else frame.time
        if self.n_frames == 0:
            self.first_s = time_s
        self.n_frames += 1
        self.n_damaged += frame.is_corrupt
        shown_s = float((frame.duration or 0) * (frame.time_base or 0)) or 1 / self.frame_rate_hz
        self.end_s = time_s + shown_s
        return time_s - self.first_s

    def problem(self, announced_end_s: float, shortfall: float) -> str:
        """Say what is wrong with a video that was decoded to its end; empty if nothing is."""
        allowed_s = max(shortfall * announced_end_s, SHORTFALL_FRAMES / self.frame_rate_hz)
        if announced_end_s - self.end_s > allowed_s:
            return f"truncated: ends at {self.end_s:.2f} s of the announced {announced_end_s:.2f} s"
        if self.n_damaged > DAMAGED_SHARE * self.n_frames:
            return f"{self.n_damaged} of its {self.n_frames} frames are damaged"
        return ""


def _open(path: Path) -> InputContainer:
    try:
        if path.stat().st_size == 0:
            raise VideoError(path, "an empty file", FETCH_AGAIN)
        container = av.open(str(path), metadata_errors="ignore")
    except FFmpegError as error:
        problem = f"not a video that PyAV can open ({error.strerror})"
        raise VideoError(path, problem, f"{FETCH_AGAIN}, or convert it, e.g. to H.264") from error
    except OSError as error:
        raise VideoError(path, f"cannot be read ({error.strerror})", "mend its path") from error
    if not container.streams.video:
        container.close()
        raise VideoError(path, "has no video stream", "leave it out")
    return container


def _announced_end(
    container: InputContainer, stream: VideoStream, first_s: float
) -> tuple[float, float]:
    """When the header says that the video ends, in s (0 if it does not), and what share may lack.

    The duration of a stream counts from its first frame; that of a Matroska file from time 0.
    """
    if stream.duration and stream.time_base:
        return first_s + float(stream.duration * stream.time_base), STREAM_SHORTFALL
    return (container.duration or 0) / av.time_base, FILE_SHORTFALL


class _Scaler:
    """Scales frames to cover a format, and crops what stands over."""

    def __init__(self, frame_format: FrameFormat, pixel_aspect: float = 1.0) -> None:
        self.frame_format = frame_format
        self.pixel_aspect = pixel_aspect
        self._reformatter = VideoReformatter()  # keeps its tables from frame to frame

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        size = self.frame_format
        quarter_turns = round(frame.rotation / 90)  # counter-clockwise
        upright = quarter_turns % 2 == 0
        height_px, width_px = size.height_px, size.width_px
        scaled = self._scale(frame, *((height_px, width_px) if upright else (width_px, height_px)))
        turned = np.rot90(scaled, quarter_turns)
        top, left = (turned.shape[0] - height_px) // 2, (turned.shape[1] - width_px) // 2
        cropped = turned[top : top + height_px, left : left + width_px]
        return cropped.reshape(height_px, width_px, size.channels)

    def _scale(self, frame: VideoFrame, height_px: int, width_px: int) -> NDArray[np.uint8]:
        shown_width = frame.width * self.pixel_aspect
        scale = max(height_px / frame.height, width_px / shown_width)
        grey = self.frame_format.channels == 1
        # With one colour space on both sides the luma itself is scaled: by default PyAV computes
        # grey by way of red, green and blue, with another standard's weights, 3 times slower.
        colorspace = Colorspace.DEFAULT if grey else None
        scaled = self._reformatter.reformat(
            frame,
            width=max(width_px, round(shown_width * scale)),
            height=max(height_px, round(frame.height * scale)),
            format="gray" if grey else "rgb24",
            src_colorspace=colorspace,
            dst_colorspace=colorspace,
            interpolation=Interpolation.AREA,
            threads=1,
        )
        return scaled.to_ndarray().astype(np.uint8, copy=False)
