"""Sinusoidal gratings, drifting and static."""

from __future__ import annotations

import math

import torch

from workflow_scripts.stimuli.display import Display, Parameter, per_clip, pixel_centres_deg
from workflow_scripts.stores.errors import InputError

# A step of s degrees a frame is also one of 360 - s the other way. At 120 the true motion is
# still the shorter of the two by half.
MAX_PHASE_STEP_DEG = 120.0


def drifting_grating(
    direction_deg: Parameter,
    spatial_frequency_cpd: Parameter,
    temporal_frequency_hz: Parameter,
    phase_deg: Parameter,
    contrast: Parameter,
    *,
    display: Display,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Render full-field sinusoidal gratings that drift at a right angle to their bars.

    Luminance at time t and place (x, y), in degrees from the middle of the screen with x to the
    right and y upward, is ``½ + ½ c cos(2π (f (x cos θ + y sin θ) − w t) + φ)``.

    Parameters
    ----------
    direction_deg : float or (batch,)
        Direction θ the grating moves to: 0 = rightward, 90 = upward.
    spatial_frequency_cpd, temporal_frequency_hz : float or (batch,)
        Frequencies f (cycles per degree) and w (Hz).
    phase_deg : float or (batch,)
        Phase φ in the middle of the screen in the first frame; 0 is the bright maximum.
    contrast : float or (batch,)
        Michelson contrast c, 0–1.
    display : Display
        The screen.
    device : torch.device or str
        Where to render.

    Returns
    -------
    torch.Tensor (batch, time, y, x)
        float32 luminance in [0, 1], row 0 at the top.

    Raises
    ------
    InputError
        The display cannot show the grating: its phase step a frame exceeds
        `MAX_PHASE_STEP_DEG`, or it has more than half a cycle per pixel.
    """
    direction, frequency_cpd, frequency_hz, phase, contrast = per_clip(
        direction_deg, spatial_frequency_cpd, temporal_frequency_hz, phase_deg, contrast,
        device=device,
    )  # fmt: skip
    _check_temporal_sampling(frequency_hz, display.frame_rate_hz)
    _check_spatial_sampling(frequency_cpd, display.pixels_per_degree)
    x_deg = pixel_centres_deg(display.size_px, display.pixels_per_degree, device)
    wave_number = 2 * math.pi * frequency_cpd[:, None]
    direction, phase = direction.deg2rad()[:, None], phase.deg2rad()[:, None]
    across = _unit_phasor(wave_number * direction.cos() * x_deg)
    # rows run downward, y upward
    down = _unit_phasor(wave_number * direction.sin() * -x_deg + phase)
    time_s = torch.arange(display.n_frames, device=device) / display.frame_rate_hz
    drift = _unit_phasor(2 * math.pi * frequency_hz[:, None] * time_s)

    # cos(space − drift) is the product of two 2-vectors, so all frames are one matrix product.
    space = torch.view_as_real(down[:, :, None] * across[:, None, :]).flatten(1, 2)
    drift = torch.view_as_real(drift) * (contrast / 2)[:, None, None]
    clips = torch.baddbmm(drift.new_tensor(0.5), drift, space.mT)
    return clips.clamp_(0, 1).unflatten(-1, (display.size_px, display.size_px))


def static_grating(
    orientation_deg: Parameter,
    spatial_frequency_cpd: Parameter,
    phase_deg: Parameter,
    contrast: Parameter,
    *,
    display: Display,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Render full-field gratings that stand still for the whole clip.

    Parameters
    ----------
    orientation_deg : float or (batch,)
        Orientation of the bars: 0 = horizontal, 90 = vertical, counter-clockwise. A drifting
        grating of direction θ has bars at θ + 90.
    spatial_frequency_cpd, phase_deg, contrast, display, device
        As in `drifting_grating`.

    Returns
    -------
    torch.Tensor (batch, time, y, x)
        float32 luminance in [0, 1], every frame the same.
    """
    (orientation,) = per_clip(orientation_deg, device=device)
    return drifting_grating(
        orientation - 90, spatial_frequency_cpd, 0.0, phase_deg, contrast, display=display,
        device=device,
    )  # fmt: skip


def _unit_phasor(angle: torch.Tensor) -> torch.Tensor:
    return torch.polar(torch.ones_like(angle), angle)


def _check_temporal_sampling(frequency_hz: torch.Tensor, frame_rate_hz: float) -> None:
    fastest = frequency_hz.abs().max().item()
    step_deg = 360 * fastest / frame_rate_hz
    if step_deg > MAX_PHASE_STEP_DEG:
        raise InputError(
            f"temporal_frequency_hz {fastest:g} at frame_rate_hz {frame_rate_hz:g} steps "
            f"{step_deg:.0f}° a frame, so the motion is ambiguous; "
            f"use at most {frame_rate_hz * MAX_PHASE_STEP_DEG / 360:g} Hz"
        )


def _check_spatial_sampling(frequency_cpd: torch.Tensor, pixels_per_degree: float) -> None:
    finest = frequency_cpd.max().item()
    if not 0 < frequency_cpd.min().item() <= finest < pixels_per_degree / 2:
        raise InputError(
            f"spatial_frequency_cpd {finest:g} cannot be shown at pixels_per_degree "
            f"{pixels_per_degree:g}; it must be above 0 and under {pixels_per_degree / 2:g}"
        )
