import csv
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from pytorchvideo.data.encoded_video import EncodedVideo

from workflow_scripts.recordings.video import (
    FrameFormat,
    VideoError,
    VideoFile,
    read_frames,
)

RESOURCES = Path(__file__).parents[2] / "resources"


def decode(path, height_px=48, width_px=64, *, channels=1, rate_hz=None, threads=1):
    frame_format = FrameFormat(height_px, width_px, channels)
    decoded = list(read_frames(VideoFile(path.stem, path, rate_hz), frame_format, threads))
    return np.array([time for time, _ in decoded]), np.stack([frame for _, frame in decoded])


def test_lossless_grey_comes_back_exactly(write_video, texture):
    _, frames = decode(write_video("a.mkv", texture))
    np.testing.assert_array_equal(frames, texture[..., None])


def test_lossless_colour_comes_back_exactly(write_video, texture):
    colour = np.stack([texture, texture[:, ::-1], 255 - texture], axis=-1)
    _, frames = decode(write_video("a.mkv", colour), channels=3)
    np.testing.assert_array_equal(frames, colour)


def test_grey_video_has_equal_colour_channels(write_video, texture):
    _, frames = decode(write_video("a.mkv", texture), channels=3)
    np.testing.assert_array_equal(frames, np.repeat(texture[..., None], 3, axis=-1))


@pytest.mark.parametrize("rate_hz", [10, 24, 30000 / 1001])
def test_time_stamps_of_a_constant_rate(write_video, texture, rate_hz):
    times, _ = decode(
        write_video("a.mp4", texture, rate_hz=rate_hz, codec="libx264", pix_fmt="yuv420p")
    )
    np.testing.assert_allclose(times, np.arange(60) / rate_hz, atol=1e-4)


def test_time_stamps_of_a_variable_rate_start_at_zero(write_video, texture):
    stamps = 5 + np.cumsum(np.tile([0.02, 0.05, 0.033], 20))
    path = write_video("a.mkv", texture, times_s=stamps)
    np.testing.assert_allclose(decode(path)[0], stamps - stamps[0], atol=1.1e-3)


@pytest.mark.parametrize("factor", [2, 3])
def test_scaling_covers_the_format_and_crops_the_centre(write_video, factor):
    rng = np.random.default_rng(1)
    wide = rng.integers(0, 256, (3, 24 * factor, 40 * factor), dtype=np.uint8)
    _, frames = decode(write_video("a.mkv", wide), 24, 24)
    blocks = wide.reshape(3, 24, factor, 40, factor).mean(axis=(2, 4))
    np.testing.assert_allclose(frames[..., 0], blocks[:, :, 8:32], atol=1)


def test_smaller_videos_are_enlarged(write_video, texture):
    _, frames = decode(write_video("a.mkv", texture), 96, 128)
    back = frames[..., 0].reshape(60, 48, 2, 64, 2).mean(axis=(2, 4))
    assert np.corrcoef(back.ravel(), texture.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("colorspace", [1, 6], ids=["bt709", "bt601"])
def test_grey_is_the_stored_luma_stretched_to_full_range(write_video, colorspace):
    rng = np.random.default_rng(2)
    images = np.kron(rng.integers(0, 256, (3, 6, 8, 3)), np.ones((1, 8, 8, 1))).astype(np.uint8)
    path = write_video(
        "a.mp4", images, codec="libx264", pix_fmt="yuv444p",
        colorspace=colorspace, color_range=int(ColorRange.MPEG), options={"qp": "1"},
    )  # fmt: skip
    with av.open(str(path)) as container:
        luma = np.stack([frame.to_ndarray()[0] for frame in container.decode(video=0)])
    expected = np.clip((luma.astype(float) - 16) * 255 / 219, 0, 255)
    np.testing.assert_allclose(decode(path)[1][..., 0], expected, atol=1)


def test_full_range_luma_is_not_stretched(write_video):
    ramp = np.broadcast_to(np.linspace(0, 255, 64).astype(np.uint8), (3, 48, 64))
    path = write_video("a.avi", ramp, codec="mjpeg", pix_fmt="yuvj420p")
    _, frames = decode(path)
    np.testing.assert_allclose(frames[..., 0], ramp, atol=6)


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_rotation_flag_is_honoured(write_video, texture, quarter_turns):
    degrees = (90 * quarter_turns + 180) % 360 - 180
    path = write_video(
        "a.mp4", texture, codec="libx264", pix_fmt="yuv420p", rotation_deg=degrees,
        options={"qp": "1"},
    )  # fmt: skip
    turned = np.rot90(texture, quarter_turns, axes=(1, 2))
    _, frames = decode(path, *turned.shape[1:])
    assert np.abs(frames[..., 0] - turned.astype(float)).mean() < 2


def test_pixels_that_are_not_square_are_made_square(write_video, texture):
    squeezed = np.ascontiguousarray(texture[:, :, ::2])
    path = write_video(
        "a.mp4", squeezed, codec="libx264", pix_fmt="yuv420p", sample_aspect_ratio=Fraction(2)
    )
    _, frames = decode(path)
    assert np.corrcoef(frames.ravel(), texture.ravel())[0, 1] > 0.97


def test_frames_do_not_depend_on_threads():
    path = RESOURCES / "natural_video" / "mdn_friday.mp4"
    one, four = decode(path, threads=1), decode(path, threads=4)
    for expected, actual in zip(one, four, strict=True):
        np.testing.assert_array_equal(expected, actual)


@pytest.mark.parametrize("shape", [(), (1,)])
def test_raw_grey_arrays(tmp_path, texture, shape):
    np.save(tmp_path / "a.npy", texture.reshape(*texture.shape, *shape))
    times, frames = decode(tmp_path / "a.npy", rate_hz=20)
    np.testing.assert_array_equal(frames, texture[..., None])
    np.testing.assert_allclose(times, np.arange(60) / 20)


def test_raw_colour_arrays_are_scaled_like_videos(tmp_path, write_video, texture):
    colour = np.stack([texture, texture[:, ::-1], 255 - texture], axis=-1)
    np.save(tmp_path / "a.npy", colour)
    for channels in (1, 3):
        _, raw = decode(tmp_path / "a.npy", 20, 20, channels=channels, rate_hz=20)
        _, video = decode(write_video("a.mkv", colour), 20, 20, channels=channels)
        np.testing.assert_allclose(raw.astype(int), video, atol=1)


@pytest.mark.parametrize("name", ["mdn_flower", "sam2_05_juggle", "intel_car"])
def test_encoded_video_sees_the_same_frames_at_the_same_times(name):
    path = RESOURCES / "natural_video" / f"{name}.mp4"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        height, width = stream.height, stream.width
    times, frames = decode(path, height, width, channels=3)
    # pytorchvideo's own reader, which seeks in the file, shows the same frames at the same times.
    video = EncodedVideo.from_path(str(path), decode_audio=False)
    clip = video.get_clip(1.99, 3.01)["video"].permute(1, 2, 3, 0).numpy()
    video.close()
    expected = frames[(times >= 1.99) & (times < 3.01)]
    assert clip.shape == expected.shape
    difference = np.abs(clip.astype(int) - expected)
    assert difference.mean() < 0.5
    # the right frame, not a neighbour
    neighbour = frames[1:][(times[:-1] >= 1.99) & (times[:-1] < 3.01)]
    assert difference.mean() < 0.5 * np.abs(clip.astype(int) - neighbour).mean()


def cut(path: Path, share: float) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


class TestBadFiles:
    @pytest.fixture
    def h264(self, write_video):
        """A video of noise, so that a share of its bytes is about that share of its frames."""
        noise = np.random.default_rng(3).integers(0, 256, (90, 48, 64), dtype=np.uint8)
        return lambda name, **muxer: write_video(
            name, noise, codec="libx264", pix_fmt="yuv420p", muxer=muxer
        )

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
    @pytest.mark.parametrize(
        ("name", "muxer"),
        [
            ("index_first.mp4", {"movflags": "faststart"}),
            ("index_last.mp4", {}),
            ("fragments.mp4", {"movflags": "frag_keyframe+empty_moov"}),
            ("matroska.mkv", {}),
        ],
    )
    def test_truncated(self, h264, name, muxer, share):
        if name == "matroska.mkv" and share == 0.95:
            pytest.skip("only the duration of the whole file is known: 10 % may lack")
        with pytest.raises(VideoError, match=name):
            decode(cut(h264(name, **muxer), share))

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.h264"])
    def test_whole_files_pass_in_every_container(self, write_video, texture, name):
        path = write_video(
            name, texture, codec="libx264", pix_fmt="yuv420p", max_b_frames=2 * (name != "a.avi")
        )
        assert len(decode(path)[1]) == 60

    def test_damaged(self, h264):
        path = h264("a.mp4", movflags="faststart")
        content = bytearray(path.read_bytes())
        for place in np.random.default_rng(4).integers(len(content) // 3, len(content), 30):
            content[place] ^= 0xFF
        path.write_bytes(content)
        with pytest.raises(VideoError, match=r"damaged|cannot be decoded"):
            decode(path)

    def test_not_a_video(self, tmp_path):
        (tmp_path / "empty.mp4").touch()
        (tmp_path / "text.mp4").write_text("text " * 1000)
        (tmp_path / "folder.mp4").mkdir()
        for name, problem in {
            "empty": "an empty file",
            "text": "not a video that PyAV can open",
            "folder": "not a video that PyAV can open",
            "absent": "cannot be read",
        }.items():
            with pytest.raises(VideoError, match=rf"{name}\.mp4: {problem}"):
                decode(tmp_path / f"{name}.mp4")

    def test_sound_only(self, tmp_path):
        with av.open(str(tmp_path / "a.wav"), "w") as container:
            stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
            sound.sample_rate = 8000
            container.mux(stream.encode(sound))
        with pytest.raises(VideoError, match="has no video stream"):
            decode(tmp_path / "a.wav")

    def test_one_frame_is_a_picture(self, write_video, texture):
        with pytest.raises(VideoError, match=r"holds 1 frame\(s\)"):
            decode(write_video("a.mkv", texture[:1]))

    @pytest.mark.parametrize(
        ("array", "problem"),
        [
            (np.zeros((9, 8, 8), np.float32), r"holds float32 of shape \(9, 8, 8\)"),
            (np.zeros((9, 8), np.uint8), r"holds uint8 of shape \(9, 8\)"),
            (np.zeros((9, 8, 8, 4), np.uint8), r"holds uint8 of shape \(9, 8, 8, 4\)"),
            (np.zeros((0, 8, 8), np.uint8), r"holds 0 frame\(s\)"),
            (np.array([{"pickled": "object"}]), "not a readable .npy array"),
        ],
    )
    def test_raw_arrays_of_another_kind(self, tmp_path, array, problem):
        np.save(tmp_path / "a.npy", array, allow_pickle=True)
        with pytest.raises(VideoError, match=problem):
            decode(tmp_path / "a.npy", 8, 8, rate_hz=30)

    def test_raw_array_without_a_frame_rate(self, tmp_path, texture):
        np.save(tmp_path / "a.npy", texture)
        with pytest.raises(VideoError, match="give its frame_rate_hz in the sheet"):
            decode(tmp_path / "a.npy")

    def test_truncated_raw_array(self, tmp_path, texture):
        np.save(tmp_path / "a.npy", texture)
        with pytest.raises(VideoError, match="not a readable"):
            decode(cut(tmp_path / "a.npy", 0.5), rate_hz=30)


class TestEmbeddedVideos:
    @pytest.fixture
    def sheet(self):
        with (RESOURCES / "videos.tsv").open(newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))

    def test_sheet_names_every_clip_with_its_licence_and_source(self, sheet):
        listed = {RESOURCES / row["path"] for row in sheet}
        assert listed == set((RESOURCES / "natural_video").glob("*.mp4"))
        assert len({row["video_id"] for row in sheet}) == len(sheet) == 12
        assert all(row["licence"] and row["source"].startswith("https://") for row in sheet)

    def test_clips_decode(self, sheet):
        for row in sheet:
            times, frames = decode(RESOURCES / row["path"], 36, 36)
            assert 9.9 <= (len(times) - 1) / times[-1] <= 30.1
            assert frames.std() > 20

    @pytest.mark.parametrize(("number", "n_frames"), [(1, 1800), (2, 1600)])
    def test_retina_movies_keep_their_pixels_and_times(self, number, n_frames):
        path = RESOURCES / "retina_onken2017" / f"movie{number}.mp4"
        times, frames = decode(path, 45, 45)
        np.testing.assert_allclose(times, np.arange(n_frames) / 30, atol=1e-6)
        with av.open(str(path)) as container:
            assert (container.streams.video[0].height, container.streams.video[0].width) == (
                360,
                360,
            )
        assert np.abs(np.diff(frames.astype(int), axis=0)).mean() > 5

    def test_clips_are_small(self, sheet):
        for row in sheet:
            with av.open(str(RESOURCES / row["path"])) as container:
                stream = container.streams.video[0]
                assert min(stream.height, stream.width) <= 256
        assert sum(file.stat().st_size for file in RESOURCES.rglob("*.mp4")) < 13e6
