"""Options of the stages that take recordings in, and of their figures."""

from __future__ import annotations

from workflow_scripts.workflow.options.common import (
    Builder,
    Options,
    Wildcards,
    figure,
    split_options,
)
from workflow_scripts.workflow.sessions import MOVIE_FORMATS
from workflow_scripts.workflow.study import Study

# Columns of the sheet of sessions that no reader needs: they decide which jobs there are, belong to
# the simulators, or say where a recording comes from.
_NOT_READ = ("stimulus", "onsets", "seed", "channels", "licence", "source")
# Columns whose values are one option together.
_GROUPED = ("split_", "window_")
_READ_AS = {"simulated_mouse": "sensorium2022", **dict.fromkeys(MOVIE_FORMATS, "traces")}
# Columns that describe a raw movie, for the stages that read it.
_OF_MOVIES = ("sampling_rate_hz", "um_per_px", "series")


def ingest_videos(study: Study, wildcards: Wildcards) -> Options:
    """One batch of videos, the size they are decoded to, and the frame rate of their clips."""
    return {
        "videos": [video.options() for video in study.batches[wildcards["batch"]]],
        **study.config["videos"]["frames"],
        "frame_rate_hz": study.config["clips"]["frame_rate_hz"],
    }


def index_clips(study: Study, _wildcards: Wildcards) -> Options:
    """How videos are cut into clips."""
    return {key: value for key, value in study.config["clips"].items() if key != "frame_rate_hz"}


def read_session(study: Study, wildcards: Wildcards) -> Options:
    """One session's row of the sample sheet."""
    session = study.sessions[wildcards["session"]]
    left_out = (*_NOT_READ, *_OF_MOVIES) if session.format in MOVIE_FORMATS else _NOT_READ
    fields = {name: value for name, value in session.fields.items() if name not in left_out}
    options = {
        "session_id": session.session_id,
        **{name: value for name, value in fields.items() if not name.startswith(_GROUPED)},
        "format": _READ_AS.get(session.format, session.format),
        **split_options(fields),
    }
    if "window_start_s" in fields:
        options["window_s"] = [fields["window_start_s"], fields["window_stop_s"]]
    return options


def infer_onsets(study: Study, _wildcards: Wildcards) -> Options:
    """How the inferred onsets are tested."""
    return dict(study.config["sessions"]["onsets"])


def simulate_mouse(study: Study, wildcards: Wildcards) -> Options:
    """One simulated mouse."""
    fields = study.sessions[wildcards["session"]].fields
    settings = dict(study.config["sessions"]["simulated_mouse"])
    size = [settings.pop("height_px"), settings.pop("width_px")]
    return {**settings, "seed": fields["seed"], "image_shape": [fields["channels"], *size]}


def simulate_retina(study: Study, wildcards: Wildcards) -> Options:
    """One simulated retina."""
    session = study.sessions[wildcards["session"]]
    return {
        **study.config["sessions"]["simulated_retina"],
        "session_id": session.session_id,
        "seed": session.fields["seed"],
        **split_options(session.fields),
    }


def simulate_two_photon(study: Study, wildcards: Wildcards) -> Options:
    """One simulated two-photon movie."""
    fields = study.sessions[wildcards["session"]].fields
    return {**study.config["sessions"]["simulated_two_photon"], "seed": fields["seed"]}


def register_movie(study: Study, wildcards: Wildcards) -> Options:
    """How one movie is read and registered."""
    movies = study.config["sessions"]["movies"]
    return {
        "source": _movie_source(study, wildcards),
        "registration": movies["registration"],
        "bin_s": movies["bin_s"],
        "memory_mb": movies["memory_mb"],
    }


def extract_rois(study: Study, _wildcards: Wildcards) -> Options:
    """What counts as a cell."""
    movies = study.config["sessions"]["movies"]
    cells = dict(movies["cells"])
    somata = {name: cells.pop(name) for name in ("soma_um", "soma_px")}
    return {**somata, "memory_mb": movies["memory_mb"], "rois": cells}


def extract_traces(study: Study, wildcards: Wildcards) -> Options:
    """How one movie's fluorescence becomes spike rates."""
    movies = study.config["sessions"]["movies"]
    return {
        "session_id": wildcards["session"],
        "source": _movie_source(study, wildcards),
        "registration": movies["registration"],
        **movies["traces"],
        "memory_mb": movies["memory_mb"],
    }


def _movie_source(study: Study, wildcards: Wildcards) -> Options:
    session = study.sessions[wildcards["session"]]
    if session.format == "simulated_two_photon":
        simulated = study.config["sessions"]["simulated_two_photon"]
        stated = {"sampling_rate_hz": simulated["rate_hz"], "um_per_px": simulated["pixel_um"]}
        return {"format": "two_photon_tiff", **stated}
    given = {name: session.fields[name] for name in _OF_MOVIES if name in session.fields}
    return {"format": session.format, **given}


def measure_session_tuning(study: Study, _wildcards: Wildcards) -> Options:
    """How the tuning of recorded cells is measured."""
    return dict(study.config["sessions"]["tuning"])


BUILDERS: dict[str, Builder] = {
    "ingest_videos": ingest_videos,
    "index_clips": index_clips,
    "read_session": read_session,
    "infer_onsets": infer_onsets,
    "simulate_mouse": simulate_mouse,
    "simulate_retina": simulate_retina,
    "simulate_two_photon": simulate_two_photon,
    "register_movie": register_movie,
    "extract_rois": extract_rois,
    "extract_traces": extract_traces,
    "measure_session_tuning": measure_session_tuning,
    "plot_clips": figure,
    "plot_onsets": figure,
    "plot_session": figure,
    "plot_movie": figure,
    "plot_session_tuning": figure,
}
