"""Ten mistakes that a newcomer makes, by the commands of a newcomer, and what is said about each.

Also: a Python that is not fit in `test_make`, a disk that is full or read-only in
`test_broken_disks`, results that the config has left behind in `test_status`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import yaml

from workflow_scripts.read_session import read_session
from workflow_scripts.stores.command_line import run_stage

ROOT = Path(__file__).resolve().parents[2]


def write_video(path, n_frames):
    """Write noise that moves."""
    frames = np.random.default_rng(0).integers(0, 256, (n_frames, 48, 64, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def one_error(said: str) -> str:
    """Return the message of a command that must give one, and no traceback."""
    assert "Traceback" not in said
    assert "error: " in said.lower()
    return said


def test_a_wrong_path_and_a_misspelt_field(pristine):
    done = pristine.try_snakemake("--dry-run", "--config", "videos={source: nowhere}")
    assert done.returncode != 0
    assert "videos.source: nothing at" in done.stdout
    assert "give a folder or a tab-separated sheet" in done.stdout
    assert "Traceback" not in done.stdout
    done = pristine.try_snakemake("--dry-run", "--config", "tdann={sedes: [0]}")
    assert done.returncode != 0
    assert "tdann.sedes: unknown field; did you mean 'seeds'?" in done.stdout
    assert "Traceback" not in done.stdout


def test_all_of_them_at_once_before_any_work(tmp_path):
    """Config, sheets, headers of videos and recordings, and the device."""
    write_video(tmp_path / "good.mp4", 60)
    write_video(tmp_path / "short.mp4", 5)
    write_video(tmp_path / "picture.mp4", 1)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "videos.tsv").write_text(
        "video_id\tpath\n"
        + "".join(f"{name}\t{name}.mp4\n" for name in ("good", "short", "picture", "empty", "gone"))
    )
    np.savez(tmp_path / "spikes.npz", unit=np.zeros(3), time=np.arange(4.0))
    (tmp_path / "trials.tsv").write_text("onset\tstimulus\n0\ta\n")
    (tmp_path / "sessions.tsv").write_text(
        "session_id\tformat\tpath\ttrials\nmine\tspike_times\tspikes.npz\ttrials.tsv\n"
        "other\tsuite2p\tnowhere\t\n"
    )
    study = {
        "videos": {"source": str(tmp_path / "videos.tsv")},
        "sessions": {"source": str(tmp_path / "sessions.tsv")},
        "clips": {"n_frames": 10},
        "tdann": {"network": {"widht": 4}},
        "runtime": {"torch": {"device": "cuda", "devices": 99}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(study))
    done = subprocess.run(
        [sys.executable, "-m", "workflow_scripts.check_inputs", "--configfiles",
         str(tmp_path / "mine.yaml")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    said = one_error(done.stderr)
    assert "error: 9 problem(s) in the inputs" in said
    for expected in (
        "tdann.network.widht: unknown field; did you mean 'width'?",
        "line 6: path: no file",
        "short.mp4: too short: 5 frames, where one clip takes 19",
        "picture.mp4: holds 1 frame(s) and therefore no motion",
        "empty.mp4: an empty file",
        "spikes.npz: unit has shape (3,), time (4,); one per spike",
        "trials.tsv: no column onset_s; it has ['onset', 'stimulus']",
        "line 3: path: nothing at",
        "runtime.torch.device: 'cuda', and devices: 99, but PyTorch sees",
    ):
        assert expected in said
    assert "good.mp4" not in said


def test_the_shipped_inputs_have_no_problem(capsys):
    from workflow_scripts.check_inputs import check_inputs  # noqa: PLC0415

    check_inputs([])
    assert "no problem found" in capsys.readouterr().out


def test_a_video_without_frames_ends_the_run_with_its_name_and_remedy(small_study, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    write_video(videos / "good.mp4", 60)
    (videos / "empty.mp4").touch()
    study = small_study(
        tmp_path / "run", "--cores", "1", "--config", f"videos={{source: {videos}}}"
    )
    done = study.attempt("results/videos/clips.parquet")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    end = done.stdout[done.stdout.index("job(s) failed") - 2 :]
    assert end.startswith("1 job(s) failed; what was finished stays, and the same command goes on.")
    assert "index_clips: 1 video(s) cannot be used:" in end
    assert "an empty file; fetch or export the file again" in end
    assert 'videos: {exclude: ["empty.mp4"]}' in end
    assert "log: results/logs/index_clips.log" in end


def session_with(folder, n_stimuli):
    """Arguments that read a session of one unit; every stimulus is shown twice."""
    onset_s = np.arange(2 * n_stimuli) + 1.0
    stimuli = np.tile(np.arange(n_stimuli), 2)
    rows = [f"{onset}\ts{stimulus}" for onset, stimulus in zip(onset_s, stimuli, strict=True)]
    (folder / "trials.tsv").write_text("\n".join(["onset_s\tstimulus", *rows]) + "\n")
    np.savez(folder / "spikes.npz", unit=np.zeros(2 * n_stimuli), time=onset_s + 0.1)
    options = {"session_id": "mine", "format": "spike_times", "split": {"rule": "stimulus"}}
    files = {"recording": "spikes.npz", "session": "session.zarr", "trials": "trials.tsv"}
    words = [word for name, file in files.items() for word in (f"--{name}", str(folder / file))]
    return [*words, "--options", json.dumps(options)]


def test_too_few_stimuli(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_stage(read_session, session_with(tmp_path, 2))
    said = one_error(capsys.readouterr().err)
    assert "session mine: split: no trial is left for" in said
    assert "2 stimuli are too few; show more" in said
    assert not (tmp_path / "session.zarr").exists()
    run_stage(read_session, session_with(tmp_path, 12))


def test_after_an_interrupted_run(small_study, tmp_path):
    """As Snakemake leaves it when it is killed: locked."""
    study = small_study(tmp_path / "run", "--cores", "1")
    target = "results/in_silico/gratings.parquet"
    lock = study.folder / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text(f"{target}\n")
    done = study.attempt(target)
    assert done.returncode != 0
    assert "It can be removed with the --unlock argument" in done.stdout
    study.run(target, "--unlock")
    study.run(target)


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_a_short_study_of_no_videos(folder):
    done = subprocess.run(
        ["make", "-o", "setup", "demo-own", f"VIDEOS={folder}"],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    assert done.returncode != 0
    assert f"error: VIDEOS: no folder '{folder}'" in done.stderr
    assert "make demo-own VIDEOS=/path/to/videos" in done.stderr
