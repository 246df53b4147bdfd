"""Frames of gratings and moving dots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import Comparison, Row, close
from workflow_scripts.stimuli.display import Display
from workflow_scripts.stimuli.dots import FWHM_PER_SIGMA, DotField, random_dot_kinematogram
from workflow_scripts.stimuli.gratings import drifting_grating

PIXELS_PER_DEGREE, FRAME_RATE_HZ = 4.0, 30.0


def rows(small: bool, _: Path) -> Iterator[Row]:
    """Gratings and dots."""
    n_clips, n_frames, size_px = (2, 4, 48) if small else (64, 16, 112)
    yield _gratings(n_clips, n_frames, size_px)
    yield _dots(n_clips, n_frames, size_px)


def _gratings(n_clips: int, n_frames: int, size_px: int) -> Comparison:
    rng = np.random.default_rng(0)
    display = Display(PIXELS_PER_DEGREE, FRAME_RATE_HZ, size_px, n_frames)
    direction, phase = rng.uniform(0, 360, (2, n_clips))
    frequency_cpd, frequency_hz = 0.2, rng.uniform(1, 8, n_clips)
    n_theirs = min(n_clips, 8)

    def ours() -> torch.Tensor:
        return drifting_grating(
            torch.from_numpy(direction), frequency_cpd, torch.from_numpy(frequency_hz),
            torch.from_numpy(phase), 1.0, display=display,
        )  # fmt: skip

    def theirs() -> np.ndarray:
        cycles = frequency_cpd * size_px / PIXELS_PER_DEGREE
        steps = 360 * frequency_hz / FRAME_RATE_HZ
        return np.array([
            [psychopy_grating(size_px, cycles, direction[clip], phase[clip] - steps[clip] * frame)
             for frame in range(n_frames)]
            for clip in range(n_theirs)
        ])  # fmt: skip

    return Comparison(
        part="gratings",
        work=f"{n_clips} clips of {n_frames} frames of {size_px}² px",
        peer="PsychoPy's grating arithmetic (numpy, frame by frame)",
        goal=10, ours=ours, theirs=theirs,
        agree=lambda a, b: close(1e-3)(a[: len(b)], b), unit="frames", n_ours=n_clips * n_frames,
        n_theirs=n_theirs * n_frames,
        reason="an own frame of 112² px is written once at about the rate of memory",
    )  # fmt: skip


def psychopy_grating(
    size_px: int, cycles: float, direction_deg: float, phase_deg: float
) -> np.ndarray:
    """Luminance (y, x): the formula of ``psychopy.visual.filters.makeGrating``, as published.

    A grid of phases is made for each frame and rotated; here its zero is the screen's middle.
    """
    step = 2 * np.pi * cycles / size_px
    place = (np.arange(size_px) - (size_px - 1) / 2) * step
    y, x = np.meshgrid(-place, place, indexing="ij")
    direction = np.deg2rad(direction_deg)
    wave = np.cos(x * np.cos(direction) + y * np.sin(direction) + np.deg2rad(phase_deg))
    return 0.5 + 0.5 * wave


def _dots(n_clips: int, n_frames: int, size_px: int) -> Comparison:
    field = DotField(noise="direction", lifetime_s=10.0)
    speed_deg_s, n_theirs = 10.0, 1
    rng = np.random.default_rng(0)
    display = Display(PIXELS_PER_DEGREE, FRAME_RATE_HZ, size_px, n_frames)

    def ours() -> torch.Tensor:
        return random_dot_kinematogram(
            0.0, speed_deg_s, 1.0, 1.0, np.arange(n_clips), field=field, display=display
        ).clips

    def theirs() -> np.ndarray:
        return np.array([
            psychopy_dots(field, speed_deg_s, 1.0, rng, n_frames, size_px) for _ in range(n_theirs)
        ])  # fmt: skip

    return Comparison(
        part="moving dots",
        work=f"{n_clips} clips of {n_frames} frames of {size_px}² px",
        peer="PsychoPy's dot arithmetic (numpy), its Gaussian dots drawn one by one",
        goal=10, ours=ours, theirs=theirs, agree=_same_dots, unit="frames",
        n_ours=n_clips * n_frames, n_theirs=n_theirs * n_frames,
    )  # fmt: skip


def psychopy_dots(
    field: DotField, speed_deg_s: float, coherence: float, rng: np.random.Generator, n_frames: int,
    size_px: int,
) -> np.ndarray:  # fmt: skip
    """One clip (time, y, x) by the rules of ``psychopy.visual.DotStim``, as published.

    Signal dots move rightwards together, noise dots each in their own direction; dead dots and
    those that leave are replotted. PsychoPy leaves the drawing to the graphics card.
    """
    n_dots = round(field.density_per_deg2_s * (size_px / PIXELS_PER_DEGREE) ** 2 / FRAME_RATE_HZ)
    step_px = speed_deg_s / FRAME_RATE_HZ * PIXELS_PER_DEGREE
    life = rng.random(n_dots) * field.lifetime_s * FRAME_RATE_HZ
    heading = np.where(rng.random(n_dots) < coherence, 0, rng.random(n_dots) * 2 * np.pi)
    place_px = rng.random((n_dots, 2)) * size_px
    polarity = rng.permutation(np.arange(n_dots) % 2 * 2 - 1)
    frames = []
    for _ in range(n_frames):
        frames.append(_draw(place_px, polarity / 2, field, size_px))
        place_px += step_px * np.stack([-np.sin(heading), np.cos(heading)], axis=1)
        life -= 1
        dead = life <= 0
        life[dead] = field.lifetime_s * FRAME_RATE_HZ
        place_px[dead] = rng.random((dead.sum(), 2)) * size_px
        place_px %= size_px
    return np.array(frames)


def _draw(place_px: np.ndarray, amplitude: np.ndarray, field: DotField, size_px: int) -> np.ndarray:
    """Add each dot's Gaussian to the pixels around it, on a torus."""
    sigma_px = field.dot_diameter_deg * PIXELS_PER_DEGREE / FWHM_PER_SIGMA
    reach = int(np.ceil(4 * sigma_px))
    image = np.zeros((size_px, size_px))
    around = np.arange(-reach, reach + 1)
    for (row, column), peak in zip(place_px, amplitude, strict=True):
        rows, columns = int(row) + around, int(column) + around
        down = np.exp(-0.5 * ((rows - row) / sigma_px) ** 2)
        across = np.exp(-0.5 * ((columns - column) / sigma_px) ** 2)
        image[np.ix_(rows % size_px, columns % size_px)] += peak * np.outer(down, across)
    return 0.5 + np.clip(image, -0.5, 0.5)


def _same_dots(ours: torch.Tensor, theirs: np.ndarray) -> None:
    """Both movies have the same contrast, and move by the same step."""
    both = [np.asarray(clips, float)[0] - 0.5 for clips in (ours, theirs)]
    contrast = [clip.std() for clip in both]
    assert abs(contrast[0] / contrast[1] - 1) < 0.15, contrast
    shifts = []
    for clip in both:
        spectrum = np.fft.rfft(clip, axis=2)
        crossed = (spectrum[1:] * spectrum[:-1].conj()).sum(axis=(0, 1))
        # phase of the second harmonic of the screen: a shift by less than a quarter of it
        shifts.append(-np.angle(crossed[2]) / (2 * np.pi * 2) * clip.shape[2])
    assert abs(shifts[0] - shifts[1]) < 0.1, shifts
