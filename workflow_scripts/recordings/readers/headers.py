"""Looks at a session's files before any work: headers of large ones, all of small ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workflow_scripts.recordings.readers.checks import load_images
from workflow_scripts.recordings.readers.matlab import cell_array, load_mat
from workflow_scripts.recordings.readers.movie import MovieSource, open_movie
from workflow_scripts.recordings.readers.nwb import (
    check_nwb_traces,
    read_nwb_images,
    read_nwb_trials,
    read_nwb_units,
)
from workflow_scripts.recordings.readers.onken import read_pieces
from workflow_scripts.recordings.readers.park import read_park
from workflow_scripts.recordings.readers.phy import read_phy
from workflow_scripts.recordings.readers.sensorium import check_sensorium
from workflow_scripts.recordings.readers.spike_times import read_spike_times
from workflow_scripts.recordings.readers.suite2p import check_suite2p
from workflow_scripts.recordings.trials import read_trials
from workflow_scripts.recordings.video import VideoFile, read_header

Fields = Mapping[str, Any]


def file_checks(kind: str, files: Mapping[str, Path], fields: Fields) -> list[Callable[[], object]]:
    """List the checks of one session's files, each of which raises what is wrong with one file.

    Parameters
    ----------
    kind : str
        Format, as in the sheet of sessions.
    files : mapping
        The sheet's columns ``path stimuli trials outlines`` that are not empty.
    fields : mapping
        Its other columns.

    Returns
    -------
    list of callables
        To be called without arguments; each raises `InputError`.
    """
    checks: list[Callable[[], object]] = []
    if "path" in files and kind in _RECORDINGS:
        checks.append(lambda: _RECORDINGS[kind](files["path"], fields))
    if "stimuli" in files:
        checks.append(lambda: _check_stimuli(files["stimuli"], fields))
    if "trials" in files:
        checks.append(lambda: _check_trials(files["trials"], fields))
    if "outlines" in files:
        outlines = files["outlines"]
        checks.append(lambda: cell_array(load_mat(outlines), "ReceptiveFields", outlines))
    return checks


def _check_stimuli(path: Path, fields: Fields) -> None:
    if fields.get("stimulus") == "movie":
        read_header(VideoFile(path.stem, path))
    elif path.suffix == ".nwb":
        read_nwb_images(path)
    else:
        load_images(path)


def _check_trials(path: Path, fields: Fields) -> None:
    if path.suffix == ".nwb":
        read_nwb_trials(path, fields.get("trial_table", "trials"))
    else:
        read_trials(path)


def _check_movie(path: Path, fields: Fields) -> None:
    names = ("sampling_rate_hz", "um_per_px", "series")
    source = MovieSource(fields["format"], **{n: fields[n] for n in names if n in fields})
    with open_movie(path, source):
        pass


_RECORDINGS: dict[str, Callable[[Path, Fields], object]] = {
    "nwb_traces": lambda path, fields: check_nwb_traces(path, fields.get("series")),
    "nwb_units": lambda path, _: read_nwb_units(path),
    "suite2p": lambda path, fields: check_suite2p(path, fields.get("sampling_rate_hz")),
    "phy": lambda path, _: read_phy(path),
    "spike_times": lambda path, fields: read_spike_times(path, fields.get("time_unit", "s")),
    "sensorium2022": lambda path, _: check_sensorium(path, 2022),
    "sensorium2023": lambda path, _: check_sensorium(path, 2023),
    "onken_flashes": lambda path, _: cell_array(load_mat(path), "Spikes", path),
    "onken_movie": lambda path, _: read_pieces(path),
    "park": lambda path, fields: read_park(
        path,
        (fields.get("window_start_s", 0.0), fields.get("window_stop_s", 0.3)),
        {"session_id": path.stem},
    ),
    "two_photon_tiff": _check_movie,
    "two_photon_nwb": _check_movie,
}
