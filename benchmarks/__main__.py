"""``python -m benchmarks [AREA …]``: print the table; of all areas, write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path

import torch

from benchmarks.clips import ROOT
from benchmarks.growth import Grown, grow, growths
from benchmarks.harness import Absent, Measurement, cores, machine, measure
from benchmarks.pipeline import budget_lines, read_budget
from benchmarks.report import HEADER, comparison_line, document, growth_lines
from benchmarks.tdann import gpu_figures

TABLE = sys.stdout
AREAS = (
    "clips", "tdann", "v1t", "soft_dtw", "deconvolution", "two_photon", "stimuli", "tuning",
)  # fmt: skip


def main(areas: list[str], run: Path) -> None:
    """Measure everything, or some areas (``growth`` is one too), and read a run's budget."""
    torch.set_num_threads(cores())
    start = time.monotonic()
    print("\n".join(HEADER), file=TABLE, flush=True)
    results = [one for area in areas or AREAS if area != "growth" for one in measured(area)]
    grown = measured_growth() if not areas or "growth" in areas else []
    print("\n".join(growth_lines(grown)), file=TABLE)
    if areas:
        return
    try:
        budget = budget_lines(read_budget(run))
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        budget = [f"Not measured: {error}"]
    print("\n".join(budget), file=TABLE)
    (ROOT / "docs" / "benchmarks.md").write_text(
        document(machine(), results, gpu_figures(), grown, budget)
    )
    print(f"docs/benchmarks.md after {time.monotonic() - start:.0f} s")


def measured(area: str) -> list[Measurement | Absent]:
    """Measure and print the rows of an area, each as soon as it is known."""
    results: list[Measurement | Absent] = []
    with tempfile.TemporaryDirectory() as folder:
        for row in import_module(f"benchmarks.{area}").rows(False, Path(folder)):
            try:
                results.append(row if isinstance(row, Absent) else measure(row))
            except AssertionError as error:
                results.append(Absent(row.part, f"not measured, ours and the peer differ: {error}"))
            print(comparison_line(results[-1]), file=TABLE, flush=True)
    return results


def measured_growth() -> list[Grown]:
    """Measure how cost grows."""
    with tempfile.TemporaryDirectory() as folder:
        return [grow(growth) for growth in growths(False, Path(folder))]


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):  # what the stages say
        parser = argparse.ArgumentParser("benchmarks", description=__doc__)
        parser.add_argument("area", nargs="*", choices=[[], *AREAS, "growth"], help="all if none")
        parser.add_argument("--run", type=Path, default=ROOT, help="folder of a finished run")
        arguments = parser.parse_args()
        main(arguments.area, arguments.run)
