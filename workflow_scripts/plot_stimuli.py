"""Draws a contact sheet of every kind of stimulus that the networks are shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.in_silico.battery import BLANK, battery_display, render_clips
from workflow_scripts.plotting.captions import number, span, table, write_caption
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.plotting.style import new_figure
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_table
from workflow_scripts.training.clips import ClipSource

N_EXAMPLES = 6
TILE_IN = 1.15
SHORT = {
    "direction_deg": "{:g}°", "orientation_deg": "bars {:g}°", "spatial_frequency_cpd": "{:g} c/°",
    "temporal_frequency_hz": "{:g} Hz", "speed_deg_s": "{:.3g}°/s", "coherence": "coh {:g}",
    "contrast": "c {:g}", "outer_diameter_deg": "⌀ {:g}°", "inner_diameter_deg": "hole {:g}°",
    "width_deg": "{:g}° wide", "clip_set": "set {:g}",
}  # fmt: skip


class _Family(NamedTuple):
    battery: str
    table: pd.DataFrame
    name: str
    n_conditions: int
    examples: np.ndarray
    """Conditions, (example,)."""


def plot_stimuli(
    batteries: list[Path],
    natural: list[Path],
    figure: Path,
    caption: Path,
    options: FigureOptions,
) -> None:
    """Draw examples of each family of each battery: the first frame, and a section over time.

    Parameters
    ----------
    batteries : list of Path
        Tables from `make_battery`.
    natural : list of Path
        Table of clips and the video stores; empty without natural clips.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : FigureOptions

    Raises
    ------
    InputError
        A table is unreadable or no battery.
    """
    tables = {path.stem: read_table(path) for path in batteries}
    families = [one for name, battery in tables.items() for one in _families(name, battery)]
    if not families:
        raise InputError("--batteries: none shows anything but a blank screen; add stimuli")
    source = ClipSource(natural[0], natural[1:]) if natural else None
    attributes = provenance("plot_stimuli", options, [*batteries, *natural])
    size_in = (N_EXAMPLES * TILE_IN + 1.3, len(families) * (1.55 * TILE_IN + 0.12) + 0.2)
    with new_figure(figure, size_in, options.dpi, attributes) as drawn:
        _draw(drawn, families, source)
    write_caption(caption, *_describe(families))


def _families(battery: str, conditions: pd.DataFrame) -> Iterator[_Family]:
    """Spread the examples over each family's settings and directions."""
    for name, group in conditions[conditions.family != BLANK].groupby("family", sort=False):
        spread = np.linspace(0, len(group) - 1, min(N_EXAMPLES, len(group))).round().astype(int)
        yield _Family(
            battery, conditions, str(name), len(group), group.condition.to_numpy()[spread]
        )


def _draw(drawn: Figure, families: list[_Family], source: ClipSource | None) -> None:
    ratios = np.tile([1, 0.38], len(families)).tolist()
    grid = drawn.subplots(
        2 * len(families), N_EXAMPLES, squeeze=False, gridspec_kw={"height_ratios": ratios}
    )
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for row, family in enumerate(families):
        frames, sections = grid[2 * row], grid[2 * row + 1]
        repeat = np.zeros(len(family.examples), int)
        clips = render_clips(family.table, family.examples, repeat, natural=source).luminance
        for place, condition in enumerate(family.examples):
            clip = clips[place].numpy()
            _show(frames[place], clip[0])
            _show(sections[place], clip[:, clip.shape[1] // 2], stretched=True)
            frames[place].set_title(_label(family.table.iloc[condition]), fontsize=5.5, pad=2)
        frames[0].set_ylabel(f"{family.name.replace('_', ' ')}\n({family.battery})", fontsize=7)
        sections[0].set_ylabel("time ↓", fontsize=6)


def _show(axes: Axes, image: np.ndarray, stretched: bool = False) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest",
                aspect="auto" if stretched else "equal")  # fmt: skip


def _label(condition: pd.Series) -> str:
    given = condition.dropna()
    parts = [text.format(given[name]) for name, text in SHORT.items() if name in given]
    return "\n".join(", ".join(parts[start : start + 3]) for start in range(0, len(parts), 3))


def _describe(families: list[_Family]) -> Iterator[str]:
    displays = [battery_display(family.table) for family in families]
    sides = [display.size_px / display.pixels_per_degree for display in displays]
    seconds = [display.n_frames / display.frame_rate_hz for display in displays]
    yield (
        "**What the networks are shown.** For each family of stimuli the first frame of up to "
        f"{N_EXAMPLES} conditions, spread over its settings and directions, and below it the "
        "middle row of the screen over time (downward): what drifts rightward leans to the right. "
        f"The screen is {span(sides, 1, '°')} wide, a clip lasts {span(seconds, 2, ' s')}. "
        "Directions are those of the motion: 0° rightward, 90° upward; a static grating's "
        "orientation is that of its bars. Above each tile its settings: c is the contrast, coh the "
        "coherence of dots, c/° cycles per degree, ⌀ and hole an aperture's outer and inner "
        "diameter, set the number of a set of natural clips. A blank screen belongs to every "
        "battery."
    )
    yield table(
        "Families of stimuli",
        ["battery", "family", "conditions", "repeats"],
        [
            [one.battery, one.name.replace("_", " "), number(one.n_conditions, 0),
             number(one.table.attrs["n_repeats"], 0)]
            for one in families
        ],
    )  # fmt: skip


if __name__ == "__main__":
    run_stage(plot_stimuli)
