"""Plaids: rigid motion of the pattern, and what they are made of."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from workflow_scripts.stimuli.display import Display
from workflow_scripts.stimuli.plaids import plaid

SCREEN = Display(pixels_per_degree=4.0, frame_rate_hz=12.5, size_px=48, n_frames=8)


@pytest.mark.parametrize(
    ("direction_deg", "shift"), [(0, (0, 1)), (90, (-1, 0)), (180, (0, -1)), (270, (1, 0))]
)
def test_moves_rigidly_at_the_speed_of_the_intersection_of_constraints(direction_deg, shift):
    # Components of 4 pixels a period have one of 8 pixels along the pattern's direction, at ± 60°
    # to theirs; 1 pixel a frame of the pattern is an eighth of a cycle.
    clip = plaid(direction_deg, 1.0, 12.5 / 8, 50.0, 1.0, display=SCREEN)[0].numpy()
    for t in range(1, 8):
        moved = np.roll(clip[0], (shift[0] * t, shift[1] * t), (0, 1))
        np.testing.assert_allclose(clip[t], moved, atol=1e-5)


def test_holds_two_components_of_half_the_contrast_120_degrees_apart():
    screen = replace(SCREEN, n_frames=1, size_px=64, pixels_per_degree=16.0)
    frame = plaid(90, 2.0, 0.0, 0.0, 0.8, separation_deg=90.0, display=screen)[0, 0].numpy()
    spectrum = np.abs(np.fft.fft2(np.hanning(64)[:, None] * np.hanning(64) * (frame - 0.5)))
    row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
    # 2 cycles per degree over 4 degrees, at 45°: 8 / √2 cycles along each axis
    assert abs(min(row, 64 - row) - 8 / np.sqrt(2)) < 0.6
    assert abs(min(column, 64 - column) - 8 / np.sqrt(2)) < 0.6
    assert frame.max() == pytest.approx(0.9, abs=0.01)  # both crests together

    clip = torch.fft.fft2(plaid(0, 1.0, 1.5625, 0.0, 1.0, display=SCREEN)[0, 0] - 0.5).abs()
    rows = torch.fft.fftfreq(48)[:, None]
    columns = torch.fft.fftfreq(48)[None]
    strong = clip > 0.5 * clip.max()
    angle = torch.rad2deg(torch.atan2(rows, columns))[strong].abs() % 180
    assert (torch.minimum((angle - 60).abs(), (angle - 120).abs()) < 4).all()
