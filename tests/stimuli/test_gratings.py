"""Gratings: direction labels, frequencies, phase and contrast."""

from dataclasses import replace

import moten
import numpy as np
import pytest
import torch

from workflow_scripts.stimuli.display import Display
from workflow_scripts.stimuli.gratings import drifting_grating, static_grating
from workflow_scripts.stores.errors import InputError

SCREEN = Display(pixels_per_degree=4.0, frame_rate_hz=12.5, size_px=48, n_frames=8)
# direction, whole-pixel step of a frame (columns to the right, rows up)
STEPS = [(0, (1, 0)), (90, (0, 1)), (180, (-1, 0)), (270, (0, -1)), (45, (1, 1)), (225, (-1, -1))]


def shifted(frame: np.ndarray, step: tuple[int, int], n_frames: int) -> np.ndarray:
    """Move a texture by whole pixels a frame, on a torus; (time, y, x)."""
    right, up = step
    return np.stack([np.roll(frame, (-up * t, right * t), (0, 1)) for t in range(n_frames)])


@pytest.mark.parametrize(("direction_deg", "step"), STEPS)
def test_moves_as_its_texture_shifted_by_whole_pixels(direction_deg, step):
    period_px, pace_px = 8 / np.hypot(*step), np.hypot(*step)  # 8 pixels along each moving axis
    frequency_cpd = SCREEN.pixels_per_degree / period_px
    frequency_hz = SCREEN.frame_rate_hz * pace_px / period_px
    clip = drifting_grating(direction_deg, frequency_cpd, frequency_hz, 33.0, 0.8, display=SCREEN)[
        0
    ]
    np.testing.assert_allclose(clip, shifted(clip[0].numpy(), step, 8), atol=1e-5)


@pytest.fixture(scope="module")
def motion_energy():
    """The direction that pymoten's filters name for clips (n, time, y, x)."""
    pyramid = moten.get_default_pyramid(
        vhsize=(48, 48), fps=24, temporal_frequencies=[3], spatial_frequencies=[6]
    )
    labels_deg = np.array([filter_["direction"] for filter_ in pyramid.filters])

    def preferred_deg(clips):
        energy = sum(np.exp(pyramid.project_stimulus(clip)[8:-8]).sum(0) for clip in clips)
        return max(set(labels_deg), key=lambda label: energy[labels_deg == label].sum())

    return preferred_deg


@pytest.mark.parametrize("direction_deg", [0, 45, 90, 135, 180, 225, 270, 315])
def test_pymoten_agrees_on_gratings_but_for_half_a_turn(motion_energy, direction_deg):
    screen = replace(SCREEN, n_frames=24, frame_rate_hz=24)
    clip = drifting_grating(direction_deg, 0.5, 3.0, 0.0, 1.0, display=screen).numpy() - 0.5
    assert motion_energy(clip) == (direction_deg + 180) % 360


@pytest.mark.parametrize(("direction_deg", "step"), STEPS[:4])  # 1 px a frame, as its filters
def test_pymoten_agrees_on_textures_but_for_half_a_turn(motion_energy, direction_deg, step):
    textures = np.random.default_rng(1).standard_normal((6, 48, 48))
    clips = [shifted(texture, step, 24) for texture in textures]
    assert motion_energy(clips) == (direction_deg + 180) % 360


def test_phase_is_that_of_the_middle_of_the_first_frame():
    screen = replace(SCREEN, size_px=47)  # an odd size has a pixel in the middle
    phases = torch.arange(0, 360, 30.0)
    clips = drifting_grating(70, 0.7, 2.0, phases, 0.6, display=screen)
    expected = 0.5 + 0.3 * torch.cos(torch.deg2rad(phases))
    torch.testing.assert_close(clips[:, 0, 23, 23], expected)
    # a frame later the phase has fallen behind by 360° · 2 Hz / 12.5 Hz
    later = drifting_grating(70, 0.7, 2.0, phases - 57.6, 0.6, display=screen)
    torch.testing.assert_close(clips[:, 1], later[:, 0], atol=1e-5, rtol=0)


def test_contrast_is_michelson_contrast_about_mid_grey():
    contrast = torch.tensor([0.0, 0.25, 1.0])
    screen = replace(SCREEN, size_px=40)
    clips = drifting_grating(0, 0.5, 0.0, 22.5, contrast, display=screen)  # crests lie on pixels
    low, high = clips.amin((1, 2, 3)), clips.amax((1, 2, 3))
    torch.testing.assert_close((high - low) / (high + low), contrast)
    torch.testing.assert_close(clips.mean((1, 2, 3)), torch.full((3,), 0.5))
    assert low.min() >= 0
    assert high.max() <= 1


def test_spatial_frequency_is_cycles_per_degree():
    frame = drifting_grating(0, 0.75, 0.0, 0.0, 1.0, display=SCREEN)[0, 0].numpy()
    spectrum = np.abs(np.fft.rfft(frame[0] - 0.5))
    assert spectrum.argmax() == 0.75 * 48 / 4  # cycles per degree times degrees of the screen


def test_a_clip_does_not_depend_on_its_batch():
    directions = torch.arange(16) * 22.5
    batch = drifting_grating(directions, 0.4, 2.0, 10.0, 1.0, display=SCREEN)
    alone = torch.cat(
        [drifting_grating(d, 0.4, 2.0, 10.0, 1.0, display=SCREEN) for d in directions]
    )
    torch.testing.assert_close(batch, alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("orientation_deg", "along"), [(0, (0, 1)), (90, (1, 0)), (45, (-1, 1))])
def test_static_bars_have_the_orientation_and_stand_still(orientation_deg, along):
    step = np.hypot(*along)
    clip = static_grating(orientation_deg, step * 0.5, 20.0, 1.0, display=SCREEN)[0]
    assert (clip == clip[0]).all()
    # 8 pixels a period along each axis it varies on, so the roll wraps without a seam
    np.testing.assert_allclose(clip[0], np.roll(clip[0], along, (0, 1)), atol=1e-5)
    across = np.roll(clip[0], (4, 0) if along == (0, 1) else (0, 4), (0, 1))
    np.testing.assert_allclose(across, 1 - clip[0], atol=1e-5)


def test_rejects_what_the_display_cannot_show():
    with pytest.raises(InputError, match=r"temporal_frequency_hz 6.* frame_rate_hz 12.5.* 4.16"):
        drifting_grating(0, 0.5, torch.tensor([1.0, -6.0]), 0, 1, display=SCREEN)
    with pytest.raises(InputError, match=r"spatial_frequency_cpd 2 .* pixels_per_degree 4"):
        drifting_grating(0, [0.5, 2.0], 1, 0, 1, display=SCREEN)
