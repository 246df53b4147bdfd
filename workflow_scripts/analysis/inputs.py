"""Files of a stage's inputs: one for each name of its options, tables with the columns needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import pandas as pd

from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_table

Item = TypeVar("Item")


def paired(named: Sequence[Item], files: Sequence[Path], what: str) -> list[tuple[Item, Path]]:
    """Join what the options name, such as networks or maps, with its files, in order.

    Raises
    ------
    InputError
        There are none, or not as many files as names.
    """
    if len(named) != len(files) or not files:
        raise InputError(
            f"--{what}: {len(files)} files for the {len(named)} that --options names; give one each"
        )
    return list(zip(named, files, strict=True))


def read_columns(path: Path, columns: Iterable[str], stage: str) -> pd.DataFrame:
    """Read a table of a stage that must hold some columns.

    Raises
    ------
    InputError
        The table is unreadable, or lacks one of the columns.
    """
    table = read_table(path)
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; rerun {stage}")
    return table
