import numpy as np
import pytest

from workflow_scripts.analysis.spacing import RadialSpectrum, column_spacing, edge_taper
from workflow_scripts.stores.errors import InputError


def disc(n, radius):
    row, column = np.indices((n, n)) - (n - 1) / 2
    return np.hypot(row, column) < radius


@pytest.mark.parametrize("angle_deg", [0, 17, 45, 90])
def test_a_plane_wave_has_its_own_wavelength(angle_deg):
    row, column = np.indices((200, 240))
    along = column * np.cos(np.deg2rad(angle_deg)) + row * np.sin(np.deg2rad(angle_deg))
    spacing = column_spacing(np.exp(2j * np.pi * along / 20), pixel_mm=0.02)
    assert spacing.wavelet == pytest.approx(0.4, rel=0.01)
    assert spacing.spectrum == pytest.approx(0.4, rel=0.015)


def test_spacing_is_in_mm_and_indifferent_to_the_zero_of_preference(ring_field):
    z = ring_field(256, 20.0, 0.2, seed=0).z
    fine, coarse = column_spacing(z, 0.05), column_spacing(z * np.exp(1j), 0.1)
    assert coarse.wavelet == pytest.approx(2 * fine.wavelet, rel=1e-6)
    assert coarse.spectrum == pytest.approx(2 * fine.spectrum, rel=1e-6)


def test_only_the_roi_is_looked_at(ring_field):
    z, spacing_px, _ = ring_field(256, 16.0, 0.1, seed=1)
    roi = disc(256, 90)
    z[~roi] = ring_field(256, 40.0, 0.1, seed=2).z[~roi] * 20
    z[0, 0] = np.nan
    spacing = column_spacing(z, 1.0, roi)
    assert spacing.wavelet == pytest.approx(spacing_px, rel=0.04)
    assert spacing.spectrum == pytest.approx(spacing_px, rel=0.04)


def test_a_trend_and_white_noise_do_not_move_the_fitted_ring(ring_field):
    z, spacing_px, _ = ring_field(400, 16.0, 0.1, seed=3)
    z = z / z.std()
    noise = np.random.default_rng(4).normal(size=(2, 400, 400))
    spacing = column_spacing(z + 3 + 0.7 * (noise[0] + 1j * noise[1]), 1.0)
    assert spacing.spectrum == pytest.approx(spacing_px, rel=0.02)


def test_the_spectrum_keeps_the_power_of_the_map(ring_field):
    z = ring_field(256, 16.0, 0.2, seed=5).z
    spectrum = RadialSpectrum(np.ones(z.shape, bool), pixel_mm=0.5)
    power = spectrum.power(z)
    # Parseval: the density summed over modes of the doubled side is the variance
    variance = (power * spectrum.n_modes).sum() / (2 * 256 * 0.5) ** 2
    assert variance == pytest.approx(np.abs(z).std() ** 2 + np.abs(z).mean() ** 2, rel=0.1)
    assert spectrum.wave_number_per_mm[power.argmax()] == pytest.approx(1 / 8, rel=0.15)


def test_the_taper_falls_to_nothing_at_the_edge_of_the_roi():
    roi = disc(100, 40)
    weights = edge_taper(roi)
    assert (weights[~roi] == 0).all()
    assert weights[50, 50] == 1
    assert 0 < weights[50, 50 + 39] < 0.1


@pytest.mark.parametrize(
    ("z", "roi", "message"),
    [
        (np.ones((20, 20), complex), None, "constant"),
        (np.full((20, 20), np.nan + 0j), None, "not finite"),
        (np.ones((20, 20), complex), np.zeros((20, 20)), "0 pixels"),
        (np.ones((20, 20), complex), np.ones((2, 2)), r"\(2, 2\)"),
    ],
)
def test_maps_without_a_spacing_are_refused(z, roi, message):
    with pytest.raises(InputError, match=message):
        column_spacing(z, 1.0, roi)
