"""Images from responses: a linear decoder, and how like a reconstruction is to its image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float64]
PENALTIES = np.logspace(-4, 4, 25)
WINDOW_SIGMA_PX = 1.5  # of the Gaussian window of structural similarity


@dataclass(frozen=True)
class LinearDecoder:
    """Ridge regression from features to pixels.

    Attributes
    ----------
    weights : array, (feature or sample, pixel)
    support : array, (sample, feature), optional
        Centred training samples, where these are fewer than the features: the weights are then of
        inner products with them.
    feature_mean : array, (feature,)
    target_mean : array, (pixel,)
    penalty : float
        λ over the mean eigenvalue of the features' covariance.
    """

    weights: Floats
    support: NDArray[np.floating] | None
    feature_mean: NDArray[np.floating]
    target_mean: NDArray[np.floating]
    penalty: float

    def __call__(self, features: ArrayLike) -> Floats:
        """Features (sample, feature) → pixels (sample, pixel)."""
        centred = np.asarray(features) - self.feature_mean
        if self.support is not None:
            centred = centred @ self.support.T
        return centred @ self.weights + self.target_mean


def fit_linear_decoder(
    features: ArrayLike, targets: ArrayLike, validation: tuple[ArrayLike, ArrayLike]
) -> LinearDecoder:
    """Fit ridge regression; its penalty is the one that predicts the validation samples best.

    Features are used through their Gram matrix where they outnumber the samples, so that tens of
    thousands of them cost little more than the samples do (Hastie et al. 2009, section 18.3.5).

    Parameters
    ----------
    features : array, (sample, feature)
    targets : array, (sample, pixel)
    validation : (features, targets)
        Samples that choose the penalty among `PENALTIES`.
    """
    x, y = np.asarray(features), np.asarray(targets)
    feature_mean, target_mean = x.mean(axis=0), y.mean(axis=0)
    x, y = x - feature_mean, y - target_mean
    support = x if x.shape[1] > x.shape[0] else None
    gram = x.T @ x if support is None else x @ x.T
    values, vectors = eigh(gram.astype(float))
    values = np.maximum(values, 0)
    scale = values.sum() / len(values)
    # Both forms in one basis: the weights are `vectors @ (projected / (values + λ))`.
    projected = vectors.T @ (x.T @ y if support is None else y)

    def decoder(penalty: float) -> LinearDecoder:
        weights = vectors @ (projected / (values + penalty * scale)[:, None])
        return LinearDecoder(weights, support, feature_mean, target_mean, penalty)

    held, held_targets = np.asarray(validation[0]) - feature_mean, np.asarray(validation[1])
    held = (held if support is None else held @ support.T) @ vectors
    errors = [
        np.square(held @ (projected / (values + p * scale)[:, None]) + target_mean - held_targets)
        for p in PENALTIES
    ]
    return decoder(float(PENALTIES[int(np.argmin([error.mean() for error in errors]))]))


def image_correlation(reconstructed: ArrayLike, images: ArrayLike) -> Floats:
    """Pearson r over pixels of every reconstruction with every image.

    Parameters
    ----------
    reconstructed, images : array, (n, …) and (m, …)

    Returns
    -------
    array, (n, m)
        0 where either is constant.
    """
    flat = [np.asarray(one, dtype=float).reshape(len(np.asarray(one)), -1)
            for one in (reconstructed, images)]  # fmt: skip
    unit = []
    for one in flat:
        centred = one - one.mean(axis=1, keepdims=True)
        unit.append(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12))
    return unit[0] @ unit[1].T


def structural_similarity(reconstructed: ArrayLike, images: ArrayLike, data_range: float) -> Floats:
    """Structural similarity (Wang et al. 2004, equation 13), averaged over pixels and channels.

    Margins of 3.5 σ of the window, where it leaves the image, do not count.

    Parameters
    ----------
    reconstructed, images : array, (n, channel, y, x)
        Pairs.
    data_range : float
        Largest difference that pixels can have.

    Returns
    -------
    array, (n,)
        1 for equal images.
    """
    a, b = np.asarray(reconstructed, dtype=float), np.asarray(images, dtype=float)

    def blur(values: Floats) -> Floats:
        return gaussian_filter(values, (0, 0, WINDOW_SIGMA_PX, WINDOW_SIGMA_PX), truncate=3.5)

    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    likeness = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    )
    margin = min(int(3.5 * WINDOW_SIGMA_PX + 0.5), (min(a.shape[2:]) - 1) // 2)
    inner = likeness[..., margin : a.shape[2] - margin, margin : a.shape[3] - margin]
    return inner.mean(axis=(1, 2, 3))
