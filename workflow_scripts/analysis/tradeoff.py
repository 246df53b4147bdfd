"""What the spatial pressure buys and costs: outcomes of a sweep of networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from workflow_scripts.analysis.channels import channel_medians, estimate
from workflow_scripts.analysis.networks import Network
from workflow_scripts.analysis.seeds import half_width_over_seeds

# outcome → label
OUTCOMES = {
    "contrastive_accuracy": "contrastive accuracy",
    "dsi": "DSI",
    "direction_cv": "direction CV",
    "null_lobe_weight": "axial component",
    "smoothness_index": "smoothness index",
    "smoothness_beyond": "index beyond α = 0",
    "density_per_squared_spacing": "pinwheels per Λ²",
}
_TUNING = ["dsi", "direction_cv", "null_lobe_weight"]


@dataclass(frozen=True)
class SweepPoint:
    """One network of a sweep.

    Parameters
    ----------
    network : Network
        Name, α and training.
    positions : str
        Its map is drawn on these.
    by_alpha : bool
        Differs from the study's network in α alone; otherwise it is an ablation.
    """

    network: Network
    positions: str
    by_alpha: bool


def outcomes_of(
    units: pd.DataFrame, layers: dict[str, dict[str, Any]], accuracy: float
) -> pd.DataFrame:
    """Tabulate the outcomes of one network.

    Parameters
    ----------
    units : pd.DataFrame
        Of `measure_tuning`, border units left out.
    layers : dict
        ``layers`` of the statistics of `measure_map`.
    accuracy : float
        Contrastive accuracy at the end of training, NaN without training.

    Returns
    -------
    pd.DataFrame
        ``layer outcome value low high n``: intervals over channels, none for the accuracy,
        which belongs to no layer. A density that may not be reported is NaN.
    """
    rows: list[dict[str, Any]] = [
        {"layer": "", "outcome": "contrastive_accuracy", "value": accuracy, "n": 1}
    ]
    for layer, of_layer in units.groupby("layer", sort=False):
        channels = channel_medians(of_layer, _TUNING)
        for outcome in _TUNING:
            measured = estimate(channels[outcome].to_numpy(), np.median)
            bounds = {name: float(bound) for name, bound in measured._asdict().items()}
            rows.append({"layer": layer, "outcome": outcome, **bounds, "n": len(channels)})
        rows += _map_outcomes(str(layer), layers[str(layer)])
    return pd.DataFrame(rows, columns=["layer", "outcome", "value", "low", "high", "n"])


def _map_outcomes(layer: str, statistics: dict[str, Any]) -> list[dict[str, Any]]:
    near = statistics["direction"]["near"]
    pattern = statistics["direction"]["pattern"]
    density = pattern["density_per_squared_spacing"]
    reported = pattern["density_conditions"]["all"]
    # the interval of Δ, turned round
    low, high = (_index(near[name], near["null_mean_deg"]) for name in ("high_deg", "low_deg"))
    n = statistics["n_channels"]
    return [
        {"layer": layer, "outcome": "smoothness_index", "n": n, "low": low, "high": high,
         "value": near["smoothness_index"]},
        {"layer": layer, "outcome": "density_per_squared_spacing", "n": n,
         **{name: density[name] if reported else np.nan for name in ("value", "low", "high")}},
    ]  # fmt: skip


def _index(delta_deg: float | None, null_deg: float | None) -> float:
    return np.nan if delta_deg is None or not null_deg else 1 - delta_deg / null_deg


def beyond_alpha0(table: pd.DataFrame) -> pd.DataFrame:
    """Subtract what the positions alone carry from every smoothness index.

    That is the index of the same seed's α = 0 network on the same positions; networks on other
    positions are left out. The channels of two networks are independent samples.

    Parameters
    ----------
    table : pd.DataFrame
        ``alpha by_alpha positions`` and the columns of `outcomes_of`.

    Returns
    -------
    pd.DataFrame
        Rows of the outcome ``smoothness_beyond``, with the columns of `table`.
    """
    indices = table.loc[table["outcome"] == "smoothness_index"]
    is_alpha0 = indices["by_alpha"] & (indices["alpha"] == 0)
    bounds = ["value", "low", "high"]
    pairs = indices.loc[~is_alpha0].merge(
        indices.loc[is_alpha0, ["positions", "layer", *bounds]],
        on=["positions", "layer"], suffixes=("", "_alpha0"),
    )  # fmt: skip
    value = pairs["value"] - pairs["value_alpha0"]
    half = np.hypot(pairs["high"] - pairs["low"], pairs["high_alpha0"] - pairs["low_alpha0"]) / 2
    beyond = pairs.assign(
        outcome="smoothness_beyond", value=value, low=value - half, high=value + half
    )
    return beyond.reindex(columns=table.columns)


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Average each variant over its seeds.

    Parameters
    ----------
    table : pd.DataFrame
        ``variant alpha by_alpha seed layer outcome value low high``.

    Returns
    -------
    pd.DataFrame
        ``variant alpha by_alpha layer outcome mean low high n_seeds``. From
        `analysis.seeds.FEWEST_SEEDS` on, Student's 95 % interval over seeds; of fewer an interval
        over the channels of those seeds alone, whose errors are independent.
    """
    rows = []
    keys = ["variant", "alpha", "by_alpha", "layer", "outcome"]
    for key, group in table.groupby(keys, sort=False):
        values = group["value"].dropna().to_numpy(float)
        n, mean = len(values), values.mean() if len(values) else np.nan
        half = half_width_over_seeds(values)
        if np.isnan(half):
            half_widths = (group["high"] - group["low"]).dropna().to_numpy(float) / 2
            half = np.sqrt((half_widths**2).sum()) / n if len(half_widths) == n > 0 else np.nan
        rows.append((*cast("tuple", key), mean, mean - half, mean + half, n))
    return pd.DataFrame(rows, columns=[*keys, "mean", "low", "high", "n_seeds"])
