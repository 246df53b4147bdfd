"""Writes docs/config.md and resources/templates/README.md from the schemas: what each field means.

``python -m workflow_scripts.workflow.document_config`` (``make docs-config``)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.workflow.configuration import SCHEMA
from workflow_scripts.workflow.validation import load_schema

Schema = Mapping[str, Any]
RANGES = {
    "minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}",
    "enum": "one of {}",
}  # fmt: skip


def config_reference(schema: Schema, config: Mapping[str, Any]) -> str:
    """Describe every field of the config in Markdown.

    Parameters
    ----------
    schema : Schema
        The config's JSON schema; each field has a description.
    config : Mapping[str, Any]
        The config as shipped.

    Returns
    -------
    str
        One section per top-level field, one table row per field.
    """
    lines = [f"# {schema['title']}", "", schema["description"], ""]
    for section, fields in schema["properties"].items():
        lines += [f"## {section}", "", fields["description"], ""]
        lines += ["| field | as shipped | type and range | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{name}` | {_shipped(field, value)} | {_type(schema, field)} "
            f"| {field['description']} |"
            for name, field, value in _leaves(schema, fields, section, config[section])
        ]
        lines.append("")
    return "\n".join(lines)


def sheet_reference(root: Path) -> str:
    """Describe every column of the sheets of videos and sessions in Markdown."""
    lines = [
        "# Templates of the sheets", "",
        "Copy a sheet, put your rows in place of the examples, delete columns that stay empty, and",
        "name it in the config (`videos.source`, `sessions.source`). Cells are separated by tabs;",
        "paths start from the sheet's own folder. `make check` says what is wrong with it.", "",
    ]  # fmt: skip
    for name in ("videos", "sessions"):
        schema = load_schema(root / f"resources/schemas/{name}.schema.yaml")
        lines += [f"## {name}.tsv", "", schema["description"], ""]
        lines += ["| column | needed | type and range | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{column}` | {'yes' if column in schema['required'] else ''} "
            f"| {_type(schema, field)} | {field['description']} |"
            for column, field in schema["properties"].items()
        ]
        lines.append("")
    return "\n".join(lines)


def document_config(root: Path) -> None:
    """Write docs/config.md and resources/templates/README.md of the repository at `root`."""
    config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    text = config_reference(load_schema(root / SCHEMA), config)
    (root / "docs/config.md").write_text(text, encoding="utf-8")
    (root / "resources/templates/README.md").write_text(sheet_reference(root), encoding="utf-8")


def _leaves(
    schema: Schema, field: Schema, name: str, shipped: Any
) -> Iterator[tuple[str, Schema, Any]]:
    """Name, schema and shipped value of each table or value below a section."""
    field = _resolve(schema, field)
    items = _resolve(schema, field.get("items", {}))
    named = _resolve(schema, field.get("additionalProperties") or {})
    if "properties" in field:
        for key, child in field["properties"].items():
            yield from _leaves(schema, child, f"{name}.{key}", (shipped or {}).get(key))
    elif "properties" in items:
        yield name, field, None
        yield from _leaves(schema, items, f"{name}[]", None)
    elif "properties" in named:
        yield name, field, None
        yield from _leaves(schema, named, f"{name}.*", None)
    else:
        yield name, field, shipped


def _resolve(schema: Schema, field: Schema) -> Schema:
    """Follow a reference; what stands beside it, such as a description, wins."""
    if "$ref" not in field:
        return field
    target = schema["$defs"][field["$ref"].rsplit("/", 1)[-1]]
    return {**target, **{key: value for key, value in field.items() if key != "$ref"}}


def _type(schema: Schema, field: Schema) -> str:
    items = _resolve(schema, field.get("items", {}))
    types = [field["type"]] if isinstance(field["type"], str) else field["type"]
    table = {"array": f"list of {items.get('type')}", "object": "mapping"}
    names = [table.get(name, name) for name in types]
    bounds = {**items, **field}
    ranges = [
        wording.format(", ".join(map(str, bounds[key])) if key == "enum" else bounds[key])
        for key, wording in RANGES.items()
        if key in bounds
    ]
    return ", ".join([" or ".join(names), *ranges])


def _shipped(field: Schema, value: Any) -> str:
    if value is None and "null" not in field["type"]:
        return ""  # no value of its own: a table, or a field of its entries
    return f"`{json.dumps(value, ensure_ascii=False)}`"


if __name__ == "__main__":
    document_config(Path(__file__).resolve().parents[2])
