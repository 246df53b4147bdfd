import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from workflow_scripts.analysis import smoothness
from workflow_scripts.analysis.smoothness import ChannelGrid, smoothness_curve
from workflow_scripts.stores.errors import InputError

EDGES_MM = [0, 0.2, 0.5, 1.0, 2.0]


def layer(n_channels, n_anchors, seed, sheet_mm=4.0):
    """Units at random on a sheet: x, y, channel, anchor and the seed's generator."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, sheet_mm, (2, n_channels * n_anchors))
    channel = np.repeat(np.arange(n_channels), n_anchors)
    return x, y, channel, np.tile(np.arange(n_anchors), n_channels), rng


def brute_force(x, y, preference, channel, bounds, period=360.0):
    """Mean difference, number of pairs and share of same-channel pairs of one bin."""
    differences, n_same = [], 0
    for i, j in itertools.combinations(range(len(x)), 2):
        if bounds[0] < np.hypot(x[i] - x[j], y[i] - y[j]) <= bounds[1]:
            if channel[i] == channel[j]:
                n_same += 1
            else:
                turn = abs(preference[i] - preference[j]) % period
                differences.append(min(turn, period - turn))
    n = len(differences)
    return np.nanmean(differences), n, n_same / (n + n_same)


def test_the_curve_agrees_with_a_loop_over_pairs():
    x, y, channel, anchor, rng = layer(8, 12, seed=0)
    preference = rng.uniform(0, 360, len(x))
    preference[rng.random(len(x)) < 0.1] = np.nan
    curve = smoothness_curve(
        x, y, preference, channel, anchor=anchor, distance_edges_mm=EDGES_MM, n_permutations=10
    )
    for row, (low, high) in zip(curve.itertuples(), itertools.pairwise(EDGES_MM), strict=True):
        mean, n, share = brute_force(x, y, preference, channel, (low, high))
        assert (row.distance_low_mm, row.distance_high_mm, row.n_pairs) == (low, high, n)
        assert row.mean_deg == pytest.approx(mean, abs=1e-3)
        assert row.same_channel_share == pytest.approx(share)


def test_the_null_is_the_permutation_of_channels_at_all_anchors():
    x, y, channel, anchor, rng = layer(4, 15, seed=1)
    preference = rng.uniform(0, 180, len(x))
    table = preference.reshape(4, 15)
    orders = list(itertools.permutations(range(4)))
    enumerated = [
        brute_force(x, y, table[list(order)].ravel(), channel, (0, 1.0), 180.0)[0]
        for order in orders
    ]  # fmt: skip
    curve = smoothness_curve(
        x, y, preference, channel, anchor=anchor, distance_edges_mm=[0, 1.0], period_deg=180,
        n_permutations=4000,
    ).iloc[0]  # fmt: skip
    assert curve.null_mean_deg == pytest.approx(np.mean(enumerated), abs=0.1)
    assert curve.null_sd_deg == pytest.approx(np.std(enumerated), rel=0.05)
    share = np.mean(np.array(enumerated) <= enumerated[0] + 1e-9)
    assert curve.p == pytest.approx(share, abs=0.03)


def test_a_smooth_map_is_found_smooth():
    x, y, channel, anchor, rng = layer(40, 49, seed=2)
    fields = [gaussian_filter(rng.normal(size=(200, 200)), 12) for _ in range(2)]
    pixel = tuple((np.stack([y, x]) / 4.0 * 200).astype(int))
    preference = np.rad2deg(np.arctan2(fields[0][pixel], fields[1][pixel])) % 360
    curve = smoothness_curve(
        x, y, preference, channel, anchor=anchor, distance_edges_mm=EDGES_MM, n_permutations=999
    )
    assert curve.p[0] == pytest.approx(0.001)
    assert curve.smoothness_index[0] > 0.5
    assert (np.diff(curve.mean_deg) > 0).all()
    assert curve.null_mean_deg[0] == pytest.approx(90, abs=5)


def test_weight_sharing_alone_is_not_smoothness():
    # Each channel keeps one preference, and its units lie side by side.
    p = []
    for seed in range(20):
        _, _, channel, anchor, rng = layer(30, 9, seed=seed)
        centres = rng.uniform(0.3, 3.7, (2, 30))
        x, y = (c[channel] + 0.1 * rng.normal(size=len(channel)) for c in centres)
        preference = rng.uniform(0, 360, 30)[channel]
        curve = smoothness_curve(
            x, y, preference, channel, anchor=anchor, distance_edges_mm=[0, 0.2],
            n_permutations=199, n_resamples=100,
        ).iloc[0]  # fmt: skip
        assert curve.same_channel_share > 0.4
        with_same_channel = brute_force(x, y, preference, np.arange(len(x)), (0, 0.2))[0]
        assert with_same_channel < 65  # against a chance of 90
        p.append(curve.p)
    assert 0.3 < np.mean(p) < 0.7


def test_what_all_channels_share_at_a_place_is_chance():
    # A bias of the place itself (such as a padding artefact) is untouched by permuting channels.
    x, y, channel, anchor, rng = layer(30, 16, seed=5)
    place = rng.uniform(0, 4, (16, 2))
    x, y = (place[anchor] + 0.05 * rng.normal(size=(len(anchor), 2))).T
    preference = 90.0 * place[anchor, 0]
    curve = smoothness_curve(
        x, y, preference, channel, anchor=anchor, distance_edges_mm=[0, 0.2]
    ).iloc[0]
    assert curve.mean_deg < 10
    assert curve.p == 1
    assert curve.smoothness_index == pytest.approx(0, abs=1e-6)


def test_p_values_and_intervals_hold_their_level_for_random_channels():
    curves = []
    for seed in range(150):
        x, y, channel, anchor, rng = layer(24, 9, seed=100 + seed)
        preference = rng.uniform(0, 180, 24)[channel]
        curve = smoothness_curve(
            x, y, preference, channel, anchor=anchor, distance_edges_mm=[0, 0.4], period_deg=180,
            n_permutations=99, n_resamples=300, seed=seed,
        )  # fmt: skip
        curves.append(curve)
    curves = pd.concat(curves)
    assert (curves.p <= 0.05).mean() <= 0.1
    assert curves.p.mean() == pytest.approx(0.5, abs=0.08)
    assert ((curves.low_deg <= 45) & (curves.high_deg >= 45)).mean() >= 0.93
    # the price of resampling both members of a pair: up to √3 too wide (Owen 2007)
    half_width = (curves.high_deg - curves.low_deg).mean() / 2
    assert 1 < half_width / (1.96 * curves.mean_deg.std()) < 2.2


def test_a_sample_of_the_pairs_gives_the_same_curve(monkeypatch):
    x, y, channel, anchor, rng = layer(20, 40, seed=6)
    preference = 40 * (x + y) + rng.normal(0, 30, len(x))
    options = {"anchor": anchor, "distance_edges_mm": EDGES_MM, "n_permutations": 50}
    everything = smoothness_curve(x, y, preference, channel, **options)
    monkeypatch.setattr(smoothness, "MOST_PAIRS_PER_BIN", 5000)
    sample = smoothness_curve(x, y, preference, channel, **options)
    assert everything.n_pairs.max() > 50_000
    assert sample.n_pairs.tolist() == everything.n_pairs.tolist()
    assert sample.mean_deg.to_numpy() == pytest.approx(everything.mean_deg.to_numpy(), abs=1.5)


def test_a_permutation_moves_the_tuning_and_not_the_place():
    grid = ChannelGrid.of(np.array([1.0, 2, 3, 4]), np.array([5, 5, 7, 7]), np.array([0, 1, 0, 1]))
    assert grid.permuted(np.array([0, 1])).tolist() == [1, 2, 3, 4]
    assert grid.permuted(np.array([1, 0])).tolist() == [3, 4, 1, 2]


def test_bins_without_pairs_are_nan():
    x, y, channel, anchor, _ = layer(4, 4, seed=7)
    curve = smoothness_curve(
        x, y, np.zeros(16), channel, anchor=anchor, distance_edges_mm=[100, 101], n_permutations=5
    ).iloc[0]
    assert curve.n_pairs == 0
    assert np.isnan([curve.mean_deg, curve.low_deg, curve.null_mean_deg, curve.p]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distance_edges_mm": [0, 0.2, 0.1]}, "must increase"),
        ({"channel": np.zeros(16, int), "anchor": np.arange(16)}, "1 channels"),
        ({"anchor": np.zeros(16, int)}, "share a channel and an anchor"),
    ],
)
def test_bad_layers_are_refused(change, message):
    x, y, channel, anchor, _ = layer(4, 4, seed=8)
    arguments = {"channel": channel, "anchor": anchor, "distance_edges_mm": EDGES_MM}
    with pytest.raises(InputError, match=message):
        smoothness_curve(x, y, np.zeros(16), **arguments | change)
