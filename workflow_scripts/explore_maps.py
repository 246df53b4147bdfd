"""Writes the explorer: one HTML page of maps and of their units' tuning, which opens offline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.analysis.half_curves import UNIT, read_half_curves
from workflow_scripts.analysis.networks import NetworkMap, paired, read_tuning
from workflow_scripts.models.receptive_fields import receptive_fields
from workflow_scripts.plotting.captions import listed, write_caption
from workflow_scripts.plotting.direction_colours import full_colour
from workflow_scripts.plotting.explorer import (
    Colouring,
    named,
    quantised,
    rising,
    scaled,
    turning,
    write_explorer,
)
from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.table_store import read_json, read_table
from workflow_scripts.stores.zarr_store import open_store

MOST_UNITS = 10_000  # of a layer, or the page grows beyond what a browser likes
MAP_PIXELS = 64
MAP_OF = {"direction": "z1", "axis": "z2", "orientation": "z_orientation"}
TUNING = [
    "preferred_direction_deg", "preferred_orientation_deg", "static_preferred_orientation_deg",
    "dsi", "vector_strength", "vector_strength_p", "reliability", "dots_preferred_direction_deg",
    "preferred_spatial_frequency_cpd", "preferred_temporal_frequency_hz",
]  # fmt: skip
PHYSIOLOGY = [
    "speed_preferred", "tf_preferred", "sf_preferred", "preferred_diameter_deg", "surround_index",
]  # fmt: skip
ROLES = {
    "spatial": "trained on these positions",
    "source": "the positions were made of its responses",
    "control": "control",
}


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
        name: _places(units, path)
        for name, path in paired(options.positions, positions, "positions")
    }
    layers = units.layer.unique().tolist()
    channels = {name: read_table(path) for name, path in
                paired(options.physiology_networks, physiology, "physiology")}  # fmt: skip
    networks = {}
    for name, path in track(paired(options.networks, gratings, "gratings"), "explore_maps"):
        networks[name] = _network(units, tables[name], channels.get(name), path)
    drawn = _maps(options.maps, maps, pinwheels)
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
        **_shown(gratings[0], config),
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
    rng = np.random.default_rng(0)
    chosen, shown = [], {}
    for layer, of_layer in table.groupby("layer", sort=False):
        n = min(MOST_UNITS, len(of_layer))
        rows = np.sort(rng.choice(len(of_layer), n, replace=False))
        chosen.append(of_layer.iloc[rows])
        shown[str(layer)] = (n, len(of_layer))
    return pd.concat(chosen, ignore_index=True)[UNIT], shown


def _aligned(units: pd.DataFrame, other: pd.DataFrame, on: list[str], path: Path) -> pd.DataFrame:
    """Take a table's rows for the units, in their order."""
    joined = units.merge(other, on=on, how="left", validate="many_to_one", indicator="found")
    if (joined.found != "both").any():
        raise InputError(f"{path}: lacks units of the other tables; rerun the stage that made it")
    return joined


def _examples(units: pd.DataFrame, table: pd.DataFrame) -> list[int]:
    """Choose the unit of each layer that is shown first: the most reliable one that is tuned."""
    tuned = units.merge(table, on=UNIT, how="left").reset_index()
    tuned["score"] = tuned.reliability.where(tuned.vector_strength.notna()).fillna(-1)
    return [int(of_layer["index"][of_layer.score.idxmax()])
            for _, of_layer in tuned.groupby("layer", sort=False)]  # fmt: skip


def _places(units: pd.DataFrame, path: Path) -> dict[str, Any]:
    with open_store(path) as store:
        table = pd.DataFrame({name: store[name].to_numpy() for name in [*UNIT, "x_mm", "y_mm"]})
        sheet_mm = json.loads(store.attrs["sheet_mm"])
    placed = _aligned(units, table, UNIT, path)
    mm = {name: quantised(placed[name]) for name in ("x_mm", "y_mm")}
    return {"mm": mm, "sheet_mm": sheet_mm}


def _network(
    units: pd.DataFrame, table: pd.DataFrame, channels: pd.DataFrame | None, gratings: Path
) -> dict[str, Any]:
    """Gather what is known of each unit of a network."""
    tuned = _aligned(units, table, UNIT, gratings)
    columns = {name: quantised(tuned[name]) for name in TUNING}
    if channels is not None:
        known = [name for name in PHYSIOLOGY if name in channels]
        of_units = _aligned(units, channels[["layer", "channel", *known]], UNIT[:2], gratings)
        columns |= {name: quantised(of_units[name]) for name in known}
    with open_store(gratings) as store:
        measured = read_half_curves(store, units, gratings)
    odd, even = measured.curves[:, 0], measured.curves[:, 1]
    curves, scale = scaled((odd + even) / 2)
    halves, halves_scale = scaled((odd - even) / 2, np.int8)
    dots, dots_scale = scaled(_dot_curves(tuned, table.attrs["coherences"]))
    return {
        "columns": columns,
        "curves": curves,
        "scale": scale,
        "halves": halves,
        "halves_scale": halves_scale,
        "shuffled_sd": measured.shuffled_sd.astype(np.float32),
        "dots": dots,
        "dots_scale": dots_scale,
        "directions_deg": measured.directions_deg.tolist(),
    }


def _dot_curves(tuned: pd.DataFrame, coherences: Sequence[float]) -> np.ndarray:
    """(unit, preferred and opposite direction, coherence)."""
    return np.stack([
        tuned[[f"dots_{side}_at_{coherence:g}" for coherence in coherences]].to_numpy(float)
        for side in ("preferred", "null")
    ], axis=1)  # fmt: skip


def _maps(
    named_maps: Sequence[NetworkMap], stores: list[Path], pinwheels: list[Path]
) -> list[dict[str, Any]]:
    """Gather the smoothed maps, coarser than they are stored, and their pinwheels."""
    read = [(one, open_store(path, load=True)) for one, path in paired(named_maps, stores, "maps")]
    full_at = {
        name: full_colour(store[z].to_numpy()[store["roi"].to_numpy()] for _, store in read)
        for name, z in MAP_OF.items()
    }
    found = [read_table(path) for _, path in paired(named_maps, pinwheels, "pinwheels")]
    kept = ["layer", "map", "x_mm", "y_mm", "sign"]
    return [
        {
            "label": f"{one.network.label} on {one.positions}: {ROLES[one.role]}",
            "network": one.network.name,
            "positions": one.positions,
            "images": {
                f"{layer} {name}": _image(store.isel(layer=index), MAP_OF[name], full_at[name])
                for index, layer in enumerate(store["layer"].to_numpy().tolist())
                for name in MAP_OF
            },
            "pinwheels": table[kept].round({"x_mm": 3, "y_mm": 3}).to_dict("records"),
        }
        for (one, store), table in zip(read, found, strict=True)
    ]


def _image(layer: Any, variable: str, full_at: float) -> dict[str, np.ndarray]:
    """Angle in 255 steps, 255 outside the region of the map, and length in 256."""
    z, inside = layer[variable].to_numpy(), layer["roi"].to_numpy()
    step = max(1, len(z) // MAP_PIXELS)
    pixels = (np.arange(MAP_PIXELS) * len(z) // MAP_PIXELS + step // 2).clip(max=len(z) - 1)
    z, inside = z[np.ix_(pixels, pixels)], inside[np.ix_(pixels, pixels)]
    angle = np.round(np.angle(z) / (2 * np.pi) * 255) % 255
    strength = np.round(255 * np.minimum(np.abs(z) / full_at, 1))
    return {
        "angle": np.where(inside, angle, 255).astype(np.uint8).ravel(),
        "strength": np.where(inside, strength, 0).astype(np.uint8).ravel(),
    }


def _shown(gratings: Path, config: Path) -> dict[str, Any]:
    """Find the screen, and the fields of the layers on it."""
    with open_store(gratings) as store:
        screen = {
            name: float(store.attrs[name]) for name in ("size_px", "pixels_per_degree", "n_frames")
        }
        margin_px = json.loads(store.attrs["options"])["margin_px"]
    backbone = read_json(config)["backbone"]
    size_px, n_frames = int(screen["size_px"]), int(screen["n_frames"])
    fields = receptive_fields(backbone["name"], backbone["in_channels"], n_frames, size_px)
    return {
        "screen": {**screen, "margin_px": margin_px},
        "fields": {layer: field._asdict() for layer, field in fields.items()},
    }


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
