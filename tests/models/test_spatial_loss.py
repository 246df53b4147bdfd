import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform

from workflow_scripts.models.spatial_loss import spatial_correlation_loss


def independent_loss(responses, positions, mask=None):
    """The published formula by numpy and scipy, in float64."""
    with np.errstate(invalid="ignore"):
        similarity = np.nan_to_num(np.corrcoef(responses.T.astype(float)))
    lower = np.tril_indices(len(similarity), -1)
    proximity = 1 / (squareform(pdist(positions.astype(float))) + 1)
    keep = np.ones(len(lower[0]), bool) if mask is None else mask[lower]
    return (1 - np.corrcoef(similarity[lower][keep], proximity[lower][keep])[0, 1]) / 2


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def loss_of(responses, positions, **kwargs):
    return spatial_correlation_loss(
        torch.as_tensor(responses), torch.as_tensor(positions), **kwargs
    )


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_agrees_with_an_independent_computation(rng, scale):
    responses = rng.gamma(1, size=(32, 40)).astype(np.float32) * np.float32(scale)
    positions = rng.uniform(0, 2, (40, 2)).astype(np.float32)
    expected = independent_loss(responses, positions)
    assert loss_of(responses, positions).item() == pytest.approx(expected, abs=1e-5)


def test_masked_pairs_do_not_count(rng):
    responses, positions = rng.normal(size=(32, 30)), rng.uniform(0, 2, (30, 2))
    channel = np.repeat(np.arange(6), 5)
    mask = channel[:, None] != channel[None]
    measured = loss_of(responses, positions, pair_mask=torch.as_tensor(mask))
    assert measured.item() == pytest.approx(independent_loss(responses, positions, mask), abs=1e-9)


def responses_with_correlations(matrix, rng):
    """Samples whose correlation matrix is exactly `matrix`."""
    n = len(matrix)
    noise = rng.normal(size=(4 * n, n))
    white, _ = np.linalg.qr(noise - noise.mean(axis=0))
    return white @ np.linalg.cholesky(matrix).T


@pytest.mark.parametrize(("sign", "expected"), [(1, 0.0), (-1, 1.0)])
def test_is_zero_for_affine_correlations_and_one_for_their_negative(rng, sign, expected):
    positions = rng.uniform(0, 2, (12, 2))
    proximity = 1 / (squareform(pdist(positions)) + 1)
    matrix = sign * 0.08 * (proximity - proximity.mean())
    np.fill_diagonal(matrix, 1)
    loss = loss_of(responses_with_correlations(matrix, rng), positions)
    assert loss.item() == pytest.approx(expected, abs=1e-9)


def test_dead_units_correlate_with_nothing_and_give_no_nan(rng):
    responses = rng.normal(size=(16, 10)).astype(np.float32)
    responses[:, [2, 7]] = 0.25
    positions = rng.uniform(0, 2, (10, 2)).astype(np.float32)
    tensor = torch.tensor(responses, requires_grad=True)
    loss = spatial_correlation_loss(tensor, torch.as_tensor(positions))
    loss.backward()
    assert loss.item() == pytest.approx(independent_loss(responses, positions), abs=1e-5)
    assert tensor.grad.isfinite().all()
    all_dead = torch.zeros(16, 10, requires_grad=True)
    loss = spatial_correlation_loss(all_dead, torch.as_tensor(positions))
    loss.backward()
    assert loss.item() == 0.5
    assert all_dead.grad.eq(0).all()


def test_gradcheck(rng):
    positions = torch.as_tensor(rng.uniform(0, 2, (7, 2)))
    responses = torch.tensor(rng.normal(size=(9, 7)), requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: spatial_correlation_loss(r, positions), responses)


def test_past_responses_are_further_samples(rng):
    now, past = rng.normal(size=(8, 20)), rng.normal(size=(40, 20)) + 5  # the encoder drifted
    positions = rng.uniform(0, 2, (20, 2))
    loss = loss_of(now, positions, past_responses=torch.as_tensor(past))
    samples = np.concatenate([now - now.mean(axis=0), past - past.mean(axis=0)])
    similarity = samples.T @ samples
    power = np.sqrt(np.diag(similarity))
    similarity /= power[:, None] * power[None]
    lower = np.tril_indices(20, -1)
    proximity = 1 / (squareform(pdist(positions)) + 1)
    expected = (1 - np.corrcoef(similarity[lower], proximity[lower])[0, 1]) / 2
    assert loss.item() == pytest.approx(expected, abs=1e-9)


def test_gradient_size_does_not_depend_on_the_queue(rng):
    positions = torch.as_tensor(rng.uniform(0, 2, (20, 2)))
    mixing = rng.normal(size=(5, 20))
    norms = []
    for n_past in (0, 480):
        now = torch.tensor(rng.normal(size=(32, 5)) @ mixing, requires_grad=True)
        past = torch.as_tensor(rng.normal(size=(n_past, 5)) @ mixing)
        spatial_correlation_loss(now, positions, past if n_past else None).backward()
        norms.append(now.grad.norm().item())
    assert 0.5 < norms[1] / norms[0] < 2


def test_neighbourhoods_are_computed_apart(rng):
    responses, positions = rng.normal(size=(3, 16, 10)), rng.uniform(0, 2, (3, 10, 2))
    together = loss_of(responses, positions)
    apart = [loss_of(r, p).item() for r, p in zip(responses, positions, strict=True)]
    assert together.tolist() == pytest.approx(apart, abs=1e-12)
