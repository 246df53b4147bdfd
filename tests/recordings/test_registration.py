"""Registration against movies of known motion."""

import numpy as np
import pytest
from scipy.ndimage import fourier_shift, gaussian_filter

from workflow_scripts.recordings.reference import reference_image
from workflow_scripts.recordings.registration import (
    Motion,
    Registration,
    RegistrationParameters,
    displacement_at,
)
from workflow_scripts.recordings.two_photon_simulator import render_frames, simulate_tissue
from workflow_scripts.recordings.two_photon_truth import TwoPhotonParameters
from workflow_scripts.stores.errors import InputError

RIGID = RegistrationParameters(largest_shift_px=10, block_px=0)


def texture(size, seed=0):
    image = gaussian_filter(np.random.default_rng(seed).standard_normal((size, size)), 1.5)
    return (100 + 500 * image).astype(np.float32)


def moved(image, shift):
    """Tissue displaced by a sub-pixel shift, exactly, on a torus."""
    return np.fft.ifftn(fourier_shift(np.fft.fftn(image), shift)).real.astype(np.float32)


@pytest.mark.parametrize("shift", [(0, 0), (3, -7), (0.5, 0.25), (-4.3, 6.6), (9.2, 0)])
def test_a_pure_translation_is_found(shift):
    image = texture(96)
    found = Registration(image, RIGID).motion(moved(image, shift))
    # large shifts move tissue through the faded edge, which draws the peak towards 0
    np.testing.assert_allclose(found.shift_px, shift, atol=0.1)


def test_brightness_and_offset_do_not_matter():
    image = texture(96)
    registration, frame = Registration(image, RIGID), moved(image, (2.5, -1.5))
    one, other = registration.motion(frame), registration.motion(7 * frame + 300)
    np.testing.assert_allclose(one.shift_px, other.shift_px, atol=1e-3)


def test_aligning_undoes_a_translation_and_counts_what_is_in_view():
    image = texture(64)
    registration = Registration(image, RIGID)
    frame, in_view = moved(image, (3, -5)), np.zeros((64, 64), np.int32)
    still = Motion(np.array([3, -5], np.float32), np.zeros((0, 0, 2), np.float32), 1.0)
    aligned = registration.align(frame, still, in_view)
    np.testing.assert_allclose(aligned[:61, 5:], image[:61, 5:], atol=1e-3)
    assert in_view[:61, 5:].all()
    assert in_view.sum() == 61 * 59
    np.testing.assert_array_equal(aligned[61:, 10], np.full(3, aligned[60, 10]))


def test_a_blank_frame_stays_where_it_is():
    found = Registration(texture(96), RegistrationParameters(10, 48)).motion(
        np.full((96, 96), 5, np.float32)
    )
    assert found.peak == 0
    assert not found.shift_px.any()
    assert not found.bend_px.any()


def test_displacements_follow_the_blocks_linearly():
    bend = np.zeros((2, 2, 2), np.float32)
    bend[:, 1, 0] = 2
    motion = Motion(np.array([1, -1], np.float32), bend, 1.0)
    centres = np.array([16.0, 48.0])
    found = displacement_at(motion, (centres, centres), np.array([0.0]), np.array([0, 16, 32, 64]))
    np.testing.assert_allclose(found[0, 0], [0, 1, 2, 4], atol=1e-6)
    np.testing.assert_allclose(found[1, 0], -1)


@pytest.fixture(scope="module")
def simulated():
    parameters = TwoPhotonParameters(n_frames=150, height_px=192, width_px=192, n_cells=45)
    truth = simulate_tissue(parameters)
    return truth, render_frames(truth, 0, parameters.n_frames).astype(np.float32)


def root_mean_square_error(truth, motions, registration):
    """Over frames and a grid up to 16 px from the edge; where the reference lies is arbitrary."""
    grid = np.arange(16, 177, 16)
    blocks = (registration.block_rows_px, registration.block_columns_px)
    found = np.stack([displacement_at(one, blocks, grid, grid) for one in motions])
    true = np.stack([truth.displacement_px(n, grid, grid) for n in range(len(motions))])
    error = (found - found.mean(0)) - (true - true.mean(0))
    return np.sqrt((error**2).mean())


def test_motion_of_a_simulated_movie_is_found_to_a_fifth_of_a_pixel(simulated):
    truth, frames = simulated
    parameters = RegistrationParameters(largest_shift_px=12)
    registration = Registration(reference_image(frames[::2], parameters), parameters)
    motions = [registration.motion(frame) for frame in frames]
    error = root_mean_square_error(truth, motions, registration)
    print(f"RMS error {error:.3f} px")
    assert error < 0.2
    rigid = [one._replace(bend_px=np.zeros_like(one.bend_px)) for one in motions]
    assert root_mean_square_error(truth, rigid, registration) > 3 * error
    # aligned frames are more alike than raw ones
    unused = np.zeros(frames.shape[1:], np.int32)
    inner = (slice(None), slice(16, -16), slice(16, -16))
    aligned = np.stack(
        [registration.align(f, m, unused) for f, m in zip(frames, motions, strict=True)]
    )
    raw_sharpness, sharpness = (one[inner].mean(0).var() for one in (frames, aligned))
    assert sharpness > 1.3 * raw_sharpness


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Registration(np.zeros((4, 96, 96), np.float32), RIGID), r"\(y, x\) image"),
        (lambda: Registration(texture(20), RIGID), "20 × 20 px are too small"),
        (lambda: Registration(texture(48), RegistrationParameters(10, 64)), "block_px 64"),
        (lambda: RegistrationParameters(0), "largest_shift_px"),
        (lambda: RegistrationParameters(block_px=16, largest_bend_px=5), "block_px 16 is under"),
    ],
)
def test_unusable_images_and_parameters_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
