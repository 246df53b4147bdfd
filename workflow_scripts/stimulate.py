"""Shows a battery of stimuli to a network and stores the responses of its units."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pandas as pd
import zarr

from workflow_scripts.in_silico.battery import COLUMN_UNITS
from workflow_scripts.in_silico.responses import layer_shapes, response_blocks, unit_table
from workflow_scripts.models.backbones import Backbone, load_backbone
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_json, read_table
from workflow_scripts.stores.zarr_store import COMPRESSOR, StoreWriter
from workflow_scripts.training.clips import ClipSource
from workflow_scripts.training.machine import MachineOptions, launch_fabric

# A block is computed at once and becomes one file: few files, bounded memory.
BLOCK_BYTES = 64 * 2**20
# Part of a file that can be read by itself, so that one layer does not cost them all.
CHUNK_UNITS = 4096
UNIT_UNITS = dict.fromkeys(("layer", "channel", "row", "column", "border"), "1") | {"layer": "name"}


@dataclass(frozen=True)
class StimulateOptions:
    """How a battery is shown.

    Parameters
    ----------
    machine : MachineOptions
        Where to render and compute.
    border_units : dict of str to int
        The layers to record and, for each, how many of the outermost rows and columns of units
        are marked as border; see `in_silico.responses.unit_table`.
    margin_px : int
        How far the screen reaches beyond the view that the network was trained on, on each side;
        a multiple of the network's spatial stride. Units whose place lies in this margin are not
        recorded, and the padding at the edge of the screen stays away from the others.
    batch_size : int
        Clips that the network sees at once.
    """

    machine: MachineOptions
    border_units: dict[str, int] = field(
        default_factory=lambda: {"layer1": 3, "layer2": 3, "layer3": 2, "layer4": 1}
    )
    margin_px: int = 0
    batch_size: int = 64


def stimulate(
    model: Path,
    config: Path,
    battery: Path,
    natural: list[Path],
    responses: Path,
    options: StimulateOptions,
) -> None:
    """Measure the responses of a network's units to every clip of a battery.

    Parameters
    ----------
    model, config : Path
        Weights (``model.safetensors``) and description (``model.json``) of the network.
    battery : Path
        Table of conditions, from `make_battery`.
    natural : list of Path
        Table of clips, from `index_clips`, and the video stores, from `ingest_videos`; empty for a
        battery without natural clips.
    responses : Path
        Store to write: ``response (unit, condition, repeat)`` float32, post-ReLU and averaged over
        the clip; ``realised_coherence (condition, repeat)``; the coordinates ``layer channel row
        column border`` of the units and every column of the battery on the conditions.
    options : StimulateOptions
        How to show it.

    Raises
    ------
    InputError
        The files are not what they should be, the network has no such layer, or there is no GPU.
    """
    device = launch_fabric(options.machine).device
    network = cast("Backbone", load_backbone(model, config, device))
    in_channels = read_json(config)["backbone"]["in_channels"]
    conditions = read_table(battery)
    named = list(options.border_units)
    shapes = layer_shapes(network, conditions, named, options.margin_px, in_channels, device)
    units = unit_table(shapes, options.border_units)
    block_size = _conditions_per_block(len(units), conditions)
    blocks = response_blocks(
        network, conditions, list(shapes), conditions_per_block=block_size,
        margin_px=options.margin_px, batch_size=options.batch_size, in_channels=in_channels,
        device=device, natural=ClipSource(natural[0], natural[1:]) if natural else None,
    )  # fmt: skip
    inputs = [model, config, battery, *natural]
    attributes = provenance("stimulate", options, inputs, weights=str(model))
    attributes.update({str(name): value for name, value in conditions.attrs.items()})
    with StoreWriter(responses, attributes) as group:
        response, realised_coherence = _create_arrays(group, units, conditions, block_size)
        n_blocks = math.ceil(len(conditions) / block_size)
        for block in track(blocks, f"stimulate {responses.name}", n_blocks):
            response[:, block.conditions] = block.response
            realised_coherence[block.conditions] = block.realised_coherence


def _conditions_per_block(n_units: int, conditions: pd.DataFrame) -> int:
    condition_bytes = 4 * n_units * conditions.attrs["n_repeats"]
    return min(max(1, BLOCK_BYTES // condition_bytes), len(conditions))


def _create_arrays(
    group: zarr.Group, units: pd.DataFrame, conditions: pd.DataFrame, block_size: int
) -> tuple[zarr.Array, zarr.Array]:
    """Write the coordinates and create the two arrays that are filled block by block."""
    for dimension, table, column_units in (
        ("unit", units, UNIT_UNITS),
        ("condition", conditions, COLUMN_UNITS),
    ):
        for name, column in table.items():
            _write_coordinate(group, str(name), dimension, column, column_units[str(name)])
    n_repeats = conditions.attrs["n_repeats"]
    chunk_units = min(CHUNK_UNITS, len(units))
    response = group.create_array(
        "response",
        shape=(len(units), len(conditions), n_repeats),
        dtype="float32",
        chunks=(chunk_units, block_size, n_repeats),
        shards=(math.ceil(len(units) / chunk_units) * chunk_units, block_size, n_repeats),
        compressors=COMPRESSOR,
        dimension_names=("unit", "condition", "repeat"),
        attributes={
            "units": "1",
            "long_name": "activation after the ReLU, mean over the clip",
            "coordinates": " ".join([*units.columns, *conditions.columns.drop("condition")]),
        },
    )
    realised_coherence = group.create_array(
        "realised_coherence",
        shape=(len(conditions), n_repeats),
        dtype="float64",
        compressors=COMPRESSOR,
        dimension_names=("condition", "repeat"),
        attributes={"units": "1", "long_name": "share of signal dots, mean over the clip"},
    )
    return response, realised_coherence


def _write_coordinate(
    group: zarr.Group, name: str, dimension: str, column: pd.Series, units: str
) -> None:
    text = units == "name"
    values = column.to_numpy(dtype=object if text else None)
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=str if text else values.dtype,
        compressors=COMPRESSOR,
        dimension_names=(dimension,),
        attributes={"units": units, "long_name": name.replace("_", " ")},
    )
    array[:] = values


if __name__ == "__main__":
    run_stage(stimulate)
