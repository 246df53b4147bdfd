"""The session store: what the units of one recording did at every stimulus.

A *trial session* holds one value per unit and trial, and where the recording has it the time
course within the trial:

=================  ========================  ====================================================
variable           dimensions                meaning
=================  ========================  ====================================================
response           unit, trial               response in the window about the stimulus' onset
time_course        unit, trial, bin          the same, bin by bin (`bin_time_s`: start of a bin)
stimulus_id        trial                     position of the trial's stimulus along `stimulus`
repeat             trial                     how many times the stimulus was shown before
split              trial                     train, validation, test or gap (in no split)
stimulus_name      stimulus                  the recording's own name of the stimulus
image              stimulus, channel, y, x   the stimulus, where it is an image
onset_s            stimulus                  start in the movie, where it is a piece of one
direction_deg, …   stimulus                  its parameters, where it has some
behaviour          trial, variable           running speed, pupil size …
pupil_centre       trial, axis               horizontal, vertical
receptive_field    unit, y, x                whether a pixel lies inside the measured outline
=================  ========================  ====================================================

A *continuous session* holds ``response (unit, time)`` and ``time_s``; `cut_trials` turns it into a
trial session. Unit coordinates are the same in both: ``unit_id x_um y_um z_um area layer session``.
Statistics for normalisation come from training trials only. Simulated truth is in ``truth_…``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import variable

_TEXT_COORDINATES = {"area": "cortical area or retina", "layer": "cortical layer"}
_POSITION_COORDINATES = {
    "x_um": "position across the tissue",
    "y_um": "position along the tissue",
    "z_um": "depth below the surface",
}


def trial_session(
    response: ArrayLike,
    stimulus_id: ArrayLike,
    *,
    response_units: str,
    stimulus_names: Sequence[str],
    attributes: Mapping[str, Any],
    units: Mapping[str, ArrayLike] | None = None,
) -> xr.Dataset:
    """Build a trial session from its responses; further variables are assigned to the result.

    Parameters
    ----------
    response : array, (unit, trial)
        Response of each unit in each trial.
    stimulus_id : integer array, (trial,)
        Position of each trial's stimulus in `stimulus_names`.
    response_units : str
        For instance ``"spikes"``.
    stimulus_names : sequence of str
        The recording's own names of the stimuli.
    attributes : mapping
        ``session_id`` and what else describes the session as a whole.
    units : mapping of str to array (unit,), optional
        Any of ``unit_id x_um y_um z_um area layer``; the rest is unknown (NaN, "").

    Returns
    -------
    xr.Dataset

    Raises
    ------
    InputError
        Responses that are not finite, or shapes that do not fit each other.
    """
    values = np.asarray(response, dtype=np.float32)
    stimulus = np.asarray(stimulus_id, dtype=np.int32)
    session_id = str(attributes["session_id"])
    if values.ndim != 2 or values.shape[1] != len(stimulus):
        raise InputError(
            f"{session_id}: responses of shape {values.shape} do not fit {len(stimulus)} trials; "
            "expected (unit, trial)"
        )
    _require_finite(values, session_id, "response")
    if len(stimulus) and not 0 <= stimulus.min() <= stimulus.max() < len(stimulus_names):
        raise InputError(
            f"{session_id}: a trial names stimulus {stimulus.max()}, "
            f"but there are {len(stimulus_names)} stimuli"
        )
    return xr.Dataset(
        {"response": variable(("unit", "trial"), values, response_units, "response")},
        coords={
            **unit_coordinates(len(values), session_id, units or {}),
            "stimulus_id": variable("trial", stimulus, "1", "position along stimulus"),
            "repeat": variable("trial", repeat_number(stimulus), "1", "earlier presentations"),
            "stimulus_name": variable(
                "stimulus", np.array(stimulus_names, dtype=object), "1", "name in the recording"
            ),
        },
        attrs=dict(attributes),
    )


def continuous_session(
    response: ArrayLike,
    time_s: ArrayLike,
    *,
    response_units: str,
    attributes: Mapping[str, Any],
    units: Mapping[str, ArrayLike] | None = None,
) -> xr.Dataset:
    """Build a continuous session from traces.

    Parameters
    ----------
    response : array, (unit, time)
        Traces, for instance deconvolved rates.
    time_s : array, (time,)
        Time of each sample, s, strictly increasing.
    response_units, attributes, units
        As in `trial_session`.

    Raises
    ------
    InputError
        Values that are not finite, shapes that do not fit, or time that does not increase.
    """
    values, time = np.asarray(response, dtype=np.float32), np.asarray(time_s, dtype=np.float64)
    session_id = str(attributes["session_id"])
    if values.ndim != 2 or time.shape != values.shape[1:]:
        raise InputError(
            f"{session_id}: traces of shape {values.shape} do not fit {len(time)} time stamps; "
            "expected (unit, time)"
        )
    _require_finite(values, session_id, "response")
    if not np.isfinite(time).all() or (np.diff(time) <= 0).any():
        raise InputError(f"{session_id}: time stamps are not strictly increasing; sort the samples")
    return xr.Dataset(
        {"response": variable(("unit", "time"), values, response_units, "response")},
        coords={
            **unit_coordinates(len(values), session_id, units or {}),
            "time_s": variable("time", time, "s", "time of the sample"),
        },
        attrs=dict(attributes),
    )


def unit_coordinates(
    n_units: int, session_id: str, known: Mapping[str, ArrayLike]
) -> dict[str, tuple[Any, ...]]:
    """Describe all unit coordinates, with NaN or "" for those that are not `known`."""
    coordinates = {"unit_id": known.get("unit_id", np.arange(n_units))}
    described = {"unit_id": "name in the recording", **_TEXT_COORDINATES}
    for name in _TEXT_COORDINATES:
        coordinates[name] = known.get(name, np.full(n_units, ""))
    variables = {
        name: variable(
            "unit", np.array([str(one) for one in np.asarray(values)], object), "1", described[name]
        )
        for name, values in coordinates.items()
    }
    for name, long_name in _POSITION_COORDINATES.items():
        values = np.asarray(known.get(name, np.full(n_units, np.nan)), dtype=np.float64)
        variables[name] = variable("unit", values, "um", long_name)
    session = np.full(n_units, session_id, dtype=object)
    return {**variables, "session": variable("unit", session, "1", "session")}


def repeat_number(stimulus_id: NDArray[np.integer]) -> NDArray[np.int32]:
    """Count, for each trial, the earlier trials with the same stimulus."""
    return pd.Series(stimulus_id).groupby(stimulus_id).cumcount().to_numpy(dtype=np.int32)


def add_time_course(
    session: xr.Dataset, counts: ArrayLike, bin_time_s: ArrayLike, bin_s: float
) -> xr.Dataset:
    """Add the responses in bins of `bin_s` seconds, (unit, trial, bin), to a trial session."""
    units = session["response"].attrs["units"]
    values = np.asarray(counts, dtype=np.float32)
    return session.assign(
        time_course=variable(("unit", "trial", "bin"), values, f"{units} per bin", "time course")
    ).assign_coords(
        bin_time_s=variable("bin", bin_time_s, "s", f"start of the bin, {bin_s} s long, from onset")
    )


def add_images(session: xr.Dataset, images: NDArray[np.uint8]) -> xr.Dataset:
    """Add the stimuli, uint8 (stimulus, channel, y, x), to a trial session."""
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) != session.sizes["stimulus"]:
        raise InputError(
            f"{session.attrs['session_id']}: images of shape {images.shape} and type "
            f"{images.dtype} do not fit {session.sizes['stimulus']} stimuli; "
            "expected uint8 (stimulus, channel, y, x)"
        )
    dims = ("stimulus", "channel", "y", "x")
    return session.assign(image=variable(dims, images, "grey level", "stimulus image"))


def add_receptive_fields(session: xr.Dataset, masks: NDArray[np.bool_]) -> xr.Dataset:
    """Add receptive-field masks, (unit, y, x), to a session."""
    long_name = "pixel inside the measured receptive-field outline"
    return session.assign(receptive_field=variable(("unit", "y", "x"), masks, "1", long_name))


def cut_trials(
    session: xr.Dataset, trials: pd.DataFrame, window_s: tuple[float, float]
) -> xr.Dataset:
    """Cut a continuous session into trials by averaging over a window about each onset.

    Parameters
    ----------
    session : xr.Dataset
        Continuous session.
    trials : pd.DataFrame
        From `recordings.trials.check_trials`.
    window_s : (start, stop)
        Window from the onset, s.

    Raises
    ------
    InputError
        A window reaches beyond the recording or is shorter than one sample.
    """
    time, traces = session["time_s"].to_numpy(), session["response"].to_numpy()
    edges = trials["onset_s"].to_numpy()[:, None] + np.asarray(window_s)
    # A millionth of a sample: an onset computed from the same clock may be off by rounding.
    slack = 1e-6 * float(np.median(np.diff(time)))
    first, last = np.searchsorted(time, edges - slack).T
    session_id, outside = session.attrs["session_id"], edges[:, 1] > time[-1] + np.diff(time)[-1]
    if (outside | (edges[:, 0] < time[0] - slack)).any():
        trial = int(np.flatnonzero(outside | (edges[:, 0] < time[0] - slack))[0])
        raise InputError(
            f"{session_id}: the window of trial {trial}, {edges[trial].round(3)} s, is not within "
            f"the recording, {time[0]:.3f} to {time[-1]:.3f} s; check the clock of the trial table"
        )
    if (first == last).any():
        raise InputError(f"{session_id}: window {window_s} s holds no sample; make it longer")
    total = np.concatenate([np.zeros((len(traces), 1)), np.cumsum(traces, 1, dtype=float)], axis=1)
    return add_stimulus_parameters(
        trial_session(
            (total[:, last] - total[:, first]) / (last - first),
            trials["stimulus"].cat.codes.to_numpy(),
            response_units=session["response"].attrs["units"],
            stimulus_names=list(trials["stimulus"].cat.categories),
            attributes=session.attrs,
            units={name: session[name].to_numpy() for name in ("unit_id", "area", "layer")}
            | {name: session[name].to_numpy() for name in _POSITION_COORDINATES},
        ),
        trials,
    )


def add_stimulus_parameters(session: xr.Dataset, trials: pd.DataFrame) -> xr.Dataset:
    """Add a trial table's other columns: those named ``behaviour_…`` per trial, else per stimulus.

    Raises
    ------
    InputError
        A column is neither behaviour nor constant for each stimulus.
    """
    named = trials.drop(columns=["onset_s", "stimulus"])
    behaviour = [name for name in named if str(name).startswith("behaviour_")]
    for name in named.columns.difference(behaviour):
        groups = named.groupby(trials["stimulus"], observed=True)[name]
        if (groups.nunique(dropna=False).to_numpy() > 1).any():
            raise InputError(
                f"{session.attrs['session_id']}: trial table: column {name!r} differs between "
                "trials of one stimulus; call it behaviour_… or give these stimuli other names"
            )
        unit = next((u for end, u in _UNIT_SUFFIXES.items() if str(name).endswith(end)), "1")
        session[str(name)] = variable("stimulus", groups.first().to_numpy(float), unit, str(name))
    if behaviour:
        names = [str(name).removeprefix("behaviour_") for name in behaviour]
        session = add_behaviour(session, named[behaviour].to_numpy(float), names)
    return session


_UNIT_SUFFIXES = {"_deg": "deg", "_hz": "Hz", "_cpd": "cycles/deg", "_deg_s": "deg/s", "_s": "s"}


def add_behaviour(
    session: xr.Dataset, values: ArrayLike, names: Sequence[str], units: str = "as recorded"
) -> xr.Dataset:
    """Add behaviour, (trial, variable)."""
    array = np.asarray(values, dtype=np.float32)
    _require_finite(array, session.attrs["session_id"], "behaviour")
    label = variable("variable", np.array(names, dtype=object), "1", "behaviour variable")
    return session.assign(
        behaviour=variable(("trial", "variable"), array, units, "behaviour in the trial")
    ).assign_coords(variable=label)


def add_pupil_centre(session: xr.Dataset, centre: ArrayLike) -> xr.Dataset:
    """Add the pupil's centre, (trial, 2): horizontal, vertical."""
    array = np.asarray(centre, dtype=np.float32)
    _require_finite(array, session.attrs["session_id"], "pupil_centre")
    label = variable("axis", np.array(["horizontal", "vertical"], dtype=object), "1", "axis")
    return session.assign(
        pupil_centre=variable(("trial", "axis"), array, "as recorded", "centre of the pupil")
    ).assign_coords(axis=label)


def add_training_statistics(session: xr.Dataset) -> xr.Dataset:
    """Add means and standard deviations over the training trials.

    The images' statistics are those of the distinct training images, per channel; all others are
    per unit or variable. Nothing of a validation, test or gap trial enters.

    Raises
    ------
    InputError
        There is no training trial.
    """
    training = session.isel(trial=np.flatnonzero(session["split"].to_numpy() == "train"))
    if not training.sizes["trial"]:
        raise InputError(f"{session.attrs['session_id']}: no training trial; check the split")
    for name in ("response", "behaviour", "pupil_centre"):
        if name in training:
            session = _with_statistics(session, name, training[name], "trial")
    if "image" in training:
        shown = np.unique(training["stimulus_id"].to_numpy())
        images = training["image"].isel(stimulus=shown).astype(float)
        session = _with_statistics(session, "image", images, "stimulus", "y", "x")
    return session


def _with_statistics(
    session: xr.Dataset, name: str, values: xr.DataArray, *over: str
) -> xr.Dataset:
    units = session[name].attrs["units"]
    for statistic, result in (("mean", values.mean(over)), ("std", values.std(over))):
        long_name = f"{statistic} of {name} over training trials"
        dims = tuple(str(dim) for dim in result.dims)
        session[f"{name}_{statistic}"] = variable(dims, result.to_numpy(), units, long_name)
    return session


def _require_finite(values: NDArray[np.floating], session_id: str, name: str) -> None:
    if values.size == 0:
        raise InputError(f"{session_id}: {name} is empty, shape {values.shape}")
    bad = np.unique(np.argwhere(~np.isfinite(values))[:, 0])
    if len(bad):
        raise InputError(
            f"{session_id}: {name} holds NaN or infinity in {len(bad)} of {len(values)} rows, "
            f"first in row {bad[0]}; leave these out of the recording or mend them"
        )
