import dataclasses
import math

import pytest
import torch
from torch.nn import functional

from workflow_scripts.stores.errors import InputError
from workflow_scripts.training.augmentation import AugmentationOptions, two_views

OPTIONS = AugmentationOptions(
    crop_px=48, n_frames=8, pan_px_per_frame=0, contrast=0.3, blur_sigma_px=0.5
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def moving_texture(direction_deg, speed_px=1.5, n_frames=10, size=96):
    """A smooth periodic texture that moves; (clip, 1, time, y, x) uint8."""
    noise = torch.randn(1, 1, size, size, generator=generator(1))
    frequency = torch.fft.fftfreq(size)
    radius = torch.hypot(frequency[:, None], frequency[None])
    spectrum = torch.fft.fft2(noise) * torch.exp(-((radius / 0.05) ** 2))
    clips = []
    for direction in direction_deg:
        shift_x = speed_px * math.cos(math.radians(direction))
        shift_y = -speed_px * math.sin(math.radians(direction))  # rows count downward
        frames = []
        for t in range(n_frames):
            phase = -2j * math.pi * t * (frequency[None] * shift_x + frequency[:, None] * shift_y)
            frames.append(torch.fft.ifft2(spectrum * torch.exp(phase)).real)
        clip = torch.cat(frames, dim=1)
        clips.append((clip / clip.std() * 40 + 128).clamp(0, 255).to(torch.uint8))
    return torch.stack(clips, dim=0)


def motion_direction_deg(views):
    """Least-squares optic flow of whole views (batch, 1, time, y, x)."""
    video = views[:, 0]
    grad_t, grad_y, grad_x = torch.gradient(video, dim=(1, 2, 3))
    inner = (slice(None), slice(1, -1), slice(2, -2), slice(2, -2))
    gt, gy, gx = (g[inner].flatten(1) for g in (grad_t, grad_y, grad_x))
    normal = torch.stack(
        [torch.stack([gx * gx, gx * gy], 1), torch.stack([gx * gy, gy * gy], 1)], 1
    )
    right = -torch.stack([gx * gt, gy * gt], 1).sum(-1)
    flow = torch.linalg.solve(normal.sum(-1), right)
    return torch.rad2deg(torch.atan2(-flow[:, 1], flow[:, 0]))


def angle_between(a, b):
    return ((a - b + 180) % 360 - 180).abs()


def test_the_probe_measures_the_direction_of_a_texture():
    directions = torch.tensor([0.0, 90.0, 215.0])
    measured = motion_direction_deg(moving_texture(directions).float())
    assert angle_between(measured, directions).max() < 3


def test_both_views_move_the_same_way():
    clips = moving_texture(torch.arange(0, 360, 15.0))
    first, second = (motion_direction_deg(view) for view in two_views(clips, OPTIONS, generator()))
    assert angle_between(first, second).max() < 10
    # and the shared geometry does change the direction from clip to clip
    assert angle_between(first, torch.arange(0, 360, 15.0)).max() > 90


def test_independent_flips_break_the_pair():
    options = dataclasses.replace(OPTIONS, independent_flips=True)
    clips = moving_texture(torch.arange(0, 360, 15.0))
    first, second = (motion_direction_deg(view) for view in two_views(clips, options, generator()))
    assert angle_between(first, second).mean() > 50


def test_ego_motion_moves_a_still_clip_in_both_views_alike():
    options = dataclasses.replace(OPTIONS, pan_px_per_frame=2.0)
    still = moving_texture(torch.zeros(24), speed_px=0.0)
    first, second = two_views(still, options, generator())
    assert angle_between(motion_direction_deg(first), motion_direction_deg(second)).mean() < 10
    energy = first.diff(dim=2).abs().mean(dim=(1, 2, 3, 4))
    calm, _ = two_views(still, OPTIONS, generator())
    assert calm.diff(dim=2).abs().max() < 1e-5
    assert (energy > 0.002).float().mean() > 0.8


def test_views_differ_in_place_and_contrast_but_not_over_time():
    still = moving_texture(torch.zeros(8), speed_px=0.0)
    first, second = two_views(still, OPTIONS, generator())
    assert (first - second).abs().mean(dim=(1, 2, 3, 4)).min() > 0.01
    assert first.diff(dim=2).abs().max() < 1e-5


def test_static_frames_are_one_frame_and_shuffled_frames_the_same_ones():
    clips = moving_texture(torch.tensor([0.0, 120.0]), n_frames=8)
    static = dataclasses.replace(OPTIONS, frame_order="static", pan_px_per_frame=2.0)
    assert two_views(clips, static, generator())[0].diff(dim=2).abs().max() < 1e-5
    shuffled = dataclasses.replace(OPTIONS, frame_order="shuffled", blur_sigma_px=0, contrast=0)
    # Frames of distinct grey levels come back in another order, each once.
    levels = torch.arange(8, dtype=torch.uint8).view(1, 1, 8, 1, 1) * 30
    view, _ = two_views(levels.expand(4, 1, 8, 96, 96).contiguous(), shuffled, generator())
    measured = (view.mean(dim=(1, 3, 4)) * 255 / 30).round()
    assert torch.equal(measured.sort(dim=1).values, torch.arange(8.0).expand(4, 8))
    assert not torch.equal(measured, measured.sort(dim=1).values)


def test_shuffled_frames_take_the_window_with_them():
    """Of a still scene under a panning window nothing is left that moves either view."""
    still = moving_texture(torch.zeros(1), speed_px=0.0).expand(96, -1, -1, -1, -1)
    panned = dataclasses.replace(OPTIONS, pan_px_per_frame=2.0)
    shuffled = dataclasses.replace(panned, frame_order="shuffled")
    first, second = (motion_direction_deg(view) for view in two_views(still, shuffled, generator()))
    # Unrelated senses on a shared axis: 0° or 180°, so 90° with a standard deviation of 90°.
    assert abs(angle_between(first, second).mean() - 90) < 4 * 90 / math.sqrt(96)
    # Each view is one that pans, its frames in another order.
    (pan, _), (mixed, _) = (two_views(still, each, generator()) for each in (panned, shuffled))
    away = (mixed[:, 0, :, None] - pan[:, 0, None]).abs().amax(dim=(3, 4))
    order = away.argmin(dim=2)
    assert away.gather(2, order[..., None]).max() < 1e-5
    assert torch.equal(order.sort(dim=1).values, torch.arange(8).expand(96, 8))
    assert (order == torch.arange(8)).float().mean() < 0.25  # 1 in 8 stays at its place by chance


def test_a_generators_seed_decides_everything():
    clips = moving_texture(torch.tensor([0.0, 120.0]))
    same = [two_views(clips, OPTIONS, generator(5))[1] for _ in range(2)]
    assert torch.equal(*same)
    assert not torch.equal(same[0], two_views(clips, OPTIONS, generator(6))[1])


def test_the_blur_is_a_gaussian():
    options = dataclasses.replace(OPTIONS, blur_sigma_px=1.0, contrast=0)
    clips = moving_texture(torch.zeros(16), speed_px=0.0)
    sharp, _ = two_views(clips, dataclasses.replace(options, blur_sigma_px=0), generator())
    blurred, _ = two_views(clips, options, generator())
    assert blurred.std() < sharp.std()
    assert functional.mse_loss(blurred.mean(), sharp.mean()) < 1e-4


def test_too_short_clips_are_refused():
    with pytest.raises(InputError, match=r"clips\.n_frames: 4"):
        two_views(moving_texture(torch.zeros(1), n_frames=4), OPTIONS, generator())
