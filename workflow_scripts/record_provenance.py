"""Record what a study was made from and on, and whom to cite for it."""

from __future__ import annotations

import csv
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.source_hash import PACKAGE_ROOT
from workflow_scripts.stores.table_store import write_json
from workflow_scripts.stores.zarr_store import open_store


@dataclass(frozen=True)
class Source:
    """Videos or recordings of one source, as their sample sheet describes them.

    Parameters
    ----------
    kind : str
        "video", or the format of a session.
    names : str
        Which these are.
    licence, source : str
        Empty where the sheet does not say.
    """

    kind: str
    names: str
    licence: str
    source: str


@dataclass(frozen=True)
class RecordProvenanceOptions:
    """What the study is.

    Parameters
    ----------
    config : dict
        The merged config.
    sources : list of Source
        The videos and recordings that it uses.
    uses : list of str
        Methods and formats in use: those of the references' `used_by`.
    """

    config: dict[str, Any]
    sources: list[Source]
    uses: list[str]


def record_provenance(
    stores: list[Path],
    references: Path,
    benchmarks: Path,
    record: Path,
    citations: Path,
    options: RecordProvenanceOptions,
) -> None:
    """Write one record of how the results came about, and a list of what to cite.

    Parameters
    ----------
    stores : list of Path
        Stores of videos and sessions, which know the hashes of the files that they were read from.
    references : Path
        Table (tab-separated `used_by citation link`); `used_by` names methods and formats.
    benchmarks : Path
        Folder of the jobs' benchmarks, a folder for each rule or a file where it has one job.
    record : Path
        Record (JSON) to write: ``config`` (resolved), ``seeds`` (field → value), ``inputs`` (raw
        file → SHA-256) and ``sources``. What differs between equal runs stands under
        ``provenance``, outside the content hash: ``git_commit``, ``git_dirty`` (null outside of a
        repository), ``hardware``, ``packages`` and ``jobs`` (rule → number of jobs, sum of wall
        and CPU time in s, largest memory in MB, null where a rule's jobs were
        too short for Snakemake to measure it).
    citations : Path
        Markdown to write.
    options : RecordProvenanceOptions

    Raises
    ------
    InputError
        An input is unreadable.
    """
    written = {
        "config": options.config,
        "seeds": dict(_seeds(options.config)),
        "inputs": _raw_inputs(stores),
        "sources": [asdict(source) for source in options.sources],
    }
    attributes = provenance("record_provenance", {}, [*stores, references]) | {
        "git_dirty": _git_dirty(),
        "hardware": _hardware(),
        "packages": {one.name: one.version for one in sorted(distributions(), key=_name)},
        "jobs": _jobs(benchmarks),
    }
    with atomic_path(citations) as temporary:
        temporary.write_text(_citations(_read_references(references), options), encoding="utf-8")
    write_json(record, written, attributes)
    print(f"{record}: {len(written['inputs'])} raw files; whom to cite: {citations}")


def _seeds(config: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of the config that holds seeds, by its name."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _seeds(value, f"{at}{key}.")
        elif key in {"seed", "seeds"}:
            yield f"{at}{key}", value


def _raw_inputs(stores: Sequence[Path]) -> dict[str, str]:
    """Hashes of the files that no stage has made: outputs lie in results."""
    hashes: dict[str, str] = {}
    for store in stores:
        hashes |= open_store(store).attrs["inputs"]
    return {
        path: hashes[path] for path in sorted(hashes) if not Path(path).is_relative_to("results")
    }


def _jobs(benchmarks: Path) -> dict[str, dict[str, float]]:
    """Time and memory of each rule's jobs, as Snakemake measured them; the longest rules first."""
    measured = [
        pd.read_csv(file, sep="\t", na_values="-").assign(
            rule=file.relative_to(benchmarks).with_suffix("").parts[0]
        )
        for file in sorted(benchmarks.rglob("*.tsv"))
    ]
    if not measured:
        return {}
    by_rule = pd.concat(measured).groupby("rule")
    jobs = by_rule.agg(
        n=("s", "size"), wall_s=("s", "sum"), cpu_s=("cpu_time", "sum"), max_mb=("max_rss", "max")
    )
    jobs = jobs.sort_values("wall_s", ascending=False).round(1).astype(object)
    return jobs.where(jobs.notna(), None).to_dict("index")  # what was too short to be measured


def _git_dirty() -> bool | None:
    """Whether the code differs from its commit; None where that is not known."""
    command = ["git", "-C", str(PACKAGE_ROOT), "status", "--porcelain"]
    try:
        return bool(subprocess.run(command, capture_output=True, check=True).stdout.strip())
    except (OSError, subprocess.CalledProcessError):
        return None


def _hardware() -> dict[str, Any]:
    """Kind of the machine that this job ran on."""
    import torch  # noqa: PLC0415 - seconds

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    n_gpus = torch.cuda.device_count()
    return {
        "platform": platform.platform(),
        "cpu": names[0] if names else platform.machine(),
        "n_cpus": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "gpus": [torch.cuda.get_device_name(number) for number in range(n_gpus)],
    }


def _name(distribution: Distribution) -> str:
    return distribution.name.lower()


def _read_references(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            return list(csv.DictReader(lines, delimiter="\t"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}); restore it with git") from error


def _citations(references: Sequence[Mapping[str, str]], options: RecordProvenanceOptions) -> str:
    """Write the references in use, then the videos and recordings by licence and source."""
    used = [one for one in references if set(one["used_by"].split()) & set(options.uses)]
    return "\n".join(
        [
            "# What to cite for these results",
            "",
            "The workflow itself: CITATION.cff of its repository. Values measured in vivo that",
            "figures show: resources/in_vivo_mt.csv names the source of each.",
            "",
            "## Methods and data sets",
            "",
            *(f"- {one['citation']} <{one['link']}>" for one in used),
            "",
            "## Videos and recordings",
            "",
            "| what | name | licence | source |",
            "|---|---|---|---|",
            *map(_source_row, options.sources),
            "",
        ]
    )


def _source_row(one: Source) -> str:
    simulated = one.kind.startswith("simulated_")
    unknown = "none: simulated" if simulated else "not in the sheet: as its owner asks"
    return f"| {one.kind} | {one.names} | {one.licence or unknown} | {one.source or unknown} |"


if __name__ == "__main__":
    run_stage(record_provenance)
