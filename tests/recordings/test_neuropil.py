"""Neuropil, ΔF/F and footprints on signals whose parts are known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_array

from workflow_scripts.recordings.footprints import (
    detection_scores,
    footprints_from_dataset,
    footprints_to_dataset,
    match_by_centre,
    match_by_overlap,
)
from workflow_scripts.recordings.neuropil import (
    USUAL_RATIO,
    delta_f_over_f,
    demixing_weights,
    estimate_contamination,
    ring_weights,
)

RATE_HZ, SIZE = 10.0, (40, 50)


def disc(row, column, radius=5.0):
    rows, columns = np.indices(SIZE)
    distance = np.hypot(rows - row, columns - column)
    return np.clip(radius + 1 - distance, 0, 1).ravel()


def cells(*places):
    return csr_array(np.stack([disc(*place) for place in places]))


def transients(rng, n, spikes_hz=0.2):
    spikes = rng.poisson(spikes_hz / RATE_HZ, n)
    return np.convolve(spikes, np.exp(-np.arange(60) / RATE_HZ))[:n]


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.7, 1.0])
def test_the_ratio_is_found_under_activity_noise_and_bleaching(ratio):
    rng = np.random.default_rng(0)
    n = 3000
    bleaching = np.exp(-np.arange(n) / n)
    ring = bleaching * (100 + 10 * gaussian_filter1d(rng.standard_normal((8, n)), 10) / 0.17)
    activity = np.stack([40 * transients(rng, n) for _ in ring])
    light = ratio * ring + bleaching * (80 + activity) + 4 * rng.standard_normal(ring.shape)
    found = estimate_contamination(light, ring, RATE_HZ)
    assert np.abs(np.median(found.ratio) - ratio) < 0.08
    # the stated error is that of the estimate, within a factor of two
    assert np.abs(found.ratio - ratio).max() < 4 * found.standard_error.max() + 0.05


def test_where_the_neuropil_stands_still_the_usual_ratio_is_taken():
    rng = np.random.default_rng(1)
    light = 100 + 20 * rng.standard_normal((3, 2000))
    still = estimate_contamination(light, np.full((3, 2000), 50.0), RATE_HZ)
    np.testing.assert_array_equal(still.ratio, USUAL_RATIO)
    faint = estimate_contamination(light, 50 + 0.1 * rng.standard_normal((3, 2000)), RATE_HZ)
    np.testing.assert_array_equal(faint.ratio, USUAL_RATIO)


def test_known_neuropil_is_removed():
    rng = np.random.default_rng(2)
    n = 4000
    ring = 100 + 15 * gaussian_filter1d(rng.standard_normal((6, n)), 10) / 0.17
    activity = np.stack([40 * transients(rng, n) for _ in ring])
    light = 0.6 * ring + 80 + activity + 3 * rng.standard_normal(ring.shape)
    ratio = estimate_contamination(light, ring, RATE_HZ).ratio
    relative = delta_f_over_f(light, ring, ratio, RATE_HZ)
    for cell in range(6):
        rest = relative[cell] - np.polyval(
            np.polyfit(activity[cell], relative[cell], 1), activity[cell]
        )
        raw_rest = light[cell] - activity[cell]
        assert abs(np.corrcoef(raw_rest, ring[cell])[0, 1]) > 0.8
        assert abs(np.corrcoef(rest, ring[cell])[0, 1]) < 0.3
        assert np.corrcoef(relative[cell], activity[cell])[0, 1] > 0.95


def test_relative_fluorescence_of_a_known_transient():
    light = np.full((1, 3000), 200.0)
    light[0, 1000:1010] += 100
    found = delta_f_over_f(light, np.full((1, 3000), 50.0), np.array([1.0]), RATE_HZ)
    np.testing.assert_allclose(found[0, 1000:1010], 100 / 150, rtol=1e-6)
    np.testing.assert_allclose(found[0, :1000], 0, atol=1e-6)
    # brightness and unit do not matter
    again = delta_f_over_f(7 * light, np.full((1, 3000), 350.0), np.array([1.0]), RATE_HZ)
    np.testing.assert_allclose(found, again, atol=1e-6)


def test_overlapping_cells_are_demixed():
    footprints = cells((20, 20), (20, 26), (8, 40))
    traces = np.array([[1, 0, 0, 2.0], [0, 1, 0, 1], [0, 0, 1, 0]])
    movie = traces.T @ footprints.toarray()
    demixed = demixing_weights(footprints) @ movie.T
    of_one = demixed / demixed[[0, 1, 2], [0, 1, 2]][:, None]
    np.testing.assert_allclose(of_one, traces, atol=5e-3)
    # without demixing the first cell sees a quarter of the second
    plain = footprints @ movie.T
    assert plain[0, 1] / plain[0, 0] > 0.25


def test_even_light_passes_demixing_and_rings_unchanged():
    footprints = cells((20, 20), (20, 27), (8, 40))
    flat = np.full(SIZE[0] * SIZE[1], 5.0)
    np.testing.assert_allclose(demixing_weights(footprints) @ flat, 5)
    np.testing.assert_allclose(ring_weights(footprints, SIZE) @ flat, 5)


def test_rings_hold_no_light_of_any_cell():
    footprints = cells((20, 20), (20, 28), (8, 40))
    rings = ring_weights(footprints, SIZE).toarray()
    assert not rings[:, np.asarray(footprints.sum(axis=0)).ravel() > 0].any()
    rows, columns = np.indices(SIZE).reshape(2, -1)
    alone = ring_weights(cells((20, 25)), SIZE).toarray()[0]
    radius = np.hypot(rows - 20, columns - 25)[alone > 0]
    # five times the area of a disc of radius 5.7, beyond a gap of 2
    assert radius.min() > 7
    assert radius.max() == pytest.approx(np.sqrt(5 * 5.7**2 + 7.7**2), abs=1)


def test_footprints_survive_their_store():
    footprints = cells((20, 20), (5.5, 44))
    dataset = footprints_to_dataset(footprints, SIZE)
    back = footprints_from_dataset(dataset, SIZE)
    np.testing.assert_allclose(back.toarray(), footprints.toarray(), rtol=1e-6)
    np.testing.assert_allclose(dataset["centroid_column_px"], [20, 44], atol=0.1)
    empty = footprints_to_dataset(csr_array((0, SIZE[0] * SIZE[1])), SIZE)
    assert empty.sizes["unit"] == 0


def test_matching_is_one_to_one_and_scored_like_the_field():
    true = cells((20, 10), (20, 30), (5, 45))
    found = cells((20, 11), (20, 12), (21, 30), (33, 5))
    pairs = match_by_overlap(found, true)
    assert pairs.tolist() == [[0, 0], [2, 1]]
    assert detection_scores(2, 4, 3) == (2 / 3, 0.5, pytest.approx(4 / 7))
    near = match_by_centre(np.array([[0, 0], [50, 50.0]]), np.array([[3, 4.0], [58, 50]]))
    assert near.tolist() == [[0, 0]]
    assert match_by_overlap(csr_array((0, 2000)), true).shape == (0, 2)
