"""Shows flicker, drifting gratings and random dots to a trained retina."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.analysis.tuning import tuning_indices
from workflow_scripts.in_silico.retina import (
    Viewer,
    dot_responses,
    grating_responses,
    temporal_filters,
)
from workflow_scripts.models.retina_encoders import load_ensemble
from workflow_scripts.recordings.reliability import pearson
from workflow_scripts.stimuli.dots import DotField
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import variable, write_store
from workflow_scripts.training.retina import Recording, ViewOptions


@dataclass(frozen=True)
class ProbeVistOptions:
    """What is shown.

    Parameters
    ----------
    px_per_degree : float
        Shown pixels that count as one degree: the recordings do not say.
    flicker_frames : int
        Frames of white flicker.
    flicker_contrast : float
        Standard deviation of the flicker in units of the mean grey.
    n_lags : int
        Frames of the temporal filters.
    n_directions : int
        Of gratings and dots.
    spatial_frequency_cpd : list of float
    temporal_frequency_hz : float
    speed_deg_s : float
        Of the dots.
    coherence : list of float
    n_seeds : int
        Dot fields per condition.
    n_frames : int
        Frames that a rate is averaged over.
    dots : DotField
    seed : int
    torch_threads : int
    """

    px_per_degree: float
    flicker_frames: int
    flicker_contrast: float
    n_lags: int
    n_directions: int
    spatial_frequency_cpd: list[float]
    temporal_frequency_hz: float
    speed_deg_s: float
    coherence: list[float]
    n_seeds: int
    n_frames: int
    dots: DotField = field(default_factory=DotField)
    seed: int = 0
    torch_threads: int = 1


def probe_vist(
    session: Path, features: Path, model: Path, config: Path, probe: Path, options: ProbeVistOptions
) -> None:
    """Measure temporal filters and direction tuning of a trained retina.

    Parameters
    ----------
    session, features : Path
        A session of the cells, for their outlines and, of simulations, their true filters; and the
        features of its movie.
    model, config : Path
        From `train_vist`, on pixels.
    probe : Path
        Store to write: ``filter (unit, lag)``, where known ``truth_filter (unit, lag)`` and
        ``filter_r (unit)``; ``grating_hz (unit, direction, frequency)``, ``dots_hz (unit,
        direction, coherence, seed)`` and the direction selectivity of both, ``grating_dsi
        dots_dsi (unit)``.
    options : ProbeVistOptions

    Raises
    ------
    InputError
        The encoder does not see pixels through a window of its own.
    """
    torch.set_num_threads(options.torch_threads)
    ensemble = load_ensemble(model, config)
    bin_px = ensemble.description["bin_px"]
    if bin_px is None or ensemble.description["features"] != 1:
        raise InputError(
            f"{model}: sees {ensemble.description['features']} features of "
            f"{'the whole frame' if bin_px is None else 'a window'}; in-silico stimuli are shown "
            "to encoders of pixels in windows about the outlines"
        )
    recording = Recording(session, features, ViewOptions(ensemble.options.grid, bin_px))
    viewer = Viewer(
        ensemble.members, recording.maps, np.array(ensemble.description["scale_hz"]),
        ensemble.options.field, recording.frame_rate_hz, options.px_per_degree / bin_px,
    )  # fmt: skip
    dataset = _tuning(viewer, options).merge(_filters(viewer, recording.session, options))
    inputs = [session, features, model, config]
    write_store(
        probe, dataset,
        provenance("probe_vist", options, inputs, seed=options.seed, weights=str(model)),
    )  # fmt: skip


def _filters(viewer: Viewer, session: xr.Dataset, options: ProbeVistOptions) -> xr.Dataset:
    filters = temporal_filters(
        viewer, options.flicker_frames, options.n_lags, options.flicker_contrast, options.seed
    )
    lags = ("unit", "lag")
    dataset = xr.Dataset({"filter": variable(lags, filters, "1", "spike-triggered average")})
    lag_s = np.arange(options.n_lags) / viewer.frame_rate_hz
    dataset = dataset.assign_coords(lag_s=variable("lag", lag_s, "s", "time before the spike"))
    if "truth_kernel" not in session:
        return dataset
    kernel = session["truth_kernel"].to_numpy() * session["truth_polarity"].to_numpy()[:, None]
    truth = np.zeros_like(filters)
    n = min(options.n_lags, kernel.shape[1])
    truth[:, :n] = kernel[:, :n] / np.linalg.norm(kernel[:, :n], axis=1, keepdims=True)
    return dataset.assign(
        truth_filter=variable(lags, truth, "1", "true temporal filter"),
        filter_r=variable("unit", pearson(filters, truth), "1", "correlation with the truth"),
    )


def _tuning(viewer: Viewer, options: ProbeVistOptions) -> xr.Dataset:
    directions = np.arange(options.n_directions) * 360.0 / options.n_directions
    gratings = grating_responses(
        viewer, directions, options.spatial_frequency_cpd, options.temporal_frequency_hz,
        options.n_frames,
    )  # fmt: skip
    dots = dot_responses(
        viewer, directions, options.coherence, options.speed_deg_s, options.n_seeds,
        options.dots, options.n_frames,
    )  # fmt: skip
    best = gratings.mean(axis=1).argmax(axis=1)
    tuned = {
        "grating": gratings[np.arange(len(gratings)), :, best],
        "dots": dots[:, :, int(np.argmax(options.coherence))].mean(axis=2),
    }
    unit = {
        f"{name}_dsi": variable("unit", _dsi(rates, directions), "1", f"direction index, {name}")
        for name, rates in tuned.items()
    }
    return xr.Dataset(
        {
            "grating_hz": variable(
                ("unit", "direction", "frequency"), gratings, "Hz", "mean rate, gratings"
            ),
            "dots_hz": variable(
                ("unit", "direction", "coherence", "seed"), dots, "Hz", "mean rate, dots"
            ),
            **unit,
        },
        coords={
            "direction_deg": variable("direction", directions, "degrees", "direction of motion"),
            "spatial_frequency_cpd": variable(
                "frequency", options.spatial_frequency_cpd, "cycles/degree", "spatial frequency"
            ),
            "coherence_level": variable("coherence", options.coherence, "1", "share of signal"),
        },
    )


def _dsi(rates: NDArray[np.float64], directions_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    return tuning_indices(rates, directions_deg)["dsi"].to_numpy()


if __name__ == "__main__":
    run_stage(probe_vist)
