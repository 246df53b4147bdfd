"""Films a drifting grating beside the activity of the cortical sheets that see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from workflow_scripts.analysis.conditions import condition_table
from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.maps import MapGrid, PreferenceMap, preference_map
from workflow_scripts.analysis.networks import NetworkMap
from workflow_scripts.analysis.sheet_units import SheetResponses, responses_on_sheets
from workflow_scripts.analysis.tuning import split_half_tuning
from workflow_scripts.in_silico.battery import battery_display
from workflow_scripts.plotting.captions import listed, number, write_caption
from workflow_scripts.plotting.direction_colours import draw_wheel, full_colour, map_pixels
from workflow_scripts.plotting.films import Frame, FrameCanvas, write_film
from workflow_scripts.plotting.style import panels, styled_figure
from workflow_scripts.stimuli.display import Display
from workflow_scripts.stimuli.gratings import drifting_grating
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import open_store

Floats = NDArray[np.floating]
N_PIXELS = 96
FULL_ACTIVITY_PERCENTILE = 99
ORDER = {"contrast": False, "spatial_frequency_cpd": True, "temporal_frequency_hz": True}


@dataclass(frozen=True)
class FilmGratingsOptions:
    """What the film shows.

    Parameters
    ----------
    filmed : list of NetworkMap
        The networks and the positions of their units.
    kernel_mm : dict of str to float
        The layers and the standard deviation of the Gaussian kernel that smooths their activity.
    """

    filmed: list[NetworkMap]
    kernel_mm: dict[str, float]


class _Sheet(NamedTuple):
    activity: Floats
    """(direction, phase, row, column); of a unit's largest response, mean over units."""
    map: PreferenceMap
    """Of preferred directions."""


class _Shown(NamedTuple):
    directions_deg: Floats
    n_phases: int
    cpd: float
    hz: float
    contrast: float
    display: Display


def film_gratings(
    gratings: list[Path],
    positions: list[Path],
    film: Path,
    caption: Path,
    options: FilmGratingsOptions,
) -> None:
    """Film what the stored responses hold: no network runs.

    A response is a mean over one clip, and the repeats of a drifting grating are its phases: a
    grating that drifts on reaches them one after the other. Each frame shows one of them, the
    grating as it is in the middle of its clip, in real time.

    Parameters
    ----------
    gratings, positions : list of Path
        From `stimulate` and `place_units`, one of each for each network.
    film, caption : Path
        Film (MP4) and text (reStructuredText) to write.
    options : FilmGratingsOptions

    Raises
    ------
    InputError
        An input is unreadable, or there are not as many as the options name.
    """
    stores = paired(options.filmed, gratings, "gratings")
    places = paired(options.filmed, positions, "positions")
    shown = _read_shown(gratings[0])
    sheets = {
        (one.network.name, sheet.layer): _measure(sheet, options)
        for (one, store), (_, place) in track(
            list(zip(stores, places, strict=True)), "film_gratings"
        )
        for sheet in responses_on_sheets(store, place)
        if sheet.layer in options.kernel_mm
    }
    attributes = provenance("film_gratings", options, [*gratings, *positions])
    n_rows = 2 * len(options.filmed)
    size_in = (1.6 * len(options.kernel_mm) + 3.2, 1.65 * n_rows + 0.3)
    with styled_figure(size_in) as figure:
        frames = _frames(figure, sheets, shown, options)
        write_film(film, frames, shown.n_phases * shown.hz, attributes)
    write_caption(caption, *_describe(shown, options))


def _read_shown(path: Path) -> _Shown:
    with open_store(path) as store:
        conditions = condition_table(store)
        drifting = conditions.loc[conditions.family == "drifting_grating"]
        contrast, cpd, hz = drifting.loc[:, list(ORDER)].to_numpy(float)[_first(drifting)]
        directions, n_phases = np.unique(drifting.direction_deg), store.sizes["repeat"]
        return _Shown(directions, n_phases, cpd, hz, contrast, battery_display(store))


def _first(gratings: pd.DataFrame) -> int:
    """Find the row of the highest contrast, of these of the coarsest, of these of the slowest."""
    rows = gratings.reset_index(drop=True)
    return int(rows.sort_values(list(ORDER), ascending=list(ORDER.values())).index[0])


def _measure(sheet: SheetResponses, options: FilmGratingsOptions) -> _Sheet:
    units, (values, settings, directions_deg) = sheet.units, sheet.responses
    responses = np.maximum(values[:, _first(settings)], 0)  # (unit, direction, phase)
    largest = responses.max(axis=(1, 2), keepdims=True)
    share = np.divide(responses, largest, out=np.zeros_like(responses), where=largest > 0)
    sizes = {"sheet_mm": sheet.sheet_mm, "kernel_mm": options.kernel_mm[sheet.layer],
             "n_pixels": N_PIXELS}  # fmt: skip
    x_mm, y_mm = units.x_mm.to_numpy(float), units.y_mm.to_numpy(float)
    grid = MapGrid(x_mm, y_mm, **sizes)
    frames = share.reshape(len(share), -1).T
    activity = np.stack([grid.smooth(frame.astype(complex)).real for frame in frames])
    preferred_deg = split_half_tuning(values, directions_deg).preferred_direction_deg
    preferences = preference_map(x_mm, y_mm, preferred_deg, **sizes)
    activity[:, ~preferences.roi] = np.nan
    return _Sheet(activity.reshape(*share.shape[1:], N_PIXELS, N_PIXELS), preferences)


def _frames(
    figure: Figure, sheets: dict[tuple[str, str], _Sheet], shown: _Shown,
    options: FilmGratingsOptions,
) -> Iterator[Frame]:  # fmt: skip
    layers, filmed = list(options.kernel_mm), options.filmed
    left, right = panels(figure, 1, 2, width_ratios=(3.0, 1.6 * len(layers)))
    screen, compass, wheel = left.subplots(3, 1, height_ratios=(3, 1, 1.6))
    full_at = full_colour(sheet.map.z[sheet.map.roi] for sheet in sheets.values())
    draw_wheel(wheel, 360, full_at)
    grating = screen.imshow(np.zeros((2, 2)), cmap="gray", vmin=0, vmax=1)
    screen.set(xticks=[], yticks=[], title=f"{shown.cpd:g} cycles/°, {shown.hz:g} Hz")
    compass.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal")
    compass.set_axis_off()
    arrow = compass.quiver(0, 0, 1, 0, scale=2.2, width=0.03, pivot="middle", color="black")
    heading = compass.text(0, -1.15, "", ha="center", fontsize=9)
    grid = right.subplots(2 * len(filmed), len(layers), squeeze=False)
    images = {}
    for (row, one), (column, layer) in product(enumerate(filmed), enumerate(layers)):
        sheet = sheets[one.network.name, layer]
        _blank(grid[2 * row, column]).imshow(map_pixels(sheet.map.z, sheet.map.roi, full_at))
        axes = _blank(grid[2 * row + 1, column])
        images[one.network.name, layer] = _activity_image(axes, sheet.activity)
        if row == 0:
            grid[0, column].set_title(layer)
        if column == 0:
            grid[2 * row, 0].set_ylabel(f"{one.network.variant_label}\npreferred", fontsize=7)
            axes.set_ylabel("activity", fontsize=7)
    canvas = FrameCanvas(figure, [grating, arrow, heading, *images.values()])
    for index, direction_deg in enumerate(shown.directions_deg):
        turn = np.deg2rad(direction_deg)
        arrow.set_UVC(np.cos(turn), np.sin(turn))
        heading.set_text(f"{direction_deg:g}°")
        # Phases fall as a grating drifts on; see `stimuli.gratings.drifting_grating`.
        for phase in reversed(range(shown.n_phases)):
            grating.set_data(_middle_frame(direction_deg, phase, shown))
            grating.set_extent((0, 1, 0, 1))
            for key, image in images.items():
                image.set_data(sheets[key].activity[index, phase])
            yield canvas.frame()


def _blank(axes: Axes) -> Axes:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color="0.6")
    return axes


def _activity_image(axes: Axes, activity: Floats) -> AxesImage:
    highest = float(np.nanpercentile(activity, FULL_ACTIVITY_PERCENTILE)) or 1.0
    return axes.imshow(activity[0, 0], cmap="inferno", vmin=0, vmax=highest)


def _middle_frame(direction_deg: float, phase: int, shown: _Shown) -> Floats:
    """Render the grating in the middle of the clip that begins with a phase."""
    middle_s = (shown.display.n_frames - 1) / 2 / shown.display.frame_rate_hz
    phase_deg = 360 * (phase / shown.n_phases - shown.hz * middle_s)
    one_frame = replace(shown.display, n_frames=1)
    clip = drifting_grating(
        float(direction_deg), shown.cpd, shown.hz, phase_deg, shown.contrast, display=one_frame
    )
    return clip[0, 0].numpy()


def _describe(shown: _Shown, options: FilmGratingsOptions) -> Iterator[str]:
    seconds = shown.display.n_frames / shown.display.frame_rate_hz
    same = len({one.positions for one in options.filmed}) == 1
    places = "the same positions" if same else "positions of their own"
    yield (
        f"**A drifting grating and the sheets that see it** ({shown.cpd:g} cycles/°, {shown.hz:g} "
        f"Hz, {len(shown.directions_deg)} directions, 1 cycle each, in real time), for "
        f"{listed([one.network.label for one in options.filmed])} on {places}. Activity: "
        "response less that to a blank screen, negative ones as 0, as a share of the unit's "
        "largest in the film, averaged over units by a Gaussian kernel of "
        f"{number(min(options.kernel_mm.values()))} mm; brightest at the "
        f"{FULL_ACTIVITY_PERCENTILE}th percentile of a sheet's film. Every response is a mean over "
        f"{number(seconds)} s, of which the frame shows the middle. Above it the map of preferred "
        "directions, in the colours of the figure of maps: where there is a map, the patches light "
        "up that prefer the direction of the arrow."
    )


if __name__ == "__main__":
    run_stage(film_gratings)
