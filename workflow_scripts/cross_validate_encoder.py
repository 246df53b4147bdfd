"""Predicts every trial of a small session by encoders that were trained on other trials.

All folds run in one job: a fold trains for seconds, less than starting a process takes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from lightning.fabric import Fabric
from numpy.typing import NDArray

from workflow_scripts.analysis.encoder_measures import MEASURES, measure_units, summarise_groups
from workflow_scripts.analysis.encoding import single_trial_correlation
from workflow_scripts.analysis.summaries import summarise_sample
from workflow_scripts.recordings.splits import SplitOptions, split_by_stimulus, split_in_blocks
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import write_json, write_table
from workflow_scripts.stores.zarr_store import open_store, variable, write_store
from workflow_scripts.training.encoders import FitOptions, fit_encoder, predict
from workflow_scripts.training.encoding_sessions import EncodingSession, read_encoding_session
from workflow_scripts.training.machine import launch_fabric
from workflow_scripts.training.state import state_key


@dataclass(frozen=True)
class CrossValidateEncoderOptions:
    """Options of `cross_validate_encoder`.

    Parameters
    ----------
    fit : FitOptions
        Of each fold's encoder.
    split : SplitOptions
        Of the first fold; ``test`` is one over the number of folds.
    n_bootstraps : int
        Resamples of the units, for intervals.
    """

    fit: FitOptions
    split: SplitOptions = field(default_factory=SplitOptions)
    n_bootstraps: int = 1000


def cross_validate_encoder(
    session: Path,
    units: Path,
    statistics: Path,
    predictions: Path,
    state: Path,
    options: CrossValidateEncoderOptions,
) -> None:
    """Train one encoder per fold and predict the fold's test trials.

    Parameters
    ----------
    session : Path
        Session store. Whole stimuli are held out, or whole blocks of trials with gaps.
    units : Path
        Table to write, one row per unit and predictor: ``model``, ``mean_response`` (of the
        training trials) and, where its training trials show every stimulus, ``stimulus_mean`` (of
        the training trials with that stimulus). Columns as of `evaluate_encoder`, from the
        predictions of all folds together.
    statistics : Path
        JSON to write: by predictor and measure, mean over units (median of FEVE and normalised
        correlation) with a 95 % interval; ``carry_over`` for blocks: the median over units of the
        autocorrelation of what is left of a response without the mean of its stimulus, one trial
        later and at the shortest distance between a training and a test trial.
    predictions : Path
        Store to write: ``response model mean_response stimulus_mean (unit, trial)`` as recorded,
        ``fold stimulus_id (trial)``.
    state : Path
        As of `train_encoder`; each fold has a folder of its own.
    options : CrossValidateEncoderOptions

    Raises
    ------
    InputError
        The session has no images or gratings, or too few trials for the folds.
    """
    store = open_store(session, load=True)
    response = store["response"].to_numpy().astype(float)
    stimulus = store["stimulus_id"].to_numpy()
    record = provenance("cross_validate_encoder", options, [session], options.fit.seed, "trained")
    fabric = launch_fabric(options.fit.machine)
    predicted = {
        name: np.full(response.shape, np.nan)
        for name in ("model", "mean_response", "stimulus_mean")
    }
    std, fold_of = np.full(response.shape, np.nan), np.full(len(stimulus), -1)
    folder = state / state_key(record)
    for fold in track(range(max(2, round(1 / options.split.test))), "folds"):
        labels = _labels(stimulus, dataclasses.replace(options.split, fold=fold))
        read = read_encoding_session(session, options.fit.stimulus, labels)
        test = read.trials("test")
        fold_of[test], std[:, test] = fold, read.response_std[:, None]
        predicted["model"][:, test] = _fit(read, options.fit, fabric, folder / f"fold_{fold}")
        for name, values in _means(read, response).items():
            predicted[name][:, test] = values
    table = pd.concat(
        measure_units(response, values, stimulus, scale=std).assign(
            unit=np.arange(len(response)), predictor=name
        )
        for name, values in predicted.items()
        if np.isfinite(values).all()
    )
    write_table(units, table, record)
    summary = summarise_groups(table, "predictor", list(MEASURES), options.n_bootstraps)
    if options.split.rule == "blocks":
        summary["carry_over"] = _carry_over(response, stimulus, int(options.split.gap))
    write_json(statistics, summary, record)
    write_store(predictions, _store(store, predicted, fold_of), record)


def _labels(stimulus: NDArray[np.integer], split: SplitOptions) -> NDArray[np.object_]:
    if split.rule == "blocks":
        return split_in_blocks(np.arange(len(stimulus)), split)
    if split.rule == "stimulus":
        return split_by_stimulus(stimulus, split)
    raise InputError("split_rule: a published split has no folds; choose stimulus or blocks")


def _fit(
    session: EncodingSession, options: FitOptions, fabric: Fabric, folder: Path
) -> NDArray[np.floating]:
    """Predictions of the test trials, (unit, trial), in the units of the recording."""
    encoder, _ = fit_encoder({session.name: session}, options, fabric, folder)
    return predict(encoder, session, session.trials("test")) * session.response_std[:, None]


def _means(session: EncodingSession, response: NDArray) -> dict[str, NDArray]:
    """Baselines for the test trials, (unit, trial): means over training trials."""
    training, test = session.trials("train"), session.trials("test")
    of_training, of_test = session.stimulus_id[training], session.stimulus_id[test]
    overall = np.repeat(response[:, training].mean(axis=1, keepdims=True), len(test), axis=1)
    if not np.isin(of_test, of_training).all():
        return {"mean_response": overall}
    by_stimulus = np.stack(
        [response[:, training[of_training == one]].mean(axis=1) for one in of_test], axis=1
    )
    return {"mean_response": overall, "stimulus_mean": by_stimulus}


def _carry_over(response: NDArray, stimulus: NDArray[np.integer], gap: int) -> dict[str, Any]:
    mean = np.stack([response[:, stimulus == one].mean(axis=1) for one in stimulus], axis=1)
    rest = response - mean
    return {
        f"lag_{lag}": summarise_sample(
            single_trial_correlation(rest[:, lag:], rest[:, :-lag]), np.median
        )._asdict()
        for lag in sorted({1, max(gap, 1)})
    }


def _store(store: xr.Dataset, predicted: dict[str, NDArray], fold: NDArray) -> xr.Dataset:
    units = store["response"].attrs["units"]
    responses = {"response": store["response"].to_numpy(), **predicted}
    dataset = xr.Dataset(
        {name: variable(("unit", "trial"), one, units, name) for name, one in responses.items()}
    )
    dataset["fold"] = variable("trial", fold, "1", "fold that the trial was held out in")
    dataset["stimulus_id"] = store["stimulus_id"].variable
    return dataset


if __name__ == "__main__":
    run_stage(cross_validate_encoder)
