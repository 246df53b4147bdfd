"""How preferences change with cortical distance, with channels as the samples.

Weight sharing copies a channel's tuning to every place, so pairs of one channel say nothing about
the map and are left out; what is resampled (intervals) and permuted (chance) is the channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.stores.errors import InputError

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]

MOST_PAIRS_PER_BIN = 30_000  # more change the mean of a bin by 0.3°, a sixth of its null's sd
INTERVAL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class ChannelGrid:
    """Preferences as a table of channels by retinotopic anchors.

    Attributes
    ----------
    table : np.ndarray, (channel, anchor)
        Preference in degrees; NaN where a unit is missing or has none.
    channel, anchor : np.ndarray of int, (unit,)
        Each unit's place in it.
    """

    table: Floats
    channel: Integers
    anchor: Integers

    @classmethod
    def of(cls, preference_deg: Floats, channel: Integers, anchor: Integers) -> ChannelGrid:
        """Tabulate units by channel and anchor.

        Raises
        ------
        InputError
            Two units share a channel and an anchor.
        """
        channels, channel = np.unique(channel, return_inverse=True)
        anchors, anchor = np.unique(anchor, return_inverse=True)
        place = channel * len(anchors) + anchor
        if len(np.unique(place)) < len(place):
            raise InputError("two units share a channel and an anchor; measure one layer at a time")
        table = np.full((len(channels), len(anchors)), np.nan)
        table[channel, anchor] = preference_deg
        return cls(table, channel, anchor)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.table)

    def permuted(self, channels: Integers) -> Floats:
        """Give unit (c, anchor) the preference of (channels[c], anchor); (unit,) degrees."""
        return self.table[channels[self.channel], self.anchor]


def smoothness_curve(
    x_mm: ArrayLike,
    y_mm: ArrayLike,
    preference_deg: ArrayLike,
    channel: ArrayLike,
    *,
    anchor: ArrayLike,
    distance_edges_mm: ArrayLike,
    period_deg: float = 360.0,
    n_permutations: int = 1000,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean difference of preference against cortical distance, with intervals and chance.

    Pairs of one channel are left out. Intervals come from a bootstrap over channels; because it
    draws both members of a pair, they are too wide, by a factor of √3 at most, where channels are
    independent (the pigeonhole bootstrap; Owen 2007). Chance comes from permutations of the
    channel labels, the same at all anchors: unit (c, anchor) takes the tuning of (π(c), anchor), so
    that whatever the positions and weight sharing alone bring about is in the null too.

    Parameters
    ----------
    x_mm, y_mm : array, (unit,)
        Positions of the units of one layer, border units left out.
    preference_deg : array, (unit,)
        NaN where a unit has none; permutations may hand its place a preference.
    channel, anchor : array of int, (unit,)
        Feature channel, and any label of the place (row, column) in the feature map.
    distance_edges_mm : array, (bin + 1,)
        Increasing bounds of the distance bins; a bin holds low < distance ≤ high.
    period_deg : float
        360 for directions (differences 0–180°), 180 for axes (0–90°).
    n_permutations, n_resamples : int
        Permutations of the null; resamples of the bootstrap.
    seed : int

    Returns
    -------
    pd.DataFrame
        One row per bin: ``distance_low_mm distance_high_mm``, ``mean_deg`` with the 95 % interval
        ``low_deg high_deg``, ``null_mean_deg null_sd_deg null_low_deg null_high_deg`` (95 % of the
        permutations), ``p`` (one-sided: smaller differences than chance, the observed order
        counted in), ``smoothness_index`` = 1 − mean / null mean, ``n_pairs`` of different channels
        and ``same_channel_share``, the share of all pairs that was left out. Bins with more than
        `MOST_PAIRS_PER_BIN` pairs are measured on a random sample of that many.

    Raises
    ------
    InputError
        The edges do not increase, there are fewer than three channels, or two units share a channel
        and an anchor.
    """
    edges = np.asarray(distance_edges_mm, float)
    if edges.ndim != 1 or len(edges) < 2 or edges[0] < 0 or not (np.diff(edges) > 0).all():
        raise InputError(f"distance_edges_mm {edges} must increase from 0 or more")
    grid = ChannelGrid.of(*(np.asarray(a) for a in (preference_deg, channel, anchor)))
    if grid.n_channels < 3:
        raise InputError(f"{grid.n_channels} channels; the null that permutes them needs 3")
    rng = np.random.default_rng(seed)
    pairs = _find_pairs(np.asarray(x_mm, float), np.asarray(y_mm, float), grid.channel, edges, rng)
    observed = np.arange(grid.n_channels)
    orders = np.stack([observed, *(rng.permutation(observed) for _ in range(n_permutations))])
    means = _mean_differences(grid, pairs, orders, period_deg)
    null, mean = means[1:], means[0]
    # Orders that restate the observed one differ from it by rounding alone.
    p = (means <= mean + 1e-6 * period_deg).mean(axis=0)
    low, high = _bootstrap_interval(grid, pairs, period_deg, n_resamples, rng)
    null_low, null_high = np.percentile(null, INTERVAL, axis=0)
    return pd.DataFrame({
        "distance_low_mm": edges[:-1],
        "distance_high_mm": edges[1:],
        "mean_deg": mean,
        "low_deg": low,
        "high_deg": high,
        "null_mean_deg": null.mean(axis=0),
        "null_sd_deg": null.std(axis=0),
        "null_low_deg": null_low,
        "null_high_deg": null_high,
        "p": np.where(np.isfinite(mean), p, np.nan),
        "smoothness_index": 1 - mean / null.mean(axis=0),
        "n_pairs": pairs.n_different,
        "same_channel_share": pairs.n_same / np.maximum(pairs.n_same + pairs.n_different, 1),
    })  # fmt: skip


@dataclass(frozen=True)
class _Pairs:
    """Pairs of units of different channels, a bounded number in each distance bin."""

    members: Integers
    """First unit, second unit and bin, (3, pair)."""
    n_different: Integers
    n_same: Integers


def _find_pairs(
    x: Floats, y: Floats, channel: Integers, edges: Floats, rng: np.random.Generator
) -> _Pairs:
    places = np.stack([x, y])
    counts = _count_pairs(places, channel, edges**2).sum(axis=0)
    keep = np.minimum(MOST_PAIRS_PER_BIN / np.maximum(counts[0], 1), 1)
    room = int((counts[0] * keep + 6 * np.sqrt(counts[0] * keep)).sum())
    _seed_numba(rng.integers(2**31))
    return _Pairs(_pick_pairs(places, channel, edges**2, keep, room), counts[0], counts[1])


@njit(cache=True)
def _bin_of(square, edges_square):  # noqa: ANN001, ANN202 - typed by numba
    """Index of the bin with low < distance ≤ high, or −1; the first bin holds 0 too."""
    if square > edges_square[-1] or square < edges_square[0]:
        return -1
    found = 0
    while square > edges_square[found + 1]:
        found += 1
    return found


@njit(parallel=True, cache=True)
def _count_pairs(places, channel, edges_square):  # noqa: ANN001, ANN202 - typed by numba
    """Pairs of different and of the same channel: (unit, 2, bin)."""
    x, y = places
    counts = np.zeros((len(x), 2, len(edges_square) - 1), np.int64)
    for i in prange(len(x)):
        for j in range(i):
            found = _bin_of((x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2, edges_square)
            if found >= 0:
                counts[i, int(channel[i] == channel[j]), found] += 1
    return counts


@njit(cache=True)
def _seed_numba(seed):  # noqa: ANN001, ANN202 - typed by numba
    np.random.seed(seed)  # noqa: NPY002 - numba's own generator


@njit(cache=True)
def _pick_pairs(places, channel, edges_square, keep, room):  # noqa: ANN001, ANN202 - by numba
    """Pairs of different channels, each kept with the probability of its bin; (3, pair)."""
    x, y = places
    members = np.empty((3, room), np.int32)
    n = 0
    for i in range(len(x)):
        for j in range(i):
            found = _bin_of((x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2, edges_square)
            if found < 0 or channel[i] == channel[j] or n == room:
                continue
            if keep[found] == 1 or np.random.random() < keep[found]:  # noqa: NPY002
                members[0, n], members[1, n], members[2, n] = i, j, found
                n += 1
    return members[:, :n].copy()


def _mean_differences(
    grid: ChannelGrid, pairs: _Pairs, orders: Integers, period_deg: float
) -> Floats:
    """Mean difference in each bin under each order of the channels, (order, bin) in degrees."""
    cycles = (grid.table / period_deg % 1).astype(np.float32)
    return period_deg * _permuted_means(
        cycles, np.stack([grid.channel, grid.anchor]), orders, pairs.members, len(pairs.n_same)
    )


@njit(parallel=True, cache=True)
def _permuted_means(table, places, orders, pairs, n_bins):  # noqa: ANN001, ANN202 - by numba
    channel, anchor = places
    first, second, bins = pairs
    means = np.empty((len(orders), n_bins))
    for order in prange(len(orders)):
        preference = np.empty(len(channel), np.float32)
        for unit in range(len(channel)):
            preference[unit] = table[orders[order, channel[unit]], anchor[unit]]
        total, n = np.zeros(n_bins), np.zeros(n_bins)
        for pair in range(len(first)):
            difference = abs(preference[first[pair]] - preference[second[pair]])
            if not np.isnan(difference):
                total[bins[pair]] += min(difference, 1 - difference)
                n[bins[pair]] += 1
        for k in range(n_bins):
            means[order, k] = total[k] / n[k] if n[k] > 0 else np.nan
    return means


def _bootstrap_interval(
    grid: ChannelGrid, pairs: _Pairs, period_deg: float, n_resamples: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Resample channels: the 95 % interval of each bin's mean difference."""
    preference = grid.permuted(np.arange(grid.n_channels))
    first, second, bins = pairs.members
    difference = np.abs(preference[first] - preference[second]) % period_deg
    difference = np.minimum(difference, period_deg - difference)
    n_channels = grid.n_channels
    weights = rng.multinomial(n_channels, np.full(n_channels, 1 / n_channels), n_resamples)
    bounds = np.empty((2, len(pairs.n_same)))
    for k in range(len(pairs.n_same)):
        used = (bins == k) & np.isfinite(difference)
        # Sums over the pairs of each two channels: a resample only reweights them.
        cell = grid.channel[first[used]] * n_channels + grid.channel[second[used]]
        total, n = (
            np.bincount(cell, values, n_channels**2).reshape(n_channels, n_channels)
            for values in (difference[used], np.ones(used.sum()))
        )
        n_drawn = ((weights @ n) * weights).sum(axis=1)
        drawn = ((weights @ total) * weights).sum(axis=1) / np.where(n_drawn > 0, n_drawn, np.nan)
        bounds[:, k] = np.nanpercentile(drawn, INTERVAL) if used.any() else np.nan
    return bounds[0], bounds[1]
