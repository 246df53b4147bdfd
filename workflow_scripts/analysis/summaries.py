"""Samples such as units, cells or images in one number, with its interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Summary(NamedTuple):
    """A statistic over a sample with its 95 % interval."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    n_undefined: int


def summarise_sample(
    values: ArrayLike,
    statistic: Callable[..., Floats] = np.mean,
    n_bootstraps: int = 1000,
    seed: int = 0,
) -> Summary:
    """Summarise one value per unit or image, with a percentile interval from a resampled sample.

    Parameters
    ----------
    values : array, (n,)
        One for each independent sample: of an image already averaged over its trials. For a
        paired comparison, differences. NaN is left out and counted.
    statistic : callable
        `numpy.mean` or `numpy.median`.
    n_bootstraps, seed : int
        Of the bootstrap.

    Returns
    -------
    Summary
        None for all three numbers where nothing has a value.
    """
    every = np.asarray(values, dtype=float)
    defined = every[np.isfinite(every)]
    n_undefined = len(every) - len(defined)
    if not len(defined):
        return Summary(None, None, None, 0, n_undefined)
    picks = np.random.default_rng(seed).integers(len(defined), size=(n_bootstraps, len(defined)))
    low, high = np.quantile(statistic(defined[picks], axis=1), [0.025, 0.975])
    return Summary(float(statistic(defined)), float(low), float(high), len(defined), n_undefined)
