import time

import numpy as np
import pytest
from scipy.optimize import curve_fit

from workflow_scripts.analysis.parametric import (
    SPEED_OFFSET_DEG_S,
    contrast_index,
    fit_contrast_response,
    fit_log_gaussian,
    surround_suppression,
)
from workflow_scripts.stores.errors import InputError

SPEEDS = np.array([0.5, 1, 2, 4, 8, 16, 32])
CONTRASTS = np.array([0.05, 0.1, 0.2, 0.4, 0.8, 1.0])


def log_gaussian(v, preferred, sigma, gain):
    away = np.log((v + SPEED_OFFSET_DEG_S) / (preferred + SPEED_OFFSET_DEG_S))
    return gain * np.exp(-(away**2) / (2 * sigma**2))


def naka_rushton(c, c50, exponent, r_max):
    return r_max * c**exponent / (c**exponent + c50**exponent)


def test_planted_speed_tuning_is_recovered():
    rng = np.random.default_rng(0)
    preferred, sigma = np.exp(rng.uniform(0, 3, 300)), rng.uniform(0.5, 2, 300)
    gain = rng.uniform(0.1, 9, 300)
    curves = log_gaussian(SPEEDS, preferred[:, None], sigma[:, None], gain[:, None])
    fit = fit_log_gaussian(curves, SPEEDS, SPEED_OFFSET_DEG_S)
    assert np.abs(np.log(fit.preferred / preferred)).max() < 0.01
    assert np.abs(fit.sigma_log / sigma - 1).max() < 0.01
    assert np.abs(fit.gain / gain - 1).max() < 0.01
    assert fit.r2.min() > 0.9999
    assert not fit.at_edge.any()


def test_noisy_fits_are_as_good_as_those_of_scipy():
    rng = np.random.default_rng(1)
    for truth, model, measure in (
        ((4.0, 1.2, 2.0), log_gaussian, lambda r: fit_log_gaussian(r, SPEEDS, SPEED_OFFSET_DEG_S)),
        ((0.3, 2.0, 2.0), naka_rushton, lambda r: fit_contrast_response(r, CONTRASTS)),
    ):
        shown = SPEEDS if model is log_gaussian else CONTRASTS
        curves = model(shown, *truth) + 0.1 * rng.normal(size=(30, len(shown)))
        fit = measure(curves)
        for i, curve in enumerate(curves):
            bounds = ([0.01, 0.5, 0], [32, 6, 20])
            best, _ = curve_fit(model, shown, curve, truth, bounds=bounds, maxfev=4000)
            theirs = ((curve - model(shown, *best)) ** 2).sum()
            ours = (1 - fit.r2[i]) * ((curve - curve.mean()) ** 2).sum()
            assert ours <= theirs * 1.01 + 1e-6


def test_planted_contrast_responses_are_recovered():
    rng = np.random.default_rng(2)
    c50, exponent = np.exp(rng.uniform(np.log(0.05), np.log(0.6), 300)), rng.uniform(1, 4, 300)
    curves = naka_rushton(CONTRASTS, c50[:, None], exponent[:, None], 3.0)
    fit = fit_contrast_response(curves, CONTRASTS)
    assert np.abs(np.log(fit.c50 / c50)).max() < 0.05
    assert np.abs(fit.exponent / exponent - 1).max() < 0.05
    assert fit.r_max.to_numpy() == pytest.approx(3.0, rel=0.05)


def test_a_preference_beyond_what_was_shown_is_at_the_edge():
    rising = np.array([[1.0, 2, 3, 4, 5, 6, 7]])
    assert fit_log_gaussian(rising, SPEEDS).at_edge[0]
    assert (
        fit_contrast_response(np.array([[0.01, 0.02, 0.1, 0.3, 0.8, 1.0]]), CONTRASTS).c50[0] > 0.9
    )


def test_silent_units_are_nan():
    silent = -np.ones((2, 7))
    assert fit_log_gaussian(silent, SPEEDS).drop(columns="at_edge").isna().all(axis=None)
    assert fit_contrast_response(silent[:, :6], CONTRASTS).isna().all(axis=None)
    assert surround_suppression(silent, SPEEDS).isna().all(axis=None)


def test_surrounds_by_hand():
    table = surround_suppression([[1, 4, 2], [1, 2, 3], [2, 1, -1]], [1, 2, 4])
    assert table.surround_index.tolist() == [0.5, 0, 1.5]
    assert table.preferred_diameter_deg.tolist() == [2, 4, 1]


def test_contrast_index_by_hand():
    assert contrast_index([3, -1, 0], [1, 2, -1])[:2].tolist() == [0.5, -1]
    assert np.isnan(contrast_index([0], [-1])[0])


@pytest.mark.parametrize("values", [[1, 2], [1, 3, 2], [-1, 1, 2]])
def test_values_that_make_no_curve_are_refused(values):
    with pytest.raises(InputError):
        fit_log_gaussian(np.ones((1, len(values))), values)


def test_a_hundred_thousand_units_take_ten_core_seconds_at_most():
    curves = np.random.default_rng(3).gamma(2, size=(100_000, 7)).astype(np.float32)
    start = time.process_time()
    fit_log_gaussian(curves, SPEEDS, SPEED_OFFSET_DEG_S)
    fit_contrast_response(curves[:, :6], CONTRASTS)
    assert time.process_time() - start < 10
