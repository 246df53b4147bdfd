"""Checks a mapping against a JSON schema and words every problem for the person who edits it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError


def load_schema(path: Path) -> dict[str, Any]:
    """Read a JSON schema (as YAML) and check it against the meta-schema.

    Raises
    ------
    jsonschema.SchemaError
        If the file is not a valid draft 2020-12 schema.
    """
    schema = yaml.safe_load(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return schema


FieldPath = tuple[str | int, ...]
Problem = tuple[FieldPath, str]


def schema_problems(values: Any, schema: Mapping[str, Any], at: FieldPath = ()) -> list[Problem]:
    """Name every violation of a schema.

    Parameters
    ----------
    values : Any
        What was read from the file.
    schema : Mapping[str, Any]
        JSON schema, draft 2020-12.
    at : FieldPath
        Where `values` stands in its file.

    Returns
    -------
    list[Problem]
        Path of each field and what is wrong with it, remedy included.
    """
    errors = Draft202012Validator(schema).iter_errors(values)
    return [((*at, *where), problem) for error in errors for where, problem in _problems_of(error)]


def field_name(path: FieldPath) -> str:
    """Write a path into a nested mapping as people do: ``tdann.seeds[0]``."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return name.removeprefix(".")


def closest(word: str, known: list[str]) -> str:
    """Suggest what a misspelt word may have meant."""
    match = difflib.get_close_matches(word, known, n=1)
    return f"did you mean '{match[0]}'?" if match else f"known are: {', '.join(sorted(known))}"


def _problems_of(error: ValidationError) -> Iterator[Problem]:
    where = tuple(error.absolute_path)
    schema: Any = error.schema
    value: Any = error.instance
    if error.validator == "additionalProperties":
        known = list(schema.get("properties", {}))
        for name in sorted(set(value) - set(known), key=str):
            yield (*where, str(name)), f"unknown field; {closest(str(name), known)}"
    elif error.validator == "required":
        yield (*where, error.message.split("'")[1]), "missing; add it"
    else:
        hint = _number_hint(value) if isinstance(value, str) else ""
        remedy = _remedy(error, schema)
        yield where, f"value {json.dumps(value, default=str)}: {remedy}{hint}"


def _remedy(error: ValidationError, schema: Mapping[str, Any]) -> str:
    bound: Any = error.validator_value
    wordings: dict[str, Callable[[], str]] = {
        "type": lambda: f"give {_type_names(bound)}",
        "enum": lambda: f"choose one of {json.dumps(bound)}",
        "minimum": lambda: f"give at least {bound}",
        "maximum": lambda: f"give at most {bound}",
        "exclusiveMinimum": lambda: f"give more than {bound}",
        "exclusiveMaximum": lambda: f"give less than {bound}",
        "minItems": lambda: f"list at least {bound}",
        "minLength": lambda: "give a text that is not empty",
        "minProperties": lambda: f"name at least {bound}",
        "uniqueItems": lambda: "list each only once",
        "pattern": lambda: f"write {schema.get('title', bound)}",
    }
    wording = wordings.get(str(error.validator))
    return wording() if wording else error.message


def _number_hint(text: str) -> str:
    """Explain a number that came as text: YAML 1.1 reads 1e-4 so, and --config nested numbers."""
    try:
        return f" (this is text: write {float(text):.12g} in a file for --configfile)"
    except ValueError:
        return ""


def _type_names(types: Any) -> str:
    articles = {
        "string": "a text", "number": "a number", "integer": "a whole number",
        "boolean": "true or false", "array": "a list", "object": "a mapping", "null": "null",
    }  # fmt: skip
    names = [types] if isinstance(types, str) else types
    return " or ".join(articles[name] for name in names)
