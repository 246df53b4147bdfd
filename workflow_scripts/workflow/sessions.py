"""The recording sessions of a study: the rows of a sample sheet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.names import NAME
from workflow_scripts.workflow.sheets import Row, read_sheet, short_path
from workflow_scripts.workflow.validation import closest

SCHEMA = "resources/schemas/sessions.schema.yaml"
# Formats of raw movies, which become traces before they are read.
MOVIE_FORMATS = ("two_photon_tiff", "two_photon_nwb", "simulated_two_photon")
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
    rows, problems = read_sheet(sheet, root / SCHEMA, "session_id", _missing_files)
    return [_session(row, sheet.parent) for row in rows], problems


def any_of(names: Iterable[str]) -> str:
    """Regular expression of exactly these names; of no text where there are none."""
    return "|".join(sorted(names)) or r"(?!)"


def none_of(names: Iterable[str]) -> str:
    """Regular expression of a session's name in a path, but these.

    A name that the sheet does not have matches: its rule's input function says so, where no rule
    at all would be Snakemake's `MissingInputException`.
    """
    return rf"(?!(?:{any_of(names)})/){NAME}"


def _missing_files(row: Row, folder: Path) -> Iterator[str]:
    for column in _FILES:
        if column in row and not (folder / row[column]).exists():
            yield f"{column}: nothing at {folder / row[column]}; mend or delete the row"


def _session(row: Mapping[str, Any], folder: Path) -> Session:
    files = {name: short_path(folder / row[name]) for name in _FILES if name in row}
    fields = {name: row[name] for name in row if name not in (*_FILES, "session_id")}
    return Session(row["session_id"], files, fields)
