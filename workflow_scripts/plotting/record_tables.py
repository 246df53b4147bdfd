"""Tables of what a study was made from and on, and what it cost, from its record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workflow_scripts.plotting.captions import listed, number, plain
from workflow_scripts.plotting.tables import Cell, Page, Row, Table
from workflow_scripts.stores.table_store import read_json

LONGEST = 3  # rules that the caption names


def performance(record: Path) -> Page:
    """List time and memory of each rule's jobs."""
    made = read_json(record)["provenance"]
    jobs, machine = made["jobs"], made["hardware"]
    rows = [_job_row(rule, one, _sum(jobs, "wall_s")) for rule, one in jobs.items()]
    by_time = sorted(jobs, key=lambda rule: jobs[rule]["wall_s"], reverse=True)[:LONGEST]
    longest = [f"{plain(rule)} {number(jobs[rule]['wall_s'] / 60, 1)} min" for rule in by_time]
    largest = max(jobs, key=lambda rule: jobs[rule]["max_mb"] or 0, default=None)
    caption = (
        f"**Time and memory.** {sum(one['n'] for one in jobs.values())} jobs of {len(jobs)} rules: "
        f"{number(_sum(jobs, 'wall_s') / 60, 1)} min of wall time in all, "
        f"{number(_sum(jobs, 'cpu_s') / 60, 1)} min of CPU time"
        f"{'; longest: ' if longest else ''}{listed(longest)}."
        + (f" Largest memory: {number(jobs[largest]['max_mb'], 0)} MB, {plain(largest)}."
           if largest else "")
        + f" Machine: {plain(_machine(machine))}."
    )  # fmt: skip
    note = (
        "As Snakemake measured the jobs: sums over a rule's jobs, and the largest of their "
        "memories. Jobs that ran side by side count each in full; those after this record do not."
    )
    return Page("Performance", caption, [Table("Rules", note, rows)])


def _sum(jobs: Mapping[str, Any], key: str) -> float:
    return sum(one[key] or 0.0 for one in jobs.values())


def _job_row(rule: str, one: Mapping[str, Any], whole_s: float) -> Row:
    return {
        "rule": rule,
        "jobs": one["n"],
        "wall time (s)": one["wall_s"],
        "wall time per job (s)": one["wall_s"] / one["n"],
        "share of wall time (%)": 100 * one["wall_s"] / whole_s if whole_s else None,
        "CPU time (s)": one["cpu_s"],
        "largest memory (MB)": one["max_mb"],
    }


def _machine(hardware: Mapping[str, Any]) -> str:
    gpus = listed(hardware["gpus"]) or "no GPU"
    return (
        f"{hardware['cpu']}, {hardware['n_cpus']} CPUs, {hardware['memory_gb']} GB, {gpus}; "
        f"{hardware['platform']}"
    )


def provenance(record: Path) -> Page:
    """List the code, machine, seeds, software, raw files and sources of a study."""
    whole = read_json(record)
    made = whole["provenance"]
    run: dict[str, Cell] = {
        "recorded at": made["created"],
        "git commit": made["git_commit"],
        "uncommitted changes": {True: "yes", False: "no", None: None}[made["git_dirty"]],
        "machine": _machine(made["hardware"]),
        "Python": made["software"]["python"],
        "content hash": whole["content_hash"],
    }
    seeds = {field: _seed(value) for field, value in whole["seeds"].items()}
    unlicensed = [one["names"] for one in whole["sources"]
                  if not one["licence"] and not one["kind"].startswith("simulated_")]  # fmt: skip
    state = {True: ", with uncommitted changes", False: "", None: ""}[made["git_dirty"]]
    caption = (
        f"**Provenance.** Commit {plain(str(made['git_commit'] or 'not known'))}{state}; "
        f"{len(made['packages'])} packages; {len(whole['inputs'])} raw files by their SHA-256; "
        f"{len(whole['sources'])} sources of videos and recordings"
        f"{', no licence in their sheet: ' if unlicensed else ''}{plain(listed(unlicensed))}."
    )
    tables = [
        Table("Run", "What the study was made with.", _pairs("what", "value", run)),
        Table("Seeds", "Fields of the config.", _pairs("field", "seeds", seeds)),
        Table("Sources", "Of videos and recordings, as their sheets say.", whole["sources"]),
        Table("Raw files", "Those that no stage has made.",
              _pairs("file", "SHA-256", whole["inputs"])),
        Table("Software", "The environment's packages.",
              _pairs("package", "version", made["packages"])),
    ]  # fmt: skip
    return Page("Provenance", caption, tables)


def _seed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _pairs(key: str, value: str, record: Mapping[str, Cell]) -> list[Row]:
    return [{key: name, value: one} for name, one in record.items()]
