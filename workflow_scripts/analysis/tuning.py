"""Direction and orientation tuning of many units at once.

Angles are those of the stimuli, in degrees: directions of motion for drifting gratings and dots.
An orientation is then the *axis* of that motion, in [0, 180); the bars of a grating lie at a right
angle to it. Responses are baseline-subtracted by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.analysis.direction_curves import (
    Floats,
    checked_curves,
    curve_correlation,
    phasors,
)
from workflow_scripts.analysis.permutation import false_discovery_rate, permutation_test
from workflow_scripts.analysis.von_mises import fit_two_lobe_von_mises
from workflow_scripts.stores.errors import InputError

__all__ = [
    "INDICES",
    "at_setting",
    "at_setting_of_other_half",
    "coherence_columns",
    "coherence_curves",
    "curve_across_directions",
    "display_error",
    "false_discovery_rate",
    "fit_two_lobe_von_mises",
    "orientation_tuning",
    "permutation_test",
    "preferred_condition",
    "response_curves",
    "split_half_tuning",
    "tuning_indices",
]

INDICES = (
    "preferred_direction_deg",
    "vector_strength",
    "direction_cv",
    "dsi",
    "direction_index",
    "preferred_orientation_deg",
    "orientation_strength",
    "orientation_cv",
)


def tuning_indices(
    responses: ArrayLike, directions_deg: ArrayLike, preferred: ArrayLike | None = None
) -> pd.DataFrame:
    """Measure how selective units are for direction and for orientation.

    With r the responses, negatives set to 0, and θ the directions:

    - ``vector_strength`` L1 = abs(Σ r exp(iθ)) / Σ r and ``direction_cv`` = 1 − L1, with the angle
      of the sum as ``preferred_direction_deg``;
    - ``orientation_strength`` L2 = abs(Σ r exp(2iθ)) / Σ r and ``orientation_cv`` = 1 − L2, with
      half the angle of the sum as ``preferred_orientation_deg``;
    - ``dsi`` = (P − N) / (P + N), where P is r in the preferred of the given directions and N
      180° from it. Without `preferred` this takes the largest r for P, which is biased upward;
    - ``direction_index`` = 1 − N / P with negatives kept: above 1 where the null direction
      suppresses (Maunsell & Van Essen 1983).

    Parameters
    ----------
    responses : array, (unit, direction)
        Baseline-subtracted responses, any unit.
    directions_deg : array, (direction,)
        Equally spaced, or the vector sums are biased.
    preferred : array of int, (unit,), optional
        Index of each unit's preferred direction, chosen on other data.

    Returns
    -------
    pd.DataFrame
        One row per unit, the columns `INDICES`. NaN where the total response is not positive, and
        in ``dsi`` and ``direction_index`` where the opposite direction was not shown.

    Raises
    ------
    InputError
        The shapes do not agree, or a direction occurs twice.

    References
    ----------
    Ringach, Shapley & Hawken 2002; Mazurek, Kager & Van Hooser 2014.
    """
    raw, directions = checked_curves(responses, directions_deg)
    clipped = np.maximum(raw, 0)
    total = clipped.sum(axis=1, keepdims=True)
    share = clipped / np.where(total > 0, total, np.nan)
    chosen = clipped.argmax(axis=1) if preferred is None else np.asarray(preferred, int)
    direction_sum = share @ phasors(directions, 1)
    orientation_sum = share @ phasors(directions, 2)
    peak, null = _peak_and_null(clipped, directions, chosen)
    raw_peak, raw_null = _peak_and_null(raw, directions, chosen)
    columns = (
        np.rad2deg(np.angle(direction_sum)) % 360,
        np.abs(direction_sum),
        1 - np.abs(direction_sum),
        _ratio(peak - null, peak + null),
        1 - _ratio(raw_null, raw_peak),
        np.rad2deg(np.angle(orientation_sum)) / 2 % 180,
        np.abs(orientation_sum),
        1 - np.abs(orientation_sum),
    )
    return pd.DataFrame(dict(zip(INDICES, columns, strict=True)))


def _peak_and_null(
    responses: Floats, directions_deg: Floats, preferred: NDArray[np.integer]
) -> tuple[Floats, Floats]:
    from_opposite = (directions_deg - directions_deg[:, None]) % 360 - 180
    is_opposite = np.abs(from_opposite) < 1e-6
    opposite = is_opposite.argmax(axis=1)[preferred]
    units = np.arange(len(responses))
    null = np.where((is_opposite.sum(axis=1) > 0)[preferred], responses[units, opposite], np.nan)
    return responses[units, preferred], null


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return numerator / np.where(denominator > 0, denominator, np.nan)


def split_half_tuning(responses: ArrayLike, directions_deg: ArrayLike) -> pd.DataFrame:
    """Measure tuning with every choice made on other repeats than the measurement.

    A unit's preferred setting (spatial and temporal frequency, speed, …) and its preferred
    direction are where one half of the repeats responds most; the direction curve is measured in
    the other half, and the halves then change places.

    Parameters
    ----------
    responses : array, (unit, setting, direction, repeat)
        Baseline-subtracted responses. Repeats 0, 2, … are the even half, 1, 3, … the odd one.
    directions_deg : array, (direction,)

    Returns
    -------
    pd.DataFrame
        One row per unit:

        - the columns `INDICES` of the mean of both measured curves (``dsi`` and
          ``direction_index``, whose P is chosen on the other half: mean of both halves);
        - the same with the suffixes ``_even`` and ``_odd``, by the half that was measured;
        - ``setting``: index of the setting with the largest response over all repeats;
        - ``reliability``: Pearson correlation between the halves' direction curves at it;
        - ``response_at_D_deg``: the mean of both measured curves, for each direction D; see
          `response_curves`.

    Raises
    ------
    InputError
        There is only one repeat, or the shapes do not agree.
    """
    values = np.asarray(responses, np.float32)
    halves = _halves(values)
    measured, curves = {}, {}
    for measure_on, choose_on in OTHER_HALF.items():
        setting, direction = preferred_condition(halves[choose_on])
        curves[measure_on] = at_setting(halves[measure_on], setting)
        measured[measure_on] = tuning_indices(curves[measure_on], directions_deg, direction)
    mean_curve = (curves["even"] + curves["odd"]) / 2
    table = tuning_indices(mean_curve, directions_deg)
    for index in ("dsi", "direction_index"):
        table[index] = (measured["even"][index] + measured["odd"][index]) / 2
    setting, _ = preferred_condition(values.mean(axis=3))
    even, odd = (at_setting(halves[half], setting) for half in ("even", "odd"))
    names = [f"response_at_{direction:g}_deg" for direction in np.asarray(directions_deg)]
    return pd.concat(
        [
            table,
            *(measured[half].add_suffix(f"_{half}") for half in measured),
            pd.DataFrame({"setting": setting, "reliability": curve_correlation(even, odd)}),
            pd.DataFrame(mean_curve, columns=names),
        ],
        axis=1,
    )


def response_curves(table: pd.DataFrame) -> tuple[Floats, Floats]:
    """Take the curves ``response_at_D_deg`` out of a table of `split_half_tuning`.

    Returns
    -------
    directions_deg, curves : np.ndarray, (direction,) and (unit, direction)
        Directions increasing, as exact as the names tell them.
    """
    shown_deg = {
        float(str(name).removeprefix("response_at_").removesuffix("_deg")): name
        for name in table
        if str(name).startswith("response_at_")
    }
    directions_deg = sorted(shown_deg)
    return np.array(directions_deg), table[[shown_deg[one] for one in directions_deg]].to_numpy()


def orientation_tuning(responses: ArrayLike, orientations_deg: ArrayLike) -> pd.DataFrame:
    """Measure orientation tuning for stimuli that do not move.

    As in `split_half_tuning`, the setting is chosen on other repeats than the curve is measured on.

    Parameters
    ----------
    responses : array, (unit, setting, orientation, repeat)
        Baseline-subtracted responses.
    orientations_deg : array, (orientation,)
        Equally spaced over 180°.

    Returns
    -------
    pd.DataFrame
        One row per unit: ``preferred_orientation_deg``, ``orientation_strength`` L2 (negatives set
        to 0; NaN where the total response is not positive), ``reliability`` (as in
        `split_half_tuning`) and ``setting``.

    Raises
    ------
    InputError
        There is only one repeat, or the shapes do not agree.
    """
    values = np.asarray(responses, np.float32)
    halves = _halves(values)
    curves = [
        at_setting(halves[measure_on], preferred_condition(halves[choose_on])[0])
        for measure_on, choose_on in OTHER_HALF.items()
    ]
    mean_curve, orientations = checked_curves((curves[0] + curves[1]) / 2, orientations_deg)
    clipped = np.maximum(mean_curve, 0)
    share = _ratio(clipped, clipped.sum(axis=1, keepdims=True))
    vector = share @ phasors(orientations, 2)
    setting, _ = preferred_condition(values.mean(axis=3))
    even, odd = (at_setting(halves[half], setting) for half in OTHER_HALF)
    return pd.DataFrame({
        "preferred_orientation_deg": np.rad2deg(np.angle(vector)) / 2 % 180,
        "orientation_strength": np.abs(vector),
        "reliability": curve_correlation(even, odd),
        "setting": setting,
    })  # fmt: skip


OTHER_HALF = {"even": "odd", "odd": "even"}


def _halves(responses: Floats) -> dict[str, Floats]:
    """Average over each half of the repeats, the last axis."""
    if responses.ndim < 4 or responses.shape[-1] < 2:
        raise InputError(
            f"responses {responses.shape} cannot be split into halves; "
            "give (unit, setting, direction, repeat) with two repeats or more"
        )
    return {"even": responses[..., ::2].mean(axis=-1), "odd": responses[..., 1::2].mean(axis=-1)}


def preferred_condition(
    responses: Floats,
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Find each unit's largest response: (unit, setting, direction) → both indices, (unit,)."""
    best = responses.reshape(len(responses), -1).argmax(axis=1)
    setting, direction = np.unravel_index(best, responses.shape[1:])
    return setting, direction


def at_setting(responses: Floats, setting: NDArray[np.integer]) -> Floats:
    """Take each unit's own setting: (unit, setting, …) and (unit,) → (unit, …)."""
    return responses[np.arange(len(responses)), setting]


def at_setting_of_other_half(responses: Floats) -> tuple[Floats, Floats]:
    """Take each half of the repeats at the setting that the other half prefers.

    Parameters
    ----------
    responses : np.ndarray, (unit, setting, direction, repeat)

    Returns
    -------
    even, odd : np.ndarray, (unit, direction, repeat of the half)
    """
    even, odd = responses[..., ::2], responses[..., 1::2]
    return (
        at_setting(even, preferred_condition(odd.mean(axis=-1))[0]),
        at_setting(odd, preferred_condition(even.mean(axis=-1))[0]),
    )


def coherence_columns(coherences: Sequence[float]) -> tuple[list[str], list[str]]:
    """Name the columns of both `coherence_curves`: ``dots_preferred_at_C``, ``dots_null_at_C``.

    Those of a channel as a whole have the prefix ``channel_``.
    """
    preferred, null = (
        [f"dots_{side}_at_{coherence:g}" for coherence in coherences]
        for side in ("preferred", "null")
    )
    return preferred, null


def coherence_curves(responses: ArrayLike, directions_deg: ArrayLike) -> tuple[Floats, Floats]:
    """Measure responses against coherence in the preferred and in the opposite direction.

    Preferred setting and direction are chosen at the last coherence in one half of the repeats and
    measured in the other; the result is the mean of both ways round.

    Parameters
    ----------
    responses : array, (unit, setting, coherence, direction, repeat)
        Baseline-subtracted responses, coherence increasing.
    directions_deg : array, (direction,)

    Returns
    -------
    preferred, null : np.ndarray, (unit, coherence)
        `null` is NaN where the opposite direction was not shown.

    Raises
    ------
    InputError
        There is only one repeat, or the shapes do not agree.
    """
    values = np.asarray(responses, np.float32)
    halves = _halves(values)
    n_units, _, n_coherences, n_directions = halves["even"].shape
    both = []
    for measure_on, choose_on in OTHER_HALF.items():
        setting, direction = preferred_condition(halves[choose_on][:, :, -1])
        curves, directions = checked_curves(
            at_setting(halves[measure_on], setting).reshape(-1, n_directions), directions_deg
        )
        peak_and_null = _peak_and_null(curves, directions, np.repeat(direction, n_coherences))
        both.append(np.stack(peak_and_null).reshape(2, n_units, n_coherences))
    preferred, null = (both[0] + both[1]) / 2
    return preferred, null


def display_error(responses: ArrayLike, directions_deg: ArrayLike) -> Floats:
    """Error of the mean over channels of preferred less null response, from displays alone.

    All channels see the same few displays, so no resampling of channels holds their noise. A
    jackknife over successive pairs of repeats does, one of each half (Efron 1982).

    Parameters
    ----------
    responses, directions_deg
        As for `coherence_curves`, of channels.

    Returns
    -------
    np.ndarray, (coherence,)
        Standard errors; NaN with fewer than four repeats.
    """
    values = np.asarray(responses, np.float32)
    n_pairs = values.shape[-1] // 2
    if n_pairs < 2:
        return np.full(values.shape[2], np.nan)
    without_each = np.stack([
        np.subtract(
            *coherence_curves(np.delete(values, [2 * k, 2 * k + 1], axis=-1), directions_deg)
        ).mean(axis=0)
        for k in range(n_pairs)
    ])  # fmt: skip
    return without_each.std(axis=0) * np.sqrt(n_pairs - 1)


def curve_across_directions(responses: ArrayLike) -> Floats:
    """Measure a parameter's curve in each unit's preferred direction.

    The direction that responds most over all values is chosen in one half of the repeats and
    measured in the other; the result is the mean of both ways round.

    Parameters
    ----------
    responses : array, (unit, value, direction, repeat)
        Baseline-subtracted responses.

    Returns
    -------
    np.ndarray, (unit, value)

    Raises
    ------
    InputError
        There is only one repeat.
    """
    halves = _halves(np.asarray(responses, np.float32))
    curves = [
        at_setting(halves[measure_on].swapaxes(1, 2), halves[choose_on].sum(axis=1).argmax(axis=1))
        for measure_on, choose_on in OTHER_HALF.items()
    ]
    return (curves[0] + curves[1]) / 2
