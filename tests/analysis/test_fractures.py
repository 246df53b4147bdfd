import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from workflow_scripts.analysis.fractures import find_fractures
from workflow_scripts.analysis.maps import find_pinwheels
from workflow_scripts.stores.errors import InputError

N = 240


def smoothed(z, sigma_px):
    return gaussian_filter(z.real, sigma_px) + 1j * gaussian_filter(z.imag, sigma_px)


def coordinates(angle_deg=0.0):
    row, column = np.indices((N, N)) - (N - 1) / 2
    turn = np.deg2rad(angle_deg)
    return column * np.cos(turn) + row * np.sin(turn), row * np.cos(turn) - column * np.sin(turn)


@pytest.mark.parametrize("angle_deg", [0, 10, 22.5, 45])
def test_a_lattice_of_fractures_has_its_known_length(angle_deg):
    # Stripes of opposite directions of 30 px along both axes: a chessboard of 180° jumps, within
    # a disc; the axis is the same everywhere and turns slowly.
    x, y = coordinates(angle_deg)
    sign = np.sign(np.sin(np.pi * x / 30 + 0.5)) * np.sign(np.sin(np.pi * y / 30 + 0.3))
    axis = np.exp(0.01j * x)
    roi = np.hypot(x, y) < 100
    z1 = smoothed(sign * axis, 1.5)
    found = find_fractures(z1, axis**2, roi)
    expected = 0.0
    for shift in (0.5, 0.3):
        lines = 30 * (np.arange(-10, 11) - shift / np.pi)
        expected += 2 * np.sqrt(np.maximum(100**2 - lines[np.abs(lines) < 100] ** 2, 0)).sum()
    assert found.length_px.sum() == pytest.approx(expected, rel=0.05)


def test_a_map_without_jumps_has_no_fractures():
    x, y = coordinates()
    direction = np.exp(1j * (0.05 * x + 0.3 * np.sin(0.1 * y)))
    assert find_fractures(direction, direction**2).length_px.sum() == 0


def test_a_fracture_is_found_where_noise_turns_the_direction_gradually():
    x, _ = coordinates()
    z1 = x + 4j * np.exp(-((x / 6) ** 2))  # passes through a right angle instead of through 0
    z1 = z1 / np.abs(z1)
    assert find_fractures(z1, np.ones((N, N), complex)).length_px.sum() == pytest.approx(N - 1)


def test_an_odd_number_of_fractures_ends_at_each_pinwheel_of_the_axis():
    x, y = coordinates()
    axis = np.angle((x - 20) + 1j * y) / 2  # half a turn around (20, 0)
    found = find_fractures(np.exp(1j * axis), np.exp(2j * axis))
    pinwheel = find_pinwheels(np.exp(2j * axis))
    assert len(pinwheel) == found.ends.sum() == 1
    assert np.argwhere(found.ends)[0] == pytest.approx(
        pinwheel[["row", "column"]].to_numpy()[0], abs=1
    )
    # the fracture runs from there to the edge, on the branch cut of the angle
    assert found.length_px.sum() == pytest.approx(N / 2 + 20, abs=1)


def test_fractures_do_not_depend_on_the_zero_of_direction(ring_field):
    rng = np.random.default_rng(0)
    z2 = ring_field(96, 24.0, 0.1, seed=1).z
    z1 = smoothed(rng.normal(size=(96, 96)) + 1j * rng.normal(size=(96, 96)), 3)
    found = find_fractures(z1, z2)
    turned = find_fractures(z1 * np.exp(1.1j), z2 * np.exp(2.2j))
    np.testing.assert_allclose(found.length_px, turned.length_px, atol=1e-9)
    assert (find_fractures(-z1, z2).length_px == found.length_px).all()


def test_maps_of_other_shapes_are_refused():
    with pytest.raises(InputError, match="shape"):
        find_fractures(np.ones((4, 4), complex), np.ones((4, 5), complex))
