"""The measurements as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.growth import Grown
from benchmarks.harness import REPEATS, Absent, Measurement

HEADER = [
    "| part | work | ours | peer | times as fast (range) | goal | |",
    "|---|---|---|---|---|---|---|",
]


def comparison_lines(results: Sequence[Measurement | Absent]) -> list[str]:
    """Build the table, and a list of what misses its goal."""
    lines = [*HEADER, *(comparison_line(result) for result in results)]
    missed = [one for one in results if isinstance(one, Measurement) and not one.reached]
    if missed:
        lines += ["", "Goals that are missed:", ""]
        lines += [f"- **{one.comparison.part}**: {one.comparison.reason}." for one in missed]
    return lines


def comparison_line(result: Measurement | Absent) -> str:
    """One row of the table."""
    if isinstance(result, Absent):
        return f"| {result.part} | | {result.why} | | | | |"
    row = result.comparison
    ours, theirs = (
        f"{rounded(statistics.median(rates))} {row.unit}/s"
        for rates in (result.ours, result.theirs)
    )
    low, middle, high = min(result.ratios), statistics.median(result.ratios), max(result.ratios)
    ratio = f"{rounded(middle)} ({rounded(low)}–{rounded(high)})"
    return (
        f"| {row.part} | {row.work} | {ours} | {row.peer}: {theirs} | {ratio} "
        f"| ≥ {rounded(row.goal)} | {'reached' if result.reached else '**missed**'} |"
    )


def growth_lines(grown: Sequence[Grown]) -> list[str]:
    """Build the table of growth."""
    lines = [
        "| work | sizes | s | exponent | MB above the start | exponent |",
        "|---|---|---|---|---|---|",
    ]
    for one in grown:
        sizes, seconds, memory = (
            ", ".join(rounded(value) for value in values)
            for values in (one.sizes, one.seconds, one.memory_mb)
        )
        lines.append(
            f"| {one.growth.what} | {sizes} {one.growth.unit} | {seconds} | {one.exponent:.2f} "
            f"| {memory} | {one.memory_exponent:.2f} |"
        )
    return lines


def document(
    machine: str,
    results: Sequence[Measurement | Absent],
    gpu: str,
    grown: Sequence[Grown],
    budget: Sequence[str],
) -> str:
    """docs/benchmarks.md."""
    how = (
        f"Written by `make bench` on {machine}. Ours and the peer do the same work in turns in one "
        "process, with the same threads, after both were seen to compute the same: medians of "
        f"{REPEATS} turns, and the range of their ratio. Plain peers are published formulas, "
        "written in `benchmarks/`."
    )
    growth = (
        "Four sizes, each twice the one before: medians, and the slope of log cost over log size."
    )
    parts = [
        "# Speed beside peers",
        how,
        "\n".join(comparison_lines(results)),
        "## Paper scale on a GPU",
        gpu,
        "## How cost grows",
        growth,
        "\n".join(growth_lines(grown)),
        "## The whole study",
        "\n".join(budget),
    ]
    return "\n\n".join(parts) + "\n"


def rounded(value: float) -> str:
    """Three digits, without an exponent."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"
