"""Puts networks, controls, a fixed model and recorded cells beside values measured in vivo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workflow_scripts.analysis.in_vivo import (
    PROPERTIES,
    measure_cells,
    measure_units,
    read_references,
)
from workflow_scripts.analysis.inputs import paired
from workflow_scripts.analysis.networks import Network, read_tuning
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_table, write_table


@dataclass(frozen=True)
class CompareInVivoOptions:
    """What is compared.

    Parameters
    ----------
    networks : list of Network
        In the order of the tuning tables.
    physiology_networks : list of str
        Names, in the order of the physiology tables.
    sessions : list of str
        Names, in the order of the cells' tables.
    """

    networks: list[Network]
    physiology_networks: list[str]
    sessions: list[str]


def compare_in_vivo(
    references: Path,
    tuning: list[Path],
    physiology: list[Path],
    cells: list[Path],
    comparison: Path,
    options: CompareInVivoOptions,
) -> None:
    """Measure the same properties in all of them, with the same functions.

    Parameters
    ----------
    references : Path
        Table (CSV) of in-vivo values with their certainty.
    tuning, physiology, cells : list of Path
        Tables from `measure_tuning`, `measure_physiology` and `measure_session_tuning`.
    comparison : Path
        Table to write: ``property label kind subject layer value low high n source certainty``,
        and ``n_at_edge shown_low shown_high`` of `analysis.in_vivo.measure_units`.
        `kind` is "in vivo", "network" or "cells"; a property without an in-vivo value of MT has one
        row of that kind whose certainty is "none". Intervals of networks are over channels,
        of cells over cells (95 %).
    options : CompareInVivoOptions

    Raises
    ------
    InputError
        A table is unreadable or lacks columns, or the inputs do not agree with the options.
    """
    try:
        table = read_references(pd.read_csv(references))
    except (OSError, ValueError, InputError) as error:
        raise InputError(f"{references}: not a table of in-vivo values ({error})") from error
    measured = [_in_vivo(table)]
    for network, path in paired(options.networks, tuning, "tuning"):
        units = measure_units(read_tuning(path, ["dsi", "orientation_to_direction_deg"]))
        measured.append(units.assign(kind="network", subject=network.name))
    for name, path in paired(options.physiology_networks, physiology, "physiology"):
        channels = measure_units(read_table(path))
        measured.append(channels.assign(kind="network", subject=name))
    if options.sessions:
        for name, path in paired(options.sessions, cells, "cells"):
            measured.append(measure_cells(read_table(path)).assign(kind="cells", subject=name))
    whole = pd.concat(measured, ignore_index=True)
    whole.insert(1, "label", [PROPERTIES[name].label for name in whole["property"]])
    text = ["layer", "source", "certainty", "subject"]
    whole[text] = whole[text].astype(object).fillna("")
    inputs = [references, *tuning, *physiology, *cells]
    write_table(comparison, whole, provenance("compare_in_vivo", options, inputs))


def _in_vivo(references: pd.DataFrame) -> pd.DataFrame:
    known = references.loc[references["property"].isin(PROPERTIES)]
    subject = known["species"].str.cat(known["area"], sep=" ")
    rows = known.assign(kind="in vivo", subject=subject).drop(columns=["area", "species", "unit"])
    absent = [name for name in PROPERTIES if name not in set(known["property"])]
    none = pd.DataFrame({"property": absent, "kind": "in vivo", "certainty": "none"})
    return pd.concat([rows, none], ignore_index=True)


if __name__ == "__main__":
    run_stage(compare_in_vivo)
