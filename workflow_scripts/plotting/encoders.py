"""What the figures of encoders share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from workflow_scripts.analysis.metrics import read_lines
from workflow_scripts.analysis.summaries import Summary
from workflow_scripts.plotting.captions import interval, number
from workflow_scripts.plotting.colours import BLACK, COLOURS, YELLOW

_COLOURS = (*COLOURS, YELLOW, BLACK)


def colour(index: int) -> str:
    """Colour of the n-th encoder of a figure."""
    return _COLOURS[index % len(_COLOURS)]


def readable(name: str) -> str:
    """Write an encoder's name for people: ``v1t_no_behaviour_s0`` → ``v1t no behaviour``."""
    variant, _, seed = name.rpartition("_s")
    return variant.replace("_", " ") + ("" if seed == "0" else f", seed {seed}")


def read_validation(path: Path) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Steps of the validations and their correlations, from the metrics of a training run.

    Raises
    ------
    InputError
        The file is unreadable.
    """
    scores = read_lines(path).reindex(columns=["step", "validation_correlation"]).dropna()
    steps, values = scores.to_numpy(dtype=float).T
    return steps, values


def draw_summaries(axes: Axes, summaries: Sequence[Summary], *, rows: bool = False) -> None:
    """Draw values with their intervals as points with bars, in columns or rows 0, 1, ...

    The undefined are left out.
    """
    for index, one in enumerate(summaries):
        if one.value is None or one.low is None or one.high is None:
            continue
        bar, point = ([index, index], [one.low, one.high]), ([index], [one.value])
        for (place, value), mark in ((bar, "-"), (point, "o")):
            x, y = (value, place) if rows else (place, value)
            axes.plot(x, y, mark, color=colour(index), linewidth=1.5, markersize=4)


def written(summary: Summary, digits: int = 3) -> str:
    """Write a summary with its interval and what was undefined."""
    text = interval(summary.value, summary.low, summary.high, digits)
    return text + (f" ({summary.n_undefined} undefined)" if summary.n_undefined else "")


def percent(part: float | None, whole: float | None) -> str:
    """Write a share; a dash where it is not known."""
    return number(100 * part / whole if part is not None and whole else None, 1, " %")
