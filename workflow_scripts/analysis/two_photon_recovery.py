"""What registration, extraction and deconvolution found of a simulated two-photon movie."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter1d

from workflow_scripts.recordings.footprints import (
    detection_scores,
    footprints_from_dataset,
    match_by_overlap,
)
from workflow_scripts.recordings.registration import Motion, displacement_at

SMOOTHING_S = 0.2  # the field's score of inferred rates


class Recovery:
    """What of a simulation's truth was found.

    Parameters
    ----------
    movie : mapping of str to xr.Dataset
        Stores ``registration``, ``rois``, ``traces`` and ``truth``.

    Attributes
    ----------
    pairs : (pair, 2)
        Indices (found, true) of the cells that overlap by half or more.
    n_found, n_true : int
    recall, precision, f1 : float
    rate_r : (pair,)
        Correlation of inferred and true spike rate, both smoothed by σ = 0.2 s.
    motion_error_px : float
        Root mean square of found minus true displacement over the field of view, around its mean
        in time: where the reference lies is arbitrary.
    """

    def __init__(self, movie: Mapping[str, xr.Dataset]) -> None:
        truth, traces, rois = movie["truth"], movie["traces"], movie["rois"]
        size = rois.sizes["y"], rois.sizes["x"]
        found, true = (footprints_from_dataset(movie[name], size) for name in ("rois", "truth"))
        self.pairs = match_by_overlap(found, true)
        self.n_found, self.n_true = rois.sizes["unit"], truth.sizes["unit"]
        self.recall, self.precision, self.f1 = detection_scores(
            len(self.pairs), self.n_found, self.n_true
        )
        sigma = SMOOTHING_S * traces.attrs["sampling_rate_hz"]
        rates, spikes = (
            gaussian_filter1d(dataset[name].to_numpy().astype(float), sigma, axis=1)
            for dataset, name in ((traces, "response"), (truth, "spikes"))
        )
        self.rate_r = np.array([np.corrcoef(rates[a], spikes[b])[0, 1] for a, b in self.pairs])
        self.motion_error_px = _motion_error(movie["registration"], truth)


def _motion_error(registration: xr.Dataset, truth: xr.Dataset) -> float:
    blocks, grid = (
        (dataset[f"{kind}_row_px"].to_numpy(), dataset[f"{kind}_column_px"].to_numpy())
        for dataset, kind in ((registration, "block"), (truth, "grid"))
    )
    motion = Motion(registration["shift_px"].to_numpy(), registration["bend_px"].to_numpy(), 0.0)
    error = displacement_at(motion, blocks, *grid) - truth["displacement_px"].to_numpy()
    return float(np.sqrt(((error - error.mean(0)) ** 2).mean()))
