"""Natural clips on the stimulus screen, and clips of the same spectrum with random phases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from workflow_scripts.stores.errors import InputError


def on_screen(frames: torch.Tensor, n_frames: int, size_px: int) -> torch.Tensor:
    """Cut the middle square out of natural frames and scale it to the screen.

    Parameters
    ----------
    frames : torch.Tensor, (batch, time, y, x)
        Luminance in [0, 1].
    n_frames, size_px : int
        As in `stimuli.display.Display`; the first frames are taken.

    Returns
    -------
    torch.Tensor, (batch, time, y, x)

    Raises
    ------
    InputError
        The clips have fewer frames.
    """
    if frames.shape[1] < n_frames:
        raise InputError(
            f"natural clips have {frames.shape[1]} frames, the display shows {n_frames}; "
            "raise clips.n_frames or lower stimuli.display.n_frames"
        )
    rows, columns = frames.shape[-2:]
    side = min(rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    square = frames[:, :n_frames, top : top + side, left : left + side]
    return functional.interpolate(
        square, (size_px, size_px), mode="bilinear", antialias=True
    ).clamp(0, 1)


def scramble_phases(clips: torch.Tensor, seed: int | Sequence[int] | np.ndarray) -> torch.Tensor:
    """Add random phases to the spectrum over time and space of each clip.

    The amplitudes stay, hence all motion energy, and with it speed and direction; what is lost is
    the alignment of phases: edges and objects. Values outside [0, 1] are clipped, after
    which the spectrum is the clip's but for a few per cent.

    Parameters
    ----------
    clips : torch.Tensor, (batch, time, y, x)
        Luminance in [0, 1].
    seed : int or (batch,)
        A clip depends on its own seed only.

    Returns
    -------
    torch.Tensor, (batch, time, y, x)
    """
    scrambled = torch.empty_like(clips)
    for index, one in enumerate(np.broadcast_to(np.atleast_1d(seed), len(clips))):
        # Phases of real white noise have the symmetry that keeps the clip real.
        noise = np.random.default_rng(one).standard_normal(clips.shape[1:], np.float32)
        phases = torch.fft.rfftn(torch.as_tensor(noise, device=clips.device))
        phases = phases / phases.abs().clamp_min(1e-12)
        phases[0, 0, 0] = 1  # the mean stays
        spectrum = torch.fft.rfftn(clips[index]) * phases
        scrambled[index] = torch.fft.irfftn(spectrum, s=clips.shape[1:])
    return scrambled.clamp_(0, 1)
