"""Judges encoders of retinal cells on a movie: correlation, its ceiling and null, spike density."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.analysis.encoding import single_trial_correlation
from workflow_scripts.analysis.spike_density import runs_without_peak, spike_density_kl
from workflow_scripts.analysis.summaries import Summary, summarise_sample
from workflow_scripts.models.retina_encoders import Ensemble, load_ensemble
from workflow_scripts.recordings.movie_responses import MovieResponses
from workflow_scripts.recordings.reliability import (
    noise_ceiling,
    repeat_array,
    spearman_brown,
    split_half_correlation,
)
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import write_json, write_table
from workflow_scripts.stores.zarr_store import variable, write_store
from workflow_scripts.training.retina import Recording, ViewOptions
from workflow_scripts.training.vist import predict

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EvaluateVistOptions:
    """How a model is judged.

    Parameters
    ----------
    only_test : bool
        Score the recording's test split, as within a movie; else all of it.
    n_permutations : int
        Permutations of the predictions among cells.
    n_bootstraps : int
        Resamples of the cells.
    noise_sd : list of float
        Noise added to the recorded rates, in their standard deviations, to see what SD-KL does.
    seed : int
        Of all three.
    torch_threads : int
    """

    only_test: bool
    n_permutations: int = 300
    n_bootstraps: int = 1000
    noise_sd: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    seed: int = 0
    torch_threads: int = 1


def evaluate_vist(
    session: Path, features: Path, model: Path, config: Path,
    cells: Path, statistics: Path, predictions: Path, options: EvaluateVistOptions,
) -> None:  # fmt: skip
    """Predict a recording and compare.

    Parameters
    ----------
    session, features : Path
        Session store of the movie to judge on, and its features.
    model, config : Path
        From `train_vist`.
    cells, statistics, predictions : Path
        Outputs. A row per cell: ``r`` (signed Pearson over the recorded frames, float64),
        ``sd_kl``, ``split_half_r`` (Spearman–Brown corrected) and ``ceiling_r`` over the same
        frames; ``no_peak_predicted``, ``no_peak_recorded``, the share of runs of consecutive
        frames in which SD-KL finds no peak. Their summaries with bootstrap intervals over cells,
        counts of what is not finite, and the null. Predicted and recorded rates (unit, frame), Hz.
    options : EvaluateVistOptions

    Raises
    ------
    InputError
        The model was trained on another number of cells, or there is nothing to score.
    """
    torch.set_num_threads(options.torch_threads)
    ensemble = load_ensemble(model, config)
    view = ViewOptions(ensemble.options.grid, ensemble.description["bin_px"])
    recording = Recording(session, features, view)
    if recording.n_cells != ensemble.description["cells"]:
        raise InputError(
            f"{session}: {recording.n_cells} cells, but {model} was trained on "
            f"{ensemble.description['cells']}; judge it on the same cells"
        )
    responses = recording.responses
    if options.only_test:
        responses = responses.without("train", "validation", "gap")
    frames = np.flatnonzero(responses.stimulus >= 0)
    if not len(frames):
        raise InputError(f"{session}: no stimulus of the test split; check its split")
    trained = np.array(ensemble.description["trained_cells"])
    predicted = _predict(ensemble, recording, frames)[trained]
    recorded = responses.rate_hz[np.ix_(trained, frames)].astype(float)
    table = _per_cell(recording, responses, trained, predicted, recorded, frames)
    record = _summary(table, predicted, recorded, recording, frames, ensemble, options)
    inputs = [session, features, model, config]
    attributes = provenance("evaluate_vist", options, inputs, seed=options.seed, weights=str(model))
    write_table(cells, table, attributes)
    write_json(statistics, record, attributes)
    write_store(
        predictions, _predictions(recording, responses, frames, predicted, recorded), attributes
    )


def _predict(ensemble: Ensemble, recording: Recording, frames: NDArray[np.integer]) -> Floats:
    """Mean of the members, Hz, (cell, frame)."""
    members = [predict(one, recording, frames, ensemble.options) for one in ensemble.members]
    scale_hz = np.array(ensemble.description["scale_hz"])
    return torch.stack(members).double().mean(dim=0).numpy() * scale_hz[:, None]


def _per_cell(
    recording: Recording, responses: MovieResponses, trained: NDArray[np.integer],
    predicted: Floats, recorded: Floats, frames: NDArray[np.integer],
) -> pd.DataFrame:  # fmt: skip
    half, ceiling = _ceilings(recording.session, responses)
    return pd.DataFrame(
        {
            "unit_id": recording.session["unit_id"].to_numpy()[trained].astype(object),
            "r": single_trial_correlation(recorded, predicted),
            "sd_kl": _sd_kl(predicted, recorded, recording, frames),
            "no_peak_predicted": runs_without_peak(predicted, frames),
            "no_peak_recorded": runs_without_peak(recorded, frames),
            "split_half_r": half[trained],
            "ceiling_r": ceiling[trained],
            "mean_rate_hz": recorded.mean(axis=1),
        }
    )


def _sd_kl(
    predicted: Floats, recorded: Floats, recording: Recording, frames: NDArray[np.integer]
) -> Floats:
    """Of spikes per frame: the published clipping at 1 is of those."""
    rate = recording.frame_rate_hz
    return spike_density_kl(predicted / rate, recorded / rate, frame=frames)


def _ceilings(session: xr.Dataset, responses: MovieResponses) -> tuple[Floats, Floats]:
    """Split-half correlation of all repeats and noise ceiling, over the scored stimuli."""
    scored = np.unique(responses.stimulus[responses.stimulus >= 0])
    trials = np.flatnonzero(np.isin(session["stimulus_id"].to_numpy(), scored))
    shown = session["stimulus_id"].to_numpy()[trials]
    half, ceiling = [], []
    for counts in session["time_course"].to_numpy()[:, trials]:
        repeats = repeat_array(counts.T, shown)  # (bin, stimulus, repeat)
        repeats = repeats.reshape(1, -1, repeats.shape[-1])
        half.append(spearman_brown(split_half_correlation(repeats))[0])
        ceiling.append(noise_ceiling(repeats)[1][0])
    return np.array(half), np.array(ceiling)


def _summary(
    table: pd.DataFrame, predicted: Floats, recorded: Floats, recording: Recording,
    frames: NDArray[np.integer], ensemble: Ensemble, options: EvaluateVistOptions,
) -> dict[str, Any]:  # fmt: skip
    rng = np.random.default_rng(options.seed)
    null = _null(predicted, recorded, options.n_permutations, rng)
    mean_r = float(np.nanmean(table["r"]))

    def summary(values: Any) -> dict[str, Any]:
        finite: Summary = summarise_sample(
            values, n_bootstraps=options.n_bootstraps, seed=options.seed
        )
        return finite._asdict()

    spread = recorded.std(axis=1, keepdims=True)
    noisy = {
        f"{sd:g}": recorded + sd * spread * rng.standard_normal(recorded.shape)
        for sd in options.noise_sd
    }
    return {
        "session": recording.session.attrs["session_id"],
        "onsets": recording.session.attrs["onsets"],
        "n_frames": predicted.shape[1],
        "n_members": len(ensemble.members),
        "n_weights": ensemble.description["n_weights"],
        "fold_correlation": ensemble.description["fold_correlation"],
        **{
            name: summary(table[name].to_numpy())
            for name in (
                "r",
                "sd_kl",
                "no_peak_predicted",
                "no_peak_recorded",
                "split_half_r",
                "ceiling_r",
            )
        },
        "null": {
            "mean": float(null.mean()),
            "high": float(np.quantile(null, 0.95)),
            "p": float((1 + (null >= mean_r).sum()) / (1 + len(null))),
        },
        "sd_kl_of_noise": {
            sd: summary(_sd_kl(rates, recorded, recording, frames)) for sd, rates in noisy.items()
        },
    }


def _null(predicted: Floats, recorded: Floats, n: int, rng: np.random.Generator) -> Floats:
    """Mean r with the predictions permuted among cells: outlines and fitted gains go together."""
    p, y = (
        (one - one.mean(axis=1, keepdims=True)) / np.maximum(one.std(axis=1, keepdims=True), 1e-12)
        for one in (predicted, recorded)
    )
    r = p @ y.T / p.shape[1]
    cells = np.arange(len(r))
    return np.array([r[rng.permutation(cells), cells].mean() for _ in range(n)])


def _predictions(
    recording: Recording, responses: MovieResponses, frames: NDArray[np.integer],
    predicted: Floats, recorded: Floats,
) -> xr.Dataset:  # fmt: skip
    frame_s = frames / recording.frame_rate_hz
    rates = ("unit", "frame")
    return xr.Dataset(
        {
            "predicted": variable(rates, predicted.astype(np.float32), "Hz", "predicted rate"),
            "recorded": variable(rates, recorded.astype(np.float32), "Hz", "mean over trials"),
        },
        coords={
            "frame_s": variable("frame", frame_s, "s", "time in the movie"),
            "stimulus_id": variable("frame", responses.stimulus[frames], "1", "stimulus"),
        },
    )


if __name__ == "__main__":
    run_stage(evaluate_vist)
