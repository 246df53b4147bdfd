"""Measures how well an encoder predicts held-out trials, with behaviour and without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.analysis.encoder_measures import MEASURES, measure_units, summarise_groups
from workflow_scripts.analysis.encoding import single_trial_correlation
from workflow_scripts.models.cortex_encoders import load_encoder
from workflow_scripts.models.encoder import Encoder
from workflow_scripts.recordings.v1_simulator import arousal_of
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import write_json, write_table
from workflow_scripts.stores.zarr_store import open_store, variable, write_store
from workflow_scripts.training.encoders import predict
from workflow_scripts.training.encoding_sessions import (
    EncodingSession,
    ShownOptions,
    read_encoding_session,
)
from workflow_scripts.training.machine import launch_fabric

PUPIL = ("pupil_horizontal", "pupil_vertical")


@dataclass(frozen=True)
class EvaluateEncoderOptions(ShownOptions):
    """Options of `evaluate_encoder`.

    Parameters
    ----------
    n_bootstraps : int
        Resamples of the units, for intervals.
    seed : int
        Of the shuffling of behaviour and of the bootstrap.
    """

    n_bootstraps: int = 1000
    seed: int = 0


def evaluate_encoder(
    sessions: list[Path],
    model: Path,
    config: Path,
    units: Path,
    statistics: Path,
    predictions: Path,
    options: EvaluateEncoderOptions,
) -> None:
    """Evaluate an encoder on the test trials of its mice.

    Parameters
    ----------
    sessions : list of Path
        Session stores of the encoder's mice.
    model, config : Path
        From `train_encoder` or `add_mouse`.
    units : Path
        Table to write, one row per unit and condition. Conditions: ``intact``; ``shuffled_X`` with
        X of the behaviour given in the order of other test trials: one variable, ``behaviour``
        (all but the pupil's centre) or ``pupil_centre``; and ``mean_response``, the baseline that
        predicts each unit's mean over training trials. Columns: ``session unit_id condition
        single_trial_r correlation_to_average feve poisson_nll normalised_r``, for simulations also
        ``truth_single_trial_r``: the correlation of the trials with their true mean, whose
        behaviour is shuffled in the same way for ``shuffled_behaviour``; and ``share_trained``, the
        share of the session's test stimuli that trials for training or validation of these mice
        showed, too.
    statistics : Path
        JSON to write: for all units (``all``) and each session, by condition, the mean over units
        of each measure (the median of FEVE and of the normalised correlation), with a 95 %
        interval and the number of undefined units.
    predictions : Path
        Store to write: for each session S ``prediction_S response_S (unit_S, trial_S)`` of its
        test trials, in units of each unit's standard deviation over training trials, and
        ``stimulus_id_S``.
    options : EvaluateEncoderOptions

    Raises
    ------
    InputError
        Model and sessions do not belong together.
    """
    encoder = load_encoder(model, config, launch_fabric(options.machine).device)
    tables, arrays = [], {}
    trained = set().union(*(_shown(path, "train", "validation") for path in sessions))
    for path in track(sessions, "sessions evaluated"):
        session = read_encoding_session(path, options.stimulus)
        truth = _truth(open_store(path, load=True), session, options.seed)
        shown = _shown(path, "test")
        share = len(shown & trained) / len(shown) if shown else np.nan
        intact = predict(encoder, session, session.trials("test"))
        of_session = _evaluate(encoder, session, intact, truth, options.seed)
        tables += [one.assign(share_trained=share) for one in of_session]
        arrays |= _test_trials(session, intact)
    table = pd.concat(tables, ignore_index=True)
    attributes = provenance(
        "evaluate_encoder", options, [*sessions, model, config], options.seed, str(model)
    )
    write_table(units, table, attributes)
    write_json(statistics, _summarise(table, options), attributes)
    write_store(predictions, xr.Dataset(arrays), attributes)


def _shown(path: Path, *splits: str) -> set[bytes]:
    """Pixels, or direction, of the stimuli of some splits."""
    store = open_store(path)
    stimuli = store["image" if "image" in store else "direction_deg"].to_numpy()
    trials = np.isin(store["split"].to_numpy(), splits)
    return {stimuli[one].tobytes() for one in np.unique(store["stimulus_id"].to_numpy()[trials])}


def _evaluate(
    encoder: Encoder,
    session: EncodingSession,
    intact: NDArray,
    truth: dict[str, NDArray],
    seed: int,
) -> Iterator[pd.DataFrame]:
    trials = session.trials("test")
    response = session.response[trials].T.numpy()
    yield _measure(session, response, intact, trials, "intact", truth)
    for condition, behaviour, pupil in _shuffled_conditions(session, trials, seed):
        predicted = predict(encoder, session, trials, behaviour, pupil)
        yield _measure(session, response, predicted, trials, condition, truth)
    mean = session.response[session.trials("train")].mean(dim=0).numpy()
    constant = np.broadcast_to(mean[:, None], response.shape)
    yield _measure(session, response, constant, trials, "mean_response", {})


def _shuffled_conditions(
    session: EncodingSession, trials: NDArray[np.integer], seed: int
) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Name, behaviour and pupil of the test trials where some of it is in another order."""
    behaviour, pupil = session.behaviour[trials], session.pupil[trials]
    order = _shuffled(trials, seed)
    state = [name for name in session.variables if name not in PUPIL]
    groups = {name: [name] for name in state} | ({"behaviour": state} if state else {})
    for name, members in groups.items():
        columns = [session.variables.index(member) for member in members]
        changed = behaviour.clone()
        changed[:, columns] = behaviour[order][:, columns]
        yield f"shuffled_{name}", changed, pupil
    if bool(pupil.any()):
        columns = [index for index, name in enumerate(session.variables) if name in PUPIL]
        changed = behaviour.clone()
        changed[:, columns] = behaviour[order][:, columns]
        yield "shuffled_pupil_centre", changed, pupil[order]


def _shuffled(trials: NDArray[np.integer], seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).permutation(len(trials)))


def _truth(store: xr.Dataset, session: EncodingSession, seed: int) -> dict[str, NDArray]:
    """True means of a simulated session's test trials, by condition; empty for recordings."""
    if "truth_expected_response" not in store:
        return {}
    trials = session.trials("test")
    expected = store["truth_expected_response"].to_numpy()[:, trials]
    state = arousal_of(store["behaviour"].to_numpy())[trials]
    change = state[_shuffled(trials, seed).numpy()] - state
    shuffled = expected * np.exp(store["truth_gain"].to_numpy()[:, None] * change)
    return {"intact": expected, "shuffled_behaviour": shuffled}


def _measure(
    session: EncodingSession,
    response: NDArray,
    predicted: NDArray,
    trials: NDArray[np.integer],
    condition: str,
    truth: dict[str, NDArray],
) -> pd.DataFrame:
    table = measure_units(response, predicted, session.stimulus_id[trials])
    known = truth.get(condition)
    return table.assign(
        session=session.name,
        unit_id=np.arange(len(response)),
        condition=condition,
        truth_single_trial_r=(
            np.nan if known is None else single_trial_correlation(response, known)
        ),
    )


def _test_trials(session: EncodingSession, predicted: NDArray) -> dict[str, Any]:
    trials, name = session.trials("test"), session.name
    dims, units = (f"unit_{name}", f"trial_{name}"), "standard deviations over training trials"
    response = session.response[trials].T.numpy()
    stimulus = session.stimulus_id[trials]
    return {
        f"prediction_{name}": variable(dims, predicted, units, "prediction"),
        f"response_{name}": variable(dims, response, units, "response"),
        f"stimulus_id_{name}": variable(dims[1:], stimulus, "1", "position along stimulus"),
    }


def _summarise(table: pd.DataFrame, options: EvaluateEncoderOptions) -> dict[str, Any]:
    """Summaries of all units, under ``all``, and of each session's, by condition and measure."""
    parts = {"all": table, **{str(name): part for name, part in table.groupby("session")}}
    measures = [*MEASURES, "truth_single_trial_r"]
    return {
        name: summarise_groups(part, "condition", measures, options.n_bootstraps, options.seed)
        for name, part in parts.items()
    }


if __name__ == "__main__":
    run_stage(evaluate_encoder)
