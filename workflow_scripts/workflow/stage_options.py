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
    """One batch of videos and the size they are decoded to."""
    videos = [video._asdict() for video in study.batches[wildcards["batch"]]]
    return {"videos": videos, **study.config["videos"]["frames"]}


def index_clips(study: Study, _wildcards: Wildcards) -> Options:
    """How videos are cut into clips."""
    return dict(study.config["clips"])


def train_tdann(study: Study, wildcards: Wildcards) -> Options:
    """Settings of one network, its variant resolved."""
    settings = study.settings(wildcards["network"])
    del settings["positions"], settings["start"]
    return {**settings, **study.config["runtime"]["torch"], "seed": _seed(wildcards["network"])}


def place_units(study: Study, wildcards: Wildcards) -> Options:
    """How the units of one network are placed on the cortical sheets."""
    positions = study.config["positions"]
    kind = Named.parse(wildcards["positions"]).kind
    method = {key: value for key, value in positions["kinds"][kind].items() if key != "source"}
    shared = {key: value for key, value in positions.items() if key != "kinds"}
    return {
        **shared,
        **method,
        **study.config["runtime"]["torch"],
        "seed": _seed(wildcards["positions"]),
    }


def make_battery(study: Study, wildcards: Wildcards) -> Options:
    """The stimuli of one battery."""
    stimuli = study.config["stimuli"]
    return {"display": stimuli["display"], **stimuli["batteries"][wildcards["battery"]]}


def stimulate(study: Study, _wildcards: Wildcards) -> Options:
    """How stimuli are shown."""
    return {**study.config["in_silico"], **study.config["runtime"]["torch"]}


def measure_tuning(study: Study, _wildcards: Wildcards) -> Options:
    """How tuning is measured."""
    return dict(study.config["analysis"]["tuning"])


def measure_map(study: Study, _wildcards: Wildcards) -> Options:
    """How maps are measured."""
    return dict(study.config["analysis"]["map"])


def _seed(name: str) -> int:
    return Named.parse(name).seed


def _no_options(_study: Study, _wildcards: Wildcards) -> Options:
    return {}


def _figure(study: Study, _wildcards: Wildcards) -> Options:
    return dict(study.config["figures"])


_BUILDERS: dict[str, Callable[[Study, Wildcards], Options]] = {
    "ingest_videos": ingest_videos,
    "index_clips": index_clips,
    "train_tdann": train_tdann,
    "place_units": place_units,
    "make_battery": make_battery,
    "stimulate": stimulate,
    "measure_tuning": measure_tuning,
    "measure_map": measure_map,
    "summarise": _no_options,
    "plot_clips": _figure,
    "plot_training": _figure,
    "plot_direction_map": _figure,
    "plot_tuning_curves": _figure,
    "plot_selectivity": _figure,
    "plot_smoothness": _figure,
    "plot_dots": _figure,
}
STAGES = tuple(_BUILDERS)
