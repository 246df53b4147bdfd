"""Plaids: two gratings that drift across one another."""

from __future__ import annotations

import torch

from workflow_scripts.stimuli.display import Display, Parameter, per_clip
from workflow_scripts.stimuli.gratings import drifting_grating

PLAID_SEPARATION_DEG = 120.0


def plaid(
    direction_deg: Parameter,
    spatial_frequency_cpd: Parameter,
    temporal_frequency_hz: Parameter,
    phase_deg: Parameter,
    contrast: Parameter,
    *,
    separation_deg: float = PLAID_SEPARATION_DEG,
    display: Display,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Render additive plaids of two like gratings (Adelson & Movshon 1982).

    Parameters
    ----------
    direction_deg : float or (batch,)
        Direction of the pattern. Its components drift at ± half the separation from it, and the
        pattern moves at their speed / cos(separation / 2).
    spatial_frequency_cpd, temporal_frequency_hz, phase_deg : float or (batch,)
        Of each component, as in `stimuli.gratings.drifting_grating`.
    contrast : float or (batch,)
        Contrast of the plaid, 0–1; each component has half of it.
    separation_deg : float
        Angle between the components' directions, degrees.
    display, device
        As in `stimuli.gratings.drifting_grating`.

    Returns
    -------
    torch.Tensor (batch, time, y, x)
        float32 luminance in [0, 1].

    Raises
    ------
    InputError
        The display cannot show a component, as in `stimuli.gratings.drifting_grating`.
    """
    (direction,) = per_clip(direction_deg, device=device)
    one, other = (
        drifting_grating(
            direction + side * separation_deg / 2, spatial_frequency_cpd, temporal_frequency_hz,
            phase_deg, contrast, display=display, device=device,
        )
        for side in (-1, 1)
    )  # fmt: skip
    return one.add_(other).div_(2)
