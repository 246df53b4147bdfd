"""Options of the stages that align images and responses, and of their figures."""

from __future__ import annotations

from workflow_scripts.workflow.configuration import resolve_variant
from workflow_scripts.workflow.names import Named
from workflow_scripts.workflow.options.common import (
    Builder,
    Options,
    Wildcards,
    one_device,
)
from workflow_scripts.workflow.study import Study


def train_dina(study: Study, wildcards: Wildcards) -> Options:
    """Settings of one alignment, its variant resolved."""
    name = Named.parse(wildcards["alignment"])
    settings = resolve_variant(study.config["dina"], name.kind)
    del settings["sessions"]  # they are inputs
    settings["pairs"] = {**settings["pairs"], "seed": name.seed}
    return {**settings, "seed": name.seed, "machine": study.config["runtime"]["torch"]}


def decode_dina(study: Study, _wildcards: Wildcards) -> Options:
    """How an alignment decodes images."""
    return {**study.config["dina"]["decoding"], "machine": one_device(study)}


def interpret_dina(study: Study, _wildcards: Wildcards) -> Options:
    """How an alignment is interpreted."""
    settings = dict(study.config["dina"]["interpretation"])
    shared = {name: settings.pop(name) for name in ("n_permutations", "n_bootstraps")}
    return {
        "interpretation": settings,
        **shared,
        "seed": settings["seed"],
        "torch_threads": study.config["runtime"]["torch"]["torch_threads"],
    }


def figure_of_alignment(study: Study, wildcards: Wildcards) -> Options:
    """The alignment that a figure shows."""
    return {"alignment": wildcards["alignment"], **study.config["figures"]}


BUILDERS: dict[str, Builder] = {
    "train_dina": train_dina,
    "decode_dina": decode_dina,
    "interpret_dina": interpret_dina,
    "plot_dina_decoding": figure_of_alignment,
    "plot_dina_images": figure_of_alignment,
    "plot_dina_interpretation": figure_of_alignment,
}
