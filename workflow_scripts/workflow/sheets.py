"""Sample sheets: tab-separated tables of what a study takes in, one row each."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.validation import field_name, load_schema, schema_problems

Row = dict[str, Any]
_BEYOND = "cells beyond the header"


def read_sheet(
    sheet: Path,
    schema_file: Path,
    identifier: str,
    problems_of_files: Callable[[Row, Path], Iterable[str]],
) -> tuple[list[Row], list[str]]:
    """Read a sheet, leaving out empty cells, with numbers where the schema wants them.

    Parameters
    ----------
    sheet, schema_file : Path
        The sheet, and the JSON schema of a row.
    identifier : str
        Column whose values differ between rows.
    problems_of_files : callable
        Says what is wrong with a row's files, which are relative to the given folder.

    Returns
    -------
    rows : list of dict
        Those that are in order.
    problems : list of str
        What is wrong with the others, and identifiers that stand twice.

    Raises
    ------
    InputError
        The sheet is no text in UTF-8.
    """
    schema = load_schema(schema_file)
    rows = [_typed(row, schema) for row in _rows(sheet)]
    sound, problems = [], []
    for line, row in enumerate(rows, start=2):
        of_row = [*_problems(row, schema), *problems_of_files(row, sheet.parent)]
        problems += [f"line {line}: {problem}" for problem in of_row]
        sound += [] if of_row else [row]
    for name, count in Counter(row[identifier] for row in rows if identifier in row).items():
        if count > 1:
            problems.append(f"{identifier} '{name}' stands {count} times; give each row its own")
    return sound, problems


def short_path(file: Path) -> str:
    """Prefer a path relative to the working directory: it survives moving the whole folder."""
    working = Path.cwd()
    return str(file.relative_to(working)) if file.is_relative_to(working) else str(file)


def _rows(sheet: Path) -> list[Row]:
    try:
        # -sig: spreadsheets begin a file with a byte order mark.
        with sheet.open(encoding="utf-8-sig", newline="") as lines:
            return list(csv.DictReader(lines, delimiter="\t", restkey=_BEYOND))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{sheet}: not in UTF-8 ({error}); save it as tab-separated UTF-8"
        ) from error


def _problems(row: Row, schema: Mapping[str, Any]) -> Iterator[str]:
    if _BEYOND in row:
        yield f"cells {row[_BEYOND]} have no column; check the tabs, or add to the header"
    columns = {name: value for name, value in row.items() if name != _BEYOND}
    for field, problem in schema_problems(columns, schema):
        yield f"{field_name(field)}: {problem}"


def _typed(row: Row, schema: Mapping[str, Any]) -> Row:
    types = {name: column["type"] for name, column in schema["properties"].items()}
    given = {name: text for name, text in row.items() if text}
    return {name: _number(text, types.get(name)) for name, text in given.items()}


def _number(text: str, kind: str | None) -> Any:
    """Read a number; what is none stays text, for the schema to refuse."""
    try:
        return {"number": float, "integer": int}[kind or ""](text)
    except (KeyError, ValueError):
        return text
