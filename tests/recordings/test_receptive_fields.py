import numpy as np
import pytest
from skimage.draw import polygon2mask

from workflow_scripts.recordings.receptive_fields import (
    mean_in_masks,
    outline_mask,
    spike_triggered_average,
)
from workflow_scripts.stores.errors import InputError


def star(seed, centre, n=40):
    """A ragged outline, mostly not convex."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    radius = rng.uniform(5, 18, n)
    return np.column_stack([centre[0] + radius * np.sin(angle), centre[1] + radius * np.cos(angle)])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("centre", [(30.2, 40.7), (2.0, 75.0)])
def test_masks_agree_with_skimage(seed, centre):
    outline = star(seed, centre)
    np.testing.assert_array_equal(outline_mask(outline, 60, 80), polygon2mask((60, 80), outline))


def test_a_circle_has_its_area():
    angle = np.linspace(0, 2 * np.pi, 1000)
    circle = np.column_stack([100 + 60 * np.sin(angle), 100 + 60 * np.cos(angle)])
    assert outline_mask(circle, 200, 200).sum() == pytest.approx(np.pi * 60**2, rel=0.005)


def test_direction_and_start_of_the_outline_do_not_matter():
    outline = star(3, (30, 40))
    expected = outline_mask(outline, 60, 80)
    np.testing.assert_array_equal(outline_mask(outline[::-1], 60, 80), expected)
    np.testing.assert_array_equal(outline_mask(np.roll(outline, 7, axis=0), 60, 80), expected)


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        (np.ones((2, 2)), "at least 3"),
        (np.ones((5, 3)), "at least 3"),
        (np.array([[0, 0], [0, np.nan], [3, 3]]), "NaN or infinite"),
    ],
)
def test_impossible_outlines_are_refused(outline, message):
    with pytest.raises(InputError, match=message):
        outline_mask(outline, 10, 10)


def test_means_are_those_of_the_pixels_inside():
    frames = np.random.default_rng(0).integers(0, 255, (3, 6, 7), np.uint8)
    masks = np.zeros((3, 6, 7), bool)
    masks[0], masks[1, 2, 3] = True, True
    means = mean_in_masks(frames, masks)
    np.testing.assert_allclose(means[0], frames.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(means[1], frames[:, 2, 3])
    assert np.isnan(means[2]).all()


def test_average_recovers_a_linear_nonlinear_unit():
    rng = np.random.default_rng(0)
    stimulus = rng.normal(0, 1, (60_000, 5, 4))
    kernel = rng.normal(0, 1, (2, 3, 5, 4))
    kernel /= np.sqrt((kernel**2).sum(axis=(1, 2, 3), keepdims=True))
    drive = np.zeros((2, len(stimulus)))
    for lag in range(3):
        past = np.roll(stimulus, lag, axis=0)
        drive += np.einsum("uyx,tyx->ut", kernel[:, lag], past)
    counts = rng.poisson(np.exp(0.8 * drive - 1))
    average = spike_triggered_average(stimulus, counts, 3)
    for unit in range(2):
        assert np.corrcoef(average[unit].ravel(), kernel[unit].ravel())[0, 1] > 0.98
        # For an exponential nonlinearity the average is the filter itself, times 0.8.
        assert np.dot(average[unit].ravel(), kernel[unit].ravel()) == pytest.approx(0.8, abs=0.03)


def test_average_has_the_right_lag_and_no_spikes_no_average():
    stimulus = np.zeros((10, 1))
    stimulus[4] = 1.0
    counts = np.zeros((2, 10))
    counts[0, 6] = 1
    average = spike_triggered_average(stimulus, counts, 4)
    assert average[0, :, 0].argmax() == 2
    assert np.isnan(average[1]).all()


def test_times_must_agree():
    with pytest.raises(InputError, match="10 frames and 9 counts"):
        spike_triggered_average(np.zeros((10, 2)), np.zeros((1, 9)), 3)
