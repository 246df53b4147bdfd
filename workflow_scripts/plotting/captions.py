"""Captions: reStructuredText written from measured numbers, for the report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from workflow_scripts.stores.atomic import atomic_path

MISSING = "–"
_SPELT = {
    "single_trial_r": "single-trial r",
    "truth_single_trial_r": "single-trial r of the truth",
    "correlation_to_average": "r to average",
    "feve": "FEVE",
    "poisson_nll": "Poisson NLL",
    "dsi": "DSI",
}


def write_caption(path: Path, *blocks: str) -> None:
    """Write paragraphs and tables, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a reStructuredText table of plain-text cells."""
    lines = [f".. list-table:: {plain(title)}", "   :header-rows: 1", ""]
    for row in (header, *rows):
        lines += [
            f"   {'  -' if column else '* -'} {plain(cell)}" for column, cell in enumerate(row)
        ]
    return "\n".join(lines)


def bullets(items: Iterable[str]) -> str:
    """Make a list of plain-text items."""
    return "\n".join(f"- {plain(item)}" for item in items)


def plain(text: str) -> str:
    """Escape what reStructuredText would read as markup."""
    return "".join(f"\\{sign}" if sign in "\\*`|_" else sign for sign in text)


def heading(name: str) -> str:
    """Spell a measure as its field does: ``feve`` → ``FEVE``."""
    return _SPELT.get(name, name.replace("_", " "))


def number(value: float | None, digits: int = 2, unit: str = "") -> str:
    """Write a number with its unit; a dash for what was not measured."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:.{digits}f}{unit}"


def interval(
    value: float | None, low: float | None, high: float | None, digits: int = 2, unit: str = ""
) -> str:
    """Write a value with its interval: ``77.0° [66.0, 89.0]``; alone where it has none."""
    if number(low) == number(high) == MISSING:
        return number(value, digits, unit)
    bounds = f"[{number(low, digits)}, {number(high, digits)}]"
    return f"{number(value, digits, unit)} {bounds}"


def p_value(p: float | None) -> str:
    """Write a p-value: ``p = .012`` or ``p < .001``; rounding takes it across no usual level."""
    if p is None or not math.isfinite(p):
        return f"p = {MISSING}"
    if p < 0.001:
        return "p < .001"
    digits = 3
    while any((p < level) != (float(f"{p:.{digits}f}") < level) for level in (0.05, 0.01)):
        digits += 1
    return f"p = {p:.{digits}f}".replace("0.", ".", 1)


def listed(items: Sequence[str]) -> str:
    """Join by commas and a last "and"."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def span(values: Iterable[float], digits: int = 0, unit: str = "") -> str:
    """Write the range of some numbers, or the one number that they all are."""
    values = [value for value in values if math.isfinite(value)]
    if not values:
        return MISSING
    ends = list(dict.fromkeys(number(end, digits) for end in (min(values), max(values))))
    return "–".join(ends) + unit
