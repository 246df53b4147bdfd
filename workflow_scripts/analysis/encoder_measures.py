"""The measures that every encoder is judged by, side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.analysis.encoding import (
    correlation_to_average,
    feve,
    normalised_correlation,
    poisson_nll,
    single_trial_correlation,
)
from workflow_scripts.analysis.summaries import Summary, summarise_sample

MEASURES = ("single_trial_r", "correlation_to_average", "feve", "poisson_nll", "normalised_r")
# Ratios whose denominators come near 0: their means would be those of a few units.
MEDIANS = ("feve", "normalised_r")


def measure_units(
    response: NDArray[np.floating],
    prediction: NDArray[np.floating],
    stimulus_id: ArrayLike,
    scale: ArrayLike = 1.0,
) -> pd.DataFrame:
    """Measure how well each unit is predicted.

    Parameters
    ----------
    response, prediction : array, (unit, trial)
    stimulus_id : integer array, (trial,)
    scale : array, optional
        What both are divided by for the likelihood, which depends on their units.

    Returns
    -------
    pd.DataFrame
        One row per unit, the columns `MEASURES`; see `analysis.encoding`.
    """
    values = (
        single_trial_correlation(response, prediction),
        correlation_to_average(response, prediction, stimulus_id),
        feve(response, prediction, stimulus_id),
        poisson_nll(response / np.asarray(scale), prediction / np.asarray(scale)),
        normalised_correlation(response, prediction, stimulus_id),
    )
    return pd.DataFrame(dict(zip(MEASURES, values, strict=True)))


def summarise_measure(
    values: ArrayLike, measure: str, n_bootstraps: int = 1000, seed: int = 0
) -> Summary:
    """Summarise over units: the median of `MEDIANS`, the mean of all other measures."""
    statistic = np.median if measure in MEDIANS else np.mean
    return summarise_sample(values, statistic, n_bootstraps, seed)


def summarise_groups(
    table: pd.DataFrame, by: str, measures: list[str], n_bootstraps: int, seed: int = 0
) -> dict[str, Any]:
    """Summarise the measures of each group of a table, JSON-ready: group → measure → summary."""
    return {
        str(group): {
            name: summarise_measure(part[name].to_numpy(), name, n_bootstraps, seed)._asdict()
            for name in measures
        }
        for group, part in table.groupby(by)
    }
