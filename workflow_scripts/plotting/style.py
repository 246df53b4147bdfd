"""One style for all figures, and one way to write them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.provenance import stable

LARGEST_BYTES = 1_500_000  # a report embeds all figures

_SETTINGS: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "savefig.facecolor": "white",
}

CHANCE_COLOUR = "0.45"
CHANCE_BAND = "0.85"


@contextmanager
def styled_figure(size_in: tuple[float, float], dpi: float = 100) -> Iterator[Figure]:
    """Yield an empty figure; what is drawn in the block has the project's style."""
    with mpl.rc_context(cast("Any", _SETTINGS)):
        yield Figure(figsize=size_in, dpi=dpi, layout="constrained")


@contextmanager
def new_figure(
    path: Path, size_in: tuple[float, float], dpi: int, provenance: dict[str, Any]
) -> Iterator[Figure]:
    """Yield an empty figure in the project's style; it is written as PNG when the block ends well.

    Parameters
    ----------
    path : Path
        Image to write, atomically and with at most `LARGEST_BYTES`: a larger one is drawn again
        at a lower resolution.
    size_in : (float, float)
        Width and height in inches.
    dpi : int
        Pixels per inch.
    provenance : dict
        From `stores.provenance.provenance`; kept in the image's text, but for what changes from
        run to run: the same input gives the same file.
    """
    with styled_figure(size_in) as figure:
        yield figure
        text = {"Provenance": json.dumps(stable(provenance), sort_keys=True)}
        image = _render(figure, dpi, text)
        while len(image) > LARGEST_BYTES:
            dpi = int(0.85 * dpi)
            image = _render(figure, dpi, text)
    with atomic_path(path) as temporary:
        temporary.write_bytes(image)


def _render(figure: Figure, dpi: int, text: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata=text, pil_kwargs={"compress_level": 9})
    return buffer.getvalue()


def draw_chance(axes: Axes, value: float, label: str) -> None:
    """Draw a dashed horizontal line at chance level."""
    axes.axhline(value, color=CHANCE_COLOUR, linestyle=(0, (4, 2)), linewidth=0.9, label=label)


def panels(
    figure: Figure | SubFigure, n_rows: int, n_columns: int, **ratios: Sequence[float]
) -> list[SubFigure]:
    """Divide a figure into panels that are laid out by themselves, row by row.

    `ratios` are the ``height_ratios`` and ``width_ratios`` of `Figure.subfigures`.
    """
    grid = figure.subfigures(n_rows, n_columns, squeeze=False, **cast("Any", ratios))
    return list(np.ravel(cast("Any", grid)))
