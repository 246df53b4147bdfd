"""Trial tables: when was which stimulus shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.stores.errors import InputError


def read_trials(path: Path) -> pd.DataFrame:
    """Read a tab-separated trial table.

    Needs the columns ``onset_s`` (on the recording's clock) and ``stimulus`` (a name). Columns
    named ``behaviour_…`` hold one number per trial; any other column is a parameter of the
    stimulus (``direction_deg``, ``contrast`` …).

    Returns
    -------
    pd.DataFrame
        As of `check_trials`.

    Raises
    ------
    InputError
        The file is missing or not such a table.
    """
    try:
        table = pd.read_csv(path, sep="\t")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: not a readable tab-separated table ({error})") from error
    return check_trials(table, path)


def check_trials(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Check a trial table and make its stimulus column categorical.

    Parameters
    ----------
    table : pd.DataFrame
        Columns ``onset_s``, ``stimulus`` and others, all of these numbers.
    path : Path
        File to name in errors.

    Returns
    -------
    pd.DataFrame
        Sorted by onset, which is how the store orders trials.

    Raises
    ------
    InputError
        A column is missing, or a value is not a finite number.
    """
    missing = [name for name in ("onset_s", "stimulus") if name not in table]
    if missing:
        raise InputError(
            f"{path}: no column {' and no column '.join(missing)}; it has {list(table.columns)}"
        )
    if not len(table) or table["stimulus"].isna().to_numpy().any():
        raise InputError(f"{path}: column stimulus: a trial without a stimulus, or no trial at all")
    for name in table.columns.difference(["stimulus"]):
        numbers = np.asarray(pd.to_numeric(table[name], errors="coerce"), dtype=float)
        bad = np.flatnonzero(~np.isfinite(numbers))
        if len(bad):
            value = table[name].iloc[bad[0]]
            raise InputError(f"{path}: column {name}, row {bad[0] + 2}: '{value}' is no number")
        table = table.assign(**{str(name): numbers})
    table = table.assign(stimulus=table["stimulus"].astype(str).astype("category"))
    return table.sort_values("onset_s", kind="stable", ignore_index=True)
