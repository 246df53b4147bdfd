"""Metrics of training runs."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from workflow_scripts.stores.errors import InputError

CONTRASTIVE = ["contrastive_loss", "contrastive_accuracy"]
LAST_SHARE = 0.1  # of the steps: what the end of training is averaged over


def read_metrics(path: Path) -> pd.DataFrame:
    """Read the metrics of `training.loop.train`: one row per line, empty without training steps.

    Raises
    ------
    InputError
        The file is unreadable, a line is no JSON, or a column is missing.
    """
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not readable metrics ({error}); delete and rerun") from error
    metrics = pd.DataFrame(lines, columns=None if lines else ["step", *CONTRASTIVE])
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
