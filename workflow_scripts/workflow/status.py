"""Prints what of the study is done, stale and missing: ``make status``.

``python -m workflow_scripts.workflow.status [arguments of snakemake]``. Nothing is run or written;
what is stale is Snakemake's own judgement (``snakemake --summary``), options and code included.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

HEADER = "output_file\tdate\trule\t"
STATES = ("done", "stale", "missing")
# Snakemake's words for what it found, and ours.
CAUSES = {
    "updated input files": "an input changed",
    "rule implementation changed": "the rule changed",
    "set of input files changed": "other inputs",
    "params changed": "options or code changed",
}
UPSTREAM = "what it is made from is made anew"


class Output(NamedTuple):
    """One output file of the study, the rule that makes it, and its state."""

    path: str
    rule: str
    state: str
    cause: str = ""


def read_summary(text: str) -> list[Output]:
    """Read what ``snakemake --summary`` prints.

    Parameters
    ----------
    text : str
        Its output; lines before the table's header are skipped.

    Returns
    -------
    list[Output]
        In the order of the table.
    """
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(HEADER))
    rows = csv.DictReader(lines[start:], delimiter="\t", quoting=csv.QUOTE_NONE)
    return [_output(row) for row in rows if row["plan"]]


def _output(row: dict[str, str]) -> Output:
    names = row["output_file"], row["rule"]
    if row["status"] == "missing":
        return Output(*names, "missing")
    if row["plan"] == "no update":
        return Output(*names, "done")
    return Output(*names, "stale", CAUSES.get(row["status"], UPSTREAM))


def print_status(outputs: Sequence[Output], console: Console) -> None:
    """Print a line for each stage, the figures that are not up to date, and what to do."""
    table = Table("stage", *STATES, "why stale", box=None, pad_edge=False, header_style="bold")
    for column in table.columns[1:4]:
        column.justify = "right"
    for rule in dict.fromkeys(output.rule for output in reversed(outputs)):  # causes first
        of_rule = [output for output in outputs if output.rule == rule]
        counts = Counter(output.state for output in of_rule)
        causes = dict.fromkeys(output.cause for output in of_rule if output.cause)
        table.add_row(rule, *(str(counts[s] or "") for s in STATES), ", ".join(causes))
    console.print(table)
    figures = [output for output in outputs if output.path.endswith(".png")]
    for state in STATES[1:]:
        paths = [figure.path for figure in figures if figure.state == state]
        if paths:
            console.print(f"\nfigures that are {state}: ", *paths, sep="\n  ", soft_wrap=True)
    totals = Counter(output.state for output in outputs)
    counts = ", ".join(f"{totals[state]} {state}" for state in STATES)
    console.print(f"\n{counts} of {len(outputs)} outputs, {len(figures)} of them figures")
    if set(totals) - {"done"}:
        console.print("the same command as always brings them up to date; `-n` says how")


def main(arguments: Sequence[str]) -> int:
    """Ask Snakemake and print the status; return its exit status."""
    command = [sys.executable, "-m", "snakemake", "--summary", *arguments]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode:
        sys.stderr.write(asked.stderr or asked.stdout)
        return asked.returncode
    console = Console(highlight=False)
    print_status(read_summary(asked.stdout), console)
    if any(Path(".snakemake/locks").glob("*")):
        console.print("a run is going on here, or was killed: then `snakemake --unlock`")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
