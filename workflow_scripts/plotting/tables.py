"""Sortable tables: one HTML page that holds all it needs and asks for nothing.

The rows stand in the page as they are, escaped; `tables.js` sorts and filters them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from workflow_scripts.plotting.captions import MISSING, interval, number
from workflow_scripts.stores.atomic import atomic_path

SIGNIFICANT = 3  # digits that are shown; rows are sorted by all of them


@dataclass(frozen=True)
class WithInterval:
    """A value with its interval, sorted by the value.

    Attributes
    ----------
    value, low, high : float or None
        None where it was not measured.
    """

    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, record: Mapping[str, Any], value: str = "value") -> WithInterval:
        """Take one out of a record with the keys `value`, ``low`` and ``high``."""
        if record.get("n", 2) < 2:  # resampling one number gives that number
            return cls(record[value], None, None)
        return cls(record[value], record["low"], record["high"])


Cell = str | int | float | WithInterval | None
Row = Mapping[str, Cell]


@dataclass(frozen=True)
class Table:
    """Rows under one heading.

    Attributes
    ----------
    title : str
    note : str
        What the columns are, and what to hold the numbers against.
    rows : sequence of mapping
        Column → cell. A column that a row lacks is empty there; columns come in the order in which
        rows name them first.
    """

    title: str
    note: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Page:
    """Tables that belong together.

    Attributes
    ----------
    title : str
    caption : str
        What the numbers come to, in reStructuredText.
    tables : sequence of Table
    """

    title: str
    caption: str
    tables: Sequence[Table]


def write_page(path: Path, page: Page) -> None:
    """Write tables as HTML, atomically; all titles, notes and cells are plain text."""
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    title = escape(page.title)
    text = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n{''.join(map(_section, page.tables))}"
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def shown(cell: Cell) -> str:
    """Write a cell: numbers to three digits, an interval to its value's places, three at most."""
    match cell:
        case None:
            return MISSING
        case WithInterval():
            places = min(_places(cell.value), SIGNIFICANT)  # or wide intervals look exact
            return interval(cell.value, cell.low, cell.high, places)
        case float() if 0 < abs(cell) < 1e-4:
            return f"{cell:.1e}"
        case float():
            return number(cell, _places(cell))
        case _:
            return str(cell)


def _places(value: float | None) -> int:
    if not value or not math.isfinite(value):
        return SIGNIFICANT - 1
    return min(max(SIGNIFICANT - 1 - math.floor(math.log10(abs(value))), 0), 6)


def _section(table: Table) -> str:
    columns = list(dict.fromkeys(name for row in table.rows for name in row))
    heads = "".join(
        f'<th scope="col" aria-sort="none"><button>{escape(name)}</button></th>' for name in columns
    )
    rows = "\n".join(
        f"<tr>{''.join(_cell(row.get(name)) for name in columns)}</tr>" for row in table.rows
    )
    return (
        f"<section>\n<h2>{escape(table.title)}</h2>\n<p>{escape(table.note)}</p>\n"
        '<p><label>Only rows with <input type="search"></label> <output></output></p>\n'
        '<div class="scrolled" tabindex="0">\n'
        f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n"
        "</div>\n</section>\n"
    )


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    value = cell.value if isinstance(cell, WithInterval) else cell
    sorted_by = "" if value is None or not math.isfinite(value) else repr(float(value))
    return f'<td class="number" data-value="{sorted_by}">{escape(shown(cell))}</td>'


_STYLE = """
body { font: 13px/1.4 sans-serif; color: #222; margin: 16px; }
h1 { font-size: 20px; } h2 { font-size: 15px; margin-top: 28px; } p { max-width: 75em; }
.scrolled { overflow: auto; max-height: 90vh; width: fit-content; max-width: 100%; }
table { border-spacing: 0; } /* collapsed borders would not stay with what is sticky */
th, td { padding: 3px 10px; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
thead th { position: sticky; top: 0; background: #f3f3f3; vertical-align: bottom; padding: 0; }
tbody tr { background: #fff; }
td:first-child, th:first-child { position: sticky; left: 0; background: inherit; }
thead th:first-child { z-index: 1; background: #f3f3f3; }
th button { font: inherit; font-weight: bold; text-align: left; width: 100%; padding: 4px 10px;
  border: 0; background: none; cursor: pointer; }
th button::after { content: " ↕" / ""; color: #999; } /* seen, and no part of the name */
th[aria-sort=ascending] button::after { content: " ↑" / ""; color: #000; }
th[aria-sort=descending] button::after { content: " ↓" / ""; color: #000; }
tbody tr:hover { background: #f0f6fc; }
output { color: #666; margin-left: 1em; }
"""
