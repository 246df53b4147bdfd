import numpy as np
import pytest
import xarray as xr
import zarr

from workflow_scripts.recordings.clips import cut_into_clips, frame_stride, motion_energy


def moving_bar(n_frames: int, speed_px: int, contrast: int = 200) -> np.ndarray:
    """A bright bar, 8 px wide, that moves to the right around a field 64 px wide."""
    image = np.zeros((16, 64, 1), np.uint8)
    image[:, :8] = contrast
    return np.stack([np.roll(image, speed_px * k, axis=1) for k in range(n_frames)])


@pytest.mark.parametrize(("speed_px", "stride"), [(1, 1), (3, 1), (1, 2), (2, 3)])
def test_motion_energy_of_a_moving_bar(speed_px, stride):
    # Each step uncovers and covers speed · stride columns of the 64.
    expected = 200 * 2 * speed_px * stride / 64
    energy = motion_energy(moving_bar(600, speed_px), slice(0, 600), stride)
    np.testing.assert_allclose(energy[:-stride], expected, rtol=1e-6)
    assert np.isnan(energy[-stride:]).all()


def test_motion_energy_sees_one_video_only_and_wraps_no_differences():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (700, 6, 7, 3), dtype=np.uint8)
    video = slice(50, 650)
    expected = np.abs(np.diff(frames[video].astype(float), axis=0)).mean(axis=(1, 2, 3))
    stored = zarr.create_array(zarr.storage.MemoryStore(), data=frames, chunks=(16, 6, 7, 3))
    for array in (frames, stored):
        energy = motion_energy(array, video, 1)
        np.testing.assert_allclose(energy[:-1], expected, rtol=1e-6)


def test_motion_energy_of_a_video_shorter_than_the_stride_is_unknown():
    assert np.isnan(motion_energy(moving_bar(3, 1), slice(0, 3), 5)).all()


@pytest.mark.parametrize(
    ("frame_rate_hz", "clip_rate_hz", "stride"),
    [(30, 15, 2), (30000 / 1001, 15, 2), (24, 15, 2), (12.5, 15, 1), (10, 15, 1), (60, 15, 4)],
)
def test_stride_brings_a_video_nearest_to_the_clip_rate(frame_rate_hz, clip_rate_hz, stride):
    assert frame_stride(frame_rate_hz, clip_rate_hz) == stride


@pytest.fixture
def store() -> xr.Dataset:
    """Three videos of 100, 20 and 63 frames, of which the second is too short at its stride."""
    rng = np.random.default_rng(1)
    n_frames, stride = np.array([100, 20, 63]), np.array([2, 3, 1])
    start = np.array([7, 107, 127])
    frames = rng.integers(0, 256, (190, 4, 5, 1), dtype=np.uint8)
    energy = np.full(190, np.nan, np.float32)
    for first, n, step in zip(start, n_frames, stride, strict=True):
        energy[first : first + n] = motion_energy(frames, slice(first, first + n), int(step))
    return xr.Dataset(
        {
            "frames": (("time", "y", "x", "channel"), frames),
            "motion_energy": ("time", energy),
            "video_id": ("video", np.array(["a", "b", "c"], object)),
            "start": ("video", start),
            "n_frames": ("video", n_frames),
            "stride": ("video", stride),
            "frame_rate_hz": ("video", [30.0, 45.0, 15.0]),
        }
    )


@pytest.mark.parametrize("hop", [0.1, 0.5, 1.0, 2.5])
def test_clips_lie_inside_their_video_at_equal_distances(store, hop):
    clips = cut_into_clips(store, 8, hop)
    for video in range(3):
        own = clips[clips["video_id"] == store["video_id"].item(video)]
        first, n, stride = (store[name].item(video) for name in ("start", "n_frames", "stride"))
        last_frames = own["start"] + (own["n_frames"] - 1) * own["stride"]
        if video == 1:
            assert own.empty
            continue
        assert own["start"].iloc[0] == first
        assert (np.diff(own["start"]) == max(1, round(hop * 8 * stride))).all()
        assert last_frames.max() < first + n
        # one more would not fit
        assert last_frames.max() + max(1, round(hop * 8 * stride)) >= first + n


def test_motion_energy_of_a_clip_is_that_of_its_successive_frames(store):
    clips = cut_into_clips(store, 8, 0.5)
    frames = store["frames"].to_numpy().astype(float)
    for clip in clips.itertuples():
        own = frames[clip.start : clip.start + clip.n_frames * clip.stride : clip.stride]
        assert len(own) == 8
        assert clip.motion_energy == pytest.approx(np.abs(np.diff(own, axis=0)).mean(), rel=1e-5)


def test_clips_know_their_own_frame_rate(store):
    clips = cut_into_clips(store, 8, 1.0).groupby("video_id")["frame_rate_hz"].first()
    assert clips.to_dict() == {"a": 15.0, "c": 15.0}
