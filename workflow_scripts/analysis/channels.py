"""Summaries over channels: weight sharing copies a channel over the sheet, so it is the sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import bootstrap

Floats = NDArray[np.floating]

N_RESAMPLES = 2000


class Estimate(NamedTuple):
    """A value with the bounds of its 95 % interval; numbers or arrays alike."""

    value: Floats
    low: Floats
    high: Floats


def channel_medians(units: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Median over the units of each channel of one layer, (channel, column)."""
    return cast("pd.DataFrame", units.groupby("channel")[list(columns)].median())


def estimate(channels: Floats, statistic: Callable[..., Floats], seed: int = 0) -> Estimate:
    """Estimate a statistic over channels with its percentile bootstrap interval.

    Parameters
    ----------
    channels : np.ndarray, (channel, …)
        Channels with a NaN are left out.
    statistic : callable
        Such as ``np.median``; takes ``axis``.
    seed : int
        Of the resamples.

    Returns
    -------
    Estimate
        Of the trailing shape; NaN bounds with fewer than two channels, all NaN with none.
    """
    finite = channels[np.isfinite(channels).all(axis=tuple(range(1, channels.ndim)))]
    nothing = np.full(channels.shape[1:], np.nan)
    if len(finite) < 2:
        return Estimate(statistic(finite, axis=0) if len(finite) else nothing, nothing, nothing)
    bounds = bootstrap(
        (finite,),
        statistic,
        n_resamples=N_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(statistic(finite, axis=0), bounds.low, bounds.high)
