"""Look at everything that a study reads, and report all that is wrong with it, before any work.

``make check``, or ``python -m workflow_scripts.check_inputs --configfiles [mine.yaml …]``.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.progress import track
from workflow_scripts.workflow.configuration import config_problems, merge, worded
from workflow_scripts.workflow.sessions import Session, list_sessions
from workflow_scripts.workflow.study import Study, noted
from workflow_scripts.workflow.videos import Video, batches_of_videos, list_videos

ROOT = Path(__file__).resolve().parents[1]


def check_inputs(configfiles: list[Path], videos: str | None = None) -> None:
    """Check the config, the sheets, the header of every file that they name, device and disk.

    Parameters
    ----------
    configfiles : list of Path
        Laid over config.yaml, as by Snakemake's ``--configfile``.
    videos : str, optional
        In place of the config's ``videos.source``.

    Raises
    ------
    InputError
        Naming every problem at once.
    """
    files = [ROOT / "config.yaml", *configfiles]
    problems: list[str] = []
    config: dict[str, Any] = {}
    for file in files:
        with noted(problems):
            config = merge(config, _read_yaml(file))
    if videos is not None:
        config = merge(config, {"videos": {"source": videos}})
    wrong = config_problems(config, ROOT)
    problems += [worded(problem, config, files) for problem in wrong]
    sound = set(config) - {str(field[0]) for field, _ in wrong if field}
    if {"videos", "clips"} <= sound:
        problems += _video_problems(config)
    if "sessions" in sound:
        problems += _session_problems(config["sessions"]["source"])
    if "runtime" in sound:
        problems += _device_problems(config["runtime"]["torch"])
    if not problems:
        problems += _study_problems(config)
    if problems:
        raise InputError(f"{len(problems)} problem(s) in the inputs\n  " + "\n  ".join(problems))
    print("no problem found: config, sheets, headers of all files, device and disk")


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{file}: not a readable YAML file ({error}); mend it") from error
    if not isinstance(values, Mapping):
        raise InputError(f"{file}: holds no mapping; write fields as `name: value`")
    return dict(values)


def _video_problems(config: Mapping[str, Any]) -> list[str]:
    """Problems of the list of videos, of each video's header, and of the disk they go to."""
    problems: list[str] = []
    section, clips = config["videos"], config["clips"]
    with noted(problems):
        videos, problems_of_rows = list_videos(section, ROOT)
        problems += [f"{section['source']}: {problem}" for problem in problems_of_rows]
        kept = [video for video in videos if video.video_id not in section["exclude"]]
        n_frames = 0
        for video in track(kept, "videos looked at"):
            with noted(problems):
                n_frames += _check_video(video, clips["n_frames"], clips["frame_rate_hz"])
        frames = section["frames"]
        problems += _disk_problems(
            n_frames * frames["height_px"] * frames["width_px"] * frames["channels"]
        )
        print(f"{len(kept)} videos, {n_frames} frames")
        if not problems:
            batches_of_videos(section, ROOT)
    return problems


def _check_video(video: Video, clip_frames: int, clip_rate_hz: float) -> int:
    """Read a video's header; return its number of frames."""
    from workflow_scripts.recordings.clips import clip_span, frame_stride  # noqa: PLC0415
    from workflow_scripts.recordings.video import VideoFile, read_header  # noqa: PLC0415

    path = Path(video.path)
    header = read_header(VideoFile(video.video_id, path, video.frame_rate_hz))
    span = clip_span(clip_frames, frame_stride(header.frame_rate_hz, clip_rate_hz))
    if 0 < header.n_frames < span:
        raise InputError(
            f"{path}: too short: {header.n_frames} frames, where one clip takes {span}; leave it "
            "out, or shorten clips.n_frames"
        )
    return header.n_frames


def _disk_problems(n_bytes: int) -> list[str]:
    """Compare the size of the decoded videos, before compression, with the room there is."""
    free = shutil.disk_usage(Path.cwd()).free
    if n_bytes <= free:
        return []
    need = f"the decoded videos take up to {n_bytes / 1e9:.1f} GB"
    return [f"{Path.cwd()}: {free / 1e9:.1f} GB free, {need}; make room, or lower videos.frames"]


def _session_problems(source: str | None) -> list[str]:
    """Problems of the sheet of sessions and of each file that it names."""
    from workflow_scripts.recordings.readers.headers import file_checks  # noqa: PLC0415 - seconds

    problems: list[str] = []
    with noted(problems):
        sessions, problems_of_rows = list_sessions(source, ROOT)
        problems += [f"{source}: {problem}" for problem in problems_of_rows]
        for session in track(sessions, "sessions looked at"):
            for check in file_checks(session.format, _paths(session), session.fields):
                with noted(problems):
                    check()
        print(f"{len(sessions)} sessions")
    return list(dict.fromkeys(problems))  # sessions may share a file


def _paths(session: Session) -> dict[str, Path]:
    return {column: Path(file) for column, file in session.files.items()}


def _study_problems(config: Mapping[str, Any]) -> list[str]:
    """What a study of these inputs lacks: sessions, weights."""
    problems: list[str] = []
    with noted(problems):
        study = Study.from_config(config, [], ROOT)
        problems += _weights_problems(study)
    return problems


def _device_problems(torch: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    if torch["device"] == "cuda":
        from workflow_scripts.training.machine import require_devices  # noqa: PLC0415 - loads torch

        with noted(problems):
            require_devices(torch["device"], torch["devices"])
    return problems


def _weights_problems(study: Study) -> list[str]:
    """Weights of one's own that an encoder of the study needs."""
    section = study.vist.section
    used = {study.vist.settings(fit.variant)["prior"] for fit in study.vist.fits("vist")}
    files = {prior: section["priors"][prior].get("weights") for prior in sorted(used)}
    return _unreadable({f"vist.priors.{prior}": Path(f) for prior, f in files.items() if f})


def _unreadable(weights: Mapping[str, Path]) -> list[str]:
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415

    problems: list[str] = []
    for field, file in weights.items():
        try:
            with safe_open(file, framework="np") as opened:
                opened.keys()
        except (OSError, SafetensorError) as error:
            problems.append(
                f"{field}.weights: no readable weights at {file} ({error}); save them there as "
                "safetensors, or choose another prior"
            )
    return problems


if __name__ == "__main__":
    run_stage(check_inputs)
