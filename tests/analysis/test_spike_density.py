import numpy as np
import pytest
from scipy.signal import find_peaks, peak_widths
from scipy.stats import gaussian_kde

from workflow_scripts.analysis.spike_density import (
    peak_base_widths,
    runs_without_peak,
    spike_density_kl,
)


def rates(seed, n=2):
    rng = np.random.default_rng(seed)
    return np.maximum(np.cumsum(rng.standard_normal((n, 400)), axis=1) % 3 - 1, 0)


def test_equal_rates_diverge_by_nothing():
    np.testing.assert_allclose(spike_density_kl(rates(0), rates(0)), 0, atol=1e-12)


def test_widths_of_triangles_are_their_bases():
    triangle = np.concatenate([np.arange(5), np.arange(3, -1, -1)]) / 10
    np.testing.assert_allclose(peak_base_widths(np.tile(triangle, 3)), [8.0, 8.0, 8.0], atol=1)


def test_it_is_the_divergence_of_the_published_densities():
    """Computed once more in the steps of the public code, with its own grid and bandwidths."""
    p, y = rates(1, 1)[0], rates(2, 1)[0]

    def widths(rate):
        clipped = np.array(rate)
        clipped[clipped > 1] = 1
        return peak_widths(clipped, find_peaks(rate, height=0)[0], rel_height=1.0)[0]

    ours, theirs = widths(p), widths(y)
    both = gaussian_kde(np.concatenate([theirs, ours]))
    both.set_bandwidth(both.factor * 0.5)
    bandwidth = np.sqrt(both.covariance.squeeze())
    pooled = np.concatenate([theirs, ours])
    grid = np.linspace(pooled.min() - 3 * bandwidth, pooled.max() + 3 * bandwidth, 200)
    densities = []
    for values in (ours, theirs):
        density = gaussian_kde(values, bw_method=0.5)
        density.set_bandwidth(bw_method=density.factor * 0.5)
        densities.append(density(grid) / density(grid).sum())
    a, b = densities
    expected = np.sum(np.where(a > 0, a * np.log(a / b), 0))
    np.testing.assert_allclose(spike_density_kl(p, y), [expected], rtol=1e-9)


def pieces(rng, n=60):
    """Triangles, each alone in a piece of 9 frames; of some pieces only the flank is seen."""
    half = rng.integers(1, 4, n)
    peak = 0.9 - np.abs(np.arange(9) - 4) / half[:, None]
    return np.where(rng.random((n, 1)) < 0.7, np.maximum(peak, 0), np.linspace(0, 1, 9))


def test_pieces_are_not_one_series():
    """The order in which pieces are laid end to end changes nothing, and no peak spans two."""
    rng = np.random.default_rng(0)
    ours, theirs = pieces(rng), pieces(rng)
    frame = (np.arange(60)[:, None] * 24 + np.arange(9)).ravel()
    order = rng.permutation(60)
    found = [spike_density_kl(p.ravel(), theirs.ravel(), frame=frame) for p in (ours, ours[order])]
    np.testing.assert_allclose(*found)
    rising = (np.diff(ours, axis=1) > 0).all(axis=1)
    assert 0 < rising.sum() < 60
    np.testing.assert_allclose(runs_without_peak(ours.ravel(), frame), [rising.mean()])


def test_one_run_is_one_series():
    p, y = rates(1), rates(2)
    np.testing.assert_array_equal(
        spike_density_kl(p, y, frame=np.arange(7, 407)), spike_density_kl(p, y)
    )


@pytest.mark.parametrize("flat", [np.zeros(400), np.eye(1, 400, 100)[0]])
def test_what_has_no_density_is_nan_and_not_1000(flat):
    assert np.isnan(spike_density_kl(flat, rates(0, 1)[0])).all()


def test_negative_predictions_count_as_silence():
    rate = rates(3, 1)
    np.testing.assert_allclose(spike_density_kl(np.where(rate > 0, rate, -1), rate), 0, atol=1e-12)
