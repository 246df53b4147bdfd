import numpy as np
import pandas as pd
import pytest

from workflow_scripts.analysis.channels import channel_medians, estimate


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation():
    channels = np.random.default_rng(1).normal(3, 2, size=(400, 2))
    found = estimate(channels, np.mean)
    half_width = 1.96 * channels.std(axis=0) / np.sqrt(400)
    np.testing.assert_allclose(found.value, channels.mean(axis=0))
    np.testing.assert_allclose(found.high - found.value, half_width, rtol=0.1)
    np.testing.assert_allclose(found.value - found.low, half_width, rtol=0.1)


def test_intervals_of_the_median_hold_the_truth_in_95_of_100_cases():
    rng = np.random.default_rng(0)
    found = [estimate(rng.exponential(size=60), np.median, seed=seed) for seed in range(200)]
    holds = np.mean([one.low <= np.log(2) <= one.high for one in found])
    assert 0.9 < holds < 0.99


@pytest.mark.parametrize(
    ("values", "middle"), [([np.nan, 2.0], 2.0), ([np.nan, np.nan], np.nan), ([], np.nan)]
)
def test_too_few_channels_have_no_interval(values, middle):
    found = estimate(np.array(values), np.median)
    np.testing.assert_equal(tuple(map(float, found)), (middle, np.nan, np.nan))


def test_channels_with_nan_are_left_out():
    values = np.array([1.0, np.nan, 3.0, 5.0])
    np.testing.assert_equal(
        tuple(estimate(values, np.median)), tuple(estimate(values[[0, 2, 3]], np.median))
    )


def test_a_channel_counts_once_whatever_its_number_of_units():
    units = pd.DataFrame({"channel": [0] * 99 + [1], "dsi": [0.2] * 99 + [0.8]})
    assert channel_medians(units, ["dsi"]).dsi.tolist() == [0.2, 0.8]
