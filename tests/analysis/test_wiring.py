import numpy as np
import pytest
from scipy.spatial import cKDTree

from workflow_scripts.analysis.smoothness import ChannelGrid
from workflow_scripts.analysis.wiring import LIKE, MOST_SOURCES, wiring_length


def sheet(preference_of, n_channels=20, n_anchors=20, seed=0):
    rng = np.random.default_rng(seed)
    channel, anchor = (i.ravel() for i in np.indices((n_channels, n_anchors)))
    x, y = rng.uniform(0, 4, (2, len(channel)))
    return x, y, ChannelGrid.of(preference_of(x, y, channel, rng), channel, anchor)


def test_agrees_with_a_search_tree():
    x, y, grid = sheet(lambda x, y, c, rng: rng.uniform(0, 360, len(x)))
    measured = wiring_length(x, y, grid, 360.0, n_targets=5, n_permutations=1, seed=0)
    sources = np.random.default_rng(0)
    sources.permutation(grid.n_channels)  # the order of the null
    sources = sources.permutation(len(x))[:MOST_SOURCES]
    preference = grid.permuted(np.arange(grid.n_channels))
    lengths = []
    for i in sources:
        away = np.abs((preference - preference[i] + 180) % 360 - 180)
        alike = (away <= 360 * LIKE) & (grid.channel != grid.channel[i])
        tree = cKDTree(np.stack([x, y], axis=1)[alike])
        lengths.append(tree.query([x[i], y[i]], k=5)[0].mean())
    assert measured["mm"] == pytest.approx(np.mean(lengths), rel=1e-5)


def test_a_smooth_map_saves_wire_and_scattered_preferences_do_not():
    smooth = sheet(lambda x, y, c, rng: 90 * x)
    random = sheet(lambda x, y, c, rng: rng.uniform(0, 360, len(x)))
    saved = [wiring_length(*one, 360.0, n_permutations=40) for one in (smooth, random)]
    assert saved[0]["saved"] > 0.3
    assert saved[0]["p"] == pytest.approx(1 / 41)
    assert abs(saved[1]["saved"]) < 4 * saved[1]["null_sd_mm"] / saved[1]["null_mean_mm"]


def test_units_without_a_preference_or_without_partners_count_for_nothing():
    x, y, grid = sheet(lambda x, y, c, rng: np.where(c < 3, np.nan, 90 * x))
    assert np.isfinite(wiring_length(x, y, grid, 360.0, n_permutations=2)["mm"])
    lonely = sheet(lambda x, y, c, rng: 0 * x, n_channels=3, n_anchors=2)
    measured = wiring_length(*lonely, 360.0, n_permutations=2)
    assert np.isnan([measured["mm"], measured["p"]]).all()  # p was 0, below what it can be
