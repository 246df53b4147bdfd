"""Measures what a battery of many stimuli shows of a network's channels, beyond direction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workflow_scripts.analysis.conditions import (
    condition_table,
    direction_responses,
    series_responses,
    unit_table,
)
from workflow_scripts.analysis.direction_curves import curve_correlation
from workflow_scripts.analysis.neurometric import fit_weibull, share_correct
from workflow_scripts.analysis.parametric import (
    SPEED_OFFSET_DEG_S,
    contrast_index,
    fit_contrast_response,
    fit_log_gaussian,
    surround_suppression,
)
from workflow_scripts.analysis.plaid_tuning import plaid_tuning
from workflow_scripts.analysis.tuning import (
    at_setting,
    curve_across_directions,
    preferred_condition,
    split_half_tuning,
)
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import write_table
from workflow_scripts.stores.zarr_store import open_store

Floats = NDArray[np.floating]


def measure_physiology(responses: list[Path], physiology: Path) -> None:
    """Write the physiology of every channel, one row each.

    Weight sharing copies a channel over the sheet, so its responses are averaged over its units off
    the border before anything is measured; those to apertures over the units in the
    middle of the screen. Preferred directions are chosen on other repeats than measured.

    Parameters
    ----------
    responses : list of Path
        Stores from `stimulate`; the measures of the families of stimuli that they hold are
        made.
    physiology : Path
        Table to write. Columns: ``layer channel n_units``, and where the stimuli were shown

        - gratings: ``contrast_c50 contrast_exponent``, ``sf_preferred sf_sigma_log`` (cycles per
          degree), ``tf_preferred tf_sigma_log`` (Hz);
        - dots: ``speed_preferred speed_sigma_log`` (°/s); of three coherences or more ``threshold``
          (infinite: never reached), ``threshold_at_edge`` and ``slope`` of the neurometric function
          and ``n_seeds``;
        - of ``sf``, ``tf`` and ``speed`` also ``_at_edge``, whether the preferred value is an end
          of the range shown, which is ``_lowest`` to ``_highest``;
        - plaids: ``z_pattern z_component plaid_class n_plaid_directions``;
        - apertures: ``surround_index preferred_diameter_deg``;
        - second-order motion and bars: ``second_order_dsi second_order_r bar_dsi bar_r``, with r
          the correlation of the direction curve with that for gratings;
        - natural clips: ``natural_index``, (natural − scrambled) / (natural + scrambled).

    Raises
    ------
    InputError
        A store is unreadable, or a battery lacks what a measure needs.
    """
    tables = []
    for path in track(responses, "batteries measured"):
        with open_store(path, load=True) as store:
            channels = _channel_means(store)
            middle = _channel_means(store, middle=True)
        parts = [part for part in _measures(channels, middle) if part is not None]
        index = pd.DataFrame({
            name: channels[name].to_numpy() for name in ("layer", "channel", "n_units")
        })  # fmt: skip
        tables.append(pd.concat([index, *parts], axis=1).set_index(["layer", "channel"]))
    whole = pd.concat([tables[0], *(one.drop(columns="n_units") for one in tables[1:])], axis=1)
    attributes = provenance("measure_physiology", {}, responses)
    write_table(physiology, whole.reset_index(), attributes)


def _channel_means(store: xr.Dataset, middle: bool = False) -> xr.Dataset:
    """Average over each channel's units off the border, or over those in the middle."""
    units = unit_table(store)
    used = ~units.border
    if middle:
        used = pd.Series(data=True, index=units.index)
        for axis in ("row", "column"):
            last = np.asarray(units.groupby("layer", sort=False)[axis].transform("max"))
            used &= (units[axis] - last / 2).abs() < 1
    groups = units[used].groupby(["layer", "channel"], sort=False)
    response = store.response.to_numpy()
    means = np.stack([response[group.index].mean(axis=0) for _, group in groups])
    names = pd.DataFrame([name for name, _ in groups], columns=["layer", "channel"])
    conditions = {name: store[name] for name in condition_table(store)}
    return xr.Dataset(
        {"response": (("unit", "condition", "repeat"), means)},
        coords={
            **conditions,
            **{name: ("unit", names[name].to_numpy()) for name in names},
            "n_units": ("unit", groups.size().to_numpy()),
        },
    )


def _measures(channels: xr.Dataset, middle: xr.Dataset) -> Iterator[pd.DataFrame | None]:
    conditions = condition_table(channels)
    families = set(conditions.family)
    if "drifting_grating" in families:
        for prefix, parameter in (("sf", "spatial_frequency_cpd"), ("tf", "temporal_frequency_hz")):
            fit = _fit_series(channels, "drifting_grating", parameter, 0.0)
            yield fit.add_prefix(f"{prefix}_")
        values, contrasts, _ = series_responses(channels, "drifting_grating", "contrast")
        fit = fit_contrast_response(curve_across_directions(values), contrasts)
        yield fit.loc[:, ["c50", "exponent"]].add_prefix("contrast_")
    if "plaid" in families:
        yield _plaids(channels)
    if conditions.speed_deg_s[conditions.family == "dots"].nunique() > 2:
        yield _fit_series(channels, "dots", "speed_deg_s", SPEED_OFFSET_DEG_S).add_prefix("speed_")
    if conditions.coherence.nunique() > 2:
        yield _neurometric(channels)
    if "aperture" in families:
        values, diameters, _ = series_responses(middle, "aperture", "outer_diameter_deg")
        yield surround_suppression(curve_across_directions(values), diameters)
    yield from (
        _other_motion(channels, family) for family in ("second_order", "bar") if family in families
    )
    if "natural" in families:
        natural, scrambled = (_mean_response(channels, name) for name in ("natural", "scrambled"))
        yield pd.DataFrame({"natural_index": contrast_index(natural, scrambled)})


def _fit_series(channels: xr.Dataset, family: str, parameter: str, offset: float) -> pd.DataFrame:
    values, shown, _ = series_responses(channels, family, parameter)
    fit = fit_log_gaussian(curve_across_directions(values), shown, offset)
    fit = fit.loc[:, ["preferred", "sigma_log", "at_edge"]]
    return fit.assign(lowest=shown[0], highest=shown[-1])


def _at_plaid_settings(channels: xr.Dataset, family: str, like: pd.Series) -> Floats:
    """Mean over repeats at one setting: (channel, direction)."""
    conditions = condition_table(channels)
    of_setting = channels.isel(
        condition=np.flatnonzero(
            conditions.family.isin(["blank"])
            | (
                (conditions.family == family)
                & (conditions[like.index.tolist()] == like).all(axis=1)
            )
        )
    )
    return direction_responses(of_setting, family).values[:, 0].mean(axis=-1)


def _plaids(channels: xr.Dataset) -> pd.DataFrame:
    """Compare plaids with gratings of their components' frequencies, at full contrast."""
    conditions = condition_table(channels)
    plaid = conditions[conditions.family == "plaid"]
    like = plaid.iloc[0][["spatial_frequency_cpd", "temporal_frequency_hz", "contrast"]]
    directions = np.unique(plaid.direction_deg)
    return plaid_tuning(
        _at_plaid_settings(channels, "drifting_grating", like),
        _at_plaid_settings(channels, "plaid", like),
        directions,
    )


def _neurometric(channels: xr.Dataset) -> pd.DataFrame:
    """Thresholds for the direction that the other half of the seeds prefers at full coherence.

    ROC areas are means of both ways round: every seed is measured, and its choice helps no unit.
    """
    values, coherences, directions = series_responses(channels, "dots", "coherence")
    above = coherences > 0
    even, odd = values[..., ::2], values[..., 1::2]
    areas = []
    for measured, chosen_on in ((even, odd), (odd, even)):
        preferred = chosen_on[:, -1].mean(axis=-1).argmax(axis=1)
        opposite = (preferred + len(directions) // 2) % len(directions)
        seen = measured[:, above].swapaxes(1, 2)
        areas.append(share_correct(at_setting(seen, preferred), at_setting(seen, opposite)))
    n_seeds = values.shape[-1]
    fit = fit_weibull(np.mean(areas, axis=0), coherences[above], n_seeds)
    return fit.rename(columns={"at_edge": "threshold_at_edge"}).assign(n_seeds=n_seeds)


def _other_motion(channels: xr.Dataset, family: str) -> pd.DataFrame:
    """Direction selectivity for another kind of motion, and its likeness to that for gratings."""
    values, _, directions = direction_responses(channels, family)
    table = split_half_tuning(values, directions)
    setting, _ = preferred_condition(values.mean(axis=-1))
    curve = at_setting(values, setting).mean(axis=-1)
    gratings = series_responses(channels, "drifting_grating", "contrast")
    shared = np.isin(gratings.directions_deg, directions)
    to_gratings = gratings.values[:, -1][:, shared].mean(axis=-1)
    likeness = curve_correlation(
        curve[:, np.isin(directions, gratings.directions_deg)], to_gratings
    )
    return pd.DataFrame({f"{family}_dsi": table.dsi, f"{family}_r": likeness})


def _mean_response(channels: xr.Dataset, family: str) -> Floats:
    """Mean over a family's conditions and repeats, the blank's subtracted."""
    conditions = condition_table(channels)
    shown, blank = (
        channels.response.to_numpy()[:, np.flatnonzero(conditions.family == name)].mean(axis=(1, 2))
        for name in (family, "blank")
    )
    return shown - blank


if __name__ == "__main__":
    run_stage(measure_physiology)
