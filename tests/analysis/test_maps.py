import itertools
import time

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.measure import find_contours

from workflow_scripts.analysis.maps import (
    closed_plaquettes,
    column_spacing,
    find_pinwheels,
    preference_map,
    preference_vectors,
)
from workflow_scripts.stores.errors import InputError


def planted(places, signs, shape=(96, 128)):
    """A map with singularities at the given places and nowhere else."""
    row, column = np.indices(shape)
    z = np.ones(shape, complex)
    for (r, c), sign in zip(places, signs, strict=True):
        z *= (column - c) + 1j * sign * (row - r)
    return z / np.abs(z).mean()


def smoothed_noise(n, sigma_px, seed):
    rng = np.random.default_rng(seed)
    real, imaginary = (gaussian_filter(rng.normal(size=(n, n)), sigma_px) for _ in range(2))
    return real + 1j * imaginary


@pytest.mark.parametrize("bandwidth", [0.02, 0.1, 0.2, 0.3])
def test_ring_fields_have_the_density_of_theory_and_their_own_spacing(ring_field, bandwidth):
    z, spacing_px, expected = ring_field(1024, 14.0, bandwidth, seed=0)
    squared_spacings = closed_plaquettes(z).sum() / spacing_px**2
    assert len(find_pinwheels(z)) / squared_spacings == pytest.approx(expected, rel=0.02)
    spacing = column_spacing(z, pixel_mm=0.05)
    assert spacing.spectrum == pytest.approx(0.05 * spacing_px, rel=0.03)
    assert spacing.wavelet == pytest.approx(0.05 * spacing_px, rel=0.03)


@pytest.mark.parametrize("sigma_px", [4, 8])
def test_smoothed_noise_has_four_pinwheels_per_squared_spacing_at_any_width(sigma_px):
    # One field of 36 spacings a side has a spacing that is off by 2 % (sd); four are averaged.
    fields = [smoothed_noise(1024, sigma_px, seed=seed) for seed in range(1, 5)]
    spacings = [column_spacing(z, 1.0).spectrum for z in fields]
    assert np.mean(spacings) == pytest.approx(4 * np.sqrt(np.pi) * sigma_px, rel=0.03)
    densities = [
        len(find_pinwheels(z)) / closed_plaquettes(z).sum() * spacing**2
        for z, spacing in zip(fields, spacings, strict=True)
    ]
    assert np.mean(densities) == pytest.approx(4, rel=0.06)


def test_random_phases_give_a_third_of_a_pinwheel_per_plaquette():
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, (1000, 1000))
    pinwheels = find_pinwheels(np.exp(1j * phase))
    assert len(pinwheels) / 999**2 == pytest.approx(1 / 3, abs=0.002)
    assert pinwheels.sign.mean() == pytest.approx(0, abs=0.01)


def test_planted_pinwheels_are_found_and_none_else():
    places = [(10.3, 20.7), (40.5, 60.5), (70.0, 100.0), (55.0, 30.25), (80.9, 15.1), (20.2, 110.6)]
    signs = [1, -1, 1, -1, -1, 1]
    found = find_pinwheels(planted(places, signs))
    expected = sorted(zip(places, signs, strict=True))
    assert found.sign.tolist() == [sign for _, sign in expected]
    assert np.allclose(found[["row", "column"]], [place for place, _ in expected], atol=0.1)


@pytest.mark.parametrize("place", [(7, 9), (7.5, 9), (7, 9.5), (7.5, 9.5)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_pinwheel_on_a_pixel_or_an_edge_counts_once(place, sign):
    found = find_pinwheels(planted([place], [sign], (20, 20)))
    assert found.sign.tolist() == [sign]
    assert np.allclose(found[["row", "column"]], [place], atol=1e-6)


def test_signs_sum_to_the_winding_of_the_phase_around_the_map():
    z = smoothed_noise(200, 5, seed=1)
    rim = np.concatenate([z[0], z[1:, -1], z[-1, -2::-1], z[-2::-1, 0]])
    winding = np.ptp(np.unwrap(np.angle(rim))[[0, -1]]) / (2 * np.pi)
    assert abs(find_pinwheels(z).sign.sum()) == round(winding)


def test_positions_lie_on_both_zero_contours():
    z = smoothed_noise(120, 5, seed=2)
    found = find_pinwheels(z)[["row", "column"]].to_numpy()
    assert len(found) > 20
    for part in (z.real, z.imag):
        contours = np.concatenate([
            np.linspace(a, b, 20)
            for contour in find_contours(part, 0)
            for a, b in itertools.pairwise(contour)
        ])  # fmt: skip
        distance = np.linalg.norm(found[:, None] - contours, axis=2).min(axis=1)
        assert distance.max() < 0.15  # the contours are chords of the bilinear ones


def test_pinwheels_do_not_move_when_all_preferences_turn_and_flip_sign_in_the_mirror():
    z = smoothed_noise(100, 4, seed=3)
    still = find_pinwheels(z)
    turned, mirrored = find_pinwheels(z * np.exp(1j)), find_pinwheels(z.conj())
    assert turned.sign.tolist() == still.sign.tolist()
    assert np.allclose(turned, still)
    assert (mirrored.sign == -still.sign).all()
    transposed = find_pinwheels(z.T)[["column", "row", "sign"]].to_numpy() * [1, 1, -1]
    assert np.allclose(np.sort(transposed, axis=0), np.sort(still.to_numpy(), axis=0))


def test_the_roi_and_missing_pixels_bound_the_search():
    z = planted([(10.5, 10.5), (10.5, 30.5), (30.5, 10.5)], [1, 1, -1], (40, 40))
    roi = np.zeros((40, 40), bool)
    roi[:20] = True
    z[10, 30] = np.nan
    assert find_pinwheels(z, roi)[["row", "column"]].to_numpy() == pytest.approx(
        np.array([[10.5, 10.5]]), abs=0.2
    )
    assert closed_plaquettes(z, roi).sum() == 19 * 39 - 4


@pytest.mark.parametrize("z", [np.ones((4, 4)), np.ones(4, complex)])
def test_maps_must_be_complex_matrices(z):
    with pytest.raises(InputError, match="complex matrix"):
        find_pinwheels(z)
    with pytest.raises(InputError, match="roi"):
        find_pinwheels(np.ones((4, 4), complex), np.ones((3, 4), bool))


def test_a_map_is_the_kernel_weighted_mean_of_unit_vectors():
    rng = np.random.default_rng(4)
    n, kernel_mm, pixel_mm = 150, 0.2, 0.05
    x, y = (rng.integers(80, size=n) * pixel_mm + pixel_mm / 2 for _ in range(2))
    preference = rng.uniform(0, 180, n)
    measured = preference_map(
        x, y, preference, period_deg=180, sheet_mm=4.0, kernel_mm=kernel_mm, n_pixels=80
    )
    assert measured.pixel_mm == pytest.approx(pixel_mm)
    for row, column in [(40, 40), (10, 70), (60, 22)]:
        px, py = (column + 0.5) * pixel_mm, (row + 0.5) * pixel_mm
        weight = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * kernel_mm**2))
        expected = (weight * np.exp(2j * np.deg2rad(preference))).sum() / weight.sum()
        assert measured.z[row, column] == pytest.approx(expected, abs=0.01)
        expected = weight.sum() / (2 * np.pi * kernel_mm**2)
        assert measured.density[row, column] == pytest.approx(expected, rel=0.01)


def test_vectors_wrap_where_angles_would_not():
    x = np.tile(np.linspace(0.1, 1.9, 30), 2)
    y = np.repeat([0.9, 1.1], 30)
    preference = np.where(np.arange(60) % 2, 359.0, 1.0)
    z = preference_map(x, y, preference, sheet_mm=2, kernel_mm=0.2, n_pixels=40).z
    centre = z[20, 10:30]
    assert np.abs(np.rad2deg(np.angle(centre))).max() < 1
    assert np.abs(centre).min() > 0.999


def test_the_roi_leaves_out_empty_cortex_and_the_edge():
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0, 4, (2, 20_000))
    hole = np.hypot(x - 2, y - 2) < 0.6
    untuned = np.where(hole, np.nan, 0.0)
    measured = preference_map(x, y, untuned, sheet_mm=4, kernel_mm=0.15, n_pixels=80)
    row, column = (np.indices((80, 80)) + 0.5) * measured.pixel_mm
    from_centre = np.hypot(row - 2, column - 2)
    assert not measured.roi[from_centre < 0.5].any()
    to_edge = np.minimum(np.minimum(row, 4 - row), np.minimum(column, 4 - column))
    assert not measured.roi[to_edge < 0.14].any()
    assert measured.roi[(from_centre > 0.75) & (to_edge > 0.2)].all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_pixels": 10}, "n_pixels must be 40"),
        ({"sheet_mm": 1.0}, "sheet is 0 to 1 mm"),
        ({"preference_deg": np.full(3, np.nan)}, "no unit has a preference"),
    ],
)
def test_impossible_maps_are_refused(change, message):
    options = {
        "x_mm": np.array([0.5, 1, 1.5]), "y_mm": np.ones(3), "preference_deg": np.zeros(3),
        "sheet_mm": 2.0, "kernel_mm": 0.1, "n_pixels": 40,
    }  # fmt: skip
    with pytest.raises(InputError, match=message):
        preference_map(**options | change)


def test_preference_vectors_keep_missing_preferences():
    vectors = preference_vectors([0, 90, np.nan], 180.0)
    assert np.allclose(vectors[:2], [1, -1])
    assert np.isnan(vectors[2])


def test_a_map_of_a_megapixel_takes_eight_core_seconds_at_most(ring_field):
    z = ring_field(1024, 16.0, 0.2, seed=9).z
    start = time.process_time()  # of all threads, so that a busy machine changes little
    find_pinwheels(z)
    column_spacing(z, 0.05)
    assert time.process_time() - start < 8


def test_pinwheels_among_silent_pixels_have_a_place():
    rng = np.random.default_rng(0)
    for _ in range(20):
        z = rng.normal(size=(20, 20)) + 1j * rng.normal(size=(20, 20))
        z[rng.random(z.shape) < 0.3] = 0
        assert np.isfinite(find_pinwheels(z).to_numpy(float)).all()
