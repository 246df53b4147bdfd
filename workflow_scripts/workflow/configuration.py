"""Reads the study's config, checks all of it before any work, and resolves its variants."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.validation import (
    FieldPath,
    Problem,
    closest,
    field_name,
    load_schema,
    schema_problems,
)

Config = Mapping[str, Any]
SCHEMA = "resources/schemas/config.schema.yaml"


def check_config(config: Config, files: Sequence[Path], root: Path) -> None:
    """Check a config against its schema and against itself.

    Parameters
    ----------
    config : Config
        The merged config.
    files : Sequence[Path]
        The files it was merged from, the last one wins: messages name them.
    root : Path
        Folder of the repository.

    Raises
    ------
    InputError
        Naming file, field, value and remedy of every problem at once.
    """
    problems = config_problems(config, root)
    if problems:
        lines = [worded(problem, config, files) for problem in problems]
        raise InputError(f"{len(lines)} problem(s) in the config\n  " + "\n  ".join(lines))


def config_problems(config: Config, root: Path) -> list[Problem]:
    """List what is wrong with a config: its fields first, then what its names lead to."""
    schema = load_schema(root / SCHEMA)
    problems = [*schema_problems(config, schema), *_non_finite(config)]
    problems = problems or list(_variant_problems(config, schema))
    return problems or list(_reference_problems(config))


def worded(problem: Problem, config: Config, files: Sequence[Path]) -> str:
    """Write a problem of the config with the file that sets the field."""
    field, text = problem
    return f"{_origin(field, config, files)}: {field_name(field)}: {text}"


def resolve_variant(section: Config, variant: str) -> dict[str, Any]:
    """Lay a variant's overrides over the shared settings of all networks.

    Parameters
    ----------
    section : Config
        A section of the config with `network` and `variants`.
    variant : str
        Name in its table `variants`; `inherits` names one to lay below it.

    Returns
    -------
    dict[str, Any]
        The settings of one network.

    Raises
    ------
    InputError
        If `variant`, or one that it inherits from, is not in the table, or it inherits itself.
    """
    layers: list[Config] = []
    chain: list[str] = []
    name: str | None = variant
    while name is not None:
        if name not in section["variants"]:
            raise InputError(f"no variant '{name}': {closest(name, list(section['variants']))}")
        if name in chain:
            raise InputError(f"variant '{name}' inherits from itself; delete one `inherits`")
        chain.append(name)
        layers.append(section["variants"][name])
        name = layers[-1].get("inherits")
    settings = copy.deepcopy(dict(section["network"]))
    for layer in reversed(layers):
        settings = merge(settings, {key: layer[key] for key in layer if key != "inherits"})
    return settings


def merge(below: Config, above: Config) -> dict[str, Any]:
    """Merge two nested mappings; values of `above` win, lists are replaced as a whole."""
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def canonical_json(values: Config) -> str:
    """Write values in the one way that makes equal options equal texts."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _variant_problems(config: Config, schema: Config) -> Iterator[Problem]:
    for section in ("tdann", "vist", "dina", "v1t"):
        network_schema = schema["properties"][section]["properties"]["network"]
        for variant in config[section]["variants"]:
            at = (section, "variants", variant)
            try:
                settings = resolve_variant(config[section], variant)
            except InputError as error:
                yield at, str(error)
                continue
            yield from schema_problems(settings, {"$defs": schema["$defs"], **network_schema}, at)
            if section != "vist":
                yield from _names_in_variant(config, at, settings)


def _names_in_variant(config: Config, at: FieldPath, settings: Config) -> Iterator[Problem]:
    if "positions" in settings:
        yield from _unknown((*at, "positions"), settings["positions"], config["positions"]["kinds"])
    for field in ("start", "core_from"):
        if settings.get(field) is not None:
            known = config[str(at[0])]["variants"]
            yield from _unknown((*at, field), settings[field], known)


def _reference_problems(config: Config) -> Iterator[Problem]:
    tdann, kinds = config["tdann"], config["positions"]["kinds"]
    for section in ("tdann", "dina"):
        for index, variant in enumerate(config[section]["run_variants"]):
            at = (section, "run_variants", index)
            yield from _unknown(at, variant, config[section]["variants"])
    for kind, placement in kinds.items():
        at = ("positions", "kinds", kind, "source")
        yield from _unknown(at, placement["source"], tdann["variants"])
        if resolve_variant(tdann, placement["source"])["spatial"]["alpha"] != 0:
            yield at, "needs a variant of alpha 0: a spatial loss would need positions itself"
    yield from _encoder_problems(config["v1t"])
    yield from _physiology_problems(config)
    for name, control in config["comparisons"].items():
        at = ("comparisons", name)
        yield from _unknown((*at, "variant"), control["variant"], tdann["variants"])
        yield from _unknown((*at, "positions"), control["positions"], kinds)
        if control["other_seed"] and len(tdann["seeds"]) < 2:
            yield (*at, "other_seed"), "needs two seeds; add one to tdann.seeds"


def _encoder_problems(v1t: Config) -> Iterator[Problem]:
    for index, variant in enumerate(v1t["run_variants"]):
        yield from _unknown(("v1t", "run_variants", index), variant, v1t["variants"])
    at = ("v1t", "interpreted")
    yield from _unknown(at, v1t["interpreted"], v1t["variants"])
    if resolve_variant(v1t, v1t["interpreted"])["encoder"]["core"] != "v1t":
        yield at, "has no attention; name a variant with core v1t"
    for index, one in enumerate(v1t["cross_validated"]):
        for number, variant in enumerate(one["variants"]):
            at = ("v1t", "cross_validated", index, "variants", number)
            yield from _unknown(at, variant, v1t["variants"])


# What the stages that measure every network need to be shown.
_NEEDED = {
    "gratings": ("drifting_gratings", "static_gratings"),
    "dots": ("dots",),
    "few_gratings": ("drifting_gratings",),
}
CASCADE = "cascade"


def _physiology_problems(config: Config) -> Iterator[Problem]:
    batteries, physiology = config["stimuli"]["batteries"], config["physiology"]
    for battery, grids in _NEEDED.items():
        for grid in grids:
            if not batteries[battery].get(grid):
                yield ("stimuli", "batteries", battery), f"needs {grid}: name one grid or more"
    for index, battery in enumerate(physiology["batteries"]):
        yield from _unknown(("physiology", "batteries", index), battery, batteries)
    for index, variant in enumerate(physiology["variants"]):
        at = ("physiology", "variants", index)
        yield from _unknown(at, variant, config["tdann"]["variants"])
    for section in ("sweep", "movies"):
        for index, variant in enumerate(config[section]["variants"]):
            yield from _unknown((section, "variants", index), variant, config["tdann"]["variants"])
    if CASCADE in config["tdann"]["variants"]:
        yield ("tdann", "variants", CASCADE), "is the name of the fixed model; choose another"


def _unknown(at: FieldPath, name: str, known: Config) -> Iterator[Problem]:
    if name not in known:
        yield at, f"no such name '{name}'; {closest(name, list(known))}"


def _non_finite(values: Any, at: FieldPath = ()) -> Iterator[Problem]:
    if isinstance(values, Mapping | list):
        items = values.items() if isinstance(values, Mapping) else enumerate(values)
        for key, value in items:
            yield from _non_finite(value, (*at, key))
    elif isinstance(values, float) and not math.isfinite(values):
        yield at, f"value {values}: give a finite number"


def _origin(field: FieldPath, config: Config, files: Sequence[Path]) -> str:
    """Name what sets a field, the last file that holds it or the command line, or should set it."""
    merged = _value_at(config, field)
    for file in reversed(files):
        value = _value_at(yaml.safe_load(file.read_text(encoding="utf-8")), field)
        if value is not None:
            return str(file) if value == merged else "--config"
    return str(files[0]) if files and merged is None else "--config"


def _value_at(values: Any, field: FieldPath) -> Any:
    for part in field:
        if isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            values = values.get(part) if isinstance(values, Mapping) else None
    return values
