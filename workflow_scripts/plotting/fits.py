"""Encoders of retinal cells in figures: which there are, how they are called and coloured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow_scripts.analysis.inputs import paired
from workflow_scripts.plotting.colours import BLUE, GREEN, PURPLE, SKY, VERMILION
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_json

_LABELS = {
    "ln": "LN", "cnn": "CNN", "cnn3d": "3D CNN", "crnn": "CRNN", "vist": "Vi-ST",
    "published": "Vi-ST, published", "published_per_cell": "Vi-ST, published, own maps",
}  # fmt: skip
_COLOURS = {"ln": PURPLE, "cnn": BLUE, "cnn3d": SKY, "crnn": GREEN}
_VIST_COLOUR = VERMILION


@dataclass(frozen=True)
class Fit:
    """One encoder, trained with one seed for one task.

    Parameters
    ----------
    task, variant : str
        Names in the config.
    seed : int
    cells : int, optional
        How many cells it was trained on, where not on all.
    """

    task: str
    variant: str
    seed: int
    cells: int | None = None

    @property
    def label(self) -> str:
        """What a figure calls it."""
        return _LABELS.get(self.variant, self.variant.replace("_", " "))

    @property
    def colour(self) -> str:
        """Baselines have their own; all forms of Vi-ST share one."""
        return _COLOURS.get(self.variant, _VIST_COLOUR)


def task_label(task: str, statistics: dict[str, Any]) -> str:
    """Name of a task, and whether its onsets were inferred."""
    inferred = "\n(onsets inferred)" if statistics["onsets"] == "inferred" else ""
    return task.replace("_", " ").replace(" to ", " → ") + inferred


def read_statistics(fits: list[Fit], files: list[Path]) -> list[dict[str, Any]]:
    """Read the statistics of every fit.

    Raises
    ------
    InputError
        Not one file per fit, or a file that `evaluate_vist` did not write.
    """
    records = []
    for _, file in paired(fits, files, "statistics"):
        record = read_json(file)
        wanted = ("r", "null", "split_half_r", "ceiling_r", "onsets")
        missing = [name for name in wanted if name not in record]
        if missing:
            raise InputError(f"{file}: no {', '.join(missing)}; rerun evaluate_vist")
        records.append(record)
    return records
