import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm

from workflow_scripts.analysis.neurometric import fit_weibull, share_correct
from workflow_scripts.stores.errors import InputError

COHERENCES = np.array([0.03, 0.06, 0.12, 0.25, 0.5, 1.0])
THRESHOLD_SHARE = 1 - 0.5 / np.e  # which the Weibull function reaches at c = α


def weibull(c, alpha, beta):
    return 1 - 0.5 * np.exp(-((c / alpha) ** beta))


def test_area_agrees_with_mann_whitney_and_ties_count_half():
    rng = np.random.default_rng(0)
    a, b = rng.integers(5, size=(2, 3, 4, 30))
    area = share_correct(a, b)
    for unit in range(3):
        for coherence in range(4):
            u = mannwhitneyu(a[unit, coherence], b[unit, coherence]).statistic
            assert area[unit, coherence] == pytest.approx(u / 900)


def test_normal_responses_have_the_area_of_theory():
    rng = np.random.default_rng(1)
    preferred, null = rng.normal(1, 1, (1, 1, 4000)), rng.normal(0, 1, (1, 1, 4000))
    assert share_correct(preferred, null)[0, 0] == pytest.approx(norm.cdf(2**-0.5), abs=0.015)


def test_thresholds_are_recovered_without_bias():
    rng = np.random.default_rng(2)
    n_trials = 100
    alpha, beta = np.exp(rng.uniform(np.log(0.06), np.log(0.5), 800)), 1.3
    truth = weibull(COHERENCES, alpha[:, None], beta)
    correct = rng.binomial(n_trials, truth) / n_trials
    fit = fit_weibull(correct, COHERENCES, n_trials)
    error = np.log(fit.threshold / alpha)
    assert abs(error.mean()) < 3 * error.std() / np.sqrt(800) + 0.005
    assert error.std() < 0.25
    exact = fit_weibull(truth, COHERENCES, 10**6)
    assert np.abs(np.log(exact.threshold / alpha)).max() < 0.01
    assert exact.slope.to_numpy() == pytest.approx(beta, rel=0.02)


def test_the_threshold_is_82_per_cent():
    assert weibull(0.3, 0.3, 2.0) == pytest.approx(THRESHOLD_SHARE)
    assert pytest.approx(0.816, abs=0.001) == THRESHOLD_SHARE


def test_units_at_chance_never_reach_a_threshold():
    correct = np.stack([np.full(6, 0.5), np.full(6, np.nan)])
    fit = fit_weibull(correct, COHERENCES, 100)
    assert fit.threshold[0] == np.inf
    assert np.isnan(fit.threshold[1])
    assert fit.slope.isna().all()
    assert not fit.at_edge.any()


def test_thresholds_at_the_end_of_the_fit_are_flagged():
    alpha = np.array([1e-4, 0.06, 0.1])  # the fit ends at .0075
    fit = fit_weibull(weibull(COHERENCES, alpha[:, None], 2.0), COHERENCES, 1000)
    assert fit.at_edge.tolist() == [True, False, False]


def test_coherence_zero_is_refused():
    with pytest.raises(InputError, match="above 0"):
        fit_weibull(np.ones((1, 2)), [0, 1], 10)
