"""Shows static gratings and spots to the digital twins of an encoder's neurons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.in_silico.battery import COLUMN_UNITS
from workflow_scripts.in_silico.encoder_responses import (
    render_battery,
    show,
    spot_images,
    spot_maps,
)
from workflow_scripts.models.cortex_encoders import load_encoder
from workflow_scripts.models.encoder import Encoder
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_table
from workflow_scripts.stores.zarr_store import variable, write_store
from workflow_scripts.training.encoding_sessions import (
    EncodingSession,
    ShownOptions,
    read_encoding_session,
)
from workflow_scripts.training.machine import launch_fabric


@dataclass(frozen=True)
class StimulateEncoderOptions(ShownOptions):
    """How stimuli are shown.

    Parameters
    ----------
    spot_px, spot_step_px : int
        Side of the spots that map receptive fields, and distance between their places.
    """

    spot_px: int = 6
    spot_step_px: int = 3


def stimulate_encoder(
    sessions: list[Path], model: Path, config: Path, battery: Path, responses: Path,
    options: StimulateEncoderOptions,
) -> None:  # fmt: skip
    """Show a battery and a set of spots to every mouse's twins, at its mean behaviour.

    Parameters
    ----------
    sessions : list of Path
        Session stores of the encoder's mice.
    model, config : Path
        From `train_encoder`.
    battery : Path
        Table of conditions that stand still, from `make_battery`.
    responses : Path
        Store to write: ``response (unit, condition, repeat)`` in units of each unit's standard
        deviation over training trials, with every column of the battery on the conditions;
        ``spot_map (unit, row, column)`` as of `in_silico.encoder_responses.spot_maps` at ``row_px
        column_px``; on the units ``session unit_id`` and ``readout_row_px readout_column_px``,
        where the readout samples the core.
    options : StimulateEncoderOptions

    Raises
    ------
    InputError
        Model, sessions and battery do not belong together.
    """
    encoder = load_encoder(model, config, launch_fabric(options.machine).device)
    conditions = read_table(battery)
    mice = [
        _show_all(encoder, read_encoding_session(path, options.stimulus), conditions, options)
        for path in track(sessions, "mice shown the battery")
    ]
    dataset = xr.concat(mice, "unit").assign_coords(_condition_coordinates(conditions))
    inputs = [*sessions, model, config, battery]
    attributes = provenance("stimulate_encoder", options, inputs, weights=str(model))
    write_store(responses, dataset, attributes)


def _show_all(
    encoder: Encoder, session: EncodingSession, conditions: pd.DataFrame,
    options: StimulateEncoderOptions,
) -> xr.Dataset:  # fmt: skip
    height, width = session.images.shape[2:]
    gratings = show(encoder, session, render_battery(conditions, (height, width)))
    spots, rows, columns = spot_images((height, width), options.spot_px, options.spot_step_px)
    maps = spot_maps(show(encoder, session, spots), len(rows), len(columns))
    at = encoder.positions_px(session.name).cpu().numpy()
    shape = (len(at), len(conditions), conditions.attrs["n_repeats"])
    std = "standard deviations over training trials"
    return xr.Dataset(
        {
            "response": variable(
                ("unit", "condition", "repeat"), gratings.reshape(shape), std, "response"
            ),
            "spot_map": variable(
                ("unit", "row", "column"), maps, f"squared {std}", "change by a spot"
            ),
        },
        coords={
            "session": variable("unit", _text(session.name, len(at)), "1", "session"),
            "unit_id": variable("unit", np.arange(len(at)), "1", "number in the session"),
            "readout_row_px": variable("unit", at[:, 0], "px", "row of the readout"),
            "readout_column_px": variable("unit", at[:, 1], "px", "column of the readout"),
            "row_px": variable("row", rows, "px", "row of the middle of a spot"),
            "column_px": variable("column", columns, "px", "column of the middle of a spot"),
        },
    )


def _text(value: str, n: int) -> NDArray[np.object_]:
    return np.full(n, value, dtype=object)


def _condition_coordinates(conditions: pd.DataFrame) -> dict[str, tuple]:
    return {
        str(name): variable(
            "condition", column.to_numpy(object if unit == "name" else None), unit, str(name)
        )
        for (name, column), unit in zip(conditions.items(), COLUMN_UNITS.values(), strict=True)
    }


if __name__ == "__main__":
    run_stage(stimulate_encoder)
