"""Simulate a two-photon movie, with its truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
import xarray as xr

from workflow_scripts.recordings.footprints import footprints_to_dataset
from workflow_scripts.recordings.two_photon_simulator import render_frames, simulate_tissue
from workflow_scripts.recordings.two_photon_truth import TwoPhotonParameters, TwoPhotonTruth
from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import variable, write_store

PIECE_FRAMES = 100
# Along each axis, in the middle of as many equal parts, where the true displacement is written.
GRID_POINTS = 6


def simulate_two_photon(movie: Path, truth: Path, options: TwoPhotonParameters) -> None:
    """Simulate a two-photon movie of cells whose places, spikes and motion are known.

    Parameters
    ----------
    movie : Path
        TIFF stack to write, uint16.
    truth : Path
        Store to write: ``footprint_… (entry)`` and ``centroid_… (unit)``, ``spikes calcium (unit,
        time)``, ``neuropil (patch, time)``, ``shift_px (time, axis)`` and ``displacement_px (time,
        axis, grid_row, grid_column)``.
    options : TwoPhotonParameters

    Raises
    ------
    InputError
        A parameter is out of range, or no cell fits into the field of view.
    """
    tissue = simulate_tissue(options)
    starts = range(0, options.n_frames, PIECE_FRAMES)
    with atomic_path(movie) as temporary, tifffile.TiffWriter(temporary, bigtiff=True) as writer:
        for start in track(starts, "pieces simulated"):
            for frame in render_frames(tissue, start, min(start + PIECE_FRAMES, options.n_frames)):
                writer.write(frame, contiguous=True, photometric="minisblack")
    attributes = provenance("simulate_two_photon", options, [], seed=options.seed)
    write_store(truth, _truth(tissue), attributes)


def _truth(tissue: TwoPhotonTruth) -> xr.Dataset:
    parameters = tissue.parameters
    size = (parameters.height_px, parameters.width_px)
    rows, columns = ((np.arange(GRID_POINTS) + 0.5) * n / GRID_POINTS - 0.5 for n in size)
    displacement = np.stack(
        [tissue.displacement_px(frame, rows, columns) for frame in range(parameters.n_frames)]
    )
    known = {
        "spikes": (("unit", "time"), tissue.spikes, "1", "spikes in the frame"),
        "calcium": (("unit", "time"), tissue.calcium, "1", "ΔF/F of the cell itself"),
        "neuropil": (("patch", "time"), tissue.neuropil, "1", "ΔF/F of the patches of neuropil"),
        "shift_px": (("time", "axis"), tissue.shift_px, "px", "rigid shift (row, column)"),
        "displacement_px": (
            ("time", "axis", "grid_row", "grid_column"), displacement, "px",
            "displacement (row, column) of the tissue at the grid's points",
        ),
        "grid_row_px": ("grid_row", rows, "px", "row of the grid's points"),
        "grid_column_px": ("grid_column", columns, "px", "column of the grid's points"),
    }  # fmt: skip
    dataset = footprints_to_dataset(tissue.visible_footprints(), size)
    dataset = dataset.assign({name: variable(*one) for name, one in known.items()})
    return dataset.assign_attrs(truth="simulated", sampling_rate_hz=parameters.rate_hz)


if __name__ == "__main__":
    run_stage(simulate_two_photon)
