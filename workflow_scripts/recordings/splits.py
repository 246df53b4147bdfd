"""Which trials train, which choose and which judge a model.

Splits go by the identity of the stimulus, so that no image is both trained and tested on. Designs
that show few stimuli over and over in a fixed order are split into whole blocks of time instead,
with gaps between them: responses of neighbouring trials are correlated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.stores.errors import InputError

Labels = NDArray[np.object_]


@dataclass(frozen=True)
class SplitOptions:
    """How a session's trials are split.

    Attributes
    ----------
    rule : str
        "stimulus": by identity; "blocks": by time; "published": as the recording says.
    validation, test : float
        Share of the stimuli or blocks that choose and judge models.
    block, gap : float
        For "blocks": length of a block and least distance between trials of different splits, in
        trials, or in seconds of the movie where the stimuli are pieces of one.
    fold : int
        Which part is the test part, from 0: the folds' test parts do not overlap.
    seed : int
        Shuffles the stimuli before they are divided.
    """

    rule: Literal["stimulus", "blocks", "published"] = "stimulus"
    validation: float = 0.1
    test: float = 0.2
    block: float = 1.0
    gap: float = 0.0
    fold: int = 0
    seed: int = 0


def split_by_stimulus(stimulus_id: ArrayLike, options: SplitOptions) -> Labels:
    """Split by the identity of the stimulus.

    Where only some stimuli were repeated, exactly these are the test split, whose noise the
    repeats measure. Where all were, or none, the shares of `options` are drawn.

    Parameters
    ----------
    stimulus_id : integer array, (trial,)
        Stimulus of each trial.
    options : SplitOptions
        Uses validation, test, fold and seed.

    Returns
    -------
    array of str, (trial,)
        "train", "validation" or "test"; trials of one stimulus have the same label.

    Raises
    ------
    InputError
        There are too few stimuli for three splits.
    """
    stimuli, inverse, counts = np.unique(
        np.asarray(stimulus_id), return_inverse=True, return_counts=True
    )
    shuffled = np.random.default_rng(options.seed).permutation(len(stimuli))
    repeated = counts > 1
    if repeated.any() and not repeated.all():
        test = np.flatnonzero(repeated)
        rest = shuffled[~repeated[shuffled]]
        share = options.validation
    else:
        test, rest = _held_out(shuffled, options)
        share = options.validation / (1 - options.test)
    n_validation = max(1, round(share * len(rest)))
    labels = np.full(len(stimuli), "train", dtype=object)
    labels[test] = "test"
    labels[rest[:n_validation]] = "validation"
    _require_all(
        labels,
        f"{len(stimuli)} stimuli are too few; show more, or change split_test and "
        "split_validation of the session",
    )
    return labels[inverse]


def split_in_blocks(position: ArrayLike, options: SplitOptions) -> Labels:
    """Split by time: the test and validation blocks are two runs of neighbouring blocks.

    Parameters
    ----------
    position : array, (trial,)
        Number of the trial, or its stimulus' onset in a movie, s.
    options : SplitOptions
        Uses block, gap, validation, test and fold.

    Returns
    -------
    array of str, (trial,)
        "train", "validation", "test", or "gap": nearer than the gap to a trial that is held out.

    Raises
    ------
    InputError
        Blocks and gaps leave a split empty.
    """
    at = np.asarray(position, dtype=float)
    block = np.floor((at - at.min()) / options.block).astype(int)
    # Blocks follow each other around a ring from the test part on, so validation is the next run.
    test, rest = _held_out(np.arange(block.max() + 1), options)
    n_validation = max(1, round(options.validation * (block.max() + 1)))
    labels = np.full(len(at), "train", dtype=object)
    labels[np.isin(block, test)] = "test"
    labels[np.isin(block, rest[:n_validation])] = "validation"
    original = labels.copy()
    for outer, inner in (("validation", "test"), ("train", "test"), ("train", "validation")):
        held = at[original == inner]
        if len(held):
            distance = np.abs(at[:, None] - held).min(axis=1)
            labels[(original == outer) & (distance < options.gap)] = "gap"
    _require_all(
        labels,
        f"{block.max() + 1} blocks with gaps of {options.gap} leave none; lower split_block or "
        "split_gap of the session, or record for longer",
    )
    return labels


def _held_out(order: NDArray[np.integer], options: SplitOptions) -> tuple[NDArray, NDArray]:
    """Divide into the fold's test part and, in order, what follows it around the ring."""
    n_folds = max(2, round(1 / options.test))
    if not 0 <= options.fold < n_folds:
        raise InputError(f"split: fold {options.fold} does not exist; a test share of "
                         f"{options.test} makes {n_folds} folds, from 0")  # fmt: skip
    parts = np.array_split(order, n_folds)
    rest = [*parts[options.fold + 1 :], *parts[: options.fold]]
    return parts[options.fold], np.concatenate(rest)


def _require_all(labels: Labels, reason: str) -> None:
    for name in ("train", "validation", "test"):
        if name not in labels:
            raise InputError(f"split: no trial is left for {name}: {reason}")
