"""Makes a battery: the table of stimulus conditions that networks are shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from workflow_scripts.in_silico.battery import (
    DotGrid,
    GratingGrid,
    PlaidGrid,
    StaticGratingGrid,
    battery_table,
    render_clips,
)
from workflow_scripts.stimuli.display import Display
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import write_table

BATCH_SIZE = 64


@dataclass(frozen=True)
class MakeBatteryOptions:
    """What a battery shows; a blank screen is always its first condition.

    Parameters
    ----------
    display : Display
        The screen and the duration of a clip.
    n_repeats : int
        Phases of each grating and plaid, seeds of each dot field.
    drifting_gratings, plaids, static_gratings, dots : list
        Grids of conditions; see `in_silico.battery`.
    """

    display: Display
    n_repeats: int
    drifting_gratings: list[GratingGrid] = field(default_factory=list)
    plaids: list[PlaidGrid] = field(default_factory=list)
    static_gratings: list[StaticGratingGrid] = field(default_factory=list)
    dots: list[DotGrid] = field(default_factory=list)


def make_battery(battery: Path, options: MakeBatteryOptions) -> None:
    """Write the table of a battery.

    Every condition is rendered once, so that what the display cannot show fails here and not
    after hours of training.

    Parameters
    ----------
    battery : Path
        Parquet table to write; one row per condition, see `in_silico.battery.battery_table`.
    options : MakeBatteryOptions
        What to show.

    Raises
    ------
    InputError
        The grids make no sense or the display cannot show a condition.
    """
    grids = [
        *options.drifting_gratings, *options.plaids, *options.static_gratings, *options.dots,
    ]  # fmt: skip
    table = battery_table(grids, options.display, options.n_repeats)
    for start in range(0, len(table), BATCH_SIZE):
        condition = table.condition.to_numpy()[start : start + BATCH_SIZE]
        render_clips(table, condition, repeat=np.zeros_like(condition))
    write_table(battery, table, provenance("make_battery", options, inputs=[]))
    n_clips = len(table) * options.n_repeats
    print(f"{battery}: {len(table)} conditions, {n_clips} clips", flush=True)


if __name__ == "__main__":
    run_stage(make_battery)
