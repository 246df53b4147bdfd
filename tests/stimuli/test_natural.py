import pytest
import torch

from workflow_scripts.stimuli.display import Display
from workflow_scripts.stimuli.gratings import drifting_grating
from workflow_scripts.stimuli.natural import on_screen, scramble_phases
from workflow_scripts.stores.errors import InputError


def test_scrambling_keeps_amplitudes_and_mean_and_loses_phases():
    torch.manual_seed(0)
    clips = 0.5 + 0.05 * torch.randn(2, 8, 20, 22)  # never near 0 or 1: nothing is clipped
    scrambled = scramble_phases(clips, [5, 6])
    before, after = (torch.fft.rfftn(one, dim=(1, 2, 3)) for one in (clips, scrambled))
    torch.testing.assert_close(after.abs(), before.abs(), atol=2e-3, rtol=1e-3)
    turn = torch.angle(after / before).flatten()
    assert torch.exp(1j * turn).mean().abs() < 0.05
    torch.testing.assert_close(scrambled[1:], scramble_phases(clips[1:], 6))


def test_scrambling_keeps_a_direction_of_motion():
    display = Display(pixels_per_degree=8, frame_rate_hz=16, size_px=32, n_frames=8)
    clip = drifting_grating(40.0, 1.0, 2.0, 0.0, 0.5, display=display)
    peaks = [
        torch.fft.fftn(one[0] - 0.5).abs().flatten().topk(2).indices.sort().values
        for one in (clip, scramble_phases(clip, 1))
    ]
    assert peaks[0].tolist() == peaks[1].tolist()


def test_the_middle_square_fills_the_screen():
    frames = torch.zeros(1, 3, 20, 30)
    frames[..., 5:25] = torch.linspace(0, 1, 20)  # the middle square is a ramp
    shown = on_screen(frames, n_frames=2, size_px=40)
    assert shown.shape == (1, 2, 40, 40)
    torch.testing.assert_close(
        shown[0, 0, 7],
        torch.nn.functional.interpolate(torch.linspace(0, 1, 20)[None, None], 40, mode="linear")[
            0, 0
        ],
        atol=1e-5,
        rtol=0,
    )
    with pytest.raises(InputError, match="n_frames"):
        on_screen(frames, n_frames=4, size_px=40)
