"""From video files to the table of clips: `ingest_videos` and `index_clips`."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workflow_scripts import ingest_videos as stage
from workflow_scripts.index_clips import IndexClipsOptions, index_clips
from workflow_scripts.ingest_videos import IngestVideosOptions, ingest_videos
from workflow_scripts.recordings.video import VideoFile
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import input_hash
from workflow_scripts.stores.table_store import read_table
from workflow_scripts.stores.zarr_store import open_store


@pytest.fixture
def ingest(tmp_path):
    """Ingest {video_id: path} as batch `name`; returns the store and the table of problems."""

    def run(videos: dict[str, Path], name="batch_0", *, threads=1, **changes):
        settings = {"height_px": 48, "width_px": 64, "channels": 1, "frame_rate_hz": 15, **changes}
        files = [VideoFile(video_id, path) for video_id, path in videos.items()]
        store, problems = tmp_path / f"{name}.zarr", tmp_path / f"{name}.problems.tsv"
        ingest_videos(store, problems, IngestVideosOptions(files, **settings), threads)
        return store, problems

    return run


@pytest.fixture
def bad_videos(tmp_path, write_video, texture):
    """One of each kind: missing, empty, undecodable, truncated, still, a single picture."""
    truncated = write_video("truncated.mkv", texture)
    truncated.write_bytes(truncated.read_bytes()[: truncated.stat().st_size // 2])
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video" * 100)
    return {
        "missing": tmp_path / "missing.mp4",
        "empty": tmp_path / "empty.mp4",
        "undecodable": tmp_path / "text.mp4",
        "truncated": truncated,
        "still": write_video("still.mkv", np.repeat(texture[:1], 60, axis=0)),
        "picture": write_video("picture.mkv", texture[:1]),
    }


def read_problems(path):
    with path.open(newline="") as file:
        return {row["video_id"]: row for row in csv.DictReader(file, delimiter="\t")}


def test_store_holds_all_videos_one_after_the_other(ingest, write_video, texture, monkeypatch):
    monkeypatch.setattr(stage, "SHARD_FRAMES", 32)  # so that videos cross shards
    videos = {"a": texture, "b": texture[:45, ::-1], "c": 255 - texture}
    paths = {
        name: write_video(f"{name}.mkv", np.ascontiguousarray(frames), rate_hz=rate)
        for (name, frames), rate in zip(videos.items(), (30, 15, 60), strict=True)
    }
    path, problems = ingest(paths)
    store = open_store(path, load=True)
    np.testing.assert_array_equal(store["frames"][..., 0], np.concatenate(list(videos.values())))
    assert list(store["video_id"].to_numpy()) == ["a", "b", "c"]
    assert store["start"].to_numpy().tolist() == [0, 60, 105]
    assert store["n_frames"].to_numpy().tolist() == [60, 45, 60]
    assert store["stride"].to_numpy().tolist() == [2, 1, 4]
    np.testing.assert_allclose(store["frame_rate_hz"], [30, 15, 60], rtol=0.01)
    np.testing.assert_allclose(store["frame_time"][60:105], np.arange(45) / 15, atol=1e-3)
    assert all({"units", "long_name"} <= set(store[name].attrs) for name in store)
    assert read_problems(problems) == {}
    assert sum(1 for file in path.rglob("*") if file.is_file()) < 40


def test_store_does_not_depend_on_threads(ingest, write_video, texture):
    paths = {"a": write_video("a.mp4", texture, codec="libx264", pix_fmt="yuv420p")}
    one, _ = ingest(paths, "one")
    two, _ = ingest(paths, "two", threads=2)
    assert input_hash(one) == input_hash(two)


def test_colour(ingest, write_video, texture):
    colour = np.stack([texture, texture[:, ::-1], 255 - texture], axis=-1)
    path, _ = ingest({"a": write_video("a.mkv", colour)}, channels=3)
    np.testing.assert_array_equal(open_store(path)["frames"], colour)


def test_every_bad_video_is_named_at_once_with_its_remedy(
    ingest, bad_videos, write_video, texture, tmp_path
):
    good = {"good": write_video("good.mkv", texture)}
    short = {"short": write_video("short.mkv", texture[:20])}
    first, first_problems = ingest({**good, **bad_videos}, "first")
    second, second_problems = ingest(short, "second")
    assert set(read_problems(first_problems)) == set(bad_videos)
    assert list(open_store(first)["video_id"].to_numpy()) == ["good"]

    clips = tmp_path / "clips.parquet"
    tables = [first_problems, second_problems]
    with pytest.raises(InputError) as error:
        index_clips([first, second], tables, clips, IndexClipsOptions(n_frames=16))
    message = str(error.value)
    assert "7 video(s) cannot be used" in message
    for name, path in {**bad_videos, **short}.items():
        assert f"{name} ({path}): " in message
    for word in ("cannot be read", "an empty file", "not a video", "truncated", "still", "1 frame"):
        assert word in message
    assert "too short: 20 frames, where one clip takes 31" in message
    assert "exclude: [" in message
    assert "delete their rows from the sheet" in message
    assert not clips.exists()


def test_without_the_bad_videos_clips_are_listed_and_can_be_read(
    ingest, write_video, texture, tmp_path
):
    fast = write_video("fast.mkv", texture)
    slow = write_video("slow.mkv", np.ascontiguousarray(texture[:40, :, ::-1]), rate_hz=15)
    batches, problems = zip(ingest({"fast": fast}, "a"), ingest({"slow": slow}, "b"), strict=True)
    clips = tmp_path / "clips.parquet"
    index_clips(list(batches), list(problems), clips, IndexClipsOptions(n_frames=8, hop=0.5))
    table = read_table(clips)
    assert list(table.columns) == [
        "video_id", "batch", "start", "n_frames", "stride", "frame_rate_hz", "motion_energy"
    ]  # fmt: skip
    expected = {0: texture[::2], 1: texture[:40, :, ::-1]}
    for clip in table.itertuples():
        frames = open_store(batches[clip.batch])["frames"][..., 0].to_numpy()
        own = frames[clip.start : clip.start + clip.n_frames * clip.stride : clip.stride]
        first = clip.start // clip.stride
        np.testing.assert_array_equal(own, expected[clip.batch][first : first + 8])


def test_quiet_clips_are_left_out(ingest, write_video, texture, tmp_path):
    half_still = np.concatenate([texture, np.repeat(texture[-1:], 60, axis=0)])
    store, problems = ingest({"a": write_video("a.mkv", half_still)})
    clips = tmp_path / "clips.parquet"

    def count(threshold):
        index_clips([store], [problems], clips, IndexClipsOptions(8, 1.0, threshold))
        return len(read_table(clips))

    assert (count(0), count(1)) == (7, 4)
    with pytest.raises(InputError, match=r"min_motion_energy: 300.* leaves none of 7 clips"):
        count(300)


@pytest.mark.parametrize(
    ("options", "field"), [({"n_frames": 1}, "n_frames"), ({"n_frames": 8, "hop": 0}, "hop")]
)
def test_impossible_clips_are_refused(options, field):
    with pytest.raises(InputError, match=rf"clips\.{field}"):
        IndexClipsOptions(**options)


def test_command_line_takes_any_name_and_reports_bad_input(
    tmp_path, write_video, texture, bad_videos, capsys
):
    path = write_video("a b's $(x).mkv", texture)
    names = ["123", "1e3", "null", "a/b c.mp4", "it's $(x)"]
    options = {
        "videos": [{"video_id": name, "path": str(path)} for name in names],
        "height_px": 24, "width_px": 24, "channels": 1, "frame_rate_hz": 15,
    }  # fmt: skip
    store, problems = tmp_path / "batch 0.zarr", tmp_path / "batch 0.tsv"
    arguments = ["--store", str(store), "--problems", str(problems), "--threads", "2"]
    run_stage(ingest_videos, [*arguments, "--options", json.dumps(options)])
    assert list(open_store(store)["video_id"].to_numpy()) == names

    options["videos"].append({"video_id": "bad", "path": str(bad_videos["empty"])})
    run_stage(ingest_videos, [*arguments, "--options", json.dumps(options)])
    clips = ["--clips", str(tmp_path / "clips.parquet"), "--options", '{"n_frames": 16}']
    with pytest.raises(SystemExit) as error:
        run_stage(index_clips, ["--batches", str(store), "--problems", str(problems), *clips])
    assert error.value.code == 2
    assert 'exclude: ["bad"]' in capsys.readouterr().err


PEAKS_OF_INGEST = """
import sys
from pathlib import Path
from workflow_scripts.ingest_videos import IngestVideosOptions, ingest_videos
from workflow_scripts.recordings.video import VideoFile
for video in map(Path, sys.argv[1:]):
    options = IngestVideosOptions([VideoFile("a", video)], 96, 96, 3, 15)
    ingest_videos(video.with_suffix(".zarr"), video.with_suffix(".tsv"), options)
    status = Path("/proc/self/status").read_text().splitlines()
    print("peak", next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_memory_does_not_grow_with_length(write_video):
    step = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    short, long = (
        write_video(
            f"{n_frames}.avi",
            (np.roll(step, k, axis=1) for k in range(n_frames)),
            codec="mpeg4",
            pix_fmt="yuv420p",
        )
        for n_frames in (1100, 11000)
    )
    command = [sys.executable, "-c", PEAKS_OF_INGEST, short, long]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    peaks_kb = [int(line.split()[1]) for line in run.stdout.splitlines() if line[:4] == "peak"]
    more_frames_kb = (11000 - 1100) * step.nbytes / 1024
    assert peaks_kb[1] - peaks_kb[0] < 0.15 * more_frames_kb
