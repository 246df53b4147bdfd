from itertools import combinations

import numpy as np
import pytest

from workflow_scripts.analysis.retrieval import (
    chance_draws,
    confidence,
    mean_by,
    nearest_centroid,
    retrieval_ranks,
    share_for,
    top_k,
)
from workflow_scripts.analysis.summaries import summarise_sample


def test_ranks_count_what_is_more_alike_and_share_ties():
    similarity = [[0.9, 0.1, 0.5], [0.9, 0.1, 0.5], [1.0, 1.0, 1.0]]
    assert retrieval_ranks(similarity, [0, 2, 1]).tolist() == [0, 1, 1]


@pytest.mark.parametrize("k", [1, 2])
def test_fewer_candidates_are_all_draws_of_the_others(k):
    n_candidates, n = 7, 4
    for rank in range(n_candidates):
        better = np.arange(n_candidates - 1) < rank  # the others, some of them better
        draws = [better[list(drawn)].sum() < k for drawn in combinations(range(6), n - 1)]
        assert top_k([rank], k, n_candidates, n)[0] == pytest.approx(np.mean(draws))


def test_without_knowledge_the_accuracy_is_chance_among_any_number():
    ranks = np.arange(12)  # each rank once: a uniform rank
    for n in (2, 5, 12):
        assert top_k(ranks, 1, 12, n).mean() == pytest.approx(1 / n)
        assert top_k(np.full(5, 5.5), 1, 12).mean() == 0  # a constant is never the best


def test_permuted_answers_reach_chance_and_know_of_preferred_candidates():
    rng = np.random.default_rng(0)
    shown = np.repeat(np.arange(20), 5)
    knowing = chance_draws(np.eye(20)[shown] + 0.1 * rng.random((100, 20)), shown, 1, 500, 0)
    assert knowing.mean() == pytest.approx(1 / 20, abs=0.01)  # even for a decoder that knows
    constant = np.tile(rng.random(20), (100, 1))  # always the same guess: exactly 1/n
    assert chance_draws(constant, shown, 1, 50, 0) == pytest.approx(1 / 20)


def test_confidence_is_the_softmax_of_the_guess():
    logits = np.array([[1.0, 3.0, 2.0], [1000.0, 0.0, 0.0]])
    expected = np.exp(3.0) / np.exp([1.0, 2.0, 3.0]).sum()
    assert confidence(logits) == pytest.approx([expected, 1.0])


def test_intervals_come_from_images_and_not_from_their_trials():
    rng = np.random.default_rng(0)
    of_image = rng.random(40)
    wide = summarise_sample(of_image, n_bootstraps=2000)
    standard_error = of_image.std() / np.sqrt(40)
    assert wide.high - wide.low == pytest.approx(2 * 1.96 * standard_error, rel=0.1)
    trials = mean_by(np.repeat(of_image, 30), np.repeat(np.arange(40), 30))
    assert summarise_sample(trials, n_bootstraps=2000) == pytest.approx(wide)


def test_centroids_of_clouds_are_told_apart():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 8))
    labels = np.repeat([0, 1, 2], 20)
    clouds = centres[labels] + 0.3 * rng.normal(size=(60, 8)) + 5  # a common part says nothing
    found = nearest_centroid(clouds[::2], labels[::2], clouds[1::2]).argmax(axis=1)
    assert (found == labels[1::2]).all()


def test_the_share_for_a_level_is_read_off_the_curve():
    shares = np.array([0.1, 0.5, 1.0])
    accuracy = np.repeat([[0.2], [0.6], [1.0]], 30, axis=1)
    found = share_for(accuracy, shares, 0.9, 50, 0)
    assert found == pytest.approx((0.875, 0.875, 0.875, 30, 0))  # 0.9 lies 3/4 from .6 to 1
