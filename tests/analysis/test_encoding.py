import numpy as np
import pytest
from scipy.stats import pearsonr

from workflow_scripts.analysis.encoding import (
    correlation_to_average,
    feve,
    normalised_correlation,
    poisson_nll,
    single_trial_correlation,
)
from workflow_scripts.analysis.summaries import summarise_sample
from workflow_scripts.stores.errors import InputError


@pytest.fixture(scope="module")
def noisy():
    """Signal of variance 4 over 400 stimuli, noise of variance 1 in 12 repeats: FEV .8."""
    rng = np.random.default_rng(0)
    signal = 2 * rng.normal(size=(20, 400))
    stimulus = np.repeat(np.arange(400), 12)
    response = signal[:, stimulus] + rng.normal(size=(20, 4800))
    return signal, response, stimulus


def test_correlation_is_that_of_scipy():
    rng = np.random.default_rng(1)
    response, prediction = rng.normal(size=(2, 7, 50))
    expected = [pearsonr(r, p)[0] for r, p in zip(response, prediction, strict=True)]
    assert single_trial_correlation(response, prediction) == pytest.approx(expected)


def test_correlation_without_variance_is_undefined():
    response = np.array([[1.0, 2.0, 3.0], [0.1, 0.1, 0.1]])
    prediction = np.array([[0.7, 0.7, 0.7], [1.0, 2.0, 3.0]])
    assert np.isnan(single_trial_correlation(response, prediction)).all()


def test_perfect_model_reaches_the_closed_forms(noisy):
    signal, response, stimulus = noisy
    prediction = signal[:, stimulus]
    single = single_trial_correlation(response, prediction)
    assert single.mean() == pytest.approx(np.sqrt(4 / 5), abs=0.01)
    average = correlation_to_average(response, prediction, stimulus)
    assert average.mean() == pytest.approx(np.sqrt(4 / (4 + 1 / 12)), abs=0.005)
    assert feve(response, prediction, stimulus).mean() == pytest.approx(1, abs=0.01)
    # the oracle's mean of 11 trials has noise of its own
    oracle = 4 / np.sqrt(5 * (4 + 1 / 11))
    normalised = normalised_correlation(response, prediction, stimulus)
    assert normalised.mean() == pytest.approx(np.sqrt(4 / 5) / oracle, abs=0.01)


@pytest.mark.parametrize(("scale", "expected"), [(1.0, 1.0), (0.5, 0.75), (0.0, 0.0), (-1, -3.0)])
def test_feve_is_one_less_the_squared_error_in_units_of_the_signal(noisy, scale, expected):
    signal, response, stimulus = noisy
    values = feve(response, scale * signal[:, stimulus], stimulus)
    assert values.mean() == pytest.approx(expected, abs=0.03)


def test_feve_averages_behaviour_out(noisy):
    signal, response, stimulus = noisy
    knows_the_noise = response.copy()
    assert feve(response, knows_the_noise, stimulus).max() < 1.05
    assert feve(response, knows_the_noise, stimulus) == pytest.approx(
        feve(response, np.repeat(response.reshape(20, 400, 12).mean(axis=2), 12, axis=1), stimulus)
    )
    del signal


def test_feve_leaves_units_without_signal_out(noisy):
    _, _, stimulus = noisy
    noise = np.random.default_rng(2).normal(size=(5, 4800))
    assert np.isnan(feve(noise, np.zeros_like(noise), stimulus)).all()


def test_measures_do_not_depend_on_the_order_of_trials(noisy):
    signal, response, stimulus = noisy
    prediction = signal[:, stimulus] ** 2
    order = np.random.default_rng(3).permutation(len(stimulus))
    for measure in (correlation_to_average, feve, normalised_correlation):
        shuffled = measure(response[:, order], prediction[:, order], stimulus[order])
        assert shuffled == pytest.approx(measure(response, prediction, stimulus))


def test_unequal_numbers_of_repeats(noisy):
    signal, response, stimulus = noisy
    kept = np.random.default_rng(4).random(len(stimulus)) < 0.5
    values = feve(response[:, kept], signal[:, stimulus][:, kept], stimulus[kept])
    assert values.mean() == pytest.approx(1, abs=0.02)


def test_likelihood_is_best_at_the_true_rate():
    response = np.random.default_rng(5).poisson(3.0, size=(1, 200_000)).astype(float)
    rates = np.array([2.5, 3.0, 3.5])
    losses = [poisson_nll(response, np.full_like(response, rate))[0] for rate in rates]
    assert losses == pytest.approx(rates - 3.0 * np.log(rates), abs=0.01)
    assert np.argmin(losses) == 1
    assert np.isfinite(poisson_nll(response, np.zeros_like(response))).all()


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(6)
    covered = 0
    for seed in range(200):
        summary = summarise_sample(rng.normal(0.3, 1, 80), n_bootstraps=300, seed=seed)
        covered += summary.low <= 0.3 <= summary.high
    assert 0.88 <= covered / 200 <= 0.99


def test_undefined_units_are_counted():
    summary = summarise_sample([1.0, np.nan, 3.0], np.median)
    assert (summary.value, summary.n, summary.n_undefined) == (2.0, 2, 1)
    assert summarise_sample([np.nan]) == (None, None, None, 0, 1)


def test_shapes_must_agree():
    with pytest.raises(InputError, match=r"\(3, 4\).*\(4, 3\)"):
        single_trial_correlation(np.zeros((3, 4)), np.zeros((4, 3)))
