"""Options of the stages of the encoders of cortex, and of their figures."""

from __future__ import annotations

from workflow_scripts.workflow.names import Named
from workflow_scripts.workflow.options.common import (
    Builder,
    Options,
    Wildcards,
    figure,
    one_device,
    split_options,
)
from workflow_scripts.workflow.study import Study


def train_encoder(study: Study, wildcards: Wildcards) -> Options:
    """Settings of one encoder, its variant resolved."""
    name = Named.parse(wildcards["encoder"])
    settings = study.encoders.settings(str(name))
    del settings["sessions"], settings["core_from"]  # they are inputs
    return {**settings, "seed": name.seed, "machine": study.config["runtime"]["torch"]}


def cross_validate_encoder(study: Study, wildcards: Wildcards) -> Options:
    """Settings of the encoders of all folds, and the folds."""
    split = split_options(study.sessions[wildcards["session"]].fields)
    bootstraps = study.config["v1t"]["evaluation"]["n_bootstraps"]
    fit = {**train_encoder(study, wildcards), "machine": one_device(study)}
    return {"fit": fit, "n_bootstraps": bootstraps, **split}


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


def figure_of_encoders(study: Study, _wildcards: Wildcards) -> Options:
    """The encoders that a figure compares."""
    return {"encoders": study.encoders.compared, **study.config["figures"]}


def figure_of_cross_validated(study: Study, _wildcards: Wildcards) -> Options:
    """The encoders of small sessions that a figure compares."""
    pairs = [one._asdict() for one in study.encoders.cross_validated]
    return {"cross_validated": pairs, **study.config["figures"]}


def _shown(study: Study, wildcards: Wildcards) -> Options:
    stimulus = study.encoders.settings(wildcards["encoder"])["stimulus"]
    return {"stimulus": stimulus, "machine": one_device(study)}


BUILDERS: dict[str, Builder] = {
    "train_encoder": train_encoder,
    "add_mouse": train_encoder,
    "cross_validate_encoder": cross_validate_encoder,
    "evaluate_encoder": evaluate_encoder,
    "stimulate_encoder": stimulate_encoder,
    "measure_encoder": measure_encoder,
    "measure_attention": measure_attention,
    "plot_encoders": figure_of_encoders,
    "plot_encoder_predictions": figure,
    "plot_attention": figure,
    "plot_twins": figure,
    "plot_cross_validated": figure_of_cross_validated,
}
