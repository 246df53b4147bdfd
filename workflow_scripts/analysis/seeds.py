"""Means over seeds: how far they may be off for the seeds that were not run."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

FEWEST_SEEDS = 3  # fewer say little about their spread


def half_width_over_seeds(values: ArrayLike) -> float:
    """Half of Student's 95 % interval of a mean; NaN of fewer than `FEWEST_SEEDS` values.

    Parameters
    ----------
    values : array, (seed,)
    """
    sample = np.asarray(values, float)
    n = len(sample)
    if n < FEWEST_SEEDS:
        return float("nan")
    return float(student.ppf(0.975, n - 1) * sample.std(ddof=1) / np.sqrt(n))
