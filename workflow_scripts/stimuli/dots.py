"""Random-dot kinematograms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch

from workflow_scripts.stimuli.display import Display, Parameter, per_clip
from workflow_scripts.stores.errors import InputError

# A sampled Gaussian of σ ≥ 0.5 px keeps its sum within 1.5 % wherever it lies between pixels.
MIN_DOT_SIGMA_PX = 0.5
FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))


@dataclass(frozen=True)
class DotField:
    """Which algorithm moves the dots, and what a dot is.

    Parameters
    ----------
    signal : {"same", "different"}
        Whether the same dots are signal in all frames, or each frame draws them anew.
    noise : {"position", "direction", "walk"}
        What the other dots do: jump to a random place in every frame, move at the signal's speed
        in a random direction of their own, or in a new random direction in every frame.
    density_per_deg2_s : float
        Dots per square degree and second; a frame shows density · area / frame rate of them.
    dot_diameter_deg : float
        Full width at half maximum of the Gaussian dots, degrees.
    lifetime_s : float
        Time after which a dot is replotted at a random place; rounded to whole frames.

    Notes
    -----
    The rules are named as by Scase, Braddick & Raymond (1996), Vision Research 36, 2579.
    """

    signal: Literal["same", "different"] = "same"
    noise: Literal["position", "direction", "walk"] = "direction"
    density_per_deg2_s: float = 16.7
    dot_diameter_deg: float = 0.5
    lifetime_s: float = 0.4


class DotKinematogram(NamedTuple):
    """Rendered clips, and the coherence of each of their frame-to-frame steps."""

    clips: torch.Tensor
    """Luminance in [0, 1], float32, (batch, time, y, x)."""
    realised_coherence: np.ndarray
    """Share of signal among the dots that live on, (batch, time − 1)."""


class _Layout(NamedTuple):
    """A field of dots in the display's units."""

    field: DotField
    n_dots: int
    lifetime_frames: int
    sigma_px: float
    n_frames: int
    size_px: int


class _Trajectories(NamedTuple):
    position_px: np.ndarray  # row, column, (time, dot, 2)
    polarity: np.ndarray  # +1 white, −1 black, (dot,)
    realised_coherence: np.ndarray  # (time − 1,)


def random_dot_kinematogram(
    direction_deg: Parameter,
    speed_deg_s: Parameter,
    coherence: Parameter,
    contrast: Parameter,
    seed: int | Sequence[int] | np.ndarray,
    *,
    field: DotField,
    display: Display,
    device: torch.device | str = "cpu",
) -> DotKinematogram:
    """Render fields of white and black dots on mid-grey, of which a share moves together.

    The screen is a torus: a dot that leaves on one side enters on the other, and the dots' ages
    are staggered, so that the density is the same everywhere and the same share of the dots is
    replotted in every frame. Of the dots that live on, the share `coherence` is signal. Where
    that is no whole number of dots, the remainder is carried over from a random start: the
    expectation holds for every single frame, and a frame is off by less than one dot (with the
    same dots as signal throughout, two).

    Parameters
    ----------
    direction_deg, speed_deg_s : float or (batch,)
        Direction (0 = rightward, 90 = upward) and speed of the signal dots.
    coherence : float or (batch,)
        Share of signal dots, 0–1.
    contrast : float or (batch,)
        Michelson contrast of a white against a black dot, 0–1.
    seed : int or (batch,)
        A clip depends on its own seed and parameters only, neither on the batch that it is
        rendered in nor on the device.
    field : DotField
        Algorithm and dots.
    display : Display
        The screen.
    device : torch.device or str
        Where to render.

    Returns
    -------
    DotKinematogram
        The clips and their realised coherence.

    Raises
    ------
    InputError
        A coherence is outside 0–1, or the display cannot show the field: no dots, dots that are
        too small, a life of under two frames, a step of half the screen or more.
    """
    seeds = np.atleast_1d(seed)
    parameters = per_clip(
        direction_deg, speed_deg_s, coherence, contrast, torch.zeros(seeds.size), device="cpu"
    )
    direction, speed, share, michelson, _ = (value.double().numpy() for value in parameters)
    area_deg2 = (display.size_px / display.pixels_per_degree) ** 2
    layout = _Layout(
        field,
        n_dots=round(field.density_per_deg2_s * area_deg2 / display.frame_rate_hz),
        lifetime_frames=round(field.lifetime_s * display.frame_rate_hz),
        sigma_px=field.dot_diameter_deg * display.pixels_per_degree / FWHM_PER_SIGMA,
        n_frames=display.n_frames,
        size_px=display.size_px,
    )
    step_px = speed / display.frame_rate_hz * display.pixels_per_degree
    _check(layout, step_px, share)
    clips = [
        _move(*clip, layout)
        for clip in zip(
            np.deg2rad(direction), step_px, share, np.broadcast_to(seeds, share.shape), strict=True
        )
    ]
    patterns = [
        _draw(
            torch.as_tensor(clip.position_px, dtype=torch.float32, device=device),
            torch.as_tensor(clip.polarity * peak, dtype=torch.float32, device=device),
            layout,
        ).clamp_(-peak, peak)  # overlapping dots saturate
        for clip, peak in zip(clips, michelson / 2, strict=True)
    ]
    return DotKinematogram(
        torch.stack(patterns).add_(0.5), np.stack([clip.realised_coherence for clip in clips])
    )


def _check(layout: _Layout, step_px: np.ndarray, coherence: np.ndarray) -> None:
    if not ((coherence >= 0) & (coherence <= 1)).all():
        raise InputError(f"coherence {coherence.min():g}–{coherence.max():g} is not within 0–1")
    step_screens = step_px.max() / layout.size_px
    if step_screens >= 0.5:
        raise InputError(
            f"speed_deg_s makes dots step {step_screens:.2f} screens a frame, so that they seem "
            "to move backward; lower it to under 0.5 screens a frame"
        )
    if layout.n_dots < 1:
        raise InputError("density_per_deg2_s leaves no dot on the screen; raise it")
    if layout.lifetime_frames < 2:
        raise InputError(
            f"lifetime_s is {layout.lifetime_frames} frame(s), in which no dot moves; "
            "raise it to 2 frames or more"
        )
    if layout.sigma_px < MIN_DOT_SIGMA_PX:
        raise InputError(
            f"dot_diameter_deg is {layout.sigma_px * FWHM_PER_SIGMA:.2f} px, too small to move by "
            f"parts of a pixel; raise it to {MIN_DOT_SIGMA_PX * FWHM_PER_SIGMA:.2f} px or more"
        )


def _move(
    direction_rad: float, step_px: float, coherence: float, seed: int, layout: _Layout
) -> _Trajectories:
    field, n_dots, lifetime_frames, _, n_frames, size_px = layout
    rng = np.random.default_rng(seed)
    polarity = rng.permutation(np.arange(n_dots) % 2 * 2 - 1)
    replot_px = rng.random((n_frames, n_dots, 2)) * size_px
    noise_rad, priority = rng.random((2, n_frames - 1, n_dots))
    # never a boundary itself, on which rounding errors would decide
    age, carry = (rng.integers(2**20, size=2) + 0.5) / 2**20

    age_frames = np.floor(lifetime_frames * (np.arange(n_dots) + age) / n_dots)
    lives_on = (age_frames + np.arange(1, n_frames)[:, None]) % lifetime_frames != 0
    if field.signal == "same":
        signal = lives_on & _spread(coherence, n_dots, carry)
    else:
        signal = _draw_signal(lives_on, priority, coherence, carry)

    if field.noise == "direction":
        noise_rad = noise_rad[:1]
    heading_rad = np.where(signal, direction_rad, 2 * np.pi * noise_rad)
    # rows run downward
    steps_px = step_px * np.stack([-np.sin(heading_rad), np.cos(heading_rad)], axis=-1)
    moves = signal if field.noise == "position" else lives_on
    position_px = replot_px  # filled frame by frame, except where a dot is replotted
    for frame in range(1, n_frames):
        moved = (position_px[frame - 1] + steps_px[frame - 1]) % size_px
        position_px[frame] = np.where(moves[frame - 1, :, None], moved, replot_px[frame])
    return _Trajectories(position_px, polarity, signal.sum(1) / lives_on.sum(1))


def _spread(share: float, n_dots: int, carry: float) -> np.ndarray:
    """Mark a share of the dots so evenly that every run of neighbours holds it, within one dot.

    Dots of one age are neighbours, hence those that are replotted take their share of signal
    along.
    """
    return np.diff(np.floor(np.arange(n_dots + 1) * share + carry)).astype(bool)


def _draw_signal(
    lives_on: np.ndarray, priority: np.ndarray, coherence: float, carry: float
) -> np.ndarray:
    """Draw the signal dots of every step anew, (time − 1, dot)."""
    total = np.floor(np.cumsum(lives_on.sum(1)) * coherence + carry)
    n_signal = np.diff(total, prepend=0)
    rank = np.where(lives_on, priority, np.inf).argsort(axis=1).argsort(axis=1)
    return rank < n_signal[:, None]


def _draw(position_px: torch.Tensor, amplitude: torch.Tensor, layout: _Layout) -> torch.Tensor:
    """Add up one clip's Gaussian dots on the torus, (time, y, x).

    A Gaussian is separable, so a frame is one matrix product over the dots; unlike a scatter it
    gives the same bits in every call on a GPU. One clip at a time, it stays in the cache.
    """
    pixels = torch.arange(layout.size_px, dtype=torch.float32, device=position_px.device)
    distance_px = (pixels - position_px[..., None]).abs_()
    distance_px = torch.minimum(distance_px, layout.size_px - distance_px)
    exponent = distance_px.square_().mul_(-0.5 / layout.sigma_px**2)
    profile = exponent.clamp_(min=-30).exp_()  # denormal numbers are several times slower
    rows, columns = profile.unbind(dim=-2)  # each (time, dot, pixel)
    return (rows * amplitude[:, None]).mT @ columns
