"""Decodes held-out images from aligned responses: which image, which pixels, against baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.analysis.decoding import Decoded, decode
from workflow_scripts.analysis.retrieval import mean_by, retrieval_ranks, top_k
from workflow_scripts.analysis.summaries import summarise_sample
from workflow_scripts.models.dina import load_dina
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import write_json, write_table
from workflow_scripts.stores.zarr_store import open_store, variable, write_store
from workflow_scripts.training.loop import TrainingOptions
from workflow_scripts.training.machine import MachineOptions, launch_fabric
from workflow_scripts.training.pairs import PairOptions, Pairs, read_pairs, same_images
from workflow_scripts.training.pixel_decoder import train_pixel_decoder

MEASURES = ("top1", "top5", "confidence", "pearson", "pearson_others", "ssim", "commonest")


@dataclass(frozen=True)
class DecodeDinaOptions:
    """Options of `decode_dina`.

    Parameters
    ----------
    n_bootstraps : int
        Resamples of the images, for the intervals.
    n_permutations : int
        Permutations of the answers among the images, for the interval of chance.
    seed : int
        Of these and of the convolutional decoder's weights.
    cnn : TrainingOptions
        Of the convolutional pixel decoder, a baseline.
    machine : MachineOptions
    """

    n_bootstraps: int
    n_permutations: int
    seed: int
    cnn: TrainingOptions
    machine: MachineOptions


def decode_dina(
    model: Path,
    config: Path,
    sessions: list[Path],
    scores: Path,
    decoded: Path,
    statistics: Path,
    options: DecodeDinaOptions,
) -> None:
    """Find and reconstruct the test images of every session and fold.

    Parameters
    ----------
    model, config : Path
        From `train_dina`.
    sessions : list of Path
        The sessions that it was trained on, in the same order.
    scores : Path
        Table to write: the columns of `analysis.decoding.Decoded.scores`, with ``session``,
        ``fold`` and ``pixels`` (equal for equal images of different sessions). The session
        ``pooled`` sums the evidence of all sessions, where all tested the same images.
    decoded : Path
        Store to write: logits and reconstructions from averaged responses, by group (a session in
        a fold), padded with NaN where a group has fewer images.
    statistics : Path
        JSON to write: means over images with 95 % bootstrap intervals over images, by session
        (``all``: mean over sessions), method and query; chance; accuracy against the number of
        candidates.
    options : DecodeDinaOptions

    Raises
    ------
    InputError
        The model's two files or the sessions do not belong together.
    """
    fabric = launch_fabric(options.machine)
    models, record = load_dina(model, config)
    groups: list[tuple[Pairs, Decoded]] = []
    tables = []
    for fold, dina in enumerate(track(models, "folds decoded")):
        pairs = read_pairs(sessions, PairOptions(**record["pairs"]), fold)
        pixels = same_images(pairs)
        of_fold = []
        for one, numbers in zip(pairs, pixels, strict=True):
            baseline = train_pixel_decoder(one, options.cnn, fabric, options.seed)
            found = decode(dina, one, baseline, options.n_permutations, options.seed + fold)
            table = found.scores.assign(session=one.name, fold=fold)
            tables.append(table.assign(pixels=numbers.numpy()[table["image"]]))
            of_fold.append((one, found))
        tables += _pooled(of_fold, pixels, fold)
        groups += of_fold
    table = pd.concat(tables, ignore_index=True)
    attributes = provenance("decode_dina", options, [model, config, *sessions], seed=options.seed)
    write_table(scores, table, attributes)
    folds = np.repeat(np.arange(len(models)), len(sessions))
    write_store(decoded, _dataset(groups, folds), attributes)
    simulated = any(open_store(path).attrs.get("truth") == "simulated" for path in sessions)
    write_json(
        statistics, {"simulated": simulated, **_summarise(table, groups, options)}, attributes
    )


def _pooled(
    groups: Sequence[tuple[Pairs, Decoded]], pixels: Sequence[torch.Tensor], fold: int
) -> list[pd.DataFrame]:
    """Retrieval from the summed logits of several sessions that tested the same images."""
    numbers = [one.numpy()[found.images] for one, (_, found) in zip(pixels, groups, strict=True)]
    if len(groups) < 2 or any(set(one) != set(numbers[0]) for one in numbers):
        return []
    order = [np.argsort(one) for one in numbers]
    total = sum(found.logits[at][:, at] for (_, found), at in zip(groups, order, strict=True))
    n = len(order[0])
    ranks = retrieval_ranks(total, np.arange(n))
    return [pd.DataFrame({
        "session": "pooled", "fold": fold, "image": groups[0][1].images[order[0]],
        "pixels": np.sort(numbers[0]), "method": "dina", "query": "average", "n_candidates": n,
        "rank": ranks, "top1": top_k(ranks, 1, n), "top5": top_k(ranks, 5, n),
    })]  # fmt: skip


def _dataset(groups: Sequence[tuple[Pairs, Decoded]], folds: NDArray[np.int64]) -> xr.Dataset:
    n = max(len(found.images) for _, found in groups)
    methods = list(groups[0][1].reconstructed)

    def padded(values: NDArray, *axes: int) -> NDArray[np.float32]:
        width = [(0, n - size if axis in axes else 0) for axis, size in enumerate(values.shape)]
        return np.pad(values.astype("f4"), width, constant_values=np.nan)

    found = [one for _, one in groups]
    image_dims = ("image", "channel", "y", "x")
    pixels = [np.stack([one.reconstructed[name] for name in methods]) for one in found]
    return xr.Dataset(
        {
            "cosine": variable(
                ("group", "response", "image"), [padded(one.likenesses, 0, 1) for one in found],
                "1", "cosine similarity of neural and image latents",
            ),
            "original": variable(
                ("group", *image_dims), [padded(one.originals, 0) for one in found],
                "standard deviations", "image, standardised",
            ),
            "reconstruction": variable(
                ("group", "method", *image_dims), [padded(one, 1) for one in pixels],
                "standard deviations", "image from averaged responses",
            ),
            "stimulus": variable(
                ("group", "image"), [padded(one.images, 0) for one in found], "1",
                "position along the session's stimuli",
            ),
        },
        coords={
            "session": variable("group", [one.name for one, _ in groups], "1", "session"),
            "fold": variable("group", folds, "1", "fold"),
            "method": variable("method", methods, "1", "decoder of pixels"),
        },
    )  # fmt: skip


def _summarise(
    table: pd.DataFrame, groups: Sequence[tuple[Pairs, Decoded]], options: DecodeDinaOptions
) -> dict[str, Any]:
    n = int(table.loc[table["method"] == "dina", "n_candidates"].to_numpy().min())
    single = table.loc[table["session"] != "pooled"]
    by_session = {"all": single, **{str(k): rows for k, rows in table.groupby("session")}}
    return {
        "n_candidates": n,
        "n_images": len(np.unique(table["pixels"])),
        "n_sessions": len(np.unique(single["session"])),
        "n_folds": len(np.unique(table["fold"])),
        "chance": {"top1": 1 / n, "top5": min(1.0, 5 / n)},
        "permuted": _permuted([found.chance for _, found in groups]),
        "decoding": {name: _by_method(rows, options) for name, rows in by_session.items()},
        "top1_by_candidates": _by_candidates(single, n, options),
    }


def _permuted(draws: Sequence[pd.DataFrame]) -> dict[str, Any]:
    """Intervals that hold 95 % of what permuted answers reach, over sessions and folds together."""
    columns = ["method", "query", "permutation"]
    of_draw = pd.concat(draws).groupby(columns, as_index=False)[["top1", "top5"]].mean()
    found: dict[str, Any] = {}
    for (method, query), rows in of_draw.groupby(["method", "query"]):  # type: ignore[misc]
        found.setdefault(method, {})[query] = {
            name: dict(zip(("low", "high"), np.quantile(rows[name], [0.025, 0.975]), strict=True))
            for name in ("top1", "top5")
        }
    return found


def _by_method(table: pd.DataFrame, options: DecodeDinaOptions) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for (method, query), rows in table.groupby(["method", "query"]):  # type: ignore[misc]
        found.setdefault(method, {})[query] = {
            name: _summary(rows, rows[name].to_numpy(), options)
            for name in MEASURES
            if name in rows and np.isfinite(rows[name].to_numpy()).all()
        }
    return found


def _by_candidates(table: pd.DataFrame, n: int, options: DecodeDinaOptions) -> list[dict[str, Any]]:
    """Top-1 accuracy of averaged responses among fewer candidates, from the same ranks."""
    rows = table.loc[(table["method"] == "dina") & (table["query"] == "average")]
    sizes = sorted({2, 5, 10, 12, 20, 30, n} & set(range(2, n + 1)))
    found = {size: top_k(rows["rank"], 1, rows["n_candidates"], size) for size in sizes}
    return [{"n_candidates": size, **_summary(rows, top1, options)} for size, top1 in found.items()]


def _summary(
    rows: pd.DataFrame, values: NDArray[np.float64], options: DecodeDinaOptions
) -> dict[str, Any]:
    """Average over the sessions that tested an image, then over images, which are resampled."""
    of_image = mean_by(values, rows["pixels"])
    return summarise_sample(
        of_image, n_bootstraps=options.n_bootstraps, seed=options.seed
    )._asdict()


if __name__ == "__main__":
    run_stage(decode_dina)
