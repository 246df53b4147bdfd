"""Pairs of images and population responses, in splits and batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch.nn import functional

from workflow_scripts.models.processes import share
from workflow_scripts.recordings.splits import SplitOptions, split_by_stimulus
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import open_store

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class PairOptions:
    """How sessions become pairs.

    Parameters
    ----------
    folds : int, optional
        Split the images into as many test parts, a model for each; without, the session's split.
    image_px : int
        Longest side that images are scaled down to.
    trials_per_sample : int, optional
        Trials of one image whose responses are averaged in a training sample, drawn anew each
        time: 1 is a single trial, none averages all trials.
    shuffle_pairs : bool
        The control: training and validation images are dealt anew to the responses.
    decoys : int
        The control of attribution: as many neurons are added to each session that know nothing,
        copies of its own whose trials are permuted.
    seed : int
        Of the folds, the shuffling and the decoys.
    """

    folds: int | None = None
    image_px: int = 64
    trials_per_sample: int | None = 1
    shuffle_pairs: bool = False
    decoys: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Trials:
    """Trials of one split: responses (trial, neuron), standardised, and the image of each."""

    responses: torch.Tensor
    image: torch.Tensor

    def averages(self) -> Trials:
        """Average over the trials of each image; images in ascending order."""
        images, inverse = self.image.unique(return_inverse=True)
        total = torch.zeros(len(images), self.responses.shape[1]).index_add_(
            0, inverse, self.responses
        )
        return Trials(total / inverse.bincount()[:, None], images)


@dataclass(frozen=True)
class Pairs:
    """One session, ready to be aligned.

    Attributes
    ----------
    name : str
        The session's identifier.
    images : Tensor, (image, channel, y, x)
        Standardised by the mean and the standard deviation of the training images.
    splits : mapping of str to Trials
        train, validation and test; no image in two of them, which `read_pairs` sees to. Responses
        are standardised per neuron by the training trials.
    pixels : sequence of bytes
        The images as they were shown: equal where two images are.
    decoy : array, (neuron,)
        Whether a neuron is one of the decoys, which come last.
    labels : array, (image,), optional
        Class of each image, where the session has ``image_class``.
    """

    name: str
    images: torch.Tensor
    pixels: Sequence[bytes]
    splits: Mapping[str, Trials]
    decoy: NDArray[np.bool_]
    labels: NDArray[np.float64] | None = None

    @property
    def n_neurons(self) -> int:
        """Neurons, decoys included."""
        return len(self.decoy)


def read_pairs(sessions: Sequence[Path], options: PairOptions, fold: int) -> list[Pairs]:
    """Read sessions that showed images, for one fold.

    Parameters
    ----------
    sessions : sequence of Path
        Session stores with ``image``; see `recordings.sessions`.
    options : PairOptions
    fold : int
        Which part of the images tests; 0 where the sessions' own split is used.

    Raises
    ------
    InputError
        A session has no images or no trial in one of its splits, or one image is in two splits,
        of the same session or of two.
    """
    pairs = [_read(path, options, fold) for path in sessions]
    _require_apart(pairs)
    return pairs


def _require_apart(pairs: Sequence[Pairs]) -> None:
    first: dict[int, tuple[str, str]] = {}
    for one, numbers in zip(pairs, same_images(pairs), strict=True):
        for split, trials in one.splits.items():
            for image in numbers[trials.image.unique()].tolist():
                other, session = first.setdefault(image, (split, one.name))
                if other != split:
                    raise InputError(
                        f"{one.name}: an image of its {split} trials is one of the {other} trials "
                        f"of {session}, too; set split_rule of the sheet to stimulus or "
                        "pairs.folds to a number, or align sessions that share images alone"
                    )


def _read(path: Path, options: PairOptions, fold: int) -> Pairs:
    session = open_store(path, load=True)
    if "image" not in session or "stimulus_id" not in session:
        raise InputError(f"{path}: shows no images; name sessions with images in dina.….sessions")
    shown = session["stimulus_id"].to_numpy().astype(np.int64)
    split = session["split"].to_numpy()
    if options.folds is not None:
        shows = np.unique(shown, return_counts=True)[1]
        if (shows > 1).any() and not (shows > 1).all():
            raise InputError(
                f"{path}: only some images were repeated, and these are its test in every fold; "
                "set pairs.folds to null"
            )
        rule = SplitOptions(test=1 / options.folds, fold=fold, seed=options.seed)
        split = split_by_stimulus(shown, rule)
    missing = [name for name in SPLITS if name not in split]
    if missing:
        raise InputError(f"{path}: no trial is for {', '.join(missing)}; mend the sheet's split")
    rng = np.random.default_rng(options.seed)
    # The root makes the noise of counts, and of deconvolved rates, alike at all rates.
    rates = np.sqrt(np.maximum(session["response"].to_numpy().T, 0))
    responses, decoy = _with_decoys(rates, options.decoys, rng)
    training = responses[split == "train"]
    deviation = training.std(axis=0)
    # A neuron that was silent in training says nothing.
    responses = (responses - training.mean(axis=0)) / np.where(deviation > 0, deviation, np.inf)
    images = _scaled(session, options.image_px)
    seen = images[np.unique(shown[split == "train"])]
    images = (images - seen.mean(dim=(0, 2, 3), keepdim=True)) / seen.std(
        dim=(0, 2, 3), keepdim=True
    )
    splits = {
        name: Trials(
            torch.as_tensor(responses[split == name], dtype=torch.float32),
            torch.as_tensor(shown[split == name]),
        )
        for name in SPLITS
    }
    if options.shuffle_pairs:
        for name in ("train", "validation"):
            splits[name] = _dealt_anew(splits[name], rng)
    pixels = [image.tobytes() for image in session["image"].to_numpy()]
    labels = session["image_class"].to_numpy() if "image_class" in session else None
    return Pairs(str(session.attrs["session_id"]), images, pixels, splits, decoy, labels)


def _with_decoys(
    responses: NDArray[np.floating], n: int, rng: np.random.Generator
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    copied = responses[:, rng.integers(responses.shape[1], size=n)]
    decoy = np.arange(responses.shape[1] + n) >= responses.shape[1]
    return np.concatenate([responses, rng.permuted(copied, axis=0)], axis=1), decoy


def _scaled(session: xr.Dataset, longest_px: int) -> torch.Tensor:
    images = torch.as_tensor(session["image"].to_numpy(), dtype=torch.float32)
    height, width = images.shape[2:]
    shrink = longest_px / max(height, width)
    if shrink >= 1:
        return images
    return functional.adaptive_avg_pool2d(images, (round(height * shrink), round(width * shrink)))


def _dealt_anew(trials: Trials, rng: np.random.Generator) -> Trials:
    images, inverse = trials.image.unique(return_inverse=True)
    dealt = images[torch.as_tensor(rng.permutation(len(images)))]
    return replace(trials, image=dealt[inverse])


class Batch(NamedTuple):
    """One training step's samples, this process's share of them, in the order of the sessions.

    Attributes
    ----------
    responses : dict of str to Tensor (sample, neuron)
        By session.
    images : Tensor, (all samples, channel, y, x)
    image_id : Tensor, (all samples,)
        Equal for equal images, across sessions, too.
    """

    responses: dict[str, torch.Tensor]
    images: torch.Tensor
    image_id: torch.Tensor


class PairSource:
    """Draws batches of training pairs; a step's batch depends on the step alone.

    Parameters
    ----------
    pairs : sequence of Pairs
    batch_size : int
        Images a session and step, at most all of its training images.
    trials_per_sample : int, optional
        See `PairOptions`.
    seed : int
    """

    def __init__(
        self, pairs: Sequence[Pairs], batch_size: int, trials_per_sample: int | None, seed: int
    ) -> None:
        self.pairs, self.batch_size, self.seed = pairs, batch_size, seed
        self.trials_per_sample = trials_per_sample
        self._image_ids = same_images(pairs)
        self._trials_of = [_trials_by_image(one.splits["train"]) for one in pairs]

    def batch(self, step: int) -> Batch:
        """Draw distinct images of every session, and trials of each image."""
        rng = np.random.default_rng((self.seed, step))
        responses, images, ids = {}, [], []
        for one, trials_of, image_ids in zip(
            self.pairs, self._trials_of, self._image_ids, strict=True
        ):
            n = min(self.batch_size, len(trials_of))
            chosen = rng.choice(np.fromiter(trials_of, dtype=np.int64), n, replace=False)
            samples = [self._sample(one.splits["train"], trials_of[image], rng) for image in chosen]
            own = share(n)
            responses[one.name] = torch.stack(samples[own])
            images.append(one.images[chosen[own]])
            ids.append(image_ids[chosen[own]])
        return Batch(responses, torch.cat(images), torch.cat(ids))

    def _sample(
        self, trials: Trials, rows: NDArray[np.int64], rng: np.random.Generator
    ) -> torch.Tensor:
        n = len(rows) if self.trials_per_sample is None else min(self.trials_per_sample, len(rows))
        return trials.responses[rng.choice(rows, n, replace=False)].mean(dim=0)


def _trials_by_image(trials: Trials) -> dict[int, NDArray[np.int64]]:
    image = trials.image.numpy()
    return {int(one): np.flatnonzero(image == one) for one in np.unique(image)}


def same_images(pairs: Sequence[Pairs]) -> list[torch.Tensor]:
    """Number the images of all sessions so that equal pixels have equal numbers."""
    known: dict[bytes, int] = {}
    return [
        torch.tensor([known.setdefault(image, len(known)) for image in one.pixels]) for one in pairs
    ]
