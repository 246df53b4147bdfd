import math
import time

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares
from scipy.special import iv

from workflow_scripts.analysis.direction_curves import curve_correlation
from workflow_scripts.analysis.tuning import (
    INDICES,
    coherence_curves,
    display_error,
    false_discovery_rate,
    fit_two_lobe_von_mises,
    permutation_test,
    response_curves,
    split_half_tuning,
    tuning_indices,
)
from workflow_scripts.stores.errors import InputError

SIXTEEN = np.arange(16) * 22.5
FINE = np.arange(720) / 2
KAPPA_90 = math.log(2) / (1 - math.cos(math.pi / 4))  # a von Mises lobe of FWHM 90°
SIGMA_90 = math.radians(90) / math.sqrt(8 * math.log(2))


def von_mises(directions_deg, peak_deg=0.0, kappa=KAPPA_90):
    return np.exp(kappa * (np.cos(np.deg2rad(directions_deg - peak_deg)) - 1))


def gaussian(directions_deg):
    distance = (directions_deg + 180) % 360 - 180
    return np.exp(-0.5 * (np.deg2rad(distance) / SIGMA_90) ** 2)


def with_null_lobe(lobe, weight=0.2):
    return lobe + weight * np.roll(lobe, len(lobe) // 2)


def first_row(responses, directions_deg, **options):
    return tuning_indices(np.asarray(responses)[None], directions_deg, **options).iloc[0]


def lobe_ratio(kappa, order):
    return iv(order, kappa) / iv(0, kappa)


CLOSED_FORM = [
    # curve, L1, L2, dsi
    (1 + np.cos(np.deg2rad(FINE)), 0.5, 0.0, 1.0),
    (np.maximum(np.cos(np.deg2rad(FINE)), 0), math.pi / 4, 1 / 3, 1.0),
    (gaussian(FINE), math.exp(-(SIGMA_90**2) / 2), math.exp(-2 * SIGMA_90**2), 1.0),
    (with_null_lobe(gaussian(FINE)), 0.534, 0.411, 2 / 3),
    (von_mises(FINE), lobe_ratio(KAPPA_90, 1), lobe_ratio(KAPPA_90, 2), 0.982),
    (with_null_lobe(von_mises(FINE)), lobe_ratio(KAPPA_90, 1) * 0.8 / 1.2, 0.366, 0.655),
]


@pytest.mark.parametrize(("curve", "l1", "l2", "dsi"), CLOSED_FORM)
def test_indices_have_their_closed_form_values(curve, l1, l2, dsi):
    row = first_row(curve, FINE)
    assert row.vector_strength == pytest.approx(l1, abs=1e-3)
    assert row.orientation_strength == pytest.approx(l2, abs=1e-3)
    assert row.dsi == pytest.approx(dsi, abs=1e-3)
    assert row.direction_cv == pytest.approx(1 - l1, abs=1e-3)
    assert row.orientation_cv == pytest.approx(1 - l2, abs=1e-3)


def test_sixteen_directions_give_the_discrete_sums():
    row = first_row(np.maximum(np.cos(np.deg2rad(SIXTEEN)), 0), SIXTEEN)
    assert row.vector_strength == pytest.approx(0.796, abs=1e-3)
    assert row.orientation_strength == pytest.approx(0.351, abs=1e-3)


def test_allensdk_vector():
    # allensdk/test/brain_observatory/ecephys: its "dsi" is L1 and its "osi" L2
    responses = [5.5, 4.44, 3.54166667, 4.10869565, 4.42, 4.55319149]
    row = first_row(responses, np.arange(6) * 30.0)
    assert row.vector_strength == pytest.approx(0.6126966469601506, abs=1e-8)
    assert row.orientation_strength == pytest.approx(0.07873455094232604, abs=1e-8)
    assert np.isnan(row.dsi)  # no opposite direction was shown


@pytest.mark.parametrize("shift", [1, 5, 11])
def test_turning_the_curve_turns_the_preference_alone(shift):
    curve = with_null_lobe(von_mises(SIXTEEN, 40.0))
    still, turned = first_row(curve, SIXTEEN), first_row(np.roll(curve, shift), SIXTEEN)
    turn = turned.preferred_direction_deg - still.preferred_direction_deg
    assert turn % 360 == pytest.approx(22.5 * shift)
    turn = turned.preferred_orientation_deg - still.preferred_orientation_deg
    assert turn % 180 == pytest.approx(22.5 * shift % 180)
    strengths = ["vector_strength", "orientation_strength", "dsi", "direction_index"]
    assert np.allclose(still[strengths].astype(float), turned[strengths].astype(float))


def test_orientation_is_the_axis_of_the_motion():
    row = first_row(von_mises(FINE, 30.0) + von_mises(FINE, 210.0), FINE)
    assert row.preferred_orientation_deg == pytest.approx(30)
    assert row.vector_strength == pytest.approx(0, abs=1e-12)
    assert row.dsi == pytest.approx(0, abs=1e-12)


def test_suppression_raises_the_direction_index_alone():
    curve = np.where(SIXTEEN == 0, 4.0, 0.0) - np.where(SIXTEEN == 180, 1.0, 0.0)
    row = first_row(curve, SIXTEEN)
    assert row.dsi == 1
    assert row.vector_strength == pytest.approx(1)
    assert row.direction_index == pytest.approx(1.25)


def test_units_without_a_response_are_nan_in_every_index():
    table = tuning_indices(np.stack([np.zeros(16), -np.ones(16), np.full(16, np.nan)]), SIXTEEN)
    assert list(table) == list(INDICES)
    assert table.isna().all(axis=None)


def test_a_preference_from_other_data_gives_signed_selectivity():
    curve = np.where(SIXTEEN == 90, 3.0, 1.0)[None]
    assert tuning_indices(curve, SIXTEEN, preferred=[12]).dsi[0] == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("responses", "directions", "message"),
    [
        (np.ones((2, 3)), SIXTEEN, r"\(2, 3\).*\(16,\)"),
        (np.ones(16), SIXTEEN, "unit, direction"),
        (np.ones((1, 2)), [0, 360], "repeat a direction"),
    ],
)
def test_bad_shapes_are_named(responses, directions, message):
    with pytest.raises(InputError, match=message):
        tuning_indices(responses, directions)


def test_choosing_on_the_other_half_removes_the_selection_bias():
    rng = np.random.default_rng(0)
    untuned = rng.gamma(4, size=(4000, 2, 16, 4)).astype(np.float32)
    table = split_half_tuning(untuned, SIXTEEN)
    naive = tuning_indices(untuned.mean(axis=(1, 3)), SIXTEEN)
    assert naive.dsi.mean() > 0.1
    standard_error = table.dsi.std() / math.sqrt(len(table))
    assert abs(table.dsi.mean()) < 4 * standard_error


def test_halves_find_the_setting_and_tuning_that_were_planted():
    rng = np.random.default_rng(1)
    peaks = rng.uniform(0, 360, 300)
    best = rng.integers(3, size=300)
    curves = (
        von_mises(SIXTEEN, peaks[:, None])[:, None]
        * np.where(np.arange(3) == best[:, None], 1.0, 0.5)[..., None]
    )
    values = curves[..., None] + 0.05 * rng.normal(size=(300, 3, 16, 4))
    table = split_half_tuning(values, SIXTEEN)
    assert (table.setting == best).mean() > 0.99
    for column in ("preferred_direction_deg", "preferred_direction_deg_even",
                   "preferred_direction_deg_odd"):  # fmt: skip
        error = (table[column] - peaks + 180) % 360 - 180
        assert np.sqrt((error**2).mean()) < 5
    assert table.reliability.min() > 0.9
    measured = table.filter(regex="^response_at_").to_numpy()
    assert np.abs(measured - von_mises(SIXTEEN, peaks[:, None])).mean() < 0.05


def test_halves_measure_what_the_other_half_chose():
    # The even repeats prefer setting 0 and 0°, the odd ones setting 1 and 90°.
    values = np.ones((1, 2, 4, 2))
    values[0, 0, 0, 0] = 9
    values[0, 1, 1, 1] = 9
    values[0, 1, 2, 0] = 3  # seen where the odd half chose the setting
    table = split_half_tuning(values, [0, 90, 180, 270]).iloc[0]
    assert table.preferred_direction_deg_even == pytest.approx(180)
    assert table.dsi_even == pytest.approx(0)  # 90° against 270° in the even half
    assert table.vector_strength_odd == pytest.approx(0)  # setting 0 is flat in the odd half
    assert table.response_at_180_deg == pytest.approx((3 + 1) / 2)


def test_curves_are_read_back_in_the_order_of_directions():
    values = np.random.default_rng(4).normal(size=(3, 1, 16, 4))
    table = split_half_tuning(values, SIXTEEN)
    directions, curves = response_curves(table[table.columns[::-1]])
    assert directions.tolist() == list(SIXTEEN)
    assert curves == pytest.approx(values[:, 0].mean(axis=-1), abs=1e-6)


def test_halves_need_two_repeats():
    with pytest.raises(InputError, match="halves"):
        split_half_tuning(np.ones((1, 1, 16, 1)), SIXTEEN)


def test_reliability_is_the_share_of_signal():
    rng = np.random.default_rng(2)
    signal = rng.normal(size=(500, 64))
    halves = [signal + 0.5 * rng.normal(size=signal.shape) for _ in range(2)]
    assert curve_correlation(*halves).mean() == pytest.approx(1 / 1.25, abs=0.01)
    assert np.isnan(curve_correlation(np.ones((1, 4)), np.arange(4.0)[None])[0])


def test_p_values_of_untuned_units_are_uniform():
    rng = np.random.default_rng(3)
    tests = permutation_test(rng.gamma(2, size=(3000, 16, 4)), SIXTEEN, 99, seed=0)
    for column in ("vector_strength_p", "orientation_strength_p"):
        for level in (0.05, 0.5):
            tolerance = 4 * math.sqrt(level * (1 - level) / 3000)
            assert (tests[column] <= level).mean() == pytest.approx(level, abs=tolerance)


def test_permutation_test_finds_the_right_harmonic_and_the_noise_floor():
    rng = np.random.default_rng(4)
    noise = rng.gamma(2, size=(400, 16, 4))
    direction = 5 * von_mises(SIXTEEN)[:, None] + noise
    axis = 5 * (von_mises(SIXTEEN) + von_mises(SIXTEEN, 180.0))[:, None] + noise
    tests = [permutation_test(values, SIXTEEN, 199, seed=1) for values in (direction, axis)]
    assert (tests[0].vector_strength_p <= 0.01).mean() > 0.95
    assert (tests[1].orientation_strength_p <= 0.01).mean() > 0.95
    assert (tests[1].vector_strength_p <= 0.05).mean() < 0.1
    # for noise alone the floor is what one measures
    untuned = permutation_test(noise, SIXTEEN, 199, seed=2)
    measured = tuning_indices(noise.mean(axis=2), SIXTEEN)
    for strength in ("vector_strength", "orientation_strength"):
        assert untuned[f"{strength}_floor"].mean() == pytest.approx(
            measured[strength].mean(), rel=0.05
        )


def test_permutation_test_agrees_with_plain_numpy():
    rng = np.random.default_rng(5)
    values = rng.normal(0.3, 1, size=(5, 8, 2))  # negatives: clipped after the mean
    directions = np.arange(8) * 45.0
    tests = permutation_test(values, directions, 50, seed=7)
    orders = np.tile(np.arange(8), (51, 2, 1))
    orders[1:] = np.random.default_rng(7).permuted(orders[1:], axis=2)
    shuffled = np.stack([
        np.mean([values[:, order[repeat], repeat] for repeat in range(2)], axis=0)
        for order in orders
    ])  # fmt: skip
    strengths = np.stack([tuning_indices(each, directions).vector_strength for each in shuffled])
    p = (strengths >= strengths[0] - 1e-6).mean(axis=0)
    assert np.allclose(tests.vector_strength_p, p)
    assert np.allclose(tests.vector_strength_floor, strengths[1:].mean(axis=0), atol=1e-5)


def test_permutation_test_of_a_silent_unit_is_nan():
    assert permutation_test(np.zeros((1, 16, 4)), SIXTEEN, 9, seed=0).isna().all(axis=None)


def test_false_discovery_rate_leaves_nan_alone():
    # Benjamini & Hochberg by hand: p · n / rank, made monotonic from the largest down
    q = false_discovery_rate([0.01, np.nan, 0.04, 0.03, 0.5])
    assert np.allclose(q, [0.04, np.nan, 0.04 * 4 / 3, 0.04 * 4 / 3, 0.5], equal_nan=True)


def two_lobes(theta_deg, parameters):
    peak_deg, fwhm_deg, weight, amplitude, baseline = parameters
    kappa = np.log(2) / (1 - np.cos(np.deg2rad(fwhm_deg) / 2))
    lobes = von_mises(theta_deg, peak_deg, kappa) + weight * von_mises(
        theta_deg, peak_deg + 180, kappa
    )
    return baseline + amplitude * lobes


def draw_two_lobes(n, seed):
    rng = np.random.default_rng(seed)
    truth = pd.DataFrame({
        "fit_direction_deg": rng.uniform(0, 360, n),
        "bandwidth_fwhm_deg": rng.uniform(35, 160, n),
        "null_lobe_weight": rng.uniform(0, 0.95, n),
        "fit_amplitude": rng.uniform(0.5, 5, n),
        "fit_baseline": rng.uniform(-1, 1, n),
    })  # fmt: skip
    return truth, two_lobes(SIXTEEN, [truth[[column]].to_numpy() for column in truth])


def test_fit_recovers_planted_lobes():
    truth, curves = draw_two_lobes(500, seed=6)
    fit = fit_two_lobe_von_mises(curves, SIXTEEN)
    error = fit[truth.columns] - truth
    error["fit_direction_deg"] = (error.fit_direction_deg + 180) % 360 - 180
    assert error.abs().max().to_dict() == pytest.approx(
        {"fit_direction_deg": 0, "bandwidth_fwhm_deg": 0, "null_lobe_weight": 0,
         "fit_amplitude": 0, "fit_baseline": 0}, abs=0.01
    )  # fmt: skip
    assert fit.fit_r2.min() > 1 - 1e-8


def test_fit_is_no_worse_than_scipy_started_at_the_truth():
    truth, curves = draw_two_lobes(40, seed=8)
    noisy = curves + 0.3 * np.random.default_rng(9).normal(size=curves.shape)
    fit = fit_two_lobe_von_mises(noisy, SIXTEEN)
    for i, curve in enumerate(noisy):

        def misfit(parameters, curve=curve):
            return two_lobes(SIXTEEN, parameters) - curve

        start = truth.iloc[i].to_numpy()
        bounds = ([-720, 22.5, 0, 0, -np.inf], [720, 180, 1, np.inf, np.inf])
        reference = (misfit(least_squares(misfit, start, bounds=bounds).x) ** 2).sum()
        ours = (1 - fit.fit_r2[i]) * ((curve - curve.mean()) ** 2).sum()
        assert ours <= reference * (1 + 1e-6)


def test_fit_calls_a_unimodal_cell_unimodal():
    # L2 does not: a single lobe has an orientation strength of 0.37
    fit = fit_two_lobe_von_mises(von_mises(SIXTEEN, 100.0)[None], SIXTEEN)
    assert fit.null_lobe_weight[0] == pytest.approx(0, abs=1e-4)
    assert fit.bandwidth_fwhm_deg[0] == pytest.approx(90, abs=0.01)


def test_fit_of_flat_or_missing_curves_is_nan():
    fit = fit_two_lobe_von_mises(np.stack([np.ones(16), np.full(16, np.nan)]), SIXTEEN)
    assert fit.drop(columns="fit_baseline").isna().all(axis=None)
    with pytest.raises(InputError, match="8"):
        fit_two_lobe_von_mises(np.ones((1, 4)), np.arange(4) * 90)


def test_coherence_curves_follow_the_direction_that_the_other_half_prefers():
    coherences = np.array([0.0, 0.5, 1.0])
    curve = 1 + coherences[:, None] * np.where(np.arange(4) == 1, 4.0, -0.5)  # prefers 90°
    values = np.stack([curve * 0.5, curve])[None, ..., None] * np.ones(4)
    preferred, null = coherence_curves(values, [0, 90, 180, 270])
    assert np.allclose(preferred, [[1, 3, 5]])
    assert np.allclose(null, [[1, 0.75, 0.5]])


def test_the_error_of_displays_is_the_spread_that_other_displays_would_give():
    rng = np.random.default_rng(3)
    n_studies, n_displays = 300, 8
    curve = np.array([0.0, 1.0])[:, None] * np.array([0.0, 20.0, 0.0, 0.0])  # 90°, at coherence 1
    means, errors = [], []
    for _ in range(n_studies):  # of 30 channels, all of which see the same displays
        noise = rng.normal(size=(1, 1, 2, 4, n_displays))
        values = (curve[..., None] + noise) * np.ones((30, 1, 1, 1, 1))
        means.append(np.subtract(*coherence_curves(values, [0, 90, 180, 270])).mean(axis=0))
        errors.append(display_error(values, [0, 90, 180, 270]))
    spread = np.std(means, axis=0)
    assert spread == pytest.approx(np.sqrt(2 / n_displays), rel=0.15)
    assert np.sqrt(np.mean(np.square(errors), axis=0)) == pytest.approx(spread, rel=0.15)


def test_fewer_than_four_displays_tell_no_error():
    values = np.ones((3, 1, 2, 4, 3))
    assert np.isnan(display_error(values, [0, 90, 180, 270])).all()


def test_a_hundred_thousand_units_take_forty_core_seconds_at_most():
    rng = np.random.default_rng(10)
    values = rng.gamma(2, size=(100_000, 1, 16, 4)).astype(np.float32)
    few = values[:10]
    for units in (few, values):  # the first compiles
        start = time.process_time()  # of all threads, so that a busy machine changes little
        table = split_half_tuning(units, SIXTEEN)
        fit_two_lobe_von_mises(table.filter(regex="^response_at_"), SIXTEEN)
        permutation_test(units[:, 0], SIXTEEN, 200, seed=0)
        seconds = time.process_time() - start
    assert seconds < 40
