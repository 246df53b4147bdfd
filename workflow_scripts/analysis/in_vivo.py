"""What is compared with measurements in vivo, and how it is read from the tables of tuning."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workflow_scripts.analysis.channels import Estimate, channel_medians, estimate
from workflow_scripts.stores.errors import InputError

Floats = NDArray[np.floating]

SELECTIVE_DSI = 0.5
LEAST_FIT_R2 = 0.7  # below it the lobes do not describe the curve
PERPENDICULAR_FROM_DEG = 60.0
SUPPRESSED_FROM = 0.1
REFERENCE_COLUMNS = [
    "property", "area", "species", "value", "low", "high", "unit", "n", "source", "certainty",
]  # fmt: skip


class Property(NamedTuple):
    """A property and the samples it is the mean or median of.

    `label` names it with its unit; `needs` are columns of a tuning table; `sample` makes one number
    per channel or cell, NaN where it has none; `statistic` is of them all. `series` is the prefix
    of the columns ``at_edge lowest highest`` of what is bounded by the range of stimuli shown.
    """

    label: str
    needs: tuple[str, ...]
    sample: Callable[[pd.DataFrame], pd.Series]
    statistic: Callable[..., Floats]
    series: str = ""


def _column(name: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda table: table.loc[:, name]


def _of_the_fit(name: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda table: table.loc[:, name].where(table["fit_r2"] >= LEAST_FIT_R2)


def _share(holds: Callable[[pd.DataFrame], pd.Series], of: str) -> Callable[..., pd.Series]:
    return lambda table: holds(table).astype(float).where(table[of].notna())


def _in_class(name: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda t: t.loc[:, "plaid_class"].eq(name).astype(float).where(t["plaid_class"] != "")


PROPERTIES = {
    "direction_tuning_fwhm": Property(
        "direction tuning, full width (°)", ("bandwidth_fwhm_deg", "fit_r2"),
        _of_the_fit("bandwidth_fwhm_deg"), np.median,
    ),
    "direction_circular_variance": Property(
        "circular variance of direction", ("direction_cv",), _column("direction_cv"), np.median
    ),
    "axial_component": Property(
        "axial component (null-lobe weight)", ("null_lobe_weight", "fit_r2"),
        _of_the_fit("null_lobe_weight"), np.median,
    ),
    "direction_selectivity": Property("DSI", ("dsi",), _column("dsi"), np.median),
    "direction_selective_fraction": Property(
        f"share with DSI ≥ {SELECTIVE_DSI}", ("dsi",),
        _share(lambda table: table.loc[:, "dsi"] >= SELECTIVE_DSI, "dsi"), np.mean,
    ),
    "preferred_orientation_perpendicular_fraction": Property(
        "share with orientation ⊥ direction", ("orientation_to_direction_deg",),
        _share(lambda t: t.loc[:, "orientation_to_direction_deg"] > PERPENDICULAR_FROM_DEG,
               "orientation_to_direction_deg"), np.mean,
    ),
    "preferred_speed": Property(
        "preferred speed (°/s)",
        ("speed_preferred", "speed_at_edge", "speed_lowest", "speed_highest"),
        _column("speed_preferred"), np.median, "speed",
    ),
    "speed_tuning_sigma": Property(
        "speed tuning σ (log units)", ("speed_sigma_log",), _column("speed_sigma_log"), np.median
    ),
    "component_fraction": Property(
        "share of component cells", ("plaid_class",), _in_class("component"), np.mean
    ),
    "pattern_fraction": Property(
        "share of pattern cells", ("plaid_class",), _in_class("pattern"), np.mean
    ),
    "surround_modulated_fraction": Property(
        f"share with a surround index ≥ {SUPPRESSED_FROM}", ("surround_index",),
        _share(lambda table: table.loc[:, "surround_index"] >= SUPPRESSED_FROM, "surround_index"),
        np.mean,
    ),
}  # fmt: skip


def read_references(table: pd.DataFrame) -> pd.DataFrame:
    """Check the table of in-vivo values.

    Raises
    ------
    InputError
        A column is missing.
    """
    missing = [name for name in REFERENCE_COLUMNS if name not in table]
    if missing:
        raise InputError(f"the in-vivo table has no column {', '.join(missing)}")
    return table.loc[:, REFERENCE_COLUMNS]


def measure_units(units: pd.DataFrame) -> pd.DataFrame:
    """Measure every property that a network's units allow, with channels as samples.

    Parameters
    ----------
    units : pd.DataFrame
        Of `measure_tuning` without border units: ``layer channel`` and the measures; or one row
        per channel, of `measure_physiology`.

    Returns
    -------
    pd.DataFrame
        ``layer property value low high n``, and where stimuli bound the value ``n_at_edge`` of
        the channels at an end of the range that was shown, ``shown_low`` to ``shown_high``.
    """
    rows = []
    for layer, of_layer in units.groupby("layer", sort=False):
        for name, prop in PROPERTIES.items():
            if not set(prop.needs) <= set(of_layer):
                continue
            sampled = of_layer[["channel"]].assign(sample=prop.sample(of_layer))
            channels = channel_medians(sampled, ["sample"])["sample"]
            if prop.statistic is np.mean:  # a share, of the units of each channel
                channels = sampled.groupby("channel")["sample"].mean()
            row = {**_row(np.asarray(channels), prop), **_shown(of_layer, prop.series)}
            rows.append({"layer": layer, "property": name, **row})
    return pd.DataFrame(rows)


def measure_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Measure every property that recorded cells allow: ``property value low high n``."""
    rows = [
        {"property": name, **_row(prop.sample(cells).to_numpy(float), prop)}
        for name, prop in PROPERTIES.items()
        if set(prop.needs) <= set(cells)
    ]
    return pd.DataFrame(rows)


def _row(samples: Floats, prop: Property) -> dict[str, float]:
    measured: Estimate = estimate(samples, prop.statistic)
    return {
        **{name: float(bound) for name, bound in measured._asdict().items()},
        "n": int(np.isfinite(samples).sum()),
    }


def _shown(channels: pd.DataFrame, series: str) -> dict[str, float]:
    """How many channels lie at an end of the range of stimuli, and that range."""
    if not series:
        return {"n_at_edge": np.nan, "shown_low": np.nan, "shown_high": np.nan}
    at_edge, lowest, highest = (
        channels.loc[:, f"{series}_{name}"].to_numpy(float)
        for name in ("at_edge", "lowest", "highest")
    )
    return {
        "n_at_edge": float(at_edge.sum()),
        "shown_low": float(lowest.min()),
        "shown_high": float(highest.max()),
    }
