"""The recording sessions of a study: the rows of a sample sheet."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.validation import closest, field_name, load_schema, schema_problems
from workflow_scripts.workflow.videos import short_path

SESSION = r"[a-z][a-z0-9_]*"
SCHEMA = "resources/schemas/sessions.schema.yaml"
# Formats of raw movies, which become traces before they are read.
MOVIE_FORMATS = ("two_photon_tiff", "two_photon_nwb", "simulated_two_photon")
_BEYOND = "cells beyond the header"
_FILES = ("path", "stimuli", "trials", "outlines")


class Session(NamedTuple):
    """One recording session.

    `files` holds the paths of the columns path, stimuli, trials and outlines, relative to the
    working directory where that is possible; `fields` the values of all other columns.
    """

    session_id: str
    files: Mapping[str, str]
    fields: Mapping[str, Any]

    @property
    def format(self) -> str:
        """Format of the recording, or the simulator that makes it."""
        return self.fields["format"]

    def file(self, column: str) -> list[str]:
        """Path in a column: none where its cell is empty."""
        return [self.files[column]] if column in self.files else []


class Sessions(dict[str, Session]):
    """Sessions by `session_id`, in the sheet's order; asking for another is an `InputError`."""

    def __missing__(self, session_id: str) -> Session:
        known = closest(session_id, list(self)) if self else "sessions.source is null"
        raise InputError(f"the sheet of sessions has no '{session_id}'; {known}")


def read_sessions(source: str | None, root: Path) -> Sessions:
    """Read the sample sheet of sessions.

    Parameters
    ----------
    source : str or None
        The config's `sessions.source`; None where there are no recordings.
    root : Path
        Folder that relative paths start from.

    Returns
    -------
    Sessions

    Raises
    ------
    InputError
        With every problem at once: no such sheet, a malformed row, an identifier twice, a file
        that is not there.
    """
    sessions, problems = list_sessions(source, root)
    if problems:
        raise InputError(
            f"{root / str(source)}: {len(problems)} problem(s)\n  " + "\n  ".join(problems)
        )
    return Sessions((session.session_id, session) for session in sessions)


def list_sessions(source: str | None, root: Path) -> tuple[list[Session], list[str]]:
    """List the sessions whose row is in order, and the problems of the other rows.

    Raises
    ------
    InputError
        There is no such sheet, or it is no text in UTF-8.
    """
    if source is None:
        return [], []
    sheet = root / source
    if not sheet.is_file():
        raise InputError(f"sessions.source: nothing at {sheet}; give a tab-separated sheet or null")
    schema = load_schema(root / SCHEMA)
    rows = [_typed(row, schema) for row in _rows(sheet)]
    sessions, problems = [], []
    for line, row in enumerate(rows, start=2):
        of_row = list(_row_problems(row, schema, sheet))
        problems += [f"line {line}: {problem}" for problem in of_row]
        sessions += [] if of_row else [_session(row, sheet.parent)]
    for session_id, count in Counter(row.get("session_id") for row in rows).items():
        if count > 1:
            problems.append(
                f"session_id '{session_id}' stands {count} times; give each row its own"
            )
    return sessions, problems


def any_of(names: Iterable[str]) -> str:
    """Regular expression of exactly these names; of no text where there are none."""
    return "|".join(sorted(names)) or r"(?!)"


def none_of(names: Iterable[str]) -> str:
    """Regular expression of a session's name in a path, but these.

    A name that the sheet does not have matches: its rule's input function says so, where no rule
    at all would be Snakemake's `MissingInputException`.
    """
    return rf"(?!(?:{any_of(names)})/){SESSION}"


def _rows(sheet: Path) -> list[dict[str, Any]]:
    try:
        # -sig: spreadsheets begin a file with a byte order mark.
        with sheet.open(encoding="utf-8-sig", newline="") as lines:
            return list(csv.DictReader(lines, delimiter="\t", restkey=_BEYOND))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{sheet}: not in UTF-8 ({error}); save it as tab-separated UTF-8"
        ) from error


def _typed(row: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out empty cells and read numbers where the schema wants them."""
    types = {name: column["type"] for name, column in schema["properties"].items()}
    given = {name: text for name, text in row.items() if text}
    return {name: _number(text, types.get(name)) for name, text in given.items()}


def _number(text: str, kind: str | None) -> Any:
    """Read a number; what is none stays text, for the schema to refuse."""
    try:
        return {"number": float, "integer": int}[kind or ""](text)
    except (KeyError, ValueError):
        return text


def _row_problems(row: Mapping[str, Any], schema: Mapping[str, Any], sheet: Path) -> Iterator[str]:
    if _BEYOND in row:
        yield f"cells {row[_BEYOND]} have no column; check the tabs, or add to the header"
    columns = {name: value for name, value in row.items() if name != _BEYOND}
    for field, problem in schema_problems(columns, schema):
        yield f"{field_name(field)}: {problem}"
    for column in _FILES:
        if column in row and not (sheet.parent / row[column]).exists():
            yield f"{column}: nothing at {sheet.parent / row[column]}; mend or delete the row"


def _session(row: Mapping[str, Any], folder: Path) -> Session:
    files = {name: short_path(folder / row[name]) for name in _FILES if name in row}
    fields = {name: row[name] for name in row if name not in (*_FILES, "session_id")}
    return Session(row["session_id"], files, fields)
