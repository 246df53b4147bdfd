"""Bright bars that move at a right angle to their length."""

from __future__ import annotations

import torch

from workflow_scripts.stimuli.display import Display, Parameter, per_clip, pixel_centres_deg
from workflow_scripts.stores.errors import InputError


def moving_bar(
    direction_deg: Parameter,
    speed_deg_s: Parameter,
    phase_deg: Parameter,
    contrast: Parameter,
    width_deg: Parameter,
    *,
    display: Display,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Render a long bar that sweeps over a mid-grey screen.

    Its path is as long as the screen's diagonal, and where it leaves the path it enters again; so
    there is always one bar, and starts at evenly spaced phases cover the path evenly.

    Parameters
    ----------
    direction_deg, speed_deg_s : float or (batch,)
        Direction the bar moves to (0 = rightward, 90 = upward), and its speed.
    phase_deg : float or (batch,)
        Where on its path it starts: 0 in the middle of the screen, 180 at the ends.
    contrast : float or (batch,)
        Luminance of the bar is ½ (1 + contrast), 0–1.
    width_deg : float or (batch,)
        Width along the direction of motion; edges are ramps of one pixel.
    display, device
        As in `stimuli.gratings.drifting_grating`.

    Returns
    -------
    torch.Tensor, (batch, time, y, x)
        float32 luminance in [0, 1].

    Raises
    ------
    InputError
        The bar is narrower than a pixel or as wide as its path, or steps over half of the path in
        a frame.
    """
    direction, speed, phase, peak, width = per_clip(
        direction_deg, speed_deg_s, phase_deg, contrast, width_deg, device=device
    )
    pixels_per_degree = display.pixels_per_degree
    path_deg = 2**0.5 * display.size_px / pixels_per_degree
    if width.min() * pixels_per_degree < 1 or width.max() >= path_deg:
        raise InputError(
            f"width_deg {width.tolist()}: bars are at least {1 / pixels_per_degree:g} and under "
            f"{path_deg:g} degrees wide on this display"
        )
    if speed.abs().max() / display.frame_rate_hz >= path_deg / 2:
        raise InputError(
            f"speed_deg_s {speed.abs().max():g} is over half of the screen's diagonal in a frame; "
            f"use less than {path_deg / 2 * display.frame_rate_hz:g}"
        )
    centres = pixel_centres_deg(display.size_px, pixels_per_degree, device)
    direction = direction.deg2rad()[:, None, None]
    # rows run downward, y upward
    along = centres * direction.cos() - centres[:, None] * direction.sin()
    time_s = torch.arange(display.n_frames, device=device) / display.frame_rate_hz
    place = phase[:, None] / 360 * path_deg + speed[:, None] * time_s
    from_bar = along[:, None] - place[:, :, None, None]
    from_bar = (from_bar + path_deg / 2).remainder(path_deg) - path_deg / 2
    edge = (width[:, None, None, None] / 2 - from_bar.abs()) * pixels_per_degree + 0.5
    return edge.clamp_(0, 1).mul_((peak / 2)[:, None, None, None]).add_(0.5)
