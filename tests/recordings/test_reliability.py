import numpy as np
import pytest

from workflow_scripts.recordings.reliability import (
    add_reliability,
    fraction_explainable_variance,
    noise_ceiling,
    oracle_correlation,
    repeat_array,
    spearman_brown,
    split_half_correlation,
)
from workflow_scripts.recordings.sessions import trial_session

N_STIMULI, N_REPEATS = 4000, 8


def signal_and_noise(signal_sd, noise_sd, seed=0):
    """Repeats of one unit whose signal and noise variances are known."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(0, signal_sd, (1, N_STIMULI, 1))
    return signal + rng.normal(0, noise_sd, (1, N_STIMULI, N_REPEATS))


@pytest.mark.parametrize("noise_sd", [0.5, 1.0, 3.0])
def test_measures_equal_the_variance_ratios_they_estimate(noise_sd):
    repeats, s2, n2 = signal_and_noise(1.0, noise_sd), 1.0, noise_sd**2
    half, full, others = (s2 / (s2 + n2 / n) for n in (N_REPEATS / 2, N_REPEATS, N_REPEATS - 1))
    single = s2 / (s2 + n2)
    assert split_half_correlation(repeats)[0] == pytest.approx(half, abs=0.02)
    assert spearman_brown(split_half_correlation(repeats))[0] == pytest.approx(full, abs=0.02)
    assert fraction_explainable_variance(repeats)[0] == pytest.approx(single, abs=0.02)
    assert oracle_correlation(repeats)[0] == pytest.approx(np.sqrt(single * others), abs=0.02)
    ceilings = noise_ceiling(repeats)
    np.testing.assert_allclose(np.ravel(ceilings), np.sqrt([single, full]), atol=0.02)


def test_the_ceiling_is_what_the_true_signal_reaches():
    rng = np.random.default_rng(1)
    rate = rng.gamma(2, 2, (1, N_STIMULI, 1))
    repeats = rng.poisson(rate, (1, N_STIMULI, N_REPEATS)).astype(float)
    single, average = noise_ceiling(repeats)
    truth = np.broadcast_to(rate, repeats.shape)
    assert single[0] == pytest.approx(np.corrcoef(truth.ravel(), repeats.ravel())[0, 1], abs=0.01)
    reached = np.corrcoef(rate[0, :, 0], repeats[0].mean(-1))[0, 1]
    assert average[0] == pytest.approx(reached, abs=0.01)


def test_noise_alone_has_no_reliability():
    repeats = signal_and_noise(0.0, 1.0)
    for value in (split_half_correlation(repeats), oracle_correlation(repeats),
                  fraction_explainable_variance(repeats)):  # fmt: skip
        assert abs(value[0]) < 0.03


def test_without_noise_all_is_reliable():
    repeats = np.repeat(np.arange(10.0)[None, :, None], 4, axis=2)
    for value in (split_half_correlation(repeats), oracle_correlation(repeats),
                  fraction_explainable_variance(repeats), *noise_ceiling(repeats)):  # fmt: skip
        assert value[0] == pytest.approx(1)


def test_scale_and_offset_do_not_matter():
    repeats = signal_and_noise(1.0, 1.0)
    for measure in (split_half_correlation, oracle_correlation, fraction_explainable_variance):
        np.testing.assert_allclose(measure(7 - 3 * repeats), measure(repeats), atol=1e-9)


def test_missing_repeats_cost_only_themselves():
    repeats = signal_and_noise(1.0, 1.0)
    thinned = repeats.copy()
    thinned[:, ::2, 4:] = np.nan
    for measure in (split_half_correlation, oracle_correlation, fraction_explainable_variance):
        assert measure(thinned)[0] == pytest.approx(measure(repeats)[0], abs=0.08)
    assert np.isfinite(np.ravel(noise_ceiling(thinned))).all()


def test_a_silent_unit_has_no_reliability():
    repeats = np.zeros((1, 10, 4))
    for value in (split_half_correlation(repeats), oracle_correlation(repeats),
                  fraction_explainable_variance(repeats), *noise_ceiling(repeats)):  # fmt: skip
        assert np.isnan(value[0])


def test_repeats_are_arranged_by_stimulus():
    response = np.array([[1, 2, 3, 4, 5, 6.0]])
    repeats = repeat_array(response, [5, 3, 5, 9, 5, 3])
    np.testing.assert_array_equal(repeats, [[[2, 6, np.nan], [1, 3, 5]]])


def session_of(response, stimulus):
    names = [str(number) for number in range(max(stimulus) + 1)]
    return trial_session(
        response, stimulus, response_units="1", stimulus_names=names, attributes={"session_id": "s"}
    )


def test_a_session_gets_its_units_reliability():
    repeats = np.concatenate([signal_and_noise(1.0, 1.0), signal_and_noise(0.0, 1.0, seed=2)])
    stimulus = np.repeat(np.arange(N_STIMULI), N_REPEATS)
    session = add_reliability(session_of(repeats.reshape(2, -1), stimulus))
    np.testing.assert_allclose(session["fev"], fraction_explainable_variance(repeats), atol=1e-6)
    np.testing.assert_allclose(session["oracle_r"], oracle_correlation(repeats), atol=1e-6)
    assert session["ceiling_average_r"][0] > 0.9


def test_a_session_without_repeats_has_none():
    session = add_reliability(session_of(np.random.default_rng(0).random((2, 5)), [0, 1, 2, 3, 4]))
    assert np.isnan(session["split_half_r"]).all()
