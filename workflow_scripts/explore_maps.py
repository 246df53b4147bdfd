"""Writes the explorer: one HTML page of maps and of their units' tuning, which opens offline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.analysis.conditions import UNIT
from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.networks import NetworkMap, read_tuning
from workflow_scripts.plotting.captions import listed, write_caption
from workflow_scripts.plotting.explorer import (
    Colouring,
    named,
    rising,
    turning,
    write_explorer,
)
from workflow_scripts.plotting.explorer_data import (
    MAP_PIXELS,
    TUNING,
    map_data,
    network_data,
    screen_data,
    unit_places,
)
from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.table_store import read_table

MOST_UNITS = 10_000  # of a layer, or the page grows beyond what a browser likes
SEED = 0  # of the units that are taken of a larger layer


@dataclass(frozen=True)
class ExploreMapsOptions:
    """What the page shows.

    Parameters
    ----------
    maps : list of NetworkMap
        The maps, in the order of their files.
    physiology_networks : list of str
        The networks whose channels' physiology is given, in the order of the tables.
    """

    maps: list[NetworkMap]
    physiology_networks: list[str]

    @property
    def networks(self) -> list[str]:
        """Names of the networks, each once, in the order of the maps."""
        return list(dict.fromkeys(one.network.name for one in self.maps))

    @property
    def positions(self) -> list[str]:
        """Names of the positions, each once, in the order of the maps."""
        return list(dict.fromkeys(one.positions for one in self.maps))


def explore_maps(
    *,
    maps: list[Path],
    pinwheels: list[Path],
    positions: list[Path],
    tuning: list[Path],
    gratings: list[Path],
    physiology: list[Path],
    config: Path,
    page: Path,
    caption: Path,
    options: ExploreMapsOptions,
) -> None:
    """Write the page that shows every unit of every map.

    Parameters
    ----------
    maps, pinwheels : list of Path
        Outputs of `measure_map`, in the order of ``options.maps``.
    positions : list of Path
        From `place_units`, in the order in which the maps name them first.
    tuning, gratings : list of Path
        From `measure_tuning` and `stimulate`, in the order in which the maps name the networks.
    physiology : list of Path
        From `measure_physiology`, in the order of ``options.physiology_networks``.
    config : Path
        Description of one of the networks, ``model.json``; all have one architecture.
    page, caption : Path
        Page (HTML) and text (reStructuredText) to write.
    options : ExploreMapsOptions

    Raises
    ------
    InputError
        An input is unreadable, or two of them hold other units.
    """
    tables = {
        name: read_tuning(path, [*TUNING, "row", "column"])
        for name, path in paired(options.networks, tuning, "tuning")
    }
    units, shown = _choose_units(next(iter(tables.values())))
    places = {
        name: unit_places(units, path)
        for name, path in paired(options.positions, positions, "positions")
    }
    layers = units.layer.unique().tolist()
    channels = {name: read_table(path) for name, path in
                paired(options.physiology_networks, physiology, "physiology")}  # fmt: skip
    networks = {}
    for name, path in track(paired(options.networks, gratings, "gratings"), "explore_maps"):
        networks[name] = network_data(units, tables[name], channels.get(name), path)
    drawn = map_data(options.maps, maps, pinwheels)
    study = {
        "layers": layers,
        "examples": _examples(
            units, tables[options.maps[_first_pair(options.maps)[0]].network.name]
        ),
        "sheet_mm": [places[options.positions[0]]["sheet_mm"][layer] for layer in layers],
        "units": {
            "layer": units.layer.map(layers.index).to_numpy(np.uint8),
            **{name: units[name].to_numpy(np.uint16) for name in UNIT[1:]},
        },
        "networks": networks,
        "positions": {name: place["mm"] for name, place in places.items()},
        "maps": drawn,
        "map_pixels": MAP_PIXELS,
        **screen_data(gratings[0], config),
        "directions_deg": networks[options.networks[0]].pop("directions_deg"),
        "coherences": next(iter(tables.values())).attrs["coherences"],
    }
    with atomic_path(page) as temporary:
        write_explorer(
            temporary, study, _colourings(networks, layers, units), _first_pair(options.maps)
        )
    write_caption(caption, *_describe(options, shown))


def _first_pair(maps: Sequence[NetworkMap]) -> tuple[int, int]:
    """Find the first network with a spatial loss, and the one without it on the same positions."""
    roles = [one.role for one in maps]
    first = roles.index("spatial") if "spatial" in roles else 0
    beside = [index for index, one in enumerate(maps)
              if one.positions == maps[first].positions and one.role == "source"]  # fmt: skip
    return first, (beside or [first])[0]


def _choose_units(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, tuple[int, int]]]:
    """Take at most `MOST_UNITS` of each layer, at random; say how many of how many."""
    rng = np.random.default_rng(SEED)
    chosen, shown = [], {}
    for layer, of_layer in table.groupby("layer", sort=False):
        n = min(MOST_UNITS, len(of_layer))
        rows = np.sort(rng.choice(len(of_layer), n, replace=False))
        chosen.append(of_layer.iloc[rows])
        shown[str(layer)] = (n, len(of_layer))
    return pd.concat(chosen, ignore_index=True).loc[:, UNIT], shown


def _examples(units: pd.DataFrame, table: pd.DataFrame) -> list[int]:
    """Choose the unit of each layer that is shown first: the most reliable one that is tuned."""
    tuned = units.merge(table, on=UNIT, how="left")
    score = tuned.reliability.where(tuned.vector_strength.notna()).fillna(-1).to_numpy()
    of_layers = [np.flatnonzero(units.layer == layer) for layer in units.layer.unique()]
    return [int(rows[score[rows].argmax()]) for rows in of_layers]


def _colourings(
    networks: dict[str, Any], layers: list[str], units: pd.DataFrame
) -> list[Colouring]:
    """List what the colours may show: all of what was measured, selectivity by its bounds."""

    def range_of(column: str) -> tuple[float, float] | None:
        found = [one["columns"][column] for one in networks.values() if column in one["columns"]]
        ends = [end for one in found for end in (one["low"], one["high"])]
        return (min(ends), max(ends)) if ends and max(ends) > min(ends) else None

    measured = [
        ("frequency of the preferred grating (cycles/°)", "preferred_spatial_frequency_cpd"),
        ("frequency of the preferred grating (Hz)", "preferred_temporal_frequency_hz"),
        ("preferred speed of dots, of the channel (°/s)", "speed_preferred"),
        ("preferred temporal frequency, of the channel (Hz)", "tf_preferred"),
        ("preferred spatial frequency, of the channel (cycles/°)", "sf_preferred"),
        ("surround suppression, of the channel", "surround_index"),
    ]
    ranges = [(label, column, range_of(column)) for label, column in measured]
    return [
        turning("preferred direction (°)", "preferred_direction_deg", 360, "direction"),
        turning("preferred axis of motion (°)", "preferred_orientation_deg", 180, "axis"),
        turning("preferred orientation of static bars (°)", "static_preferred_orientation_deg",
                180, "orientation"),
        turning("preferred direction of dots (°)", "dots_preferred_direction_deg", 360),
        rising("direction selectivity, DSI", "dsi", 0, 1),
        rising("vector strength, L1", "vector_strength", 0, 1),
        rising("reliability, r of the halves", "reliability", 0, 1),
        *(rising(label, column, *ends) for label, column, ends in ranges if ends),
        named("layer", "layer", len(layers)),
        named("channel", "channel", int(units.channel.max()) + 1),
    ]  # fmt: skip


def _describe(options: ExploreMapsOptions, shown: dict[str, tuple[int, int]]) -> Iterator[str]:
    counts = [
        f"{layer} {n}" if n == of else f"{layer} {n} of {of}, drawn at random"
        for layer, (n, of) in shown.items()
    ]
    yield (
        f"**Every unit to click at**: {len(options.maps)} maps of {len(options.networks)} "
        f"networks ({listed(counts)} units each, border left out), two at a time. A unit shows its "
        "tuning to drifting gratings, each half of the phases measured where the other half chose "
        "the frequencies, with a band in which 95 % of values lie when labels of directions change "
        "places within each phase; its responses to random dots against coherence; and the part "
        "of the screen that its convolutions reach. Numbers are those of the stores, curves to "
        "1/32767 of the unit's largest response (the difference of the halves to 1/127 of its "
        "own), other columns to 1/65534 of their range."
    )


if __name__ == "__main__":
    run_stage(explore_maps)
