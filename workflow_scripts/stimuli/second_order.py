"""Second-order motion: a drifting envelope of contrast over noise that stands still."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from workflow_scripts.stimuli.display import Display, Parameter, per_clip
from workflow_scripts.stimuli.gratings import drifting_grating
from workflow_scripts.stores.errors import InputError


def contrast_modulated_noise(
    direction_deg: Parameter,
    spatial_frequency_cpd: Parameter,
    temporal_frequency_hz: Parameter,
    phase_deg: Parameter,
    contrast: Parameter,
    seed: int | Sequence[int] | np.ndarray,
    *,
    element_deg: float,
    display: Display,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Render static binary noise whose contrast is a drifting grating (Chubb & Sperling 1988).

    With n = ±1 the noise and g the luminance of `stimuli.gratings.drifting_grating` of full
    contrast, luminance is ``½ + ½ c n g``; both are constant within a square of the noise. Over
    carriers the expectation is mid-grey everywhere, and every spatial frequency has the same power
    in opposite directions: a linear motion filter sees no direction, only one that rectifies
    first does.

    Parameters
    ----------
    direction_deg, spatial_frequency_cpd, temporal_frequency_hz, phase_deg : float or (batch,)
        Of the envelope, as in `stimuli.gratings.drifting_grating`.
    contrast : float or (batch,)
        Contrast c where the envelope is largest, 0–1.
    seed : int or (batch,)
        Of the noise; a clip depends on its own seed only.
    element_deg : float
        Side of a square of the noise, rounded to whole pixels.
    display, device
        As in `stimuli.gratings.drifting_grating`.

    Returns
    -------
    torch.Tensor, (batch, time, y, x)
        float32 luminance in [0, 1].

    Raises
    ------
    InputError
        An element has less than one pixel, or the display cannot show the envelope.
    """
    pixels_per_degree, size_px = display.pixels_per_degree, display.size_px
    element_px = round(element_deg * pixels_per_degree)
    if element_px < 1:
        raise InputError(
            f"element_deg {element_deg:g} is no pixel at {pixels_per_degree:g} pixels a degree; "
            f"raise it to {1 / pixels_per_degree:g} or more"
        )
    n_elements = math.ceil(size_px / element_px)
    seeds = np.atleast_1d(seed)
    direction, peak, _ = per_clip(direction_deg, contrast, torch.zeros(seeds.size), device=device)
    coarse = replace(display, size_px=n_elements, pixels_per_degree=pixels_per_degree / element_px)
    clips = drifting_grating(
        direction, spatial_frequency_cpd, temporal_frequency_hz, phase_deg, 1.0, display=coarse,
        device=device,
    )  # fmt: skip
    noise = np.stack([
        np.random.default_rng(one).integers(2, size=(n_elements, n_elements)) * 2 - 1
        for one in np.broadcast_to(seeds, len(clips))
    ])  # fmt: skip
    carrier = torch.as_tensor(noise, dtype=torch.float32, device=device)
    clips = clips * carrier[:, None] * (peak / 2)[:, None, None, None] + 0.5
    margin = (n_elements * element_px - size_px) // 2
    shown = slice(margin, margin + size_px)
    clips = clips.repeat_interleave(element_px, -1).repeat_interleave(element_px, -2)
    return clips[..., shown, shown].contiguous()
