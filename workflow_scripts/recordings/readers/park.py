"""Mouse V1 responses to drifting gratings, surlab/Park_et_al_2024."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.recordings.readers.matlab import load_mat
from workflow_scripts.recordings.sessions import add_behaviour, add_time_course, trial_session
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import variable

_BEHAVIOUR = ("pupil_zscore", "speed")


def read_park(
    path: Path, window_s: tuple[float, float], attributes: Mapping[str, str]
) -> xr.Dataset:
    """Read one session of deconvolved responses to gratings.

    Parameters
    ----------
    path : Path
        .mat with ``D``, a struct of one field per neuron plus ``pupil_zscore`` and ``speed``,
        each (1, trials) cells of bins; ``TE.direction`` (trials, degrees) and ``TE.dt`` (s);
        ``t`` (bins), time from the grating's onset, s.
    window_s : (start, stop)
        Window of the response about the onset, s.
    attributes : mapping
        Session attributes.

    Returns
    -------
    xr.Dataset
        Trial session with ``direction_deg (stimulus)`` as published, the mean deconvolved
        response of the window, behaviour averaged over the same window, and the time course.

    Raises
    ------
    InputError
        The file is not as described.
    """
    variables = load_mat(path)
    fields, events = _struct(variables, "D", path), _struct(variables, "TE", path)
    if "t" not in variables:
        raise InputError(f"{path}: no variable 't' (times of the bins, s)")
    time_s = _numbers(variables["t"], "t", path)
    dt_s = _numbers(_field(events, "dt", path), "TE.dt", path).mean()
    if len(time_s) < 2 or not np.allclose(np.diff(time_s), dt_s, rtol=1e-3):
        raise InputError(f"{path}: TE.dt is {dt_s} s, which is not the step of 't'; unit or rate?")
    direction_deg = _numbers(_field(events, "direction", path), "TE.direction", path)
    names = [name for name in fields if name not in _BEHAVIOUR]
    if not names:
        raise InputError(f"{path}: D has no field but {sorted(fields)}; expected one per neuron")
    shape = (len(direction_deg), len(time_s))
    courses = np.stack([_trials(fields[name], name, shape, path) for name in names])
    chosen = (time_s >= window_s[0] - 1e-9) & (time_s < window_s[1] - 1e-9)
    if not chosen.any():
        raise InputError(f"{path}: no bin lies in the window {window_s} s about the onset")
    directions, stimulus = np.unique(direction_deg, return_inverse=True)
    session = trial_session(
        courses[:, :, chosen].mean(axis=2),
        stimulus,
        response_units="a.u.",
        stimulus_names=[f"grating {direction:g} deg" for direction in directions],
        attributes={**attributes, "sampling_rate_hz": 1 / dt_s, "onsets": "published"},
        units={"unit_id": names},
    )
    session["direction_deg"] = variable("stimulus", directions, "deg", "direction as published")
    session = add_time_course(session, courses, time_s, dt_s)
    behaviour = [
        _trials(_field(fields, name, path), name, shape, path)[:, chosen].mean(axis=1)
        for name in _BEHAVIOUR
    ]
    return add_behaviour(session, np.column_stack(behaviour), _BEHAVIOUR)


def _struct(variables: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    if not isinstance(variables.get(name), dict):
        raise InputError(f"{path}: no struct {name!r}; it has {sorted(variables)}")
    return variables[name]


def _field(struct: dict[str, Any], name: str, path: Path) -> Any:
    if name not in struct:
        raise InputError(f"{path}: no field {name!r} beside {sorted(struct)[:6]}")
    return struct[name]


def _trials(cells: Any, name: str, shape: tuple[int, int], path: Path) -> NDArray[np.float64]:
    """Stack a cell array of trials, (trial, bin)."""
    trials = [_numbers(one, f"D.{name}", path) for one in np.asarray(cells, dtype=object).ravel()]
    if (len(trials), *{len(one) for one in trials}) != shape:
        raise InputError(f"{path}: D.{name}: not {shape[0]} trials of {shape[1]} bins each")
    return np.stack(trials)


def _numbers(values: Any, name: str, path: Path) -> NDArray[np.float64]:
    """Flatten numbers, all of which must be finite."""
    array = np.asarray(values).ravel()
    if not array.size or array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise InputError(
            f"{path}: {name} is empty, or holds NaN, infinity or no numbers; mend it, or leave the "
            "trial or neuron out"
        )
    return array.astype(float)
