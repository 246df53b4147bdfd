"""Writes one sortable table of the study as a page that opens offline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.analysis.inputs import paired
from workflow_scripts.plotting import map_tables, model_tables, record_tables
from workflow_scripts.plotting.captions import write_caption
from workflow_scripts.plotting.tables import Page, write_page
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError

OF_ONE_RECORD: dict[str, Callable[[Path], Page]] = {
    "training": map_tables.training,
    "verdicts": map_tables.verdicts,
    "maps": map_tables.maps,
    "tuning": map_tables.tuning,
    "in_vivo": map_tables.in_vivo,
    "performance": record_tables.performance,
    "provenance": record_tables.provenance,
}
OF_MODELS: dict[str, Callable[[model_tables.Records], Page]] = {
    "encoders": model_tables.encoders,
    "cross_validated": model_tables.cross_validated,
    "vist": model_tables.vist,
    "vist_long": model_tables.vist,
    "decoding": model_tables.decoding,
}


@dataclass(frozen=True)
class TabulateOptions:
    """Which table.

    Parameters
    ----------
    table : str
        One of `OF_ONE_RECORD` or `OF_MODELS`.
    names : list of str
        The models of `OF_MODELS`, in the order of their records.
    """

    table: str
    names: list[str]


def tabulate(records: list[Path], table: Path, caption: Path, options: TabulateOptions) -> None:
    """Write a table with its caption.

    Parameters
    ----------
    records : list of Path
        What the table holds: the summary of the study, its record, the comparison in vivo, or the
        statistics of each model.
    table, caption : Path
        Page (HTML) and text (reStructuredText) to write.
    options : TabulateOptions

    Raises
    ------
    InputError
        An input is unreadable, lacks a field, or there is not one for every model.
    """
    try:
        page = _page(records, options)
    except KeyError as error:
        raise InputError(
            f"{', '.join(map(str, records))}: not what the table '{options.table}' is made of "
            f"(no field {error}); delete and rerun"
        ) from error
    write_page(table, page)
    write_caption(caption, page.caption)


def _page(records: list[Path], options: TabulateOptions) -> Page:
    if options.table in OF_ONE_RECORD:
        [record] = records
        return OF_ONE_RECORD[options.table](record)
    return OF_MODELS[options.table](dict(paired(options.names, records, "records")))


if __name__ == "__main__":
    run_stage(tabulate)
