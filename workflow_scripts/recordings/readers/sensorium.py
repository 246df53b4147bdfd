"""The folder layouts of Sensorium 2022, Franke et al. 2022 and Sensorium 2023.

A folder, or the .zip file as it is downloaded, holds ``data/<variable>/<trial>.npy`` and
``meta/{neurons,trials}/*.npy``. The published ``meta/statistics`` are over all trials, test trials
among them, and are not read.
"""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.recordings.readers.checks import (
    as_grey_levels,
    load_npy,
    require,
    require_rate,
)
from workflow_scripts.recordings.sessions import (
    add_behaviour,
    add_images,
    add_pupil_centre,
    add_time_course,
    trial_session,
)
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.zarr_store import variable

_SPLITS_2022 = {"train": "train", "validation": "validation", "test": "test", "final_test": "test"}
_SPLITS_2023 = {
    "train": "train",
    "oracle": "validation",
    "live_test_main": "test",
    "final_test_main": "test",
    "live_test_bonus": "out_of_domain",
    "final_test_bonus": "out_of_domain",
}
_BEHAVIOUR_2022 = ("pupil_dilation", "pupil_dilation_change", "running_speed")
_BEHAVIOUR_2023 = ("pupil_dilation", "running_speed")
_IMAGE_IDS = ("frame_image_id.npy", "colorframeprojector_image_id.npy")


def read_sensorium2022(path: Path, attributes: Mapping[str, str]) -> xr.Dataset:
    """Read one mouse of Sensorium 2022 or of the two-channel data of Franke et al. 2022.

    Trials whose responses are withheld (all zero) are left out. Stimuli are told apart by their
    pixels, so that an image listed under two ids cannot be both trained and tested on.

    Parameters
    ----------
    path : Path
        Folder or .zip with ``data/images`` ((channel,) y × x, grey levels), ``data/responses``
        (neurons), ``meta/trials/tiers.npy`` and ``meta/neurons/cell_motor_coordinates.npy``
        (neurons × 3, µm); ``data/behavior`` (3) and ``data/pupil_center`` (2) where recorded.
    attributes : mapping
        Session attributes.

    Returns
    -------
    xr.Dataset
        Trial session with the published `split`; arrays of ``meta/truth`` become ``truth_…``.

    Raises
    ------
    InputError
        A file is missing, damaged or does not fit the others.
    """
    root = _open_root(path)
    tier, coordinates = _tiers(root, _SPLITS_2022), _coordinates(root)
    responses = _read_trials(root, "responses", len(tier), (len(coordinates),))
    kept = np.flatnonzero((responses != 0).any(axis=1) | (tier == "train"))
    if not len(kept):
        raise InputError(f"{path}: every response is zero; these trials' responses are withheld")
    shape = _trial_file(root, "images", int(kept[0]), None).shape
    images, stimulus, first = _distinct(root, "images", kept, shape)
    session = trial_session(
        responses[kept].T,
        stimulus,
        response_units="a.u.",
        stimulus_names=[str(name) for name in _image_names(root, len(tier))[kept[first]]],
        attributes={**attributes, "n_trials_withheld": len(tier) - len(kept)},
        units=_units(root, coordinates),
    ).assign_coords(split=_split_variable(tier[kept], _SPLITS_2022))
    session = add_images(session, images if images.ndim == 4 else images[:, None])
    if (root / "data" / "behavior").is_dir():
        behaviour = _read_trials(root, "behavior", len(tier), (3,))[kept]
        if behaviour.any():  # zeroed out in one competition data set
            session = add_behaviour(session, behaviour, _BEHAVIOUR_2022)
    if (root / "data" / "pupil_center").is_dir():
        centre = _read_trials(root, "pupil_center", len(tier), (2,))[kept]
        session = add_pupil_centre(session, centre) if centre.any() else session
    return _add_truth(session, root, kept)


def read_sensorium2023(path: Path, rate_hz: float, attributes: Mapping[str, str]) -> xr.Dataset:
    """Read one mouse of Sensorium 2023 (videos).

    The time course is assembled in a scratch file, so that memory does not grow with the number
    of trials. Frames after a video's end (NaN) are cut: a trial has ``n_bins`` valid bins.

    Parameters
    ----------
    path : Path
        Folder or .zip with ``data/videos`` (y × x × time, grey levels), ``data/responses``
        (neurons × time), ``data/behavior`` (2 × time), ``data/pupil_center`` (2 × time),
        ``meta/trials/tiers.npy`` and ``meta/neurons/cell_motor_coordinates.npy``.
    rate_hz : float
        Frames and samples per second, 30 as published.
    attributes : mapping
        Session attributes.

    Returns
    -------
    xr.Dataset
        Trial session with ``movie (stimulus, frame, y, x)``; the response is the mean over the
        valid bins.

    Raises
    ------
    InputError
        A file is missing, damaged or does not fit the others.
    """
    root, rate_hz = _open_root(path), require_rate(rate_hz, path)
    tier, coordinates = _tiers(root, _SPLITS_2023), _coordinates(root)
    n_neurons = len(coordinates)
    kept = [
        k for k in range(len(tier)) if _trial_file(root, "responses", k, (n_neurons, None)).any()
    ]
    if not kept:
        raise InputError(f"{path}: every response is zero; these trials' responses are withheld")
    shape = _trial_file(root, "videos", kept[0], (None, None, None)).shape
    courses = _scratch((n_neurons, len(kept), shape[2]), np.float32)
    n_bins, means = np.empty(len(kept), np.int32), np.empty((4, len(kept)))
    for row, trial in enumerate(track(kept, "trials")):
        response = _trial_file(root, "responses", trial, (n_neurons, shape[2]))
        followed = np.vstack(
            [_trial_file(root, name, trial, (2, shape[2])) for name in ("behavior", "pupil_center")]
        )
        video = _trial_file(root, "videos", trial, shape)
        valid = np.isfinite(np.vstack([video.reshape(-1, shape[2]), response])).all(axis=0)
        n_bins[row] = _length(np.asarray(valid), root, trial)
        courses[:, row, : n_bins[row]] = response[:, : n_bins[row]]
        means[:, row] = followed[:, : n_bins[row]].mean(axis=1)
    movies, stimulus, first = _distinct(root, "videos", np.array(kept), shape)
    session = trial_session(
        courses.sum(axis=2) / n_bins,
        stimulus,
        response_units="a.u.",
        stimulus_names=[f"video{kept[row]}" for row in first],
        attributes={**attributes, "n_trials_withheld": len(tier) - len(kept)},
        units=_units(root, coordinates),
    ).assign_coords(split=_split_variable(tier[kept], _SPLITS_2023))
    session = add_time_course(session, courses, np.arange(shape[2]) / rate_hz, 1 / rate_hz)
    session["n_bins"] = variable("trial", n_bins, "1", "valid bins of the trial")
    dims = ("stimulus", "y", "x", "frame")
    session["movie"] = variable(dims, movies, "grey level", "video, zero after its end")
    session = session.transpose(..., "frame", "y", "x", missing_dims="ignore")
    return add_pupil_centre(add_behaviour(session, means[:2].T, _BEHAVIOUR_2023), means[2:].T)


def check_sensorium(path: Path, year: Literal[2022, 2023]) -> None:
    """Raise what the readers would for the layout and the first trial, reading no further."""
    root = _open_root(path)
    splits = _SPLITS_2022 if year == 2022 else _SPLITS_2023
    n_trials, n_neurons = len(_tiers(root, splits)), len(_coordinates(root))
    stimuli = "images" if year == 2022 else "videos"
    for name, shape in (
        ("responses", (n_neurons,) if year == 2022 else (n_neurons, None)),
        (stimuli, None if year == 2022 else (None, None, None)),
    ):
        _trial_file(root, name, 0, shape)
        found = sum(one.name.endswith(".npy") for one in (root / "data" / name).iterdir())
        if found < n_trials:
            raise InputError(
                f"{root}/data/{name}: {found} files for {n_trials} trials; unpack it again"
            )


def _open_root(path: Path) -> Traversable:
    """Find the folder that holds data/ and meta/: `path` itself, or the one folder inside it."""
    require(path, "folder or .zip file")
    try:
        top = zipfile.Path(path) if path.is_file() else path
        inside = [one for one in top.iterdir() if one.is_dir() and one.name != "__MACOSX"]
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(
            f"{path}: not a readable .zip file ({error}); download it again"
        ) from error
    for root in (top, *inside):
        if (root / "data").is_dir() and (root / "meta").is_dir():
            return root
    raise InputError(f"{path}: no folders data/ and meta/, which the Sensorium layout has")


def _tiers(root: Traversable, splits: Mapping[str, str]) -> NDArray[np.str_]:
    tiers = load_npy(root / "meta" / "trials" / "tiers.npy", (None,)).astype(str)
    unknown = sorted({str(tier) for tier in tiers} - set(splits))
    if unknown or not len(tiers):
        raise InputError(f"{root}/meta/trials/tiers.npy: tiers {unknown}; expected {list(splits)}")
    return tiers


def _split_variable(tiers: NDArray[np.str_], splits: Mapping[str, str]) -> tuple:
    labels = np.array([splits[str(tier)] for tier in tiers], dtype=object)
    return variable("trial", labels, "1", "split as published")


def _coordinates(root: Traversable) -> NDArray[np.float64]:
    file = root / "meta" / "neurons" / "cell_motor_coordinates.npy"
    coordinates = load_npy(file, (None, 3)).astype(float)
    if not len(coordinates) or not np.isfinite(coordinates).all():
        raise InputError(f"{file}: no neurons, or a coordinate that is not finite")
    return coordinates


def _units(root: Traversable, coordinates: NDArray[np.float64]) -> dict[str, NDArray]:
    units: dict[str, NDArray] = dict(zip(("x_um", "y_um", "z_um"), coordinates.T, strict=True))
    for name, file_name in (("unit_id", "unit_ids"), ("area", "area"), ("layer", "layer")):
        file = root / "meta" / "neurons" / f"{file_name}.npy"
        if file.is_file():
            units[name] = load_npy(file, (len(coordinates),))
    return units


def _trial_file(
    root: Traversable, name: str, trial: int, shape: tuple[int | None, ...] | None
) -> NDArray:
    file = root / "data" / name / f"{trial}.npy"
    if shape is not None:
        return load_npy(file, shape)
    try:
        return load_npy(file, (None, None, None))
    except InputError:
        return load_npy(file, (None, None))


def _read_trials(
    root: Traversable, name: str, n_trials: int, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Read a small variable of all trials, (trial, …)."""
    values = np.empty((n_trials, *shape), np.float32)
    for trial in range(n_trials):
        file = root / "data" / name / f"{trial}.npy"
        try:
            values[trial] = load_npy(file, shape)
        except InputError:  # the layout's description says 1 × 3 and 1 × 2
            values[trial] = load_npy(file, (1, *shape))[0]
        if not np.isfinite(values[trial]).all():
            raise InputError(f"{file}: holds NaN or infinity; leave the trial out")
    return values


def _distinct(
    root: Traversable, name: str, trials: NDArray[np.integer], shape: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.int32], list[int]]:
    """Read stimuli, keep each once: pixels, each trial's stimulus, each stimulus' first trial."""
    known: dict[bytes, int] = {}
    stimulus = np.empty(len(trials), np.int32)
    first: list[int] = []
    pixels = _scratch((len(trials), *shape), np.uint8)
    for row, trial in enumerate(trials):
        frames = _trial_file(root, name, int(trial), shape)
        valid = np.nan_to_num(frames) if name == "videos" else frames
        grey = as_grey_levels(valid, root / "data" / name / f"{trial}.npy")
        digest = hashlib.sha256(grey.tobytes()).digest()
        if digest not in known:
            known[digest] = len(first)
            pixels[len(first)] = grey
            first.append(row)
        stimulus[row] = known[digest]
    return pixels[: len(first)], stimulus, first


def _length(valid: NDArray[np.bool_], root: Traversable, trial: int) -> int:
    """Count the valid bins, which must come first."""
    n = int(valid.sum())
    if n == 0 or not valid[:n].all():
        raise InputError(f"{root}/data/…/{trial}.npy: NaN within the trial, not only after its end")
    return n


def _image_names(root: Traversable, n_trials: int) -> NDArray[np.str_]:
    for name in _IMAGE_IDS:
        file = root / "meta" / "trials" / name
        if file.is_file():
            return load_npy(file, (n_trials,)).astype(str)
    return np.array([f"trial{trial}" for trial in range(n_trials)])


def _add_truth(session: xr.Dataset, root: Traversable, kept: NDArray[np.integer]) -> xr.Dataset:
    """Add what a simulator knows: meta/truth/<name>__<units>.npy, per neuron or neuron × trial."""
    folder = root / "meta" / "truth"
    if not folder.is_dir():
        return session
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        name, _, units = file.name.removesuffix(".npy").partition("__")
        values = np.lib.format.read_array(file.open("rb"), allow_pickle=False)
        dims = ("unit", "trial")[: values.ndim]
        values = values[:, kept] if values.ndim == 2 else values
        session[f"truth_{name}"] = variable(dims, values, units, f"simulated truth: {name}")
    return session.assign_attrs(truth="simulated")


def _scratch(shape: tuple[int, ...], dtype: type) -> np.memmap:
    """Reserve zeros in an unnamed temporary file."""
    return np.memmap(tempfile.TemporaryFile(), dtype=dtype, mode="w+", shape=shape)
