"""Folders that suite2p writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.recordings.readers.checks import (
    load_npy,
    npy_shape,
    require,
    require_rate,
)
from workflow_scripts.recordings.readers.object_array import read_object_array
from workflow_scripts.recordings.sessions import continuous_session
from workflow_scripts.stores.errors import InputError


def read_suite2p(
    folder: Path,
    attributes: Mapping[str, str],
    *,
    signal: Literal["spks", "F"] = "spks",
    sampling_rate_hz: float | None = None,
    um_per_px: float | None = None,
) -> xr.Dataset:
    """Read the traces of the ROIs that are cells.

    Parameters
    ----------
    folder : Path
        A plane's folder or ``combined``, with ``spks.npy`` or ``F.npy`` (ROIs × frames),
        ``iscell.npy`` (ROIs × 2) and ``stat.npy`` (one dict per ROI, of which ``med`` is used).
        Its dicts are read without unpickling, see `recordings.readers.object_array`.
    attributes : mapping
        Session attributes.
    signal : str
        "spks": deconvolved; "F": raw fluorescence.
    sampling_rate_hz : float, optional
        Frames per second; without it ``fs`` of ``ops.npy`` or, since suite2p 1.0, of
        ``settings.npy``. Where both are known they must agree.
    um_per_px : float, optional
        Size of a pixel; without it positions are unknown, and so they are in ``combined``, where
        suite2p lays planes side by side in one picture.

    Returns
    -------
    xr.Dataset
        Continuous session.

    Raises
    ------
    InputError
        A file is missing, damaged or does not fit the others.
    """
    _require_plane(folder)
    traces = load_npy(folder / f"{signal}.npy", (None, None))
    is_cell = _is_cell(folder, len(traces))
    centres_px = _centres_px(folder / "stat.npy", len(traces))[is_cell]
    rate_hz = _rate_hz(folder, sampling_rate_hz)
    units = {"unit_id": np.flatnonzero(is_cell)}
    if um_per_px is not None:
        units |= {"x_um": centres_px[:, 1] * um_per_px, "y_um": centres_px[:, 0] * um_per_px}
    return continuous_session(
        traces[is_cell],
        np.arange(traces.shape[1]) / rate_hz,
        response_units="a.u.",
        attributes={**attributes, "sampling_rate_hz": rate_hz},
        units=units,
    )


def check_suite2p(folder: Path, sampling_rate_hz: float | None = None) -> None:
    """Raise what `read_suite2p` would, without reading the traces."""
    _require_plane(folder)
    n_rois, _ = npy_shape(folder / "spks.npy", 2)
    _is_cell(folder, n_rois)
    _centres_px(folder / "stat.npy", n_rois)
    _rate_hz(folder, sampling_rate_hz)


def _require_plane(folder: Path) -> None:
    require(folder, "folder")
    if not (folder / "iscell.npy").exists() and (folder / "plane0").is_dir():
        raise InputError(f"{folder}: holds the folders of planes; give plane0 or combined")


def _is_cell(folder: Path, n_rois: int) -> NDArray[np.bool_]:
    is_cell = load_npy(folder / "iscell.npy", (n_rois, 2))[:, 0] > 0
    if not is_cell.any():
        raise InputError(f"{folder}/iscell.npy: no ROI is a cell; curate in suite2p first")
    return is_cell


def _centres_px(stat: Path, n_rois: int) -> np.ndarray:
    """Row and column of each ROI's centre; NaN where it is that in a montage of planes."""
    rois = read_object_array(stat)
    if not isinstance(rois, list) or len(rois) != n_rois:
        found = len(rois) if isinstance(rois, list) else "no list"
        raise InputError(f"{stat}: {found} ROIs for {n_rois} traces; files of different runs?")
    try:
        centres = np.array([np.asarray(roi["med"], dtype=float).reshape(2) for roi in rois])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{stat}: a ROI without its centre 'med' ({error})") from error
    if not np.isfinite(centres).all():
        raise InputError(f"{stat}: the centre 'med' of a ROI is NaN or infinite; run suite2p again")
    planes = {int(roi.get("iplane", 0)) for roi in rois}
    if stat.parent.name == "combined" or len(planes) > 1:
        return np.full_like(centres, np.nan)
    return centres


def _rate_hz(folder: Path, given_hz: float | None) -> float:
    files = [folder / name for name in ("settings.npy", "ops.npy") if (folder / name).exists()]
    settings: Any = read_object_array(files[0]) if files else None
    stated = settings.get("fs") if isinstance(settings, dict) else None
    try:
        stated_hz = None if stated is None else float(stated)
    except (TypeError, ValueError) as error:
        raise InputError(f"{files[0]}: fs is {stated!r}, no rate; run suite2p again") from error
    if given_hz is not None and stated_hz is not None and abs(stated_hz / given_hz - 1) > 0.01:
        raise InputError(
            f"{folder}: suite2p ran at fs = {stated_hz} Hz, the sample sheet says {given_hz} Hz; "
            "correct the sheet, or rerun suite2p if its fs was wrong"
        )
    return require_rate(given_hz if given_hz is not None else stated_hz, folder)
