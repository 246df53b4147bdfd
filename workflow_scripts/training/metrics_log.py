"""The metrics of a training run, and what happens when one of them is no number."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from workflow_scripts.stores.atomic import fsync_path
from workflow_scripts.stores.errors import InputError

Metrics = Mapping[str, torch.Tensor]


class MetricsLog:
    """Averages of metrics as JSON lines; an interrupted run's file is cut back to its state.

    Parameters
    ----------
    path : Path
        The file.
    record : dict
        From `record`, when the state was saved; empty for a new run.
    writes : bool
        Whether this process writes the file; the others only watch for what is not finite.
    """

    def __init__(self, path: Path, record: dict[str, Any], writes: bool = True) -> None:
        self.path, self._writes = path, writes
        if writes:
            path.touch()
            os.truncate(path, min(record.get("bytes", 0), path.stat().st_size))
        self._sums = {name: torch.tensor(total) for name, total in record.get("sums", {}).items()}
        self._count = record.get("count", 0)

    def add(self, metrics: Metrics) -> None:
        """Add one step's metrics, without waiting for the device."""
        for name, value in metrics.items():
            total = self._sums.get(name, torch.tensor(0.0)).to(value.device)
            self._sums[name] = total + value.detach().float()
        self._count += 1

    def require_finite(self, step: int) -> None:
        """Stop where a metric since the last line was NaN or infinite."""
        bad = [name for name, total in self._sums.items() if not torch.isfinite(total)]
        if bad:
            raise InputError(
                f"{self.path}: {', '.join(bad)} not finite by step {step + 1}; the last good state "
                "is kept beside it. Lower the learning rate (or alpha), or train in 32-true"
            )

    def write(self, step: int, rate: float) -> str:
        """Append one line of averages; returns a note for people."""
        means = {name: round(float(total) / self._count, 6) for name, total in self._sums.items()}
        self._append({"step": step, "learning_rate": rate, **means})
        self._sums, self._count = {}, 0
        return ", ".join(f"{name} {value:.4g}" for name, value in means.items())

    def write_validation(self, step: int, scores: Mapping[str, float]) -> str:
        """Append one line of validation scores; returns a note for people."""
        named = {f"validation_{name}": round(value, 6) for name, value in scores.items()}
        self._append({"step": step, **named})
        return ", ".join(f"{name} {value:.4g}" for name, value in named.items())

    def _append(self, line: dict[str, Any]) -> None:
        if self._writes:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def record(self) -> dict[str, Any]:
        """Bring the file to the disk; return its length and the sums since its last line."""
        fsync_path(self.path)
        sums = {name: float(total) for name, total in self._sums.items()}
        return {"bytes": self.path.stat().st_size, "sums": sums, "count": self._count}
