"""Which of several images was seen: ranks, accuracies and their chance, confidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.analysis.summaries import Summary

Floats = NDArray[np.float64]


def retrieval_ranks(similarity: ArrayLike, shown: ArrayLike) -> Floats:
    """Rank the shown image among the candidates of each query.

    Parameters
    ----------
    similarity : array, (query, candidate)
        Larger is more alike.
    shown : integer array, (query,)
        The candidate that each query answers to.

    Returns
    -------
    array, (query,)
        0 where no candidate is more alike than the shown one; candidates that are equally alike
        count half, so that constant similarities rank in the middle and not first.
    """
    scores = np.asarray(similarity, dtype=float)
    own = np.take_along_axis(scores, np.asarray(shown)[:, None], axis=1)
    return (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2


def top_k(ranks: ArrayLike, k: int, n_candidates: ArrayLike, n: int | None = None) -> Floats:
    """Probability that the shown image is among the best k of n candidates.

    Parameters
    ----------
    ranks : array, (query,)
        From `retrieval_ranks` among `n_candidates`.
    k : int
        Guesses.
    n_candidates : int or array (query,)
        Candidates that were ranked.
    n : int, optional
        Smaller number of candidates: the shown one and n − 1 drawn of the others; the probability
        is over the draws (hypergeometric).

    Returns
    -------
    array, (query,)
        Chance is k/n.
    """
    better, others = np.asarray(ranks, dtype=float), np.asarray(n_candidates) - 1
    # Half ranks are ties, which either way would break.
    bounds = np.floor(better), np.ceil(better)
    if n is None:
        return np.mean([bound < k for bound in bounds], axis=0)
    from scipy.stats import hypergeom  # noqa: PLC0415 - slow, and seldom needed

    # Of the n − 1 that are drawn of the others, at most k − 1 may be better.
    return np.mean([hypergeom.cdf(k - 1, others, bound, n - 1) for bound in bounds], axis=0)


def chance_draws(
    similarity: ArrayLike, shown: ArrayLike, k: int, n_permutations: int, seed: int
) -> Floats:
    """Accuracies of a decoder whose answers are dealt out to the images at random.

    Its mean is k/n; its spread is what the decoder's own preferences for some candidates make of
    few images, which no formula knows.

    Parameters
    ----------
    similarity, shown
        As in `retrieval_ranks`; all candidates are shown.
    k : int
        Guesses.
    n_permutations, seed : int
        The same seed gives all decoders the same permutations.

    Returns
    -------
    array, (n_permutations,)
        Mean over images of the share of trials whose permuted image is among the best k.
    """
    scores, answer = np.asarray(similarity, dtype=float), np.asarray(shown)
    n = scores.shape[1]
    ranks = np.stack([retrieval_ranks(scores, np.full(len(scores), j)) for j in range(n)], axis=1)
    among_best = top_k(ranks, k, n)
    of_image = np.stack([among_best[answer == image].mean(axis=0) for image in range(n)])
    rng = np.random.default_rng(seed)
    return np.array(
        [of_image[np.arange(n), rng.permutation(n)].mean() for _ in range(n_permutations)]
    )


def confidence(logits: ArrayLike) -> Floats:
    """Probability that the model itself gives to its best candidate.

    Parameters
    ----------
    logits : array, (query, candidate)
        Similarity over temperature.

    Returns
    -------
    array, (query,)
    """
    scores = np.asarray(logits, dtype=float)
    likelihoods = np.exp(scores - scores.max(axis=1, keepdims=True))
    return 1 / likelihoods.sum(axis=1)


def mean_by(values: ArrayLike, group: ArrayLike) -> Floats:
    """Average over the trials of each image, images in ascending order."""
    _, inverse = np.unique(np.asarray(group), return_inverse=True)
    return np.bincount(inverse, np.asarray(values, dtype=float)) / np.bincount(inverse)


def cosine_similarity(queries: ArrayLike, candidates: ArrayLike, centre: ArrayLike = 0.0) -> Floats:
    """Cosine of the angle between each query and each candidate, (query, candidate).

    Parameters
    ----------
    queries, candidates : array, (n, …)
        Flattened but for the first dimension.
    centre : array, broadcast to one of them
        Subtracted from all first.
    """
    a, b = (
        (np.asarray(one, dtype=float) - centre).reshape(len(np.asarray(one)), -1)
        for one in (queries, candidates)
    )
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    return a @ b.T / np.maximum(lengths, 1e-12)


def nearest_centroid(fitted: ArrayLike, labels: ArrayLike, tested: ArrayLike) -> Floats:
    """Cosine similarity of tested vectors with the mean vector of each label.

    Parameters
    ----------
    fitted : array, (sample, dimension)
    labels : array, (sample,)
    tested : array, (query, dimension)

    Returns
    -------
    array, (query, label)
        Labels in ascending order; vectors are centred on the mean of the centroids.
    """
    vectors = np.asarray(fitted, dtype=float)
    known = np.unique(np.asarray(labels))
    centroids = np.stack([vectors[np.asarray(labels) == label].mean(axis=0) for label in known])
    return cosine_similarity(tested, centroids, centroids.mean(axis=0))


def share_for(
    accuracy: ArrayLike, shares: ArrayLike, level: float, n_bootstraps: int, seed: int
) -> Summary:
    """Smallest share of the neurons that reaches a level of the full accuracy.

    Parameters
    ----------
    accuracy : array, (share, image)
        With the neurons of each share kept; the last share is all of them.
    shares : array, (share,)
        Ascending.
    level : float
        Of the accuracy with all neurons.
    n_bootstraps, seed : int
        Resamples of the images.

    Returns
    -------
    Summary
        Interpolated between measured shares; the estimate from all images, not a mean.
    """
    curves = np.asarray(accuracy, dtype=float)
    at = np.asarray(shares, dtype=float)

    def reached(curve: Floats) -> float:
        first = int(np.argmax(curve >= level * curve[-1]))
        if first == 0:
            return float(at[0])
        below, above = curve[first - 1 : first + 1]
        return float(np.interp(level * curve[-1], [below, above], at[first - 1 : first + 1]))

    rng = np.random.default_rng(seed)
    n = curves.shape[1]
    draws = [reached(curves[:, rng.integers(n, size=n)].mean(axis=1)) for _ in range(n_bootstraps)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return Summary(reached(curves.mean(axis=1)), float(low), float(high), n, 0)
