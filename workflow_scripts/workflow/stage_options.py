"""The options of each stage, from the config: one function per stage, named as the stage.

Each returns what its stage's options dataclass takes, and nothing that the stage does not use: what
stands here decides what reruns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workflow_scripts.workflow.configuration import CASCADE, canonical_json, resolve_variant
from workflow_scripts.workflow.names import Named
from workflow_scripts.workflow.sessions import MOVIE_FORMATS
from workflow_scripts.workflow.study import Study

Options = dict[str, Any]
Wildcards = Mapping[str, str]

# Columns of the sheet of sessions that no reader needs: they decide which jobs there are, belong to
# the simulators, or say where a recording comes from.
_NOT_READ = ("stimulus", "onsets", "seed", "channels", "licence", "source")
# Columns whose values are one option together.
_GROUPED = ("split_", "window_")
_READ_AS = {"simulated_mouse": "sensorium2022", **dict.fromkeys(MOVIE_FORMATS, "traces")}
# Columns that describe a raw movie, for the stages that read it.
_OF_MOVIES = ("sampling_rate_hz", "um_per_px", "series")


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
    left_out = (*_NOT_READ, *_OF_MOVIES) if session.format in MOVIE_FORMATS else _NOT_READ
    fields = {name: value for name, value in session.fields.items() if name not in left_out}
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


def train_dina(study: Study, wildcards: Wildcards) -> Options:
    """Settings of one alignment, its variant resolved."""
    name = Named.parse(wildcards["alignment"])
    settings = resolve_variant(study.config["dina"], name.kind)
    del settings["sessions"]  # they are inputs
    settings["pairs"] = {**settings["pairs"], "seed": name.seed}
    return {**settings, "seed": name.seed, "machine": study.config["runtime"]["torch"]}


def decode_dina(study: Study, _wildcards: Wildcards) -> Options:
    """How an alignment decodes images."""
    return {**study.config["dina"]["decoding"], "machine": study.config["runtime"]["torch"]}


def interpret_dina(study: Study, _wildcards: Wildcards) -> Options:
    """How an alignment is interpreted."""
    settings = dict(study.config["dina"]["interpretation"])
    shared = {name: settings.pop(name) for name in ("n_permutations", "n_bootstraps")}
    machine = study.config["runtime"]["torch"]
    return {"interpretation": settings, **shared, "seed": settings["seed"], "machine": machine}


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


def stimulate(study: Study, wildcards: Wildcards) -> Options:
    """How stimuli are shown."""
    machine = {key: _one_device(study)[key] for key in ("device", "torch_threads")}
    options = {**study.config["in_silico"], **machine}
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


def train_encoder(study: Study, wildcards: Wildcards) -> Options:
    """Settings of one encoder, its variant resolved."""
    name = Named.parse(wildcards["encoder"])
    settings = study.encoders.settings(str(name))
    del settings["sessions"], settings["core_from"]  # they are inputs
    return {**settings, "seed": name.seed, "machine": study.config["runtime"]["torch"]}


def cross_validate_encoder(study: Study, wildcards: Wildcards) -> Options:
    """Settings of the encoders of all folds, and the folds."""
    split = _split(study.sessions[wildcards["session"]].fields)
    bootstraps = study.config["v1t"]["evaluation"]["n_bootstraps"]
    return {"fit": train_encoder(study, wildcards), "n_bootstraps": bootstraps, **split}


def evaluate_encoder(study: Study, wildcards: Wildcards) -> Options:
    """How held-out trials are shown and predictions measured."""
    return {**_shown(study, wildcards), **study.config["v1t"]["evaluation"]}


def stimulate_encoder(study: Study, wildcards: Wildcards) -> Options:
    """How the mice were shown to the encoder, and the spots that map receptive fields."""
    return {**_shown(study, wildcards), **study.config["v1t"]["spots"]}


def measure_encoder(study: Study, _wildcards: Wildcards) -> Options:
    """How digital twins are measured."""
    return {"n_bootstraps": study.config["v1t"]["evaluation"]["n_bootstraps"]}


def measure_attention(study: Study, wildcards: Wildcards) -> Options:
    """How attention is compared with its null."""
    evaluation = study.config["v1t"]["evaluation"]
    null = {"n_permutations": evaluation["n_bootstraps"], "seed": evaluation["seed"]}
    return {**_shown(study, wildcards), **null}


def _shown(study: Study, wildcards: Wildcards) -> Options:
    stimulus = study.encoders.settings(wildcards["encoder"])["stimulus"]
    return {"stimulus": stimulus, "machine": study.config["runtime"]["torch"]}


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


def plot_physiology(study: Study, _wildcards: Wildcards) -> Options:
    """The networks that were shown more than gratings and dots."""
    return {"networks": study.physiology_networks, **study.config["figures"]}


def summarise(study: Study, _wildcards: Wildcards) -> Options:
    """What the study consists of."""
    return {"networks": _networks(study), "maps": _maps(study)}


def prior_features(study: Study, wildcards: Wildcards) -> Options:
    """One prior of the retina's encoders."""
    prior = dict(study.config["vist"]["priors"][wildcards["prior"]])
    prior.pop("network", None)  # an input
    return {**prior, "torch_threads": study.config["runtime"]["torch"]["torch_threads"]}


def train_vist(study: Study, wildcards: Wildcards) -> Options:
    """One encoder of retinal cells."""
    fit = study.vist.fit(wildcards["task"], wildcards["run"])
    settings = study.vist.settings(fit.variant)
    del settings["prior"], settings["start"]  # they are inputs
    return {
        **settings,
        "seed": fit.seed,
        "hide_test": study.vist.within(fit.task),
        "machine": study.config["runtime"]["torch"],
    }


def evaluate_vist(study: Study, wildcards: Wildcards) -> Options:
    """How an encoder of retinal cells is judged."""
    return {
        **study.config["vist"]["evaluation"],
        "only_test": study.vist.within(wildcards["task"]),
        "torch_threads": study.config["runtime"]["torch"]["torch_threads"],
    }


def probe_vist(study: Study, _wildcards: Wildcards) -> Options:
    """What is shown to a trained retina."""
    section = study.config["vist"]["probe"]
    shown = {key: value for key, value in section.items() if key not in ("tasks", "variants")}
    return {**shown, "torch_threads": study.config["runtime"]["torch"]["torch_threads"]}


def figure_of_fits(study: Study, wildcards: Wildcards) -> Options:
    """The encoders of retinal cells that a figure compares: of one task where it is of one."""
    fits = [
        {
            "task": fit.task, "variant": fit.variant, "seed": fit.seed,
            "cells": study.vist.settings(fit.variant)["cells"],
        }
        for fit in study.vist.fits(wildcards["scope"])  # type: ignore[arg-type]
        if wildcards.get("task", fit.task) == fit.task
    ]  # fmt: skip
    return {"fits": fits, **study.config["figures"]}


def figure_of_probes(study: Study, wildcards: Wildcards) -> Options:
    """The encoders of retinal cells that were shown stimuli."""
    probed = study.vist.probed(wildcards["scope"])  # type: ignore[arg-type]
    names = [f"{fit.task}: {fit.run}" for fit in probed]
    return {"names": names, **study.config["figures"]}


def figure(study: Study, _wildcards: Wildcards) -> Options:
    """How figures are drawn."""
    return dict(study.config["figures"])


def figure_of_alignment(study: Study, wildcards: Wildcards) -> Options:
    """The alignment that a figure shows."""
    return {"alignment": wildcards["alignment"], **study.config["figures"]}


def figure_of_networks(study: Study, _wildcards: Wildcards) -> Options:
    """The networks that a figure compares."""
    return {"networks": _networks(study), **study.config["figures"]}


def figure_of_encoders(study: Study, _wildcards: Wildcards) -> Options:
    """The encoders that a figure compares."""
    return {"encoders": study.encoders.compared, **study.config["figures"]}


def figure_of_cross_validated(study: Study, _wildcards: Wildcards) -> Options:
    """The encoders of small sessions that a figure compares."""
    pairs = [one._asdict() for one in study.encoders.cross_validated]
    return {"cross_validated": pairs, **study.config["figures"]}


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
    "simulate_two_photon": simulate_two_photon,
    "register_movie": register_movie,
    "extract_rois": extract_rois,
    "extract_traces": extract_traces,
    "read_session": read_session,
    "measure_session_tuning": measure_session_tuning,
    "plot_onsets": figure,
    "plot_session": figure,
    "plot_movie": figure,
    "plot_session_tuning": figure,
    "train_tdann": train_tdann,
    "train_dina": train_dina,
    "decode_dina": decode_dina,
    "interpret_dina": interpret_dina,
    "plot_dina_decoding": figure_of_alignment,
    "plot_dina_images": figure_of_alignment,
    "plot_dina_interpretation": figure_of_alignment,
    "place_units": place_units,
    "train_encoder": train_encoder,
    "add_mouse": train_encoder,
    "evaluate_encoder": evaluate_encoder,
    "cross_validate_encoder": cross_validate_encoder,
    "stimulate_encoder": stimulate_encoder,
    "measure_encoder": measure_encoder,
    "measure_attention": measure_attention,
    "plot_encoders": figure_of_encoders,
    "plot_encoder_predictions": figure,
    "plot_attention": figure,
    "plot_twins": figure,
    "plot_cross_validated": figure_of_cross_validated,
    "prior_features": prior_features,
    "train_vist": train_vist,
    "evaluate_vist": evaluate_vist,
    "probe_vist": probe_vist,
    "plot_vist_correlation": figure_of_fits,
    "plot_vist_rates": figure_of_fits,
    "plot_vist_filters": figure_of_probes,
    "make_battery": make_battery,
    "stimulate": stimulate,
    "make_cascade": make_cascade,
    "measure_physiology": measure_physiology,
    "measure_tuning": measure_tuning,
    "measure_map": measure_map,
    "summarise": summarise,
    "compare_in_vivo": compare_in_vivo,
    "measure_tradeoff": measure_tradeoff,
    "plot_stimuli": figure,
    "plot_physiology": plot_physiology,
    "plot_in_vivo": figure,
    "plot_tradeoff": figure,
    "plot_clips": figure,
    "plot_training": figure_of_networks,
    "plot_direction_map": figure_of_maps,
    "plot_tuning_curves": figure_of_networks,
    "plot_selectivity": figure_of_networks,
    "plot_smoothness": figure_of_maps,
    "plot_dots": figure_of_networks,
}
STAGES = tuple(_BUILDERS)
