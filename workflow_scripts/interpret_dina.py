"""Asks what an alignment rests on: which neurons, which places, which spatial frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, rankdata

from workflow_scripts.analysis.attribution import footprint_test, share_inside
from workflow_scripts.analysis.interpretation import (
    Interpretation,
    InterpretationOptions,
    interpret,
    known_fields,
)
from workflow_scripts.analysis.retrieval import mean_by, share_for
from workflow_scripts.analysis.summaries import summarise_sample
from workflow_scripts.models.dina import load_dina
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import write_json, write_table
from workflow_scripts.stores.zarr_store import open_store, variable, write_store
from workflow_scripts.training.pairs import PairOptions, read_pairs, same_images

Floats = NDArray[np.float64]
LEVEL = 0.9  # of the accuracy with all neurons


@dataclass(frozen=True)
class InterpretDinaOptions:
    """Options of `interpret_dina`.

    Parameters
    ----------
    interpretation : InterpretationOptions
    n_permutations : int
        Of the receptive fields among the neurons.
    n_bootstraps : int
        Resamples of the images, for the intervals.
    seed : int
        Of both.
    torch_threads : int
        CPU threads of torch.
    """

    interpretation: InterpretationOptions
    n_permutations: int
    n_bootstraps: int
    seed: int
    torch_threads: int


class _Group(NamedTuple):
    session: str
    fold: int
    pixels: NDArray[np.int64]
    """Number of each test image, equal for equal images of other sessions."""
    found: Interpretation
    fields: Floats | None


def interpret_dina(
    model: Path,
    config: Path,
    sessions: list[Path],
    neurons: Path,
    curves: Path,
    maps: Path,
    statistics: Path,
    options: InterpretDinaOptions,
) -> None:
    """Interpret the alignment of every session and fold.

    Parameters
    ----------
    model, config : Path
        From `train_dina`.
    sessions : list of Path
        The sessions that it was trained on, in the same order.
    neurons, curves : Path
        Tables to write: see `analysis.interpretation.Interpretation`, with ``session`` and
        ``fold``; neurons also with ``share_inside``, of the footprint in the known field.
    maps : Path
        Store to write: footprints of neurons, margins of images, patches of latent channels,
        interactions of neurons; images are padded with NaN where a group has fewer.
    statistics : Path
        JSON to write: curves with 95 % bootstrap intervals over images, neurons for 90 % of the
        full accuracy, completeness, overlap with known fields against permuted ones.
    options : InterpretDinaOptions

    Raises
    ------
    InputError
        The model's two files or the sessions do not belong together.
    """
    torch.set_num_threads(options.torch_threads)
    models, record = load_dina(model, config)
    stores = [open_store(path, load=True) for path in sessions]
    groups = []
    for fold, dina in enumerate(track(models, "folds interpreted")):
        pairs = read_pairs(sessions, PairOptions(**record["pairs"]), fold)
        for one, numbers, store in zip(pairs, same_images(pairs), stores, strict=True):
            found = interpret(dina, one, options.interpretation)
            fields = known_fields(store, dina.image_tower.map_px)
            groups.append(_Group(one.name, fold, numbers.numpy()[found.images], found, fields))
    attributes = provenance(
        "interpret_dina", options, [model, config, *sessions], seed=options.seed
    )
    of_neurons = pd.concat([_neuron_table(group) for group in groups], ignore_index=True)
    of_curves = pd.concat([_curve_table(group) for group in groups], ignore_index=True)
    write_table(neurons, of_neurons, attributes)
    write_table(curves, of_curves, attributes)
    write_store(maps, _dataset(groups), attributes)
    write_json(statistics, _summarise(groups, of_neurons, of_curves, options), attributes)


def _known(group: _Group) -> NDArray[np.intp]:
    """Neurons whose field is known; decoys have none."""
    if group.fields is None:
        return np.array([], dtype=np.intp)
    return np.flatnonzero(group.fields.sum(axis=(1, 2)) > 0)


def _shares(group: _Group) -> Floats:
    known = _known(group)
    if group.fields is None:
        return np.zeros((0, 0))
    return share_inside(group.found.footprints[known], group.fields[known])


def _neuron_table(group: _Group) -> pd.DataFrame:
    table = group.found.neurons.assign(session=group.session, fold=group.fold, share_inside=np.nan)
    table.loc[_known(group), "share_inside"] = np.diagonal(_shares(group))
    return table


def _curve_table(group: _Group) -> pd.DataFrame:
    table = group.found.curves
    pixels = group.pixels[np.searchsorted(group.found.images, table["image"])]
    return table.assign(session=group.session, fold=group.fold, pixels=pixels)


def _dataset(groups: Sequence[_Group]) -> xr.Dataset:
    found = [group.found for group in groups]
    n = max(len(one.images) for one in found)

    def padded(values: NDArray) -> NDArray[np.float32]:
        width = [(0, n - len(values)), *[(0, 0)] * (values.ndim - 1)]
        return np.pad(values.astype("f4"), width, constant_values=np.nan)

    places = ("row", "column")
    patches = [one.patches for one in found]
    neurons = [len(one.footprints) for one in found]
    n_pairs = min(one.interactions.shape[1] for one in found)
    return xr.Dataset(
        {
            "margin": variable(
                ("group", "image", *places), [padded(one.margins) for one in found], "nats",
                "part of a place in logit of shown image less mean of others",
            ),
            "stimulus": variable(
                ("group", "image"), [padded(one.images) for one in found], "1",
                "position along the session's stimuli",
            ),
            "interaction": variable(
                ("group", "first", "second"),
                [one.interactions.mean(axis=0)[:n_pairs, :n_pairs] for one in found], "nats",
                "interaction of the neurons of highest attribution, in order",
            ),
            "footprint": variable(
                ("neuron", *places), np.concatenate([one.footprints for one in found]).astype("f4"),
                "1", "where a neuron matters; sums to 1",
            ),
            "patch": variable(
                ("group", "latent", "y", "x"), [one.pixels.astype("f4") for one in patches],
                "standard deviations", "image patch that drives a latent channel most",
            ),
            "patch_gradient": variable(
                ("group", "latent", "y", "x"), [one.gradient.astype("f4") for one in patches],
                "1", "gradient of the channel there",
            ),
            "patch_row": variable(
                ("group", "image", "latent"), [padded(one.row.T) for one in patches], "places",
                "row of the place where an image drives a channel most",
            ),
            "patch_column": variable(
                ("group", "image", "latent"), [padded(one.column.T) for one in patches], "places",
                "column of that place",
            ),
        },
        coords={
            "session": variable("group", [group.session for group in groups], "1", "session"),
            "fold": variable("group", [group.fold for group in groups], "1", "fold"),
            "neuron_group": variable(
                "neuron", np.repeat(np.arange(len(groups)), neurons), "1", "group of the neuron"
            ),
        },
    )  # fmt: skip


def _summarise(
    groups: Sequence[_Group], neurons: pd.DataFrame, curves: pd.DataFrame,
    options: InterpretDinaOptions,
) -> dict[str, Any]:  # fmt: skip
    found = [group.found for group in groups]
    attribution = curves.loc[curves["curve"] == "attribution"]
    of_image = attribution.groupby(["x", "pixels"])["top1"].mean().unstack()
    n_neurons = len(neurons) / len(groups)
    attributions = rankdata(neurons[["attribution", "gradient_input"]].to_numpy().T, axis=1)
    share = share_for(of_image.to_numpy(), of_image.index.to_numpy(), LEVEL, options.n_bootstraps,
                      options.seed)  # fmt: skip
    return {
        "n_images": len(np.unique(curves["pixels"])),
        "n_candidates": min(len(one.images) for one in found),
        "n_neurons": n_neurons,
        "completeness_error_nats": max(one.completeness_error for one in found),
        "gradient_input_r": float(np.corrcoef(attributions)[0, 1]),
        "curves": _curves(curves, options),
        "share_for_90_percent": share._asdict(),
        "footprints": _footprints(groups, options),
        "informative_auc": _informative_auc(neurons),
        "interaction_nats": _interactions(groups, options),
    }


def _curves(curves: pd.DataFrame, options: InterpretDinaOptions) -> list[dict[str, Any]]:
    found = []
    for (curve, x), rows in curves.groupby(["curve", "x"], sort=False):  # type: ignore[misc]
        of_image = mean_by(rows["top1"], rows["pixels"])
        measured = summarise_sample(of_image, n_bootstraps=options.n_bootstraps, seed=options.seed)
        found.append({"curve": curve, "x": float(x), **measured._asdict()})
    return found


def _footprints(groups: Sequence[_Group], options: InterpretDinaOptions) -> list[dict[str, Any]]:
    tested = []
    for group in groups:
        if len(_known(group)) > 1:
            test = footprint_test(_shares(group), options.n_permutations, options.seed)
            tested.append({"session": group.session, "fold": group.fold, **test._asdict(),
                           "n_neurons": len(_known(group))})  # fmt: skip
    return tested


def _informative_auc(neurons: pd.DataFrame) -> float | None:
    """Probability that a neuron of the session stands above a decoy."""
    decoys = neurons.loc[neurons["decoy"], "attribution"]
    if decoys.empty:
        return None
    others = neurons.loc[~neurons["decoy"], "attribution"]
    return float(mannwhitneyu(others, decoys).statistic / (len(others) * len(decoys)))


def _interactions(groups: Sequence[_Group], options: InterpretDinaOptions) -> dict[str, float]:
    """Mean interaction over pairs of neurons and over sessions, by image."""
    of_image = [np.nanmean(group.found.interactions, axis=(1, 2)) for group in groups]
    pixels = np.concatenate([group.pixels for group in groups])
    values = mean_by(np.concatenate(of_image), pixels)
    return summarise_sample(values, n_bootstraps=options.n_bootstraps, seed=options.seed)._asdict()


if __name__ == "__main__":
    run_stage(interpret_dina)
