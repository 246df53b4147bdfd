"""Options of the stages of the encoders of retinal cells, and of their figures."""

from __future__ import annotations

from workflow_scripts.workflow.options.common import Builder, Options, Wildcards
from workflow_scripts.workflow.study import Study
from workflow_scripts.workflow.vist_study import Fit


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
    fits = study.vist.fits(wildcards["scope"])  # type: ignore[arg-type]
    return _of_fits(study, [f for f in fits if wildcards.get("task", f.task) == f.task])


def figure_of_probes(study: Study, wildcards: Wildcards) -> Options:
    """The encoders of retinal cells that were shown stimuli."""
    return _of_fits(study, study.vist.probed(wildcards["scope"]))  # type: ignore[arg-type]


def _of_fits(study: Study, fits: list[Fit]) -> Options:
    named = [
        {
            "task": fit.task, "variant": fit.variant, "seed": fit.seed,
            "cells": study.vist.settings(fit.variant)["cells"],
        }
        for fit in fits
    ]  # fmt: skip
    return {"fits": named, **study.config["figures"]}


BUILDERS: dict[str, Builder] = {
    "prior_features": prior_features,
    "train_vist": train_vist,
    "evaluate_vist": evaluate_vist,
    "probe_vist": probe_vist,
    "plot_vist_correlation": figure_of_fits,
    "plot_vist_rates": figure_of_fits,
    "plot_vist_filters": figure_of_probes,
}
