"""Where a finished run's time went: ``python -m benchmarks.pipeline [FOLDER]``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

GOAL = 1.1
SMALLEST_SHARE = 0.01  # of the job-seconds; smaller rules are one row


@dataclass(frozen=True)
class Job:
    """One job of a finished run.

    Attributes
    ----------
    name : str
        Path of its benchmark file below ``results/benchmarks``, without the suffix.
    seconds, cpu_s, memory_mb : float
        Wall time, processor time, largest resident memory.
    needs : frozenset of str
        Names of the jobs whose outputs it reads.
    """

    name: str
    seconds: float
    cpu_s: float
    memory_mb: float
    needs: frozenset[str] = frozenset()

    @property
    def rule(self) -> str:
        """The rule: the first part of the name."""
        return self.name.split("/")[0]


@dataclass(frozen=True)
class Budget:
    """What a run's jobs took.

    Attributes
    ----------
    wall_s : float
        From Snakemake's start to its end.
    cores : int
        That it was given.
    critical_path : list of Job
        The chain of jobs that takes longest, in order.
    by_rule : pd.DataFrame
        ``jobs seconds cpu_s memory_mb``, the costliest rule first.
    """

    wall_s: float
    cores: int
    critical_path: list[Job]
    by_rule: pd.DataFrame

    @property
    def job_s(self) -> float:
        """Seconds of all jobs."""
        return float(self.by_rule["seconds"].to_numpy(float).sum())

    @property
    def critical_s(self) -> float:
        """Seconds of the longest chain."""
        return sum(job.seconds for job in self.critical_path)

    @property
    def floor_s(self) -> float:
        """No schedule is shorter than this."""
        return max(self.critical_s, self.job_s / self.cores)


def read_budget(folder: Path, cores: int = 2) -> Budget:
    """Read the budget of a finished run.

    Parameters
    ----------
    folder : Path
        Working directory of the run: its ``results/benchmarks``, and the log that Snakemake left
        in ``.snakemake/log``.
    cores : int
        That the run was given.

    Raises
    ------
    FileNotFoundError
        There is no finished run.
    """
    jobs = read_jobs(folder / "results" / "benchmarks", read_needs(folder))
    return Budget(
        wall_seconds(folder / ".snakemake" / "log"), cores, critical_path(jobs), sum_by_rule(jobs)
    )


def read_jobs(benchmarks: Path, needs: dict[str, frozenset[str]]) -> list[Job]:
    """Read Snakemake's benchmark files, one a job."""
    jobs = []
    for file in sorted(benchmarks.rglob("*.tsv")):
        name = str(file.relative_to(benchmarks).with_suffix(""))
        table = pd.read_csv(file, sep="\t", na_values="-")
        used = table[["s", "cpu_time", "max_rss"]].to_numpy(float)[-1]
        jobs.append(Job(name, *used[:3].tolist(), needs=needs.get(name, frozenset())))
    if not jobs:
        raise FileNotFoundError(f"{benchmarks} holds no benchmark: run `make results` first")
    return jobs


def read_needs(folder: Path) -> dict[str, frozenset[str]]:
    """Which jobs each job reads from, by ``snakemake --detailed-summary``.

    A job's log lies below results/logs where its benchmark lies below results/benchmarks.
    """
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--detailed-summary", "--directory", str(folder)],
        capture_output=True, text=True, check=True, cwd=folder,
    )  # fmt: skip
    header, *lines = (line.split("\t") for line in done.stdout.splitlines() if "\t" in line)
    makers, inputs = {}, {}
    for line in lines:
        entry = dict(zip(header, line, strict=False))
        log = Path(entry["log-file(s)"])
        if log.is_relative_to("results/logs"):
            name = str(log.relative_to("results/logs").with_suffix(""))
            makers[entry["output_file"]] = name
            inputs[name] = entry["input-file(s)"].split(",")
    return {
        name: frozenset(makers[path] for path in paths if path in makers) - {name}
        for name, paths in inputs.items()
    }


def wall_seconds(logs: Path) -> float:
    """Seconds from start to end of the run that the longest of Snakemake's logs is of."""
    spans = []
    for file in logs.glob("*.snakemake.log"):
        start = datetime.strptime(file.name.split(".")[0], "%Y-%m-%dT%H%M%S").replace(tzinfo=UTC)
        spans.append(file.stat().st_mtime - start.timestamp())
    if not spans:
        raise FileNotFoundError(f"{logs} holds no log of Snakemake: run `make results` first")
    return max(spans)


def critical_path(jobs: Iterable[Job]) -> list[Job]:
    """Longest chain of jobs, each of which needs the one before."""
    by_name = {job.name: job for job in jobs}
    longest: dict[str, list[Job]] = {}

    def chain(job: Job) -> list[Job]:
        if job.name not in longest:
            before = [chain(by_name[name]) for name in sorted(job.needs) if name in by_name]
            longest[job.name] = [*max(before, key=_seconds, default=[]), job]
        return longest[job.name]

    return max((chain(job) for job in by_name.values()), key=_seconds)


def _seconds(jobs: list[Job]) -> float:
    return sum(job.seconds for job in jobs)


def sum_by_rule(jobs: Iterable[Job]) -> pd.DataFrame:
    """Jobs, seconds, processor seconds and largest memory of each rule."""
    table = pd.DataFrame(
        [(job.rule, job.seconds, job.cpu_s, job.memory_mb) for job in jobs],
        columns=["rule", "seconds", "cpu_s", "memory_mb"],
    )
    summed = table.groupby("rule").agg(
        jobs=("seconds", "size"), seconds=("seconds", "sum"), cpu_s=("cpu_s", "sum"),
        memory_mb=("memory_mb", "max"),
    )  # fmt: skip
    return summed.sort_values("seconds", ascending=False)


def budget_lines(budget: Budget) -> list[str]:
    """Print the budget as Markdown."""
    ratio = budget.wall_s / budget.floor_s
    path = " → ".join(f"{job.name} {job.seconds:.0f}" for job in budget.critical_path)
    total = (
        f"`make results` took {budget.wall_s:.0f} s with {budget.cores} cores: {ratio:.2f} times "
        f"the larger of its critical path ({budget.critical_s:.0f} s) and its job-seconds over "
        f"cores ({budget.job_s / budget.cores:.0f} s); the goal is {GOAL:.2f}."
    )
    lines = [
        total,
        "",
        f"Critical path, seconds: {path}.",
        "",
        "| rule | jobs | s | share | CPU s | largest memory, GB |",
        "|---|---|---|---|---|---|",
    ]
    large = budget.by_rule["seconds"] >= SMALLEST_SHARE * budget.job_s
    lines += [_rule_line(str(rule), row, budget) for rule, row in budget.by_rule[large].iterrows()]
    rest = budget.by_rule[~large]
    together = rest.sum() if len(rest) else pd.Series(0.0, budget.by_rule.columns)
    together["memory_mb"] = rest["memory_mb"].max() if len(rest) else 0.0
    return [*lines, _rule_line(f"{len(rest)} others", together, budget)]


def _rule_line(rule: str, row: pd.Series, budget: Budget) -> str:
    return (
        f"| {rule} | {row['jobs']:.0f} | {row['seconds']:.0f} "
        f"| {row['seconds'] / budget.job_s:.1%} "
        f"| {row['cpu_s']:.0f} | {row['memory_mb'] / 1000:.1f} |"
    )


if __name__ == "__main__":
    print("\n".join(budget_lines(read_budget(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))))
