"""Films the maps of direction as they form while networks are trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.maps import PreferenceMap, preference_map, smoothness_curve
from workflow_scripts.analysis.networks import NetworkMap
from workflow_scripts.analysis.sheet_units import SheetResponses, responses_on_sheets
from workflow_scripts.analysis.tuning import split_half_tuning
from workflow_scripts.plotting.captions import listed, number, p_value, table, write_caption
from workflow_scripts.plotting.direction_colours import draw_wheel, full_colour, map_pixels
from workflow_scripts.plotting.films import Frame, FrameCanvas, write_film
from workflow_scripts.plotting.networks import Look
from workflow_scripts.plotting.style import draw_chance, panels, styled_figure
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance

RATE_HZ = 4
HELD_FRAMES = 4  # of each snapshot; the last one stays three times as long
N_PERMUTATIONS = 200


@dataclass(frozen=True)
class FilmedNetwork(NetworkMap):
    """A network whose weights were kept.

    Parameters
    ----------
    steps : list of int
        After how many steps of training, increasing.
    """

    steps: list[int]


@dataclass(frozen=True)
class FilmTrainingOptions:
    """What the film shows, and how maps are measured.

    Parameters
    ----------
    filmed : list of FilmedNetwork
    kernel_mm : dict of str to float
        The layers and the standard deviation of the Gaussian kernel that smooths their maps.
    near_mm : float
        Pairs of units up to this distance make the smoothness index.
    n_pixels : int
        Pixels along a side of a map.
    seed : int
        Of the permutations.
    """

    filmed: list[FilmedNetwork]
    kernel_mm: dict[str, float]
    near_mm: float
    n_pixels: int
    seed: int


class _Snapshot(NamedTuple):
    map: PreferenceMap
    smoothness: float
    """Index: 1 − mean difference of near pairs / its chance."""
    p: float


Snapshots = dict[tuple[str, int, str], _Snapshot]
"""By network, step and layer."""


def film_training(
    responses: list[Path],
    positions: list[Path],
    film: Path,
    caption: Path,
    options: FilmTrainingOptions,
) -> None:
    """Film the maps of every layer at every snapshot; nothing is drawn between two of them.

    Parameters
    ----------
    responses : list of Path
        To gratings, from `stimulate`: of each network in turn, at each of its steps.
    positions : list of Path
        From `place_units`, one for each network.
    film, caption : Path
        Film (MP4) and text (reStructuredText) to write.
    options : FilmTrainingOptions

    Raises
    ------
    InputError
        An input is unreadable, or there are not as many as the options name.
    """
    named = [(one, step, place) for one, place in paired(options.filmed, positions, "positions")
             for step in one.steps]  # fmt: skip
    snapshots: Snapshots = {}
    for (one, step, place), path in track(paired(named, responses, "responses"), "film_training"):
        for sheet in responses_on_sheets(path, place):
            if sheet.layer in options.kernel_mm:
                key = (one.network.name, step, sheet.layer)
                snapshots[key] = _measure(sheet, options)
    attributes = provenance("film_training", options, [*responses, *positions], options.seed)
    size_in = (2.2 * len(options.kernel_mm) + 1.7, 2.25 * (len(options.filmed) + 1) + 0.3)
    with styled_figure(size_in) as figure:
        write_film(film, _frames(figure, snapshots, options), RATE_HZ, attributes)
    write_caption(caption, *_describe(snapshots, options))


def _measure(sheet: SheetResponses, options: FilmTrainingOptions) -> _Snapshot:
    units = sheet.units
    tuning = split_half_tuning(sheet.responses.values, sheet.responses.directions_deg)
    preferred_deg = tuning.preferred_direction_deg.to_numpy()
    smoothed = preference_map(
        units.x_mm, units.y_mm, preferred_deg, sheet_mm=sheet.sheet_mm,
        kernel_mm=options.kernel_mm[sheet.layer], n_pixels=options.n_pixels,
    )  # fmt: skip
    near = smoothness_curve(
        units.x_mm, units.y_mm, preferred_deg, units.channel,
        anchor=units.groupby(["row", "column"]).ngroup(),
        distance_edges_mm=[0, options.near_mm], n_permutations=N_PERMUTATIONS, n_resamples=2,
        seed=options.seed,
    ).iloc[0]  # fmt: skip
    return _Snapshot(smoothed, float(near.smoothness_index), float(near.p))


def _frames(figure: Figure, snapshots: Snapshots, options: FilmTrainingOptions) -> Iterator[Frame]:
    layers, filmed = list(options.kernel_mm), options.filmed
    full_at = full_colour(one.map.z[one.map.roi] for one in snapshots.values())
    steps = sorted({step for one in filmed for step in one.steps})
    left, right = panels(figure, 1, 2, width_ratios=(2.2 * len(layers), 1.7))
    draw_wheel(right.subplots(), 360, full_at)
    grid = left.subplots(len(filmed) + 1, len(layers), squeeze=False)
    images = {
        (one.network.name, layer): _empty_map(grid[row, column], options.n_pixels)
        for row, one in enumerate(filmed) for column, layer in enumerate(layers)
    }  # fmt: skip
    marks = [
        _draw_indices(axes, layer, snapshots, filmed, steps)
        for axes, layer in zip(grid[-1], layers, strict=True)
    ]
    for axes, layer in zip(grid[0], layers, strict=True):
        axes.set_title(layer)
    for axes, one in zip(grid[:-1, 0], filmed, strict=True):
        axes.set_ylabel(one.network.variant_label)
    grid[-1, 0].set_ylabel("smoothness index")
    right.legend(*grid[-1, 0].get_legend_handles_labels(), loc="lower center")
    title = figure.suptitle("step 0", fontsize=10)
    canvas = FrameCanvas(figure, [*images.values(), *marks, title])
    for index, step in enumerate(steps):
        title.set_text(f"direction maps after {step} of {steps[-1]} steps of training")
        for mark in marks:
            mark.set_xdata([index, index])
        for one, layer in product(filmed, layers):
            shown = max(known for known in one.steps if known <= step)
            found = snapshots[one.network.name, shown, layer].map
            images[one.network.name, layer].set_data(map_pixels(found.z, found.roi, full_at))
        yield from [canvas.frame()] * (HELD_FRAMES * (3 if step == steps[-1] else 1))


def _empty_map(axes: Axes, n_pixels: int) -> AxesImage:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color="0.6")
    return axes.imshow(np.ones((n_pixels, n_pixels, 4)), interpolation="nearest")


def _draw_indices(
    axes: Axes, layer: str, snapshots: Snapshots, filmed: Sequence[FilmedNetwork], steps: list[int]
) -> Line2D:
    """Draw how smooth the maps of a layer are, and the line that moves with the film."""
    look = Look.of(one.network for one in filmed)
    for one in filmed:
        axes.plot(
            [steps.index(step) for step in one.steps],
            [snapshots[one.network.name, step, layer].smoothness for step in one.steps],
            color=look.colours[one.network.variant], marker="o", markersize=3,
            label=one.network.variant_label,
        )  # fmt: skip
    draw_chance(axes, 0, "chance")
    axes.set(xlabel="step", xticks=range(len(steps)), xticklabels=steps)
    return axes.axvline(0, color="0.3", linewidth=0.8)


def _describe(snapshots: Snapshots, options: FilmTrainingOptions) -> Iterator[str]:
    filmed, layers = options.filmed, list(options.kernel_mm)
    yield (
        "**Maps of direction as they form in training**, of "
        f"{listed([one.network.label for one in filmed])}. Every map is measured with a few "
        "gratings (one spatial and one temporal frequency), so it is noisier than the final "
        "figures; between two snapshots nothing was measured and nothing is drawn. For α = 0 the "
        "positions were made of its responses at the end of training: its early maps are drawn on "
        "places that did not exist then. Colours as in the figure of direction maps. Below: "
        "smoothness index, 1 − Δ / chance of pairs of different channels up to "
        f"{options.near_mm:g} mm apart, chance being the mean of {N_PERMUTATIONS} joint "
        "permutations of the channels; 0 is no map."
    )
    rows = []
    for one in filmed:
        for step in one.steps:
            found = [snapshots[one.network.name, step, layer] for layer in layers]
            cells = [f"{number(each.smoothness)} ({p_value(each.p)})" for each in found]
            rows.append([one.network.label, str(step), *cells])
    yield table("Smoothness index and its p", ["network", "step", *layers], rows)


if __name__ == "__main__":
    run_stage(film_training)
