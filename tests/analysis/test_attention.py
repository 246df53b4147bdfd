import numpy as np
import pytest
import torch

from workflow_scripts.analysis.attention import (
    attention_maps,
    attention_rollout,
    map_moments,
    map_test,
    series_test,
)


def test_rollout_of_one_block_is_half_residual_and_half_the_mean_of_the_heads():
    weights = torch.softmax(torch.randn(2, 3, 5, 5), dim=-1)
    expected = 0.5 * torch.eye(5) + 0.5 * weights.mean(dim=1)
    assert torch.allclose(attention_rollout([weights]), expected)


def test_rollout_follows_a_chain():
    # Block 1: token 0 attends to token 1; block 2: token 2 attends to token 0.
    first, second = torch.eye(3), torch.eye(3)
    first[0] = torch.tensor([0.0, 1.0, 0.0])
    second[2] = torch.tensor([1.0, 0.0, 0.0])
    rollout = attention_rollout([one[None, None] for one in (first, second)])[0]
    # Token 2 is half itself, and half what token 0 then was: half 0, half 1.
    assert rollout[2].tolist() == [0.25, 0.25, 0.5]
    assert torch.allclose(rollout.sum(dim=1), torch.ones(3))


def test_maps_are_shares_without_the_class_token():
    rollout = torch.softmax(torch.randn(4, 7, 7), dim=-1)
    maps = attention_maps(rollout, (2, 3))
    assert torch.allclose(maps.sum(dim=(1, 2)), torch.ones(4))
    only = torch.zeros(1, 7, 7)
    only[:, :, 0] = 0.9  # all attend to the class token, and a little to the last place
    only[:, :, 6] = 0.1
    assert attention_maps(only, (2, 3))[0, 1, 2] == 1


def test_moments_find_a_spot():
    maps = np.zeros((2, 4, 6))
    maps[0, 1, 4] = 1
    maps[1] = 1 / 24
    moments = map_moments(maps)
    assert (moments.row[0], moments.column[0]) == (1, 4)
    assert (moments.row[1], moments.column[1]) == pytest.approx((1.5, 2.5))
    assert moments.contrast[1] == pytest.approx(0)
    assert moments.contrast[0] == pytest.approx(np.sqrt(23))


def slow_series(rng, n=400, time_constant=25.0):
    decay = np.exp(-1 / time_constant)
    series = np.zeros(n)
    for k in range(1, n):
        series[k] = decay * series[k - 1] + rng.normal()
    return series


def test_null_of_slow_series_is_calibrated_where_shuffling_is_not():
    rng = np.random.default_rng(0)
    turned, shuffled = [], []
    for seed in range(120):
        a, b = slow_series(rng), slow_series(rng)
        result = series_test(a, b, 200, seed)
        turned.append(result.p)
        null = [np.corrcoef(a, rng.permutation(b))[0, 1] for _ in range(100)]
        shuffled.append((np.abs(null) >= abs(result.r)).mean())
    assert np.mean(np.array(turned) < 0.05) < 0.12
    assert np.mean(np.array(shuffled) < 0.05) > 0.3


def test_related_series_and_maps_are_found():
    rng = np.random.default_rng(1)
    a = slow_series(rng)
    assert series_test(a, a + 2 * rng.normal(size=400), 200, 0).p < 0.02
    y, x = np.mgrid[:9, :12]
    spot = np.exp(-((y - 3) ** 2 + (x - 8) ** 2) / 6)
    result = map_test(spot, spot + 0.01 * rng.normal(size=spot.shape))
    assert result.r > 0.95
    assert result.p == pytest.approx(1 / spot.size)
    assert map_test(spot, np.roll(spot, (4, 5), (0, 1))).r < 0.1


@pytest.mark.parametrize("n", [7, 20, 61])
def test_correlations_beyond_the_bound_of_the_null_are_those_with_small_p(n):
    rng = np.random.default_rng(n)
    for strength in np.linspace(0, 1, 40):
        a, noise = rng.normal(size=(2, n))
        tests = [series_test(a, strength * a + noise, 40, seed) for seed in range(3)]
        spot = rng.normal(size=(n, 3))
        tests.append(map_test(spot, strength * spot + rng.normal(size=spot.shape) / 3))
        for one in tests:
            assert (abs(one.r) > one.null_bound) == (one.p < 0.05)
