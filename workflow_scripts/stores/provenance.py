"""What every output says of its making: the same attributes in every store."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from workflow_scripts.stores.source_hash import PACKAGE_ROOT, source_hash

MANIFEST = "manifest.json"
# Left out of content hashes: two runs of the same stage on the same inputs differ only in these.
VOLATILE = ("created", "git_commit", "git_dirty", "hardware", "packages", "jobs")
_SOFTWARE = ("numpy", "xarray", "zarr", "pandas", "scipy", "torch", "av", "snakemake")


def provenance(
    stage: str,
    options: Any,
    inputs: Iterable[Path],
    seed: int | None = None,
    weights: str | None = None,
) -> dict[str, Any]:
    """Collect the provenance attributes of one output.

    Parameters
    ----------
    stage : str
        Name of the stage, which is the name of its module.
    options : dataclass or mapping
        The stage's options, as resolved.
    inputs : iterable of Path
        Files and stores that the stage read; each is stored with its content hash.
    seed : int, optional
        Seed of the stage's random numbers, where it draws any.
    weights : str, optional
        "trained", "random" or a path, where a model was used.

    Returns
    -------
    dict
        JSON-serialisable attributes.
    """
    plain = dataclasses.asdict(options) if dataclasses.is_dataclass(options) else dict(options)  # type: ignore[call-overload]
    attributes: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "stage": stage,
        "code_hash": source_hash(stage),
        "git_commit": _git_commit(),
        "options": json.dumps(plain, sort_keys=True, default=str),
        "inputs": {str(path): input_hash(Path(path)) for path in inputs},
        "software": _software(),
    }
    if seed is not None:
        attributes["seed"] = seed
    if weights is not None:
        attributes["weights"] = weights
    return attributes


def stable(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the attributes that differ between two equal runs."""
    return {key: value for key, value in attributes.items() if key not in VOLATILE}


def input_hash(path: Path) -> str:
    """Hash the content of a store, a table written by `table_store`, or any other file."""
    if path.is_dir():
        return json.loads((path / MANIFEST).read_text())["content_hash"]
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415 - only tables need it

        metadata = pq.read_schema(path).metadata or {}
        if b"content_hash" in metadata:
            return metadata[b"content_hash"].decode()
    if path.suffix == ".json":
        payload = json.loads(path.read_text())
        if isinstance(payload, dict) and "content_hash" in payload:
            return payload["content_hash"]
    return file_hash(path)


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _git_commit() -> str:
    command = ["git", "-C", str(PACKAGE_ROOT), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@cache
def _software() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _SOFTWARE:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
