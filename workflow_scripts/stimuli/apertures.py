"""Discs and rings of a stimulus on mid-grey, for size tuning and surrounds."""

from __future__ import annotations

import torch

from workflow_scripts.stimuli.display import Parameter, per_clip, pixel_centres_deg
from workflow_scripts.stores.errors import InputError


def through_aperture(
    clips: torch.Tensor,
    inner_diameter_deg: Parameter,
    outer_diameter_deg: Parameter,
    pixels_per_degree: float,
) -> torch.Tensor:
    """Show clips through a disc or a ring in the middle of the screen, mid-grey elsewhere.

    Edges are one pixel wide ramps, so that a diameter may be any fraction of pixels.

    Parameters
    ----------
    clips : torch.Tensor, (batch, time, y, x)
        Luminance in [0, 1].
    inner_diameter_deg, outer_diameter_deg : float or (batch,)
        Diameters of the hole (0 for a disc) and of the whole.
    pixels_per_degree : float
        As in `stimuli.display.Display`.

    Returns
    -------
    torch.Tensor, (batch, time, y, x)

    Raises
    ------
    InputError
        An outer diameter is not larger than its inner one, or exceeds the screen.
    """
    size_px = clips.shape[-1]
    screen_deg = size_px / pixels_per_degree
    inner, outer = per_clip(inner_diameter_deg, outer_diameter_deg, device=clips.device)
    if (inner < 0).any() or (outer <= inner).any() or outer.max() > screen_deg:
        raise InputError(
            f"apertures from {inner.tolist()} to {outer.tolist()} degrees; each outer diameter "
            f"must exceed its inner one and fit the screen of {screen_deg:g} degrees"
        )
    centres_deg = pixel_centres_deg(size_px, pixels_per_degree, clips.device)
    radius_px = torch.hypot(centres_deg[:, None], centres_deg) * pixels_per_degree
    inside, beyond_hole = (
        (side * (diameter[:, None, None] / 2 * pixels_per_degree - radius_px) + 0.5).clamp(0, 1)
        for side, diameter in ((1, outer), (-1, inner))
    )
    hole = torch.where((inner > 0)[:, None, None], beyond_hole, torch.ones_like(beyond_hole))
    return (clips - 0.5) * (inside * hole)[:, None] + 0.5
