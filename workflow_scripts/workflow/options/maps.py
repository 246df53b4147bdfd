"""Options of the stages of the networks with maps: training, stimulation, measurement, figures."""

from __future__ import annotations

from workflow_scripts.workflow.configuration import CASCADE
from workflow_scripts.workflow.names import Named
from workflow_scripts.workflow.options.common import (
    Builder,
    Options,
    Wildcards,
    figure,
    one_device,
)
from workflow_scripts.workflow.study import MapName, Study


def train_tdann(study: Study, wildcards: Wildcards) -> Options:
    """Settings of one network, its variant resolved."""
    name = Named.parse(wildcards["network"])
    settings = study.settings(str(name))
    del settings["positions"], settings["start"]  # they are inputs
    if settings["spatial"]["alpha"] == 0:
        # How the loss would be sampled changes nothing: all else depends on this network.
        settings["spatial"] = {"alpha": 0}
    return {
        **settings,
        "seed": name.seed,
        "machine": study.config["runtime"]["torch"],
        "snapshots": study.snapshots(str(name)),
    }


def place_units(study: Study, wildcards: Wildcards) -> Options:
    """How the units of one network are placed on the cortical sheets."""
    name = Named.parse(wildcards["positions"])
    positions = dict(study.config["positions"])
    return {
        **{key: value for key, value in positions.items() if key != "kinds"},
        "method": positions["kinds"][name.kind]["method"],
        "seed": name.seed,
        "augmentation": study.settings(study.source_of(str(name)))["augmentation"],
        "machine": one_device(study),
    }


def make_battery(study: Study, wildcards: Wildcards) -> Options:
    """The stimuli of one battery."""
    stimuli = study.config["stimuli"]
    return {"display": stimuli["display"], **stimuli["batteries"][wildcards["battery"]]}


def stimulate(study: Study, wildcards: Wildcards) -> Options:
    """How stimuli are shown."""
    options = {**study.config["in_silico"], "machine": one_device(study)}
    if Named.parse(wildcards["network"]).kind == CASCADE:
        options["border_units"] = {"v1": 0, "mt": 0}
    return options


def make_cascade(study: Study, _wildcards: Wildcards) -> Options:
    """The cells of the fixed model, and the screen that they look at."""
    display = study.config["stimuli"]["display"]
    screen = {key: float(display[key]) for key in ("pixels_per_degree", "frame_rate_hz")}
    return {**study.config["physiology"]["cascade"], **screen}


def measure_physiology(_study: Study, _wildcards: Wildcards) -> Options:
    """Nothing: the battery says what is measured."""
    return {}


def measure_tuning(study: Study, _wildcards: Wildcards) -> Options:
    """How tuning is measured."""
    return dict(study.config["analysis"]["tuning"])


def measure_map(study: Study, _wildcards: Wildcards) -> Options:
    """How maps are measured."""
    return dict(study.config["analysis"]["map"])


def measure_tradeoff(study: Study, _wildcards: Wildcards) -> Options:
    """The networks of the sweep."""
    points = [
        {
            "network": _network(study, point.network),
            "positions": point.positions,
            "by_alpha": study.differs_in_alpha_alone(point.network),
        }
        for point in study.sweep
    ]
    return {"points": points}


def compare_in_vivo(study: Study, _wildcards: Wildcards) -> Options:
    """What is put beside the values measured in vivo."""
    return {
        "networks": _networks(study),
        "physiology_networks": study.physiology_networks,
        "sessions": study.sessions_where("stimulus", "drifting_gratings"),
    }


def summarise(study: Study, _wildcards: Wildcards) -> Options:
    """What the study consists of."""
    return {"networks": _networks(study), "maps": _maps(study)}


def plot_physiology(study: Study, _wildcards: Wildcards) -> Options:
    """The networks that were shown more than gratings and dots, coloured as all networks are."""
    networks = {"networks": _networks(study), "physiology_networks": study.physiology_networks}
    return {**networks, **study.config["figures"]}


def figure_of_networks(study: Study, _wildcards: Wildcards) -> Options:
    """The networks that a figure compares."""
    return {"networks": _networks(study), **study.config["figures"]}


def figure_of_maps(study: Study, _wildcards: Wildcards) -> Options:
    """The maps that a figure compares."""
    return {"maps": _maps(study), **study.config["figures"]}


def explore_maps(study: Study, _wildcards: Wildcards) -> Options:
    """The maps that can be explored, and whose channels were shown more."""
    return {"maps": _maps(study), "physiology_networks": study.explored_physiology}


def film_training(study: Study, _wildcards: Wildcards) -> Options:
    """The networks whose maps are seen to form, at which steps, and how maps are measured."""
    measured = study.config["analysis"]["map"]
    return {
        "filmed": [
            {**_map(study, one), "steps": study.snapshots(one.network)} for one in study.filmed
        ],
        **{name: measured[name] for name in ("kernel_mm", "near_mm", "n_pixels", "seed")},
    }


def film_gratings(study: Study, _wildcards: Wildcards) -> Options:
    """The networks whose activity is seen."""
    kernel_mm = study.config["analysis"]["map"]["kernel_mm"]
    return {"filmed": [_map(study, one) for one in study.filmed], "kernel_mm": kernel_mm}


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
    return [_map(study, drawn) for drawn in study.maps]


def _map(study: Study, drawn: MapName) -> Options:
    return {
        "comparison": drawn.comparison,
        "network": _network(study, drawn.network),
        "positions": drawn.positions,
        "role": study.role(drawn),
        "method": study.method(drawn.positions),
    }


BUILDERS: dict[str, Builder] = {
    "train_tdann": train_tdann,
    "place_units": place_units,
    "make_battery": make_battery,
    "stimulate": stimulate,
    "make_cascade": make_cascade,
    "measure_tuning": measure_tuning,
    "measure_physiology": measure_physiology,
    "measure_map": measure_map,
    "measure_tradeoff": measure_tradeoff,
    "compare_in_vivo": compare_in_vivo,
    "summarise": summarise,
    "plot_training": figure_of_networks,
    "plot_direction_map": figure_of_maps,
    "plot_tuning_curves": figure_of_networks,
    "plot_selectivity": figure_of_networks,
    "plot_smoothness": figure_of_maps,
    "plot_dots": figure_of_networks,
    "plot_stimuli": figure,
    "plot_physiology": plot_physiology,
    "plot_in_vivo": figure_of_networks,
    "plot_tradeoff": figure,
    "explore_maps": explore_maps,
    "film_training": film_training,
    "film_gratings": film_gratings,
}
