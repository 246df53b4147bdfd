"""Metrics of training runs."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from workflow_scripts.stores.errors import InputError

CONTRASTIVE = ["contrastive_loss", "contrastive_accuracy"]
LAST_SHARE = 0.1  # of the steps: what the end of training is averaged over


def read_lines(path: Path) -> pd.DataFrame:
    """Read the metrics of any training: one row per line, NaN for what a line does not hold.

    Raises
    ------
    InputError
        The file is unreadable, or a line is no JSON.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable metrics ({error}); delete and rerun") from error
    return pd.DataFrame(lines)


def read_metrics(path: Path) -> pd.DataFrame:
    """Read the metrics of `train_tdann`: one row per line, empty without training steps.

    Raises
    ------
    InputError
        As `read_lines`, or a column is missing.
    """
    metrics = read_lines(path)
    if not len(metrics):
        return pd.DataFrame(columns=["step", *CONTRASTIVE])
    missing = [name for name in ("step", *CONTRASTIVE) if name not in metrics]
    if missing:
        raise InputError(f"{path}: no {', '.join(missing)}; rerun train_tdann")
    return metrics


def spatial_columns(metrics: pd.DataFrame) -> list[str]:
    """Name the columns of the layers' spatial losses; none where α = 0."""
    return [name for name in metrics if str(name).startswith("spatial_loss_")]


def at_the_end(metrics: pd.DataFrame) -> pd.Series:
    """Average the last tenth of the steps, column by column."""
    return metrics[metrics.step > (1 - LAST_SHARE) * metrics.step.max()].mean()
