"""The part of a study that predicts retinal cells: tasks, encoders and what they are made from.

A *task* says which sessions train and which one judges; a *run* is a variant of the encoder and a
seed. Rules turn their names into paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Literal, NamedTuple

from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.configuration import Config, resolve_variant
from workflow_scripts.workflow.names import Named
from workflow_scripts.workflow.sessions import Session
from workflow_scripts.workflow.validation import closest

Scope = Literal["vist", "vist_long"]


class Fit(NamedTuple):
    """One run on one task."""

    task: str
    variant: str
    seed: int

    @property
    def run(self) -> str:
        """Name of the run: ``vist_s0``."""
        return str(Named(self.variant, self.seed))

    @property
    def folder(self) -> str:
        """Where its outputs lie, below results/vist."""
        return f"{self.task}/{self.run}"


class VistStudy:
    """The config's section `vist` and the sessions that it names.

    Parameters
    ----------
    section : mapping
        The config's `vist`.
    sessions : mapping
        Of the sample sheet, by name.

    Raises
    ------
    InputError
        A task that is to run names a session that the sheet does not have, a variant a prior that
        is not in the table, or the like: all problems at once.
    """

    def __init__(self, section: Config, sessions: Mapping[str, Session]) -> None:
        self.section, self.sessions = section, sessions
        problems = list(self._problems()) if sessions else []
        if problems:
            raise InputError(
                f"{len(problems)} problem(s) in the config\n  " + "\n  ".join(problems)
            )

    def fits(self, scope: Scope) -> list[Fit]:
        """All runs of the shipped study, or of the long one."""
        if not self.sessions:
            return []
        if scope == "vist_long":
            named = [
                Fit(task, variant, seed)
                for study in self.section["long"]
                for task, variant, seed in product(
                    *(study[k] for k in ("tasks", "variants", "seeds"))
                )
            ]
            return list(dict.fromkeys(named))
        return [
            Fit(task, variant, seed)
            for task in self.section["run_tasks"]
            for variant in self.task(task)["variants"]
            for seed in self.section["seeds"]
        ]

    def tasks(self, scope: Scope) -> list[str]:
        """Tasks of the study, in order."""
        return list(dict.fromkeys(fit.task for fit in self.fits(scope)))

    def task(self, name: str) -> Config:
        """Sessions and shipped variants of a task."""
        return self.section["tasks"][name]

    def within(self, name: str) -> bool:
        """Whether a task judges on the movie that it trains on."""
        task = self.task(name)
        return task["test"] in task["train"]

    def fit(self, task: str, run: str) -> Fit:
        """Read a run's name back."""
        return Fit(task, *Named.parse(run))

    def settings(self, variant: str) -> dict[str, Any]:
        """Settings of one encoder."""
        return resolve_variant(self.section, variant)

    def features(self, fit: Fit, role: Literal["train", "test"]) -> list[str]:
        """Stores of the features that a fit trains or is judged on."""
        sessions = self.task(fit.task)[role]
        names = sessions if role == "train" else [sessions]
        prior = self.settings(fit.variant)["prior"]
        return [f"results/sessions/{name}/features/{prior}.zarr" for name in names]

    def movie(self, session: str) -> list[str]:
        """File of the movie that a session's cells saw: none where they saw images."""
        row = self.sessions[session]
        return row.file("stimuli") if row.fields.get("stimulus") == "movie" else []

    def start(self, fit: Fit) -> list[str]:
        """Weights that a fit starts from, if any."""
        start = self.settings(fit.variant)["start"]
        if start is None or fit.task not in start["tasks"]:
            return []
        source = Fit(start["tasks"][fit.task], start["variant"], fit.seed)
        return [f"results/vist/{source.folder}/model.safetensors"]

    def network(self, prior: str) -> list[str]:
        """Files of the video network that a prior needs: weights and description, or none."""
        network = self.section["priors"][prior].get("network")
        ends = ("safetensors", "json") if network else ()
        return [f"results/tdann/{network}/model.{end}" for end in ends]

    def probed(self, scope: Scope) -> list[Fit]:
        """Fits that are shown stimuli."""
        section = self.section["probe"]
        fits = self.fits(scope)
        return [f for f in fits if f.task in section["tasks"] and f.variant in section["variants"]]

    def _problems(self) -> Iterator[str]:
        section = self.section
        long_tasks = [name for study in section["long"] for name in study["tasks"]]
        for name in dict.fromkeys([*section["run_tasks"], *long_tasks]):
            if name not in section["tasks"]:
                yield f"vist: no task '{name}'; {closest(name, list(section['tasks']))}"
                continue
            task = self.task(name)
            for session in (*task["train"], task["test"]):
                if session not in self.sessions:
                    known = closest(session, list(self.sessions))
                    yield (
                        f"vist.tasks.{name}: the sheet of sessions has no '{session}'; {known}, or "
                        "leave the task out of vist.run_tasks and vist.long"
                    )
            for variant in task["variants"]:
                yield from self._unknown(f"vist.tasks.{name}", variant, "variants")
        for index, study in enumerate(section["long"]):
            for variant in study["variants"]:
                yield from self._unknown(f"vist.long.{index}.variants", variant, "variants")
        for variant in section["variants"]:
            at, settings = f"vist.variants.{variant}", self.settings(variant)
            yield from self._unknown(f"{at}.prior", settings["prior"], "priors")
            if settings["start"] is not None:
                yield from self._unknown(f"{at}.start", settings["start"]["variant"], "variants")

    def _unknown(self, at: str, name: str, table: str) -> Iterator[str]:
        known = self.section[table]
        if name not in known:
            yield f"{at}: no such name '{name}'; {closest(name, list(known))}"
