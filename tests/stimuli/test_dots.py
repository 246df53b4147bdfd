"""Random-dot kinematograms, measured on what is drawn and not on what drew it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from workflow_scripts.stimuli.display import Display
from workflow_scripts.stimuli.dots import DotField, random_dot_kinematogram
from workflow_scripts.stores.errors import InputError

# 1 pixel per degree and 1 frame per second: speeds are in pixels per frame.
SCREEN = Display(pixels_per_degree=1.0, frame_rate_hz=1.0, size_px=32, n_frames=8)
SPARSE = {"density_per_deg2_s": 0.01, "dot_diameter_deg": 1.5}
FOREVER = 10_000.0
RULES = [(s, n) for s in ("same", "different") for n in ("position", "direction", "walk")]


def correlogram(clips: torch.Tensor, lag: int) -> np.ndarray:
    """Circular cross-correlation of frames `lag` apart, mean of all; lag 0 has its peak at 1."""
    spectrum = np.fft.fft2(clips.numpy() - 0.5)
    cross = (spectrum[:, lag:] * spectrum[:, : spectrum.shape[1] - lag].conj()).mean((0, 1))
    return np.fft.ifft2(cross).real / np.fft.ifft2((np.abs(spectrum) ** 2).mean((0, 1))).real[0, 0]


@pytest.mark.parametrize(
    ("direction_deg", "shift"), [(0, (0, 2)), (90, (-2, 0)), (180, (0, -2)), (270, (2, 0))]
)
def test_coherent_dots_are_a_texture_shifted_by_whole_pixels(direction_deg, shift):
    field = DotField(**SPARSE, lifetime_s=FOREVER)
    clip = random_dot_kinematogram(
        direction_deg, 2.0, 1.0, 1.0, 3, field=field, display=SCREEN
    ).clips[0]
    for t in range(8):
        moved = np.roll(clip[0], (shift[0] * t, shift[1] * t), (0, 1))
        np.testing.assert_allclose(clip[t], moved, atol=1e-4)


def test_dots_move_by_parts_of_a_pixel():
    field = DotField(density_per_deg2_s=1 / 1024, dot_diameter_deg=3.0, lifetime_s=FOREVER)
    seeds = range(20)
    clips = random_dot_kinematogram(33.0, 0.3, 1.0, 1.0, seeds, field=field, display=SCREEN).clips
    frequency = np.fft.fftfreq(32)
    column, row = 0.3 * np.cos(np.deg2rad(33)), -0.3 * np.sin(np.deg2rad(33))
    ramp = np.exp(-2j * np.pi * (frequency[:, None] * row + frequency * column))
    spectrum = np.fft.fft2(clips.numpy() - 0.5)
    moved = np.fft.ifft2(spectrum[:, :-1] * ramp).real
    np.testing.assert_allclose(clips[:, 1:] - 0.5, moved, atol=1e-3)


@pytest.mark.parametrize(("signal", "noise"), RULES)
def test_noise_hides_but_does_not_turn_the_motion(signal, noise):
    field = DotField(signal, noise, **SPARSE, lifetime_s=4.0)
    for direction_deg, shift in ((0, (0, 3)), (90, (-3, 0)), (180, (0, -3))):
        clips = random_dot_kinematogram(
            direction_deg, 3.0, 0.5, 1.0, range(100), field=field, display=SCREEN
        ).clips
        peak = np.unravel_index(correlogram(clips, 1).argmax(), (32, 32))
        assert peak == (shift[0] % 32, shift[1] % 32)


@pytest.mark.parametrize("signal", ["same", "different"])
@pytest.mark.parametrize("coherence", [0.0, 0.15, 0.5, 1.0])
def test_drawn_coherence_is_the_coherence_asked_for(signal, coherence):
    field = DotField(signal, "position", 0.05, 1.5, lifetime_s=4.0)
    clips = random_dot_kinematogram(
        0, 3.0, coherence, 1.0, range(200), field=field, display=SCREEN
    ).clips
    shared = correlogram(clips, 1)[0, 3]
    assert shared == pytest.approx(0.75 * coherence, abs=0.02)  # a quarter is replotted


@pytest.mark.parametrize(("signal", "off_by"), [("same", 2), ("different", 1)])
@pytest.mark.parametrize("coherence", [0.0, 0.07, 1 / 3, 0.5, 0.93, 1.0])
def test_realised_coherence_is_exact_and_unbiased(signal, off_by, coherence):
    n_dots, lifetime = 37, 4
    field = DotField(signal, "walk", n_dots / 1024, 1.5, lifetime_s=lifetime)
    realised = random_dot_kinematogram(
        0, 1.0, coherence, 1.0, range(600), field=field, display=SCREEN
    ).realised_coherence
    assert realised.shape == (600, 7)
    n_living = n_dots * (1 - 1 / lifetime)
    assert np.abs(realised - coherence).max() < off_by / (n_living - 1)
    if coherence in (0.0, 1.0):
        assert (realised == coherence).all()
    # Rounding would be off by up to .5/28 = .018 in every step; the random start leaves .001.
    np.testing.assert_allclose(realised.mean(axis=0), coherence, atol=0.003)


def test_signal_rules_differ_over_two_steps():
    after_two = {}
    for signal in ("same", "different"):
        field = DotField(signal, "position", 0.05, 1.5, lifetime_s=FOREVER)
        clips = random_dot_kinematogram(
            0, 3.0, 0.5, 1.0, range(200), field=field, display=SCREEN
        ).clips
        after_two[signal] = correlogram(clips, 2)[0, 6]
    assert after_two["same"] == pytest.approx(0.5, abs=0.02)
    assert after_two["different"] == pytest.approx(0.25, abs=0.02)


def test_noise_rules_differ_in_where_noise_dots_go():
    row, column = np.meshgrid(*[np.fft.fftfreq(32, 1 / 32)] * 2, indexing="ij")
    radius_px = np.hypot(row, column)
    ring = {}
    for noise in ("position", "direction", "walk"):
        field = DotField("same", noise, 0.05, 1.5, lifetime_s=FOREVER)
        clips = random_dot_kinematogram(
            0, 4.0, 0.0, 1.0, range(200), field=field, display=SCREEN
        ).clips
        one, two = correlogram(clips, 1), correlogram(clips, 2)
        ring[noise] = one[np.abs(radius_px - 4) < 1].sum(), two[np.abs(radius_px - 8) < 1].sum()
    assert abs(ring["position"][0]) < 0.05 * ring["direction"][0]
    assert ring["walk"][0] == pytest.approx(ring["direction"][0], rel=0.05)
    assert ring["walk"][1] < 0.6 * ring["direction"][1]


@pytest.mark.parametrize(("signal", "noise"), RULES)
def test_density_is_uniform_over_time_and_place(signal, noise):
    field = DotField(signal, noise, 0.05, 1.5, lifetime_s=3.0)
    clips = random_dot_kinematogram(0, 3.0, 0.7, 1.0, range(300), field=field, display=SCREEN).clips
    ink = (clips - 0.5).square()
    by_frame = ink.mean((0, 2, 3))
    assert (by_frame / by_frame.mean() - 1).abs().max() < 0.02
    late = ink[:, -1].mean(0)  # after seven steps a field that does not wrap has emptied here
    for edge in (late[:, :4], late[:, -4:], late[:4], late[-4:]):
        assert edge.mean() / late.mean() == pytest.approx(1, abs=0.08)


def test_density_and_size_are_as_asked_for():
    field = DotField(density_per_deg2_s=0.02, dot_diameter_deg=1.5, lifetime_s=FOREVER)
    screen = replace(SCREEN, pixels_per_degree=2.0, frame_rate_hz=2.0, size_px=64)
    clips = random_dot_kinematogram(0, 1.0, 1.0, 1.0, range(200), field=field, display=screen).clips
    n_dots = round(0.02 * 32**2 / 2)
    sigma_px = 3 / 2.3548
    # ∫ of a squared Gaussian of peak ½; dots that overlap matter little
    expected = n_dots * np.pi * sigma_px**2 / 4
    assert (clips - 0.5).square().sum((2, 3)).mean() == pytest.approx(expected, rel=0.03)
    assert clips.mean() == pytest.approx(0.5, abs=1e-3)  # as many white dots as black ones
    assert clips.min() >= 0
    assert clips.max() <= 1


def test_a_clip_depends_on_its_seed_and_not_on_its_batch():
    field = DotField("different", "walk", **SPARSE, lifetime_s=4.0)
    direction, speed = torch.tensor([0.0, 90.0, 200.0]), torch.tensor([1.0, 2.0, 3.0])
    batch = random_dot_kinematogram(
        direction, speed, 0.4, 0.7, [5, 6, 7], field=field, display=SCREEN
    )
    alone = random_dot_kinematogram(200.0, 3.0, 0.4, 0.7, 7, field=field, display=SCREEN)
    other = random_dot_kinematogram(200.0, 3.0, 0.4, 0.7, 8, field=field, display=SCREEN)
    assert torch.equal(batch.clips[2], alone.clips[0])
    assert (batch.realised_coherence[2] == alone.realised_coherence[0]).all()
    assert not torch.allclose(alone.clips, other.clips, atol=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coherence": 1.2}, "coherence .*1.2"),
        ({"speed_deg_s": 16.0}, "speed_deg_s .* 0.50 screens"),
        ({"lifetime_s": 1.2}, "lifetime_s is 1 frame"),
        ({"density_per_deg2_s": 1e-4}, "density_per_deg2_s leaves no dot"),
        ({"dot_diameter_deg": 0.5}, "dot_diameter_deg is 0.50 px"),
    ],
)
def test_rejects_what_the_display_cannot_show(change, message):
    parameters = {"direction_deg": 0.0, "speed_deg_s": 1.0, "coherence": 0.5, "contrast": 1.0}
    settings = {**SPARSE, "lifetime_s": 4.0}
    settings |= {key: value for key, value in change.items() if key in settings}
    parameters |= {key: value for key, value in change.items() if key in parameters}
    with pytest.raises(InputError, match=message):
        random_dot_kinematogram(**parameters, seed=0, field=DotField(**settings), display=SCREEN)
