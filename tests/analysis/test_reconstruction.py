import numpy as np
import pytest
from skimage.metrics import structural_similarity as reference_ssim

from workflow_scripts.analysis.reconstruction import (
    fit_linear_decoder,
    image_correlation,
    structural_similarity,
)


@pytest.mark.parametrize("n_features", [5, 80])
def test_linear_decoder_is_ridge_regression_in_either_form(n_features):
    rng = np.random.default_rng(0)
    x, y = rng.normal(2, 1, (40, n_features)), rng.normal(1, 1, (40, 3))
    held = rng.normal(2, 1, (20, n_features)), rng.normal(1, 1, (20, 3))
    fitted = fit_linear_decoder(x, y, held)
    centred = x - x.mean(axis=0)
    covariance = centred.T @ centred
    penalty = fitted.penalty * np.trace(covariance) / min(40, n_features)
    weights = np.linalg.solve(covariance + penalty * np.eye(n_features), centred.T @ y)
    expected = (held[0] - x.mean(axis=0)) @ weights + y.mean(axis=0)
    assert fitted(held[0]) == pytest.approx(expected, rel=1e-6)


def test_linear_decoder_recovers_a_linear_map_and_gives_up_on_noise():
    rng = np.random.default_rng(0)
    x, truth = rng.normal(size=(200, 10)), rng.normal(size=(10, 4))
    clean = fit_linear_decoder(x[:150], x[:150] @ truth, (x[150:], x[150:] @ truth))
    assert clean(x[150:]) == pytest.approx(x[150:] @ truth, abs=1e-2)
    noise = rng.normal(size=(200, 4))
    lost = fit_linear_decoder(x[:150], noise[:150], (x[150:], noise[150:]))
    assert np.abs(lost.weights).max() < 0.1
    assert lost.penalty > clean.penalty


def test_structural_similarity_agrees_with_scikit_image():
    rng = np.random.default_rng(0)
    a = rng.random((3, 1, 30, 40))
    b = a + 0.2 * rng.normal(size=a.shape)
    expected = [
        reference_ssim(
            one[0], other[0], data_range=2.0, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )
        for one, other in zip(a, b, strict=True)
    ]  # fmt: skip
    assert structural_similarity(a, b, data_range=2.0) == pytest.approx(expected, rel=1e-6)
    assert structural_similarity(a, a, data_range=2.0) == pytest.approx(1.0)


def test_image_correlation_is_pearsons_r_of_every_pair():
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 1, 5, 6)), rng.random((4, 1, 5, 6))
    expected = np.corrcoef(a.reshape(3, -1), b.reshape(4, -1))[:3, 3:]
    assert image_correlation(a, b) == pytest.approx(expected)
    assert image_correlation(np.ones((1, 1, 5, 6)), b) == pytest.approx(0.0)
