"""Options of the stages of the encoders of retinal cells, and of their figures."""

from __future__ import annotations

from workflow_scripts.workflow.options.common import Builder, Options, Wildcards
from workflow_scripts.workflow.study import Study


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


BUILDERS: dict[str, Builder] = {
    "prior_features": prior_features,
    "train_vist": train_vist,
    "evaluate_vist": evaluate_vist,
    "probe_vist": probe_vist,
    "plot_vist_correlation": figure_of_fits,
    "plot_vist_rates": figure_of_fits,
    "plot_vist_filters": figure_of_probes,
}
