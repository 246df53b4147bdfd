import numpy as np
import pytest

from workflow_scripts.models.positions import (
    cortical_positions,
    draw_neighbourhoods,
    hypercolumn_width,
    optimise_positions,
    proximity,
    two_opt,
)


def test_published_hypercolumn_widths():
    sheets, anchors = (2.4, 36.75, 35, 22.4, 70), (56, 28, 14, 14, 7)
    widths = [hypercolumn_width(s, n, 56) for s, n in zip(sheets, anchors, strict=True)]
    assert widths == pytest.approx([0.0475, 1.626, 3.977, 2.545, 31.818], abs=5e-4)


def test_units_lie_in_the_sheet_and_near_their_anchor():
    sheet_mm, n, channels = 36.75, 28, 12
    xy = cortical_positions(channels, n, sheet_mm, 56, seed=0)
    assert xy.shape == (channels * n * n, 2)
    assert xy.min() >= 0
    assert xy.max() <= sheet_mm
    x, y = xy.reshape(channels, n, n, 2).mean(axis=(0, 1))[:, 0], xy.reshape(
        channels, n, n, 2).mean(axis=(0, 2))[:, 1]  # fmt: skip
    assert np.corrcoef(x, np.arange(n))[0, 1] > 0.999  # x runs along columns
    assert np.corrcoef(y, np.arange(n))[0, 1] > 0.999  # y runs along rows
    width = hypercolumn_width(sheet_mm, n, 56)
    offsets = xy.reshape(channels, n * n, 2) - xy.reshape(channels, n * n, 2).mean(axis=0)
    expected = np.sqrt(width**2 / 12 + 0.3**2) * np.sqrt(1 - 1 / channels)
    assert offsets.std() == pytest.approx(expected, rel=0.05)
    assert not np.array_equal(xy, cortical_positions(channels, n, sheet_mm, 56, seed=1))


def test_neighbourhoods_are_windows_of_one_size():
    xy = cortical_positions(16, 14, 5.7, 28, seed=0)
    windows = draw_neighbourhoods(xy, width_mm=1.0, n_neighbourhoods=200, max_units=60, seed=0)
    assert windows.shape == (200, 60)
    for window in windows:
        assert len(set(window)) == 60
        assert (np.ptp(xy[window], axis=0) <= 1.0).all()


def sum_of_products(similarity, xy):
    return float(np.tril(similarity * proximity(xy), -1).sum())


def test_swaps_never_raise_the_loss_and_are_counted_exactly():
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 1, (40, 2))
    similarity = np.corrcoef(rng.normal(size=(20, 40)).T).astype(np.float32)
    order = rng.permutation(40).astype(np.int32)
    value = sum_of_products(similarity, xy)
    for sweeps in (1, 2, 3):
        assignment, _, accepted = two_opt(similarity, proximity(xy), order, sweeps)
        assert sorted(assignment) == list(range(40))
        optimised = sum_of_products(similarity[np.ix_(assignment, assignment)], xy)
        assert optimised >= value
        assert accepted > 0
        value = optimised
    converged, _, _ = two_opt(similarity, proximity(xy), order, 100)
    local = similarity[np.ix_(converged, converged)]
    best = sum_of_products(local, xy)
    for a in range(40):  # recomputed from scratch, no swap improves the local optimum
        for b in range(a):
            swapped = np.arange(40)
            swapped[[a, b]] = swapped[[b, a]]
            assert sum_of_products(local[np.ix_(swapped, swapped)], xy) <= best + 2e-4


def test_optimised_positions_are_the_same_places_and_smooth():
    rng = np.random.default_rng(0)
    xy = cortical_positions(8, 6, 5.7, 6, seed=0)
    preference = rng.uniform(0, 2 * np.pi, len(xy))
    samples = rng.uniform(0, 2 * np.pi, 200)
    responses = 1 + np.cos(samples[:, None] - preference[None])
    found = optimise_positions(responses, xy, width_mm=2.0, n_rounds=400, seed=0)
    assert {tuple(place) for place in found.positions_mm} == {tuple(place) for place in xy}
    assert 0 < found.n_accepted < found.n_tried

    def near_difference(places):
        distance = np.sqrt(((places[:, None] - places[None]) ** 2).sum(-1))
        near = np.triu(distance < 0.3, 1)
        return np.abs(np.angle(np.exp(1j * (preference[:, None] - preference[None]))))[near].mean()

    assert near_difference(xy) == pytest.approx(np.pi / 2, rel=0.1)
    assert near_difference(found.positions_mm) < 0.8


def test_masking_channels_serves_the_pairs_of_different_channels():
    """Two copies of each response: unmasked, the copies take the near places."""
    rng = np.random.default_rng(1)
    xy = rng.uniform(0, 1, (60, 2))
    responses = np.repeat(rng.normal(size=(100, 30)), 2, axis=1)
    channels = np.repeat(np.arange(30), 2)
    similarity = np.corrcoef(responses.T)
    different = np.where(channels[:, None] != channels[None], similarity, 0)
    copies, others = [], []
    for mask in (None, channels):
        places = optimise_positions(responses, xy, 2.0, 5, 0, mask).positions_mm
        copies.append(np.linalg.norm(places[::2] - places[1::2], axis=1).mean())
        others.append(sum_of_products(different, places))
    assert copies[0] < copies[1]
    assert others[0] < others[1]
