"""Measures the tuning of a network's units from their responses to gratings and dots."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from workflow_scripts.analysis.conditions import (
    DirectionResponses,
    direction_responses,
    unit_table,
)
from workflow_scripts.analysis.tuning import (
    INDICES,
    at_setting_of_other_half,
    coherence_columns,
    coherence_curves,
    display_error,
    false_discovery_rate,
    fit_two_lobe_von_mises,
    orientation_tuning,
    permutation_test,
    response_curves,
    split_half_tuning,
)
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import write_table
from workflow_scripts.stores.zarr_store import open_store


@dataclass(frozen=True)
class MeasureTuningOptions:
    """How tuning is tested.

    Parameters
    ----------
    n_permutations : int
        Permutations of the direction labels; p-values are multiples of 1 / (n_permutations + 1).
    seed : int
        Of the permutations.
    """

    n_permutations: int = 200
    seed: int = 0


def measure_tuning(gratings: Path, dots: Path, tuning: Path, options: MeasureTuningOptions) -> None:
    """Write the tuning of every unit, one row each.

    Whatever is chosen for a unit (preferred setting, preferred direction) is chosen on one half of
    the repeats and measured on the other; see `analysis.tuning.split_half_tuning`.

    Parameters
    ----------
    gratings, dots : Path
        Responses to both batteries, from `stimulate`.
    tuning : Path
        Table to write. Columns: ``layer channel row column border``; for gratings

        - those of `split_half_tuning`, with ``preferred_PARAMETER`` for the parameters of the
          preferred setting (``preferred_spatial_frequency_cpd``, …),
        - those of `fit_two_lobe_von_mises`, of the curve ``response_at_D_deg``,
        - those of `orientation_tuning` with the prefix ``static_``, for gratings that stand still,
          and ``orientation_to_direction_deg``, the angle of the preferred bars to the preferred
          direction of motion (90: perpendicular),
        - those of `permutation_test`, of each half of the repeats at the setting that the other
          half prefers, and ``channel_STRENGTH_q``: the same test for the mean of the channel's
          units off the border, adjusted over the layer's channels;

        for dots, at full coherence, the indices, ``preferred_PARAMETER`` and ``reliability`` with
        the prefix ``dots_``, and the curves ``dots_preferred_at_C`` and ``dots_null_at_C`` for each
        coherence C; with the prefix ``channel_`` those of the mean of the channel's units off the
        border. A unit sees a few dots, and which direction it prefers depends on where they are; a
        channel sees them all. Attributes: ``directions_deg`` of the curves, ``coherences``, and
        for each layer ``display_error`` (see `analysis.tuning.display_error`).
    options : MeasureTuningOptions
        How to test.

    Raises
    ------
    InputError
        The stores show other units, or not what they should.
    """
    with open_store(gratings) as grating_store, open_store(dots) as dot_store:
        units = unit_table(grating_store)
        if not units.equals(unit_table(dot_store)):
            raise InputError(f"{gratings} and {dots} hold other units; rerun stimulate for both")
        shown: dict[Hashable, list[float]] = {
            "directions_deg": _shown(grating_store, "drifting_grating", "direction_deg"),
            "coherences": _shown(dot_store, "dots", "coherence"),
        }
        tables, display_errors = [], {}
        for layer in track(units.layer.unique(), f"measure {tuning.name}"):
            of_layer = np.flatnonzero(units.layer == layer)
            table = units.iloc[of_layer].reset_index(drop=True)
            grating_responses = _read(grating_store, of_layer, "drifting_grating", gratings)
            dot_responses = _read(dot_store, of_layer, "dots", dots)
            channel_dots, display_errors[str(layer)] = _channel_dots(dot_responses, table)
            parts = [
                table,
                _grating_tuning(grating_responses, options),
                _orientation_tuning(_read(grating_store, of_layer, "static_grating", gratings)),
                _channel_test(grating_responses, table, options),
                _dot_tuning(dot_responses),
                channel_dots,
            ]
            tables.append(pd.concat(parts, axis=1))
    whole = pd.concat(tables, ignore_index=True)
    away = whole.static_preferred_orientation_deg - whole.preferred_direction_deg
    whole["orientation_to_direction_deg"] = 90 - (away % 180 - 90).abs()
    whole.attrs = {**shown, "display_error": display_errors}
    attributes = provenance("measure_tuning", options, [gratings, dots], seed=options.seed)
    write_table(tuning, whole, attributes)


def _shown(store: xr.Dataset, family: str, parameter: str) -> list[float]:
    """Values that a parameter takes in a family of stimuli, increasing."""
    return np.unique(store[parameter].to_numpy()[store.family.to_numpy() == family]).tolist()


def _read(store: xr.Dataset, units: np.ndarray, family: str, path: Path) -> DirectionResponses:
    try:
        return direction_responses(store.isel(unit=slice(units[0], units[-1] + 1)), family)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _grating_tuning(responses: DirectionResponses, options: MeasureTuningOptions) -> pd.DataFrame:
    values, settings, directions_deg = responses
    table = split_half_tuning(values, directions_deg)
    _, curves = response_curves(table)
    setting = table.pop("setting").to_numpy()
    preferred = settings.iloc[setting].reset_index(drop=True).add_prefix("preferred_")
    tests = _test(values, directions_deg, options)
    fit = fit_two_lobe_von_mises(curves, directions_deg)
    return pd.concat([table, preferred, fit, tests], axis=1)


def _test(
    values: np.ndarray, directions_deg: np.ndarray, options: MeasureTuningOptions
) -> pd.DataFrame:
    """Test at settings in which the repeats that are tested there had no say."""
    halves = np.concatenate(at_setting_of_other_half(values), axis=-1)
    return permutation_test(halves, directions_deg, options.n_permutations, options.seed)


def _orientation_tuning(responses: DirectionResponses) -> pd.DataFrame:
    table = orientation_tuning(responses.values, responses.directions_deg)
    return table.drop(columns="setting").add_prefix("static_")


def _channel_test(
    responses: DirectionResponses, units: pd.DataFrame, options: MeasureTuningOptions
) -> pd.DataFrame:
    """Test each channel as a whole: its units are copies, not samples."""
    channels, means = _channel_means(responses, units)
    tests = _test(means, responses.directions_deg, options)
    q = pd.DataFrame({
        f"channel_{strength}_q": false_discovery_rate(tests[f"{strength}_p"])
        for strength in ("vector_strength", "orientation_strength")
    })  # fmt: skip
    q.index = pd.Index(channels)
    return q.reindex(units.channel).reset_index(drop=True)


def _channel_means(
    responses: DirectionResponses, units: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Channels, and the mean response of each one's units off the border."""
    inner = units.index[~units.border]
    channels = units.channel[inner].unique()
    means = [
        responses.values[inner[units.channel[inner] == channel]].mean(axis=0)
        for channel in channels
    ]
    return channels, np.stack(means)


def _channel_dots(
    responses: DirectionResponses, units: pd.DataFrame
) -> tuple[pd.DataFrame, list[float | None]]:
    """Curves of each unit's channel, and the error from displays."""
    channels, means = _channel_means(responses, units)
    coherences, _, stacked = _by_coherence(responses._replace(values=means))
    names = coherence_columns(coherences)
    curves = np.concatenate(coherence_curves(stacked, responses.directions_deg), axis=1)
    table = pd.DataFrame(curves, index=channels, columns=[*names[0], *names[1]])
    error = display_error(stacked, responses.directions_deg)
    of_units = table.add_prefix("channel_").reindex(units.channel).reset_index(drop=True)
    return of_units, [None if np.isnan(one) else float(one) for one in error]


def _by_coherence(
    responses: DirectionResponses,
) -> tuple[list[float], pd.DataFrame, np.ndarray]:
    """Coherences, settings without it, and values (unit, setting, coherence, direction, repeat)."""
    values, settings, _ = responses
    coherences = np.unique(settings.coherence)
    at_each = [np.flatnonzero(settings.coherence == coherence) for coherence in coherences]
    others = settings.iloc[at_each[-1]].drop(columns="coherence").reset_index(drop=True)
    return coherences.tolist(), others, values[:, np.stack(at_each, axis=1)]


def _dot_tuning(responses: DirectionResponses) -> pd.DataFrame:
    coherences, settings, values = _by_coherence(responses)
    table = split_half_tuning(values[:, :, -1], responses.directions_deg)
    preferred = settings.iloc[table.setting].reset_index(drop=True).add_prefix("preferred_")
    table = pd.concat([table[[*INDICES, "reliability"]], preferred], axis=1).add_prefix("dots_")
    curves = coherence_curves(values, responses.directions_deg)
    for columns, curve in zip(coherence_columns(coherences), curves, strict=True):
        table = pd.concat([table, pd.DataFrame(curve, columns=columns)], axis=1)
    return table


if __name__ == "__main__":
    run_stage(measure_tuning)
