"""Neurodata Without Borders files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pynwb import NWBHDF5IO
from pynwb.image import ImageSeries
from pynwb.ophys import RoiResponseSeries, TwoPhotonSeries

from workflow_scripts.recordings.raw_movie import RawMovie
from workflow_scripts.recordings.readers.checks import as_grey_levels, require, require_rate
from workflow_scripts.recordings.sessions import continuous_session
from workflow_scripts.recordings.spikes import SpikeTrains
from workflow_scripts.recordings.trials import check_trials
from workflow_scripts.stores.errors import InputError

_METRES = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 1e-2),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1e-3),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns"), 1e-6),
    **dict.fromkeys(("micrometer", "micrometers", "micrometre", "micrometres"), 1e-6),
}

# pynwb builds its classes from a schema when it is imported, so that their attributes have no
# static types: files and series are Any here.


def read_nwb_traces(
    path: Path, attributes: Mapping[str, str], series: str | None = None
) -> xr.Dataset:
    """Read calcium traces.

    Parameters
    ----------
    path : Path
        NWB file with a RoiResponseSeries (time × ROIs) and its PlaneSegmentation.
    attributes : mapping
        Session attributes.
    series : str, optional
        Name of the series, where the file has several.

    Returns
    -------
    xr.Dataset
        Continuous session; positions in µm where the imaging plane has a grid spacing.

    Raises
    ------
    InputError
        The file is damaged, has no such series, or its parts do not fit each other.
    """
    with _open(path) as file:
        found = _find(file, RoiResponseSeries, series, path)
        _require_time_by_roi(found, path)
        data = np.asarray(found.data)
        time_s = _time_s(found, len(data), path)
        plane = found.rois.table.imaging_plane
        return continuous_session(
            data.T * found.conversion + found.offset,
            time_s,
            response_units=str(found.unit),
            attributes={
                **attributes,
                "indicator": str(plane.indicator),
                "area": str(plane.location),
                "sampling_rate_hz": float(1 / np.median(np.diff(time_s))),
            },
            units=_roi_units(found, path),
        )


def check_nwb_traces(path: Path, series: str | None = None) -> None:
    """Raise what `read_nwb_traces` would, without reading the traces."""
    with _open(path) as file:
        found = _find(file, RoiResponseSeries, series, path)
        _require_time_by_roi(found, path)
        _time_s(found, len(found.data), path)
        _spacing_um(found.rois.table.imaging_plane, path)


def read_nwb_units(path: Path) -> SpikeTrains:
    """Read the spike times of an NWB file's Units table.

    Raises
    ------
    InputError
        The file is damaged, has no units, or times that are none of a neuron.
    """
    with _open(path) as file:
        units = file.units
        if units is None or not len(units) or "spike_times" not in units.colnames:
            raise InputError(f"{path}: no table Units with the column spike_times")
        ends, n_times = np.asarray(units["spike_times"].data), len(units["spike_times"].target.data)
        if (np.diff(ends, prepend=0) < 0).any() or ends[-1] != n_times:
            raise InputError(
                f"{path}: Units: spike_times_index ends at {ends[-1]} for {n_times} spike times, "
                "or is not in ascending order; write the table again"
            )
        times_s = [np.asarray(units["spike_times"][row], float) for row in range(len(units))]
        names = np.asarray(units.id[:])
    try:
        return SpikeTrains([np.sort(times) for times in times_s], {"unit_id": names})
    except InputError as error:
        raise InputError(f"{path}: Units: {error}") from error


def read_nwb_trials(path: Path, table: str = "trials") -> pd.DataFrame:
    """Read a trial table: ``start_time`` is the onset, numeric columns are parameters.

    Where there is no column ``stimulus``, trials with equal parameters show the same stimulus.

    Parameters
    ----------
    path : Path
        NWB file.
    table : str
        "trials", or the name of another TimeIntervals table.

    Returns
    -------
    pd.DataFrame
        As `recordings.trials.check_trials` gives it.

    Raises
    ------
    InputError
        The file is damaged, or has no such table or no usable column.
    """
    with _open(path) as file:
        tables = {**file.intervals, **({"trials": file.trials} if file.trials else {})}
        if table not in tables:
            raise InputError(f"{path}: no trial table {table!r}; it has {sorted(tables)}")
        frame = tables[table].to_dataframe()
    numeric = [
        str(name)
        for name in frame
        if pd.api.types.is_numeric_dtype(frame[name]) and name not in {"start_time", "stop_time"}
    ]
    if "stimulus" not in frame:
        if not numeric:
            raise InputError(f"{path}: {table}: no column stimulus and no numeric parameter")
        frame["stimulus"] = [
            " ".join(f"{name}={value:g}" for name, value in row.items())
            for row in frame[numeric].to_dict("records")
        ]
    kept = frame[["start_time", "stimulus", *(name for name in numeric if name != "stimulus")]]
    return check_trials(kept.rename(columns={"start_time": "onset_s"}), path)


def read_nwb_images(path: Path) -> NDArray[np.uint8]:
    """Read stimulus images from the file's one ImageSeries of stimuli.

    Returns
    -------
    array, (stimulus, channel, y, x)

    Raises
    ------
    InputError
        The file is damaged, has not one such series, keeps it in another file, or it is not grey.
    """
    with _open(path) as file:
        templates = {**file.stimulus, **file.stimulus_template}
        candidates = {n: s for n, s in templates.items() if isinstance(s, ImageSeries)}
        if len(candidates) != 1:
            raise InputError(
                f"{path}: {len(candidates) or 'no'} ImageSeries in stimulus, {sorted(candidates)}; "
                "write the images that were shown, alone, to a file of their own"
            )
        data = np.asarray(_image_data(next(iter(candidates.values())), path))
    return as_grey_levels(data, path)[:, None]


@contextmanager
def open_nwb_movie(path: Path, series: str | None = None) -> Iterator[RawMovie]:
    """Open a TwoPhotonSeries, whose frames are read when they are asked for.

    The size of a pixel is known where the imaging plane states it and pixels are square.

    Raises
    ------
    InputError
        The file is damaged, has no such series, or keeps its frames in another file.
    """
    with _open(path) as file:
        found = _find(file, TwoPhotonSeries, series, path)
        data = _image_data(found, path)
        time_s = _time_s(found, len(data), path)
        rate_hz = require_rate(float(1 / np.median(np.diff(time_s))), path)
        n_frames, height, width = data.shape

        def read(start: int, stop: int) -> NDArray:
            return np.asarray(data[start:stop])

        spacing = _spacing_um(found.imaging_plane, path)
        square = spacing is not None and np.isclose(*spacing, rtol=0.01)
        um_per_px = float(spacing[0]) if spacing is not None and square else None
        yield RawMovie(n_frames, height, width, rate_hz, read, float(time_s[0]), um_per_px)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    require(path, "file")
    try:
        io: Any = NWBHDF5IO(path=path, mode="r", load_namespaces=True)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not a readable NWB file ({error})") from error
    with io:
        try:
            file = io.read()
        except Exception as error:  # hdmf raises many kinds for a damaged file
            raise InputError(f"{path}: damaged NWB file ({error}); write it again") from error
        yield file


def _find(file: Any, kind: type, name: str | None, path: Path) -> Any:
    found = {str(one.name): one for one in file.objects.values() if isinstance(one, kind)}
    return _choose(found, kind.__name__, name, path)


def _require_time_by_roi(series: Any, path: Path) -> None:
    shape, n_rois = series.data.shape, len(series.rois.data)
    if len(shape) != 2 or shape[1] != n_rois:
        raise InputError(
            f"{path}: {series.name}: data of shape {shape} for {n_rois} ROIs; NWB wants "
            "time × ROIs: transposed?"
        )


def _choose(found: Mapping[str, Any], kind: str, name: str | None, path: Path) -> Any:
    if name is not None and name in found:
        return found[name]
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    wanted = f"no {kind} named {name!r}" if name else f"{len(found) or 'no'} {kind}"
    raise InputError(f"{path}: {wanted}; name one of {sorted(found)} in the column series")


def _time_s(series: Any, n: int, path: Path) -> NDArray[np.float64]:
    if series.timestamps is not None:
        time_s = np.asarray(series.timestamps, dtype=float)
        if len(time_s) != n:
            raise InputError(f"{path}: {series.name}: {len(time_s)} timestamps for {n} samples")
        if not (np.diff(time_s) > 0).all():
            raise InputError(f"{path}: {series.name}: timestamps are not strictly increasing")
        require_rate(float(1 / np.median(np.diff(time_s))), path)  # else they are not in s
        return time_s
    return float(series.starting_time or 0) + np.arange(n) / require_rate(series.rate, path)


def _image_data(series: Any, path: Path) -> Any:
    if series.external_file is not None or len(series.data.shape) != 3:
        raise InputError(
            f"{path}: {series.name}: frames in another file, or not time × y × x; expected grey "
            "frames in the NWB file itself"
        )
    return series.data


def _roi_units(series: Any, path: Path) -> dict[str, NDArray]:
    """Name the ROIs, and place them where masks and grid spacing are known."""
    table, rows = series.rois.table, np.asarray(series.rois.data)
    units = {"unit_id": np.asarray(table.id[:])[rows]}
    spacing_um = _spacing_um(table.imaging_plane, path)
    centres = None
    if "pixel_mask" in table.colnames:
        masks = [table["pixel_mask"][int(row)] for row in rows]
        centres = [[np.mean([one[0] for one in m]), np.mean([one[1] for one in m])] for m in masks]
    elif "image_mask" in table.colnames:  # NWB's images are (x, y)
        centres = [np.argwhere(table["image_mask"][int(row)]).mean(axis=0) for row in rows]
    if centres is None or spacing_um is None:
        return units
    x_um, y_um = (np.array(centres) * spacing_um).T
    return {**units, "x_um": x_um, "y_um": y_um}


def _spacing_um(plane: Any, path: Path) -> NDArray[np.float64] | None:
    """Size of a pixel, µm (x, y), where the imaging plane says so."""
    if plane.grid_spacing is None:
        return None
    metres = _METRES.get(str(plane.grid_spacing_unit).strip().lower())
    if metres is None:
        raise InputError(
            f"{path}: imaging plane {plane.name}: grid_spacing_unit {plane.grid_spacing_unit!r}; "
            "write it as meters, centimeters, millimeters or micrometers"
        )
    return np.asarray(plane.grid_spacing, float)[:2] * metres * 1e6
