import numpy as np
import pytest
import torch

from workflow_scripts.stimuli.display import Display
from workflow_scripts.stimuli.second_order import contrast_modulated_noise
from workflow_scripts.stores.errors import InputError

SCREEN = Display(pixels_per_degree=8.0, frame_rate_hz=16.0, size_px=64, n_frames=8)
ENVELOPE = {"spatial_frequency_cpd": 0.25, "temporal_frequency_hz": 2.0, "phase_deg": 40.0}


def render(seeds, direction_deg=0.0, **changes):
    values = {**ENVELOPE, **changes}
    return contrast_modulated_noise(
        direction_deg, *values.values(), 1.0, seeds, element_deg=0.25, display=SCREEN
    )


def direction_power(clips):
    """Power of the Fourier modes that move rightward, and leftward."""
    power = np.abs(np.fft.fftn(clips.numpy() - 0.5, axes=(1, 3))) ** 2
    time, x = np.fft.fftfreq(8)[:, None, None], np.fft.fftfreq(64)
    # exp(2πi (k x − w t)) moves rightward: the signs of the two frequencies of the FFT differ
    return power[:, np.broadcast_to(time * x < 0, power.shape[1:])].sum(), power[
        :, np.broadcast_to(time * x > 0, power.shape[1:])
    ].sum()


def test_a_linear_filter_sees_no_direction_and_a_rectifying_one_does():
    clips = render(range(150))
    right, left = direction_power(clips)
    assert right / left == pytest.approx(1, abs=0.03)
    right, left = direction_power((clips - 0.5).abs() + 0.5)
    assert right > 10 * left


def test_contrast_follows_the_envelope_and_luminance_does_not():
    clips = render(range(400))
    assert float((clips.mean(0) - 0.5).abs().max()) < 5 * 0.5 / 20
    x_deg = (np.arange(64) // 2 - 15.5) / 4  # squares of 2 px
    envelope = 0.5 + 0.5 * np.cos(2 * np.pi * 0.25 * x_deg + np.deg2rad(40.0))
    amplitude = (clips - 0.5).abs()[0, 0, 10].numpy() * 2
    np.testing.assert_allclose(amplitude, envelope, atol=1e-5)


def test_noise_depends_on_the_seed_alone():
    torch.testing.assert_close(render([3, 4])[1], render([4])[0])
    assert not torch.allclose(render([3]), render([4]))


def test_elements_below_a_pixel_are_refused():
    with pytest.raises(InputError, match="element_deg"):
        contrast_modulated_noise(0, 0.25, 2, 0, 1, 0, element_deg=0.01, display=SCREEN)
