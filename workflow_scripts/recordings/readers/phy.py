"""Folders that Kilosort writes and Phy curates."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.recordings.readers.checks import load_npy, require, require_rate
from workflow_scripts.recordings.spikes import SpikeTrains
from workflow_scripts.stores.errors import InputError

# Phy's curation first, then what Kilosort itself labelled.
_LABEL_FILES = {"cluster_group.tsv": "group", "cluster_KSLabel.tsv": "KSLabel"}


def read_phy(folder: Path, label: str = "good") -> SpikeTrains:
    """Read sorted spikes.

    Parameters
    ----------
    folder : Path
        With ``params.py`` (its ``sample_rate``; the file is parsed, never run),
        ``spike_times.npy`` (samples), ``spike_clusters.npy`` (or ``spike_templates.npy``) and
        ``cluster_group.tsv`` or ``cluster_KSLabel.tsv``. ``channel_positions.npy`` is not used:
        it does not say whether a probe counts from its tip or from the surface, nor where that is.
    label : str
        Clusters with this label are units.

    Returns
    -------
    SpikeTrains
        Positions are unknown.

    Raises
    ------
    InputError
        A file is missing, damaged, or does not fit the others.
    """
    require(folder, "folder")
    rate_hz = _sample_rate(folder / "params.py")
    samples = _spike_column(folder / "spike_times.npy")
    clusters_file = folder / "spike_clusters.npy"
    if not clusters_file.exists():
        clusters_file = folder / "spike_templates.npy"
    clusters = _spike_column(clusters_file)
    if len(samples) != len(clusters):
        raise InputError(
            f"{clusters_file}: {len(clusters)} entries for {len(samples)} spike times; "
            "save again in Phy"
        )
    if samples.dtype.kind not in "iu" or (samples < 0).any():
        raise InputError(
            f"{folder}/spike_times.npy: type {samples.dtype}, from {samples.min(initial=0)}; "
            "expected whole samples from 0"
        )
    units = _labelled(folder, label)
    units = units[np.isin(units, clusters)]
    if not len(units):
        raise InputError(f"{folder}: no cluster labelled {label!r} has a spike")
    times_s = [np.sort(samples[clusters == unit]) / rate_hz for unit in units]
    try:
        return SpikeTrains(times_s, {"unit_id": units})
    except InputError as error:
        raise InputError(f"{folder}/spike_times.npy: {error} (sample_rate in params.py)") from error


def _sample_rate(params: Path) -> float:
    try:
        tree = ast.parse(params.read_text())
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{params}: not a readable parameter file ({error})") from error
    assigned = {
        ast.unparse(node.targets[0]): node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
    }
    value = assigned.get("sample_rate")
    if not isinstance(value, ast.Constant) or not isinstance(value.value, int | float):
        raise InputError(f"{params}: no line 'sample_rate = <number>'")
    return require_rate(value.value, params)


def _spike_column(path: Path) -> np.ndarray:
    """Read one number per spike; Kilosort 2 writes columns, Kilosort 4 vectors."""
    try:
        return load_npy(path, (None,))
    except InputError:
        return load_npy(path, (None, 1))[:, 0]


def _labelled(folder: Path, label: str) -> np.ndarray:
    for name, column in _LABEL_FILES.items():
        path = folder / name
        if not path.exists():
            continue
        try:
            table = pd.read_csv(path, sep="\t")
            chosen = table.loc[table[column] == label, "cluster_id"]
            return chosen.to_numpy(dtype=np.int64)
        except (KeyError, ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
            raise InputError(
                f"{path}: expected columns cluster_id and {column} ({error})"
            ) from error
    raise InputError(f"{folder}: neither {' nor '.join(_LABEL_FILES)}; sort or curate first")
