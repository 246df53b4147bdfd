"""Find the cells of a registered two-photon movie."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from workflow_scripts.recordings.binned_movie import BinnedMovie
from workflow_scripts.recordings.footprints import footprints_to_dataset
from workflow_scripts.recordings.roi_extraction import RoiParameters
from workflow_scripts.recordings.tiled_extraction import find_rois_by_tile
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import open_store, variable, write_store

# Cells are looked for where tissue is seen in at least this share of the frames.
LEAST_IN_VIEW = 0.95


@dataclass(frozen=True)
class ExtractRoisOptions:
    """What counts as a cell.

    Attributes
    ----------
    soma_um : float
        Diameter of a soma, µm.
    soma_px : float
        The same in pixels, for movies whose size of a pixel is not known.
    memory_mb : float
        Memory for the movie, beside the program's own.
    rois : RoiParameters
    """

    soma_um: float = 14.0
    soma_px: float = 12.0
    memory_mb: float = 1000.0
    rois: RoiParameters = field(default_factory=RoiParameters)

    def __post_init__(self) -> None:
        given = (self.soma_um, self.soma_px, self.memory_mb, self.rois.drift_s, self.rois.threshold)
        if min(given) <= 0:
            raise InputError(
                "extract_rois: soma_um, soma_px, memory_mb, drift_s and threshold are above 0"
            )


def extract_rois(registration: Path, rois: Path, options: ExtractRoisOptions) -> None:
    """Find the active cells.

    Parameters
    ----------
    registration : Path
        Store from `register_movie`.
    rois : Path
        Store to write: ``footprint_unit footprint_row footprint_column footprint_weight (entry)``
        and ``centroid_row_px centroid_column_px n_pixels (unit)``.
    options : ExtractRoisOptions

    Raises
    ------
    InputError
        The movie is too short, or too long for the memory; a soma too small, or no cell active.
    """
    movie = open_store(registration)
    um_per_px = movie.attrs.get("um_per_px")
    diameter_px = options.soma_px if um_per_px is None else options.soma_um / um_per_px
    usable = movie["in_view"].to_numpy() >= LEAST_IN_VIEW
    bins = BinnedMovie(movie["binned"], movie.attrs["bin_s"])
    memory_bytes = options.memory_mb * 1e6
    found = find_rois_by_tile(bins, diameter_px, options.rois, memory_bytes, usable)
    if not len(found.activity):
        raise InputError(
            f"{registration}: no active cell of {diameter_px:.1f} px; check the size of a pixel, "
            "lower rois.threshold or record longer"
        )
    dataset = footprints_to_dataset(found.footprints, (movie.sizes["y"], movie.sizes["x"]))
    dataset["usable"] = variable(("y", "x"), usable, "1", "where cells were looked for")
    dataset = dataset.assign_attrs(diameter_px=diameter_px)
    write_store(rois, dataset, provenance("extract_rois", options, [registration]))
    print(f"{dataset.sizes['unit']} cells, median area {np.median(dataset['n_pixels']):.0f} px")


if __name__ == "__main__":
    run_stage(extract_rois)
