"""The screen that stimuli are drawn on: visual degrees to pixels, seconds to frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from workflow_scripts.stores.errors import InputError

Parameter = float | Sequence[float] | torch.Tensor
"""A stimulus parameter: one value for all clips, or one per clip."""


@dataclass(frozen=True)
class Display:
    """Screen and duration of every stimulus of a battery.

    Parameters
    ----------
    pixels_per_degree : float
        Pixels per degree of visual angle.
    frame_rate_hz : float
        Frames per second.
    size_px : int
        Height and width of the square screen, pixels.
    n_frames : int
        Frames in a clip.
    """

    pixels_per_degree: float
    frame_rate_hz: float
    size_px: int
    n_frames: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise InputError(f"display: {name} is {value}; it must be positive")

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns of a clip."""
        return self.n_frames, self.size_px, self.size_px


def per_clip(*parameters: Parameter, device: torch.device | str) -> list[torch.Tensor]:
    """Broadcast parameters to one float32 value per clip, each (batch,); scalars give batch 1."""
    tensors = [
        torch.atleast_1d(torch.as_tensor(value, dtype=torch.float32, device=device))
        for value in parameters
    ]
    return list(torch.broadcast_tensors(*tensors))


def pixel_centres_deg(
    size_px: int, pixels_per_degree: float, device: torch.device | str
) -> torch.Tensor:
    """Pixel centres along one axis, degrees from the middle of the screen, (size_px,)."""
    pixels = torch.arange(size_px, dtype=torch.float32, device=device)
    return (pixels - (size_px - 1) / 2) / pixels_per_degree
