"""Find the cells of a registered two-photon movie."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from workflow_scripts.recordings.footprints import footprints_to_dataset
from workflow_scripts.recordings.roi_extraction import RoiParameters, find_rois
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
    rois : RoiParameters
    """

    soma_um: float = 14.0
    soma_px: float = 12.0
    rois: RoiParameters = field(default_factory=RoiParameters)

    def __post_init__(self) -> None:
        if min(self.soma_um, self.soma_px, self.rois.drift_s, self.rois.threshold) <= 0:
            raise InputError("extract_rois: soma_um, soma_px, drift_s and threshold are above 0")


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
        The movie is too short, a soma too small, or there is no active cell.
    """
    movie = open_store(registration)
    um_per_px = movie.attrs.get("um_per_px")
    diameter_px = options.soma_px if um_per_px is None else options.soma_um / um_per_px
    usable = movie["in_view"].to_numpy() >= LEAST_IN_VIEW
    binned = movie["binned"].to_numpy()
    footprints = find_rois(binned, movie.attrs["bin_s"], diameter_px, options.rois, usable)
    if not footprints.nnz:
        raise InputError(
            f"{registration}: no active cell of {diameter_px:.1f} px; check the size of a pixel, "
            "lower rois.threshold or record longer"
        )
    dataset = footprints_to_dataset(footprints, (movie.sizes["y"], movie.sizes["x"]))
    dataset["usable"] = variable(("y", "x"), usable, "1", "where cells were looked for")
    dataset = dataset.assign_attrs(diameter_px=diameter_px)
    write_store(rois, dataset, provenance("extract_rois", options, [registration]))
    print(f"{dataset.sizes['unit']} cells, median area {np.median(dataset['n_pixels']):.0f} px")


if __name__ == "__main__":
    run_stage(extract_rois)
