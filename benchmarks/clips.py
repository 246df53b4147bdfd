"""Videos to frames, clips to the model, and views of clips."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from pytorchvideo.data import LabeledVideoDataset, make_clip_sampler
from pytorchvideo.data.encoded_video import EncodedVideo
from torch.nn import functional
from torchvision.transforms import v2

from benchmarks.harness import Comparison, Row, cores
from workflow_scripts.index_clips import IndexClipsOptions, index_clips
from workflow_scripts.ingest_videos import IngestVideosOptions, ingest_videos
from workflow_scripts.recordings.video import FrameFormat, VideoFile, read_frames
from workflow_scripts.training.augmentation import AugmentationOptions, Geometry, render_view
from workflow_scripts.training.clips import ClipSource

ROOT = Path(__file__).resolve().parents[1]
RATE_HZ, N_FRAMES = 15.0, 16


def videos(small: bool) -> list[Path]:
    """Natural videos: a folder of one's own in $VIDEOS, or those of the study."""
    folder = Path(os.environ.get("VIDEOS", ROOT / "resources" / "natural_video"))
    found = sorted(folder.glob("*.mp4"))
    return found[:2] if small else found


def rows(small: bool, folder: Path) -> Iterator[Row]:
    """Ingest, clips from memory and from the compressed store, augmentation."""
    files = videos(small)
    yield _ingest(files[:1] if small else files[:2])
    side = 32 if small else 112
    sources = clip_sources(files, folder, side)
    for name, source in sources.items():
        yield _clips(name, source, files, side, batch=4 if small else 64)
    yield _augmentation(batch=4 if small else 32)


# Video ingest -------------------------------------------------------------------------------------


def _ingest(files: list[Path]) -> Comparison:
    size = FrameFormat(96, 128)
    n_frames = sum(1 for file in files for _ in read_frames(VideoFile("v", file), size))

    def ours() -> np.ndarray:
        every = (read_frames(VideoFile("v", file), size, cores()) for file in files)
        return np.stack([frame[..., 0] for one in every for _, frame in one])

    def theirs() -> np.ndarray:
        return np.concatenate([pyav_loop(file, size) for file in files])

    def agree(a: np.ndarray, b: np.ndarray) -> None:
        # PyAV's grey goes by way of red, green and blue, and the means of whole pixels differ.
        assert a.shape == b.shape
        assert np.abs(a.astype(float) - b).mean() < 4

    return Comparison(
        part="video ingest",
        work=f"{n_frames} frames of {len(files)} H.264 videos to 96 × 128 grey, {cores()} threads",
        peer="PyAV frame loop, frames resized by torch",
        goal=1.5, ours=ours, theirs=theirs, agree=agree, unit="frames", n_ours=n_frames,
        n_theirs=n_frames,
        reason="decoding H.264 is the same work for both and the floor: what scaling adds is small "
        "for videos of this size",
    )  # fmt: skip


def pyav_loop(file: Path, size: FrameFormat) -> np.ndarray:
    """Decode whole frames, and resize them afterwards: (time, y, x)."""
    frames = []
    with av.open(str(file)) as container:
        for frame in container.decode(video=0):
            image = torch.from_numpy(frame.to_ndarray(format="gray"))
            frames.append(_cover(image[None, None].float(), size)[0, 0])
    return torch.stack(frames).round().byte().numpy()


def _cover(frames: torch.Tensor, size: FrameFormat) -> torch.Tensor:
    """Scale frames (…, y, x) to cover a size, and crop about the centre."""
    height, width = frames.shape[-2:]
    scale = max(size.height_px / height, size.width_px / width)
    sides = [max(size.height_px, round(height * scale)), max(size.width_px, round(width * scale))]
    scaled = functional.interpolate(frames, sides, mode="bilinear", antialias=True)
    top, left = (sides[0] - size.height_px) // 2, (sides[1] - size.width_px) // 2
    return scaled[..., top : top + size.height_px, left : left + size.width_px]


# Clips to the model -------------------------------------------------------------------------------


def clip_sources(files: list[Path], folder: Path, side: int) -> dict[str, ClipSource]:
    """Stores of the videos as the study makes them, read into memory and clip by clip."""
    store, problems, clips = (folder / name for name in ("000.zarr", "000.tsv", "clips.parquet"))
    listed = [VideoFile(file.stem, file) for file in files]
    ingest_videos(store, problems, IngestVideosOptions(listed, side, side, 3, RATE_HZ), cores())
    index_clips([store], [problems], clips, IndexClipsOptions(N_FRAMES, hop=0.1))
    return {
        "in memory": ClipSource(clips, [store]),
        "from the compressed store": ClipSource(clips, [store], memory_bytes=0),
    }


def _clips(name: str, source: ClipSource, files: list[Path], side: int, batch: int) -> Comparison:
    steps = iter(range(10**9))
    # its epoch is one clip of each video
    peer = chain.from_iterable(repeat(pytorchvideo_clips(files, side)))
    n_theirs = 2

    def agree(ours: torch.Tensor, theirs: torch.Tensor) -> None:
        shape = (3, N_FRAMES, side, side)
        assert ours.shape[1:] == shape
        assert theirs.shape[1:] == shape
        _same_clip(source, files, side)

    return Comparison(
        part=f"clips to the model, {name}",
        work=f"random clips of 3 × {N_FRAMES} × {side} × {side}",
        peer="pytorchvideo LabeledVideoDataset, one process",
        goal=200, ours=lambda: source.batch(next(steps), batch, 0),
        theirs=lambda: torch.stack([next(peer)["video"] for _ in range(n_theirs)]),
        agree=agree, unit="clips", n_ours=batch, n_theirs=n_theirs,
        reason="the floor is decompression: zstd gives about 1 GB/s a core and a clip has 0.6 MB; "
        "the peer's time is its decoding, which the videos' size and a clip's place decide",
    )  # fmt: skip


def pytorchvideo_clips(files: list[Path], side: int) -> LabeledVideoDataset:
    """Random clips of the same length and size, uint8 (channel, time, y, x)."""

    def transform(sample: dict[str, Any]) -> dict[str, Any]:
        return {"video": _resample(sample["video"], side)}

    sampler = make_clip_sampler("random", N_FRAMES / RATE_HZ)
    listed: list[Any] = [(str(file), {}) for file in files]
    return LabeledVideoDataset(listed, sampler, transform=transform, decode_audio=False)


def _resample(video: torch.Tensor, side: int) -> torch.Tensor:
    """Decoded frames (channel, time, y, x) to `N_FRAMES` of them, resized."""
    chosen = torch.linspace(0, video.shape[1] - 1, N_FRAMES).long()
    frames = _cover(video[:, chosen].transpose(0, 1), FrameFormat(side, side))
    return frames.round().clamp(0, 255).byte().transpose(0, 1)


def _same_clip(source: ClipSource, files: list[Path], side: int) -> None:
    """One clip read by both is the same to a few grey levels."""
    row = source.table.iloc[len(source) // 3]
    file = next(file for file in files if file.stem == row["video_id"])
    first = source.table.loc[source.table["video_id"] == row["video_id"], "start"].min()
    frame_s = Fraction(1) / Fraction(row["frame_rate_hz"] * row["stride"])
    start_s = (int(row["start"]) - int(first)) * frame_s
    video = EncodedVideo.from_path(str(file), decode_audio=False)
    last = ((N_FRAMES - 1) * int(row["stride"]) + Fraction(1, 2)) * frame_s
    decoded = video.get_clip(max(0, start_s - frame_s / 2), start_s + last)["video"]
    assert decoded is not None
    ours = source.read(np.array([len(source) // 3]))[0].float()
    off = (_resample(decoded, side).float() - ours).abs().mean()
    assert off < 6, f"the same clip differs by {off:.1f} grey levels"


# Augmentation -------------------------------------------------------------------------------------


def _augmentation(batch: int) -> Comparison:
    options = AugmentationOptions(crop_px=48, pan_px_per_frame=0)
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(256, (batch, 1, 8, 96, 128), dtype=torch.uint8, generator=generator)
    draw = torch.rand(4, batch, generator=generator)
    still = Geometry(draw[0] < 0.5, draw[1] < 0.5, draw[2] * 2 * torch.pi, torch.zeros(batch, 2))
    transform = per_clip_transform(options)

    def agree(ours: torch.Tensor, theirs: torch.Tensor) -> None:
        assert ours.shape == theirs.shape
        _same_rotation()

    return Comparison(
        part="augmentation",
        work=f"{batch} clips of 8 × 96 × 128 to 8 × 48 × 48: flip, reversal, rotation, crop and "
        "scale, blur, contrast",
        peer="torchvision.transforms.v2, clip by clip",
        goal=5, ours=lambda: render_view(clips, still, options, generator),
        theirs=lambda: torch.stack([transform(clip.transpose(0, 1)) for clip in clips])
        .transpose(1, 2), agree=agree, unit="clips", n_ours=batch, n_theirs=batch,
        reason="of our time, sampling takes a fifth, the grid and its sums a third, blur and "
        "frames most of the rest; the peer draws no pan",
    )  # fmt: skip


def per_clip_transform(options: AugmentationOptions) -> v2.Compose:
    """The same list of changes in torchvision's terms, for one clip (time, channel, y, x)."""
    smallest, largest = (side**2 for side in options.crop_share)
    return v2.Compose([
        v2.Lambda(lambda clip: clip.flip(0) if torch.rand(()) < 0.5 else clip),
        v2.RandomHorizontalFlip(),
        v2.RandomRotation([-180.0, 180.0], interpolation=v2.InterpolationMode.BILINEAR),
        v2.RandomResizedCrop(
            options.crop_px, scale=(smallest, largest), ratio=(1, 1), antialias=False
        ),
        v2.ToDtype(torch.float32, scale=True),
        v2.GaussianBlur(5, (0.05, options.blur_sigma_px)),
        v2.ColorJitter(brightness=options.contrast / 2, contrast=options.contrast),
    ])  # fmt: skip


def _same_rotation() -> None:
    """Without random scale, blur and contrast, a rotated view is torchvision's rotation."""
    clip = functional.interpolate(torch.rand(1, 2, 6, 6), (48, 48), mode="bicubic").clamp(0, 1)
    clip = (clip * 255).byte()
    angle = 30.0
    whole = AugmentationOptions(48, 2, (1.0, 1.0), 0.0, 0.0, 0.0)
    upright = torch.zeros(1, dtype=torch.bool)
    geometry = Geometry(upright, upright, torch.tensor([angle]).deg2rad(), torch.zeros(1, 2))
    ours = render_view(clip[:, None], geometry, whole, torch.Generator())[0, 0]
    bilinear = v2.InterpolationMode.BILINEAR
    theirs = v2.functional.rotate(clip[0][:, None].float() / 255, angle, bilinear)[:, 0]
    off = (ours - theirs)[:, 12:36, 12:36].abs().max()
    assert off < 0.01, f"a rotated clip differs by {off:.2f} of the range"
