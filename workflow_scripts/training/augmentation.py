"""Two views of each clip, batched on the device.

Geometry that changes the direction of motion (flip, rotation, time reversal, the pan of the crop
window) is drawn once per pair and shared by both views, so that contrast cannot teach the network
to ignore direction. Position, scale, contrast and blur are drawn per view, and are constant over
its frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional

from workflow_scripts.models.processes import count, own_share, uniform
from workflow_scripts.stores.errors import InputError

FrameOrder = Literal["natural", "static", "shuffled"]
BLUR_TAPS = 5


@dataclass(frozen=True)
class AugmentationOptions:
    """How views are drawn.

    Parameters
    ----------
    crop_px : int
        Side of a view.
    n_frames : int
        Frames of a view; a clip that has more lets each view start at its own time.
    crop_share : tuple of float
        Smallest and largest side of the crop window, as a share of the clip's shorter side.
    pan_px_per_frame : float
        Ego-motion: speed of the crop window in pixels of the clip a frame, drawn between half of
        this and all of it; 0 for none.
    contrast : float
        Contrast and brightness change by up to this share.
    blur_sigma_px : float
        Largest standard deviation of the Gaussian blur.
    independent_flips : bool
        Ablation: draw the geometry of each view anew, which trains direction invariance.
    frame_order : {"natural", "static", "shuffled"}
        Controls: one frame repeated (the "ventral" control), or the frames of each finished view in
        a random order of its own: of motion, the pan's too, only the axis is left, not the sense.
    """

    crop_px: int = 56
    n_frames: int = 8
    crop_share: tuple[float, float] = (0.4, 0.65)
    pan_px_per_frame: float = 2.0
    contrast: float = 0.4
    blur_sigma_px: float = 1.0
    independent_flips: bool = False
    frame_order: FrameOrder = "natural"


@dataclass
class Geometry:
    """Motion-changing draws, each (batch,): mirrored, reversed, rotation and pan."""

    mirrored: torch.Tensor
    reversed: torch.Tensor
    rotation_rad: torch.Tensor
    pan_px_per_frame: torch.Tensor  # (batch, 2) as (x, y)


def two_views(
    clips: torch.Tensor, options: AugmentationOptions, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw two views of each clip.

    Parameters
    ----------
    clips : torch.Tensor, (batch, channel, time, y, x), uint8
    options : AugmentationOptions
    generator : torch.Generator
        On the device of the clips.

    Returns
    -------
    tuple of torch.Tensor, (batch, channel, n_frames, crop_px, crop_px)
        Pixels in [0, 1], about 0.5 ± contrast.

    Raises
    ------
    InputError
        The clips have fewer frames than a view.
    """
    if clips.shape[2] < options.n_frames:
        raise InputError(
            f"clips.n_frames: {clips.shape[2]} is less than the {options.n_frames} frames of a "
            "view; raise it, or lower tdann.network.augmentation.n_frames"
        )
    shared = _draw_geometry(len(clips), options, generator)
    views = []
    for _ in range(2):
        if options.independent_flips:
            shared = _draw_geometry(len(clips), options, generator)
        views.append(render_view(clips, shared, options, generator))
    return views[0], views[1]


def _draw_geometry(
    batch: int, options: AugmentationOptions, generator: torch.Generator
) -> Geometry:
    draw = uniform(5, batch, generator=generator, dim=1)
    direction = draw[3] * 2 * math.pi
    # Never slow: where the pan cannot be seen, the pair shares no motion to be recognised by.
    speed = (0.5 + 0.5 * draw[4]) * options.pan_px_per_frame
    return Geometry(
        mirrored=draw[0] < 0.5,
        reversed=draw[1] < 0.5,
        rotation_rad=draw[2] * 2 * math.pi,
        pan_px_per_frame=torch.stack([speed * direction.cos(), speed * direction.sin()], dim=1),
    )


def render_view(
    clips: torch.Tensor,
    geometry: Geometry,
    options: AugmentationOptions,
    generator: torch.Generator,
) -> torch.Tensor:
    """Render one view of each clip; shapes as in `two_views`."""
    frames = _choose_frames(clips, geometry.reversed, options, generator).float().div_(255)
    batch, time, channels = frames.shape[:3]
    grid = _sampling_grid(frames.shape[-2:], time, geometry, options, generator)
    # Reflection covers the corners of a rotated window that reach over the clip's edge.
    view = functional.grid_sample(
        frames.flatten(0, 1), grid.flatten(0, 1), padding_mode="reflection", align_corners=False
    )
    view = _blur(view.unflatten(0, (batch, time)), options.blur_sigma_px, generator)
    view = _change_contrast(view, options.contrast, generator)
    view = view.reshape(batch, time, channels, *view.shape[-2:])
    if options.frame_order == "shuffled":
        # Frames and window together: a window that pans on would move a clip of shuffled frames.
        order = uniform(batch, time, generator=generator).argsort(dim=1)
        view = view[torch.arange(batch, device=view.device)[:, None], order]
    return view.transpose(1, 2)


def _choose_frames(
    clips: torch.Tensor,
    is_reversed: torch.Tensor,
    options: AugmentationOptions,
    generator: torch.Generator,
) -> torch.Tensor:
    """(batch, channel, time, y, x) → (batch, n_frames, channel, y, x)."""
    batch, device = len(clips), clips.device
    spare = clips.shape[2] - options.n_frames
    whole = (batch * count(), 1)
    start = own_share(torch.randint(spare + 1, whole, generator=generator, device=device))
    order = torch.arange(options.n_frames, device=device).expand(batch, -1)
    if options.frame_order == "static":
        order = torch.zeros_like(order) + options.n_frames // 2
    order = torch.where(is_reversed[:, None], options.n_frames - 1 - order, order)
    rows = torch.arange(batch, device=device)[:, None]
    return clips.transpose(1, 2)[rows, start + order]


def _sampling_grid(
    size: torch.Size, time: int, geometry: Geometry, options: AugmentationOptions,
    generator: torch.Generator,
) -> torch.Tensor:  # fmt: skip
    """Where each output pixel reads its clip, in the coordinates of `grid_sample`."""
    height, width = size
    device, batch = geometry.mirrored.device, len(geometry.mirrored)
    draw = uniform(3, batch, generator=generator, dim=1)
    low, high = options.crop_share
    half_px = (low + (high - low) * draw[0]) * min(height, width) / 2
    cos, sin = geometry.rotation_rad.cos(), geometry.rotation_rad.sin()
    flip = torch.where(geometry.mirrored, -1.0, 1.0)
    rotation = torch.stack([cos * flip, -sin, sin * flip, cos], dim=1).view(batch, 2, 2)
    side = (torch.arange(options.crop_px, device=device) + 0.5) / options.crop_px * 2 - 1
    window = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=-1)
    turned = (window.flatten(0, 1) @ rotation.mT).view(batch, 1, *window.shape)
    offsets_px = turned * half_px.view(batch, 1, 1, 1, 1)
    moment = torch.arange(time, device=device) - (time - 1) / 2
    if options.frame_order == "static":
        moment = torch.zeros_like(moment)
    pan_px = geometry.pan_px_per_frame[:, None] * moment[:, None]  # (batch, time, 2)
    size_px = torch.tensor([width, height], device=device)
    travel_px = geometry.pan_px_per_frame.abs() * (time - 1) / 2
    play_px = (size_px / 2 - half_px[:, None] - travel_px).clamp_min(0)
    centre_px = (draw[1:].T * 2 - 1) * play_px
    middle_px = (centre_px[:, None] + pan_px)[:, :, None, None]
    return offsets_px / (size_px / 2) + middle_px / (size_px / 2)


def _blur(view: torch.Tensor, sigma_px: float, generator: torch.Generator) -> torch.Tensor:
    """Gaussian blur of (batch, time, channel, y, x), one standard deviation per clip."""
    if sigma_px == 0:
        return view
    batch = len(view)
    sigma = uniform(batch, 1, generator=generator) * sigma_px + 0.05
    taps = torch.arange(BLUR_TAPS, device=view.device) - BLUR_TAPS // 2
    kernel = torch.exp(-0.5 * (taps / sigma) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    flat = view.flatten(1, 2).transpose(0, 1)  # a channel per clip: one kernel each
    pad = BLUR_TAPS // 2
    flat = functional.pad(flat, (pad, pad, pad, pad), mode="replicate")
    flat = functional.conv2d(flat, kernel[:, None, :, None], groups=batch)
    flat = functional.conv2d(flat, kernel[:, None, None, :], groups=batch)
    return flat.transpose(0, 1).reshape(view.shape)


def _change_contrast(
    view: torch.Tensor, strength: float, generator: torch.Generator
) -> torch.Tensor:
    draw = uniform(2, len(view), 1, 1, 1, 1, generator=generator, dim=1) * 2 - 1
    mean = view.mean(dim=(1, 2, 3, 4), keepdim=True)
    contrast, brightness = 1 + strength * draw[0], strength / 2 * draw[1]
    return (view - mean) * contrast + mean + brightness
