"""Read one recording session, of any format, into a session store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from workflow_scripts.recordings.readers.checks import load_images
from workflow_scripts.recordings.readers.nwb import (
    read_nwb_images,
    read_nwb_traces,
    read_nwb_trials,
    read_nwb_units,
)
from workflow_scripts.recordings.readers.onken import read_onken_flashes, read_onken_movie
from workflow_scripts.recordings.readers.park import read_park
from workflow_scripts.recordings.readers.phy import read_phy
from workflow_scripts.recordings.readers.sensorium import read_sensorium2022, read_sensorium2023
from workflow_scripts.recordings.readers.spike_times import read_spike_times
from workflow_scripts.recordings.readers.suite2p import read_suite2p
from workflow_scripts.recordings.reliability import add_reliability
from workflow_scripts.recordings.sessions import add_images, add_training_statistics, cut_trials
from workflow_scripts.recordings.spikes import SpikeTrains, session_from_spikes
from workflow_scripts.recordings.splits import SplitOptions, split_by_stimulus, split_in_blocks
from workflow_scripts.recordings.trials import read_trials
from workflow_scripts.recordings.video import VideoFile, frame_size, read_header
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.zarr_store import open_store, variable, write_store

Format = Literal[
    "nwb_traces", "nwb_units", "suite2p", "traces", "phy", "spike_times", "sensorium2022",
    "sensorium2023", "onken_flashes", "onken_movie", "park",
]  # fmt: skip


@dataclass(frozen=True)
class ReadSessionOptions:
    """One row of the sample sheet of sessions.

    Attributes
    ----------
    session_id : str
        Name of the session.
    format : str
        Format of the recording; "traces" is a store of the stage ``extract_traces``.
    species, area, modality, indicator : str
        What was recorded, and how. NWB files state area and indicator themselves.
    window_s : (start, stop)
        Window of the response about a trial's onset, s.
    bin_s : float
        Bins of a spike session's time course, s.
    sampling_rate_hz : float, optional
        For formats that do not state it.
    um_per_px : float, optional
        Size of a pixel, for suite2p folders.
    series : str, optional
        Which RoiResponseSeries of an NWB file, where it has several.
    trial_table : str
        Which trial table of an NWB file.
    time_unit : str
        Unit of ``spike_times`` files, "s" or "ms".
    split : SplitOptions
        How trials are split.
    """

    session_id: str
    format: Format
    species: str = ""
    area: str = ""
    modality: str = ""
    indicator: str = ""
    window_s: tuple[float, float] = (0.0, 0.3)
    bin_s: float = 0.03
    sampling_rate_hz: float | None = None
    um_per_px: float | None = None
    series: str | None = None
    trial_table: str = "trials"
    time_unit: Literal["s", "ms"] = "s"
    split: SplitOptions = field(default_factory=SplitOptions)

    @property
    def attributes(self) -> dict[str, str]:
        """Attributes of the session store."""
        names = ("session_id", "species", "area", "modality", "indicator")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class _Files:
    """The files of a session; those that a format does not need are None."""

    recording: Path
    stimuli: Path | None
    trials: Path | None
    outlines: Path | None
    onsets: Path | None

    def need(self, name: str, options: ReadSessionOptions) -> Path:
        path = getattr(self, name)
        if path is None:
            raise InputError(
                f"session {options.session_id}: format {options.format} needs the column {name} "
                "of the sample sheet"
            )
        return path


def read_session(
    recording: Path,
    session: Path,
    options: ReadSessionOptions,
    *,
    stimuli: Path | None = None,
    trials: Path | None = None,
    outlines: Path | None = None,
    onsets: Path | None = None,
) -> None:
    """Read one recording session into a session store.

    Trials are split, statistics for normalisation taken from the training trials, and every
    unit's reliability measured from repeats. Traces without a trial table stay continuous.

    Parameters
    ----------
    recording : Path
        File or folder of the recording.
    session : Path
        Session store to write, see `recordings.sessions`.
    options : ReadSessionOptions
        The session's row of the sample sheet.
    stimuli : Path, optional
        Images: ``.npz`` with ``images`` (stimulus, y, x), ``.npy``, or an NWB file; or the movie.
    trials : Path, optional
        Trial table (``.tsv``); NWB files carry their own.
    outlines : Path, optional
        Receptive-field outlines of the retina recordings.
    onsets : Path, optional
        Store of the stage ``infer_onsets``.

    Raises
    ------
    InputError
        A file is missing, damaged or not what its format says.
    """
    files = _Files(recording, stimuli, trials, outlines, onsets)
    dataset = _read(files, options)
    if "stimulus_id" in dataset:
        dataset.attrs.setdefault("onsets", "published")
        dataset = add_reliability(add_training_statistics(_split(dataset, options)))
    inputs = [path for path in asdict(files).values() if path is not None and not path.is_dir()]
    inputs += [path for path in (recording, onsets) if path and (path / "manifest.json").exists()]
    write_store(session, dataset, provenance("read_session", options, inputs))
    sizes = ", ".join(f"{size} {name}s" for name, size in dataset["response"].sizes.items())
    print(f"{options.session_id}: {sizes}")


def _read(files: _Files, options: ReadSessionOptions) -> xr.Dataset:
    try:
        return _READERS[options.format](files, options)
    except InputError as error:
        if any(str(path) in str(error) for path in asdict(files).values() if path is not None):
            raise
        raise InputError(f"{files.recording}: {error}") from error


def _split(session: xr.Dataset, options: ReadSessionOptions) -> xr.Dataset:
    try:
        return _split_by_rule(session, options)
    except InputError as error:
        raise InputError(f"session {options.session_id}: {error}") from error


def _split_by_rule(session: xr.Dataset, options: ReadSessionOptions) -> xr.Dataset:
    rule = options.split.rule
    if rule == "published":
        if "split" not in session:
            raise InputError(
                f"format {options.format} publishes no split; choose the rule stimulus or blocks"
            )
        _require_one_split(session)
        return session
    stimulus = session["stimulus_id"].to_numpy()
    if rule == "stimulus":
        labels = split_by_stimulus(stimulus, options.split)
    elif "onset_s" in session:
        labels = split_in_blocks(session["onset_s"].to_numpy()[stimulus], options.split)
    else:
        labels = split_in_blocks(np.arange(len(stimulus)), options.split)
    return session.assign_coords(split=variable("trial", labels, "1", f"split by {rule}"))


def _require_one_split(session: xr.Dataset) -> None:
    """Readers tell stimuli apart by their pixels: one published under two ids is found here."""
    labels = session["split"].to_numpy().astype(str)
    stimulus = session["stimulus_id"].to_numpy()
    for one in np.unique(stimulus):
        found = sorted(set(labels[stimulus == one]))
        if len(found) > 1:
            raise InputError(
                f"the published split shows stimulus {session['stimulus_name'].to_numpy()[one]} in "
                f"{' and '.join(found)}; set split_rule of the sheet to stimulus"
            )


def _read_traces(files: _Files, options: ReadSessionOptions) -> xr.Dataset:
    if options.format == "nwb_traces":
        session = read_nwb_traces(files.recording, options.attributes, options.series)
    elif options.format == "suite2p":
        session = read_suite2p(
            files.recording,
            options.attributes,
            sampling_rate_hz=options.sampling_rate_hz,
            um_per_px=options.um_per_px,
        )
    else:
        traces = open_store(files.recording)
        rate = {name: traces.attrs[name] for name in ["sampling_rate_hz"] if name in traces.attrs}
        session = traces[["response"]].load()
        session.attrs = {**rate, **options.attributes}
    if files.trials is None:
        return session
    cut = cut_trials(session, _trial_table(files.trials, options), options.window_s)
    return _with_images(cut, files.stimuli)


def _read_spikes(files: _Files, options: ReadSessionOptions) -> xr.Dataset:
    readers: dict[str, Callable[[], SpikeTrains]] = {
        "nwb_units": lambda: read_nwb_units(files.recording),
        "phy": lambda: read_phy(files.recording),
        "spike_times": lambda: read_spike_times(files.recording, options.time_unit),
    }
    table = _trial_table(files.need("trials", options), options)
    session = session_from_spikes(
        readers[options.format](), table, options.window_s, options.bin_s, options.attributes
    )
    return _with_images(session, files.stimuli)


def _trial_table(path: Path, options: ReadSessionOptions) -> pd.DataFrame:
    if path.suffix == ".nwb":
        return read_nwb_trials(path, options.trial_table)
    return read_trials(path)


def _with_images(session: xr.Dataset, stimuli: Path | None) -> xr.Dataset:
    """Add the stimulus images; the trial table's stimulus names are their numbers, from 0."""
    if stimuli is None:
        return session
    nwb = stimuli.suffix == ".nwb"
    images = read_nwb_images(stimuli) if nwb else load_images(stimuli)[:, None]
    names = [str(name) for name in session["stimulus_name"].to_numpy()]
    if not all(name.isdigit() and int(name) < len(images) for name in names):
        raise InputError(
            f"{stimuli}: holds {len(images)} images, but the trial table's stimuli are {names[:3]} "
            "…; name them by the image's number, from 0"
        )
    return add_images(session, images[[int(name) for name in names]])


def _read_onken(files: _Files, options: ReadSessionOptions) -> xr.Dataset:
    spikes, outlines = files.recording, files.need("outlines", options)
    stimuli = files.need("stimuli", options)
    if options.format == "onken_flashes":
        return read_onken_flashes(spikes, outlines, stimuli, options.bin_s, options.attributes)
    read_header(VideoFile(stimuli.stem, stimuli))  # says what is wrong with it, if anything is
    session = read_onken_movie(
        spikes,
        outlines,
        files.need("onsets", options),
        bin_s=options.bin_s,
        frame_shape=frame_size(stimuli),
        attributes=options.attributes,
    )
    return session.assign_attrs(movie=stimuli.name)


def _read_sensorium2023(files: _Files, options: ReadSessionOptions) -> xr.Dataset:
    rate_hz = options.sampling_rate_hz or 30.0
    return read_sensorium2023(files.recording, rate_hz, options.attributes)


_READERS: dict[str, Callable[[_Files, ReadSessionOptions], xr.Dataset]] = {
    "nwb_traces": _read_traces,
    "suite2p": _read_traces,
    "traces": _read_traces,
    "nwb_units": _read_spikes,
    "phy": _read_spikes,
    "spike_times": _read_spikes,
    "sensorium2022": lambda files, options: read_sensorium2022(files.recording, options.attributes),
    "sensorium2023": _read_sensorium2023,
    "onken_flashes": _read_onken,
    "onken_movie": _read_onken,
    "park": lambda files, options: read_park(files.recording, options.window_s, options.attributes),
}


if __name__ == "__main__":
    run_stage(read_session)
