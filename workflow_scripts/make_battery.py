"""Makes a battery: the table of stimulus conditions that networks are shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from workflow_scripts.in_silico.battery import battery_table, render_clips
from workflow_scripts.in_silico.grids import (
    NATURAL,
    SCRAMBLED,
    ApertureGrid,
    BarGrid,
    DotGrid,
    GratingGrid,
    NaturalGrid,
    PlaidGrid,
    SecondOrderGrid,
    StaticGratingGrid,
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
        Phases of each grating, plaid and bar, seeds of each dot field and of noise, clips of each
        natural set.
    drifting_gratings, plaids, static_gratings, dots, apertures, second_order, bars, natural : list
        Grids of conditions; see `in_silico.grids`.
    """

    display: Display
    n_repeats: int
    drifting_gratings: list[GratingGrid] = field(default_factory=list)
    plaids: list[PlaidGrid] = field(default_factory=list)
    static_gratings: list[StaticGratingGrid] = field(default_factory=list)
    dots: list[DotGrid] = field(default_factory=list)
    apertures: list[ApertureGrid] = field(default_factory=list)
    second_order: list[SecondOrderGrid] = field(default_factory=list)
    bars: list[BarGrid] = field(default_factory=list)
    natural: list[NaturalGrid] = field(default_factory=list)


def make_battery(battery: Path, options: MakeBatteryOptions) -> None:
    """Write the table of a battery.

    Every condition but natural clips is rendered once, so that what the display cannot show
    fails here and not after hours of training.

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
        *options.apertures, *options.second_order, *options.bars, *options.natural,
    ]  # fmt: skip
    table = battery_table(grids, options.display, options.n_repeats)
    drawn = table.condition[~table.family.isin([NATURAL, SCRAMBLED])].to_numpy()
    for start in range(0, len(drawn), BATCH_SIZE):
        condition = drawn[start : start + BATCH_SIZE]
        render_clips(table, condition, repeat=np.zeros_like(condition))
    write_table(battery, table, provenance("make_battery", options, inputs=[]))
    n_clips = len(table) * options.n_repeats
    print(f"{battery}: {len(table)} conditions, {n_clips} clips", flush=True)


if __name__ == "__main__":
    run_stage(make_battery)
