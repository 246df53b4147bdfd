import numpy as np
import pytest
import torch

from workflow_scripts.stimuli.bars import moving_bar
from workflow_scripts.stimuli.display import Display
from workflow_scripts.stores.errors import InputError

SCREEN = Display(pixels_per_degree=10.0, frame_rate_hz=10.0, size_px=60, n_frames=6)


@pytest.mark.parametrize(
    ("direction_deg", "shift"), [(0, (0, 2)), (90, (-2, 0)), (180, (0, -2)), (270, (2, 0))]
)
def test_moves_by_whole_pixels_towards_its_direction(direction_deg, shift):
    clip = moving_bar(direction_deg, 2.0, 0.0, 1.0, 1.0, display=SCREEN)[0].numpy()  # 2 px a frame
    for t in range(1, 6):
        moved = np.roll(clip[0], (shift[0] * t, shift[1] * t), (0, 1))
        np.testing.assert_allclose(clip[t], moved, atol=1e-4)


def test_is_as_wide_as_told_and_long_as_the_screen():
    frame = moving_bar(0, 2.0, 0.0, 0.6, 1.35, display=SCREEN)[0, 0]
    assert float((frame - 0.5).sum(dim=1).mean()) == pytest.approx(0.3 * 13.5, rel=1e-4)
    assert float(frame.max()) == pytest.approx(0.8)
    assert float(frame.std(dim=0).max()) == 0


def test_phases_spread_over_the_path_cover_every_place_alike():
    phases = torch.arange(90) * 4.0
    clips = moving_bar(30.0, 2.0, phases, 1.0, 1.0, display=SCREEN)
    cover = (clips - 0.5).mean(dim=(0, 1))
    share = 0.5 * 1.0 / (6 * 2**0.5)  # width over path
    np.testing.assert_allclose(cover.numpy(), share, rtol=0.05)


@pytest.mark.parametrize(("speed", "width", "said"), [(2, 0.05, "width"), (80, 1, "speed")])
def test_bars_that_cannot_be_shown_are_refused(speed, width, said):
    with pytest.raises(InputError, match=said):
        moving_bar(0, speed, 0, 1, width, display=SCREEN)
