"""The options of each stage, from the config: one function per stage, named as the stage.

Each returns what its stage's options dataclass takes, and nothing that the stage does not use: what
stands here decides what reruns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workflow_scripts.workflow.configuration import canonical_json
from workflow_scripts.workflow.study import Named, Study

Options = dict[str, Any]
Wildcards = Mapping[str, str]

# Columns of the sheet of sessions that no reader needs: they decide which jobs there are, belong to
# the simulators, or say where a recording comes from.
_NOT_READ = ("stimulus", "onsets", "seed", "channels", "licence", "source")
# Columns whose values are one option together.
_GROUPED = ("split_", "window_")
_READ_AS = {"simulated_mouse": "sensorium2022"}


def stage_options(study: Study, stage: str) -> Callable[[Wildcards], str]:
    """Make the `options` param of a rule.

    Parameters
    ----------
    study : Study
        The configured study.
    stage : str
        Name of the stage, its rule and its module.

    Returns
    -------
    Callable[[Wildcards], str]
        From a job's wildcards to its options as canonical JSON.
    """
    build = _BUILDERS[stage]
    return lambda wildcards: canonical_json(build(study, dict(wildcards.items())))


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
    fields = {name: value for name, value in session.fields.items() if name not in _NOT_READ}
    options = {
        "session_id": session.session_id,
        **{name: value for name, value in fields.items() if not name.startswith(_GROUPED)},
        "format": _READ_AS.get(session.format, session.format),
        **_split(fields),
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
        **_split(session.fields),
    }


def measure_session_tuning(study: Study, _wildcards: Wildcards) -> Options:
    """How the tuning of recorded cells is measured."""
    return dict(study.config["sessions"]["tuning"])


def _one_device(study: Study) -> Options:
    """Where a network runs that is not trained: how many devices train it changes nothing."""
    torch = study.config["runtime"]["torch"]
    return {key: value for key, value in torch.items() if key not in ("devices", "nodes")}


def _split(fields: Mapping[str, Any]) -> Options:
    """Options of the split, where the sheet has any."""
    prefix = "split_"
    split = {name.removeprefix(prefix): fields[name] for name in fields if name.startswith(prefix)}
    return {"split": split} if split else {}


def train_tdann(study: Study, wildcards: Wildcards) -> Options:
    """Settings of one network, its variant resolved."""
    name = Named.parse(wildcards["network"])
    settings = study.settings(str(name))
    del settings["positions"], settings["start"]  # they are inputs
    if settings["spatial"]["alpha"] == 0:
        # How the loss would be sampled changes nothing: all else depends on this network.
        settings["spatial"] = {"alpha": 0}
    return {**settings, "seed": name.seed, "machine": study.config["runtime"]["torch"]}


def place_units(study: Study, wildcards: Wildcards) -> Options:
    """How the units of one network are placed on the cortical sheets."""
    name = Named.parse(wildcards["positions"])
    positions = dict(study.config["positions"])
    return {
        **{key: value for key, value in positions.items() if key != "kinds"},
        "method": positions["kinds"][name.kind]["method"],
        "seed": name.seed,
        "augmentation": study.settings(study.source_of(str(name)))["augmentation"],
        "machine": _one_device(study),
    }


def make_battery(study: Study, wildcards: Wildcards) -> Options:
    """The stimuli of one battery."""
    stimuli = study.config["stimuli"]
    return {"display": stimuli["display"], **stimuli["batteries"][wildcards["battery"]]}


def stimulate(study: Study, _wildcards: Wildcards) -> Options:
    """How stimuli are shown."""
    machine = _one_device(study)
    return {
        **study.config["in_silico"],
        **{key: machine[key] for key in ("device", "torch_threads")},
    }


def measure_tuning(study: Study, _wildcards: Wildcards) -> Options:
    """How tuning is measured."""
    return dict(study.config["analysis"]["tuning"])


def measure_map(study: Study, _wildcards: Wildcards) -> Options:
    """How maps are measured."""
    return dict(study.config["analysis"]["map"])


def summarise(study: Study, _wildcards: Wildcards) -> Options:
    """What the study consists of."""
    return {"networks": _networks(study), "maps": _maps(study)}


def figure(study: Study, _wildcards: Wildcards) -> Options:
    """How figures are drawn."""
    return dict(study.config["figures"])


def figure_of_networks(study: Study, _wildcards: Wildcards) -> Options:
    """The networks that a figure compares."""
    return {"networks": _networks(study), **study.config["figures"]}


def figure_of_maps(study: Study, _wildcards: Wildcards) -> Options:
    """The maps that a figure compares."""
    return {"maps": _maps(study), **study.config["figures"]}


def _networks(study: Study) -> list[Options]:
    return [_network(study, name) for name in study.networks]


def _network(study: Study, name: str) -> Options:
    settings = study.settings(name)
    return {
        "name": name,
        "alpha": settings["spatial"]["alpha"],
        "steps": settings["training"]["steps"],
        "queue_length": settings["contrast"]["queue_length"],
        "start": settings["start"],
    }


def _maps(study: Study) -> list[Options]:
    return [
        {
            "comparison": drawn.comparison,
            "network": _network(study, drawn.network),
            "positions": drawn.positions,
            "role": study.role(drawn),
        }
        for drawn in study.maps
    ]


_BUILDERS: dict[str, Callable[[Study, Wildcards], Options]] = {
    "ingest_videos": ingest_videos,
    "index_clips": index_clips,
    "infer_onsets": infer_onsets,
    "simulate_mouse": simulate_mouse,
    "simulate_retina": simulate_retina,
    "read_session": read_session,
    "measure_session_tuning": measure_session_tuning,
    "plot_onsets": figure,
    "plot_session": figure,
    "plot_session_tuning": figure,
    "train_tdann": train_tdann,
    "place_units": place_units,
    "make_battery": make_battery,
    "stimulate": stimulate,
    "measure_tuning": measure_tuning,
    "measure_map": measure_map,
    "summarise": summarise,
    "plot_clips": figure,
    "plot_training": figure_of_networks,
    "plot_direction_map": figure_of_maps,
    "plot_tuning_curves": figure_of_networks,
    "plot_selectivity": figure_of_networks,
    "plot_smoothness": figure_of_maps,
    "plot_dots": figure_of_networks,
}
STAGES = tuple(_BUILDERS)
