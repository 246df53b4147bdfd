"""Predicts every trial of a small session by encoders that were trained on other trials.

All folds run in one job: a fold trains for seconds, less than starting a process takes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from lightning.fabric import Fabric
from numpy.typing import NDArray

from workflow_scripts.analysis.encoder_measures import MEASURES, measure_units, summarise_groups
from workflow_scripts.analysis.encoding import poisson_nll, single_trial_correlation
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
        the training trials with that stimulus). Columns as of `evaluate_encoder`, measured within
        folds; see `measure_folds`.
    statistics : Path
        JSON to write: by predictor and measure, mean over units (median of FEVE and normalised
        correlation) with a 95 % interval; ``carry_over`` for blocks: the median over units of the
        autocorrelation of what is left of a response without the mean of its stimulus, one trial
        later and at the shortest distance between a training and a test trial, less what it is
        with the trials of each stimulus permuted.
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
        measure_folds(response, values, stimulus, fold_of, std).assign(
            unit=np.arange(len(response)), predictor=name
        )
        for name, values in predicted.items()
        if np.isfinite(values).all()
    )
    write_table(units, table, record)
    summary = summarise_groups(table, "predictor", list(MEASURES), options.n_bootstraps)
    if options.split.rule == "blocks":
        summary["carry_over"] = {
            f"lag_{lag}": summarise_sample(
                carry_over(response, stimulus, lag, seed=options.fit.seed), np.median
            )._asdict()
            for lag in sorted({1, max(int(options.split.gap), 1)})
        }
    write_json(statistics, summary, record)
    write_store(predictions, _store(store, predicted, fold_of), record)


def measure_folds(
    response: NDArray[np.floating], prediction: NDArray[np.floating],
    stimulus_id: NDArray[np.integer], fold: NDArray[np.integer], scale: NDArray[np.floating],
) -> pd.DataFrame:  # fmt: skip
    """Measure predictions of trials by models that did not see them.

    Folds share training trials, so that what a model learned from the other folds is not
    independent of their responses: the mean of all other folds falls where a fold's own is high,
    and predictions averaged over folds hold the responses that they are to predict. Nothing is
    therefore compared across folds. A fold's mean is subtracted from its responses and from its
    predictions, and only repeats in one fold are repeats; chance is then a correlation of 0. The
    likelihood is of the predictions as they are.

    Parameters
    ----------
    response, prediction : array, (unit, trial)
    stimulus_id, fold : integer array, (trial,)
    scale : array, (unit, trial)
        What both are divided by for the likelihood.

    Returns
    -------
    pd.DataFrame
        As of `measure_units`; correlations are NaN where predictions vary in no fold.
    """
    shown = fold * (stimulus_id.max() + 1) + stimulus_id
    within = measure_units(_less_mean(response, fold), _less_mean(prediction, fold), shown)
    return within.assign(poisson_nll=poisson_nll(response / scale, prediction / scale))


def _less_mean(values: NDArray[np.floating], fold: NDArray[np.integer]) -> NDArray[np.floating]:
    rest = np.zeros(values.shape)
    for one in np.unique(fold):
        part = values[:, fold == one]
        # A constant less its mean is rounding error, and no variance.
        varies = np.ptp(part, axis=1, keepdims=True) > 0
        rest[:, fold == one] = np.where(varies, part - part.mean(axis=1, keepdims=True), 0.0)
    return rest


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


def carry_over(
    response: NDArray[np.floating], stimulus_id: NDArray[np.integer], lag: int,
    n_permutations: int = 100, seed: int = 0,
) -> NDArray[np.floating]:  # fmt: skip
    """Autocorrelation of responses less the mean of their stimulus, above chance.

    What is left of the n trials of a stimulus sums to 0, so that two of them correlate at
    −1 / (n − 1) by chance; in a cyclic design all pairs at the lag of a cycle are such. The mean
    over permutations of the trials within each stimulus is therefore subtracted.

    Parameters
    ----------
    response : array, (unit, trial)
    stimulus_id : integer array, (trial,)
    lag : int
        Trials later.
    n_permutations, seed : int
        Of the permutations.

    Returns
    -------
    array, (unit,)
    """
    rng = np.random.default_rng(seed)
    trials_of = [np.flatnonzero(stimulus_id == one) for one in np.unique(stimulus_id)]
    rest = np.empty(response.shape)
    for trials in trials_of:
        rest[:, trials] = response[:, trials] - response[:, trials].mean(axis=1, keepdims=True)
    order = np.arange(response.shape[1])
    by_chance = []
    for _ in range(n_permutations):
        for trials in trials_of:
            order[trials] = rng.permutation(trials)
        by_chance.append(_lagged(rest[:, order], lag))
    return _lagged(rest, lag) - np.mean(by_chance, axis=0)


def _lagged(rest: NDArray[np.floating], lag: int) -> NDArray[np.floating]:
    return single_trial_correlation(rest[:, lag:], rest[:, :-lag])


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
