import numpy as np
import pytest
import torch
from tslearn.metrics import SoftDTWLossPyTorch, dtw
from tslearn.metrics import soft_dtw as tslearn_soft_dtw

from workflow_scripts.stores.errors import InputError
from workflow_scripts.training.soft_dtw import (
    _align_cells,
    _align_diagonals,
    _expected_cells,
    _expected_diagonals,
    normalised_soft_dtw,
    soft_dtw,
)

SHAPES = [(1, 1, 1), (5, 5, 1), (6, 12, 3), (12, 6, 38), (1, 7, 2), (9, 1, 2)]


def series(n, m, d, seed=0, batch=3):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, k, d, dtype=torch.float64, generator=generator) for k in (n, m)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gamma", [0.01, 0.1, 1.0, 10.0])
def test_value_agrees_with_tslearn(shape, gamma):
    x, y = series(*shape)
    expected = [
        tslearn_soft_dtw(a.numpy(), b.numpy(), gamma=gamma) for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(soft_dtw(x, y, gamma), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("gamma", [0.1, 2.0])
def test_gradient_agrees_with_tslearn(normalise, gamma):
    for seed in range(3):
        x, y = series(7, 7, 4, seed)
        theirs = x.clone().requires_grad_()
        SoftDTWLossPyTorch(gamma=gamma, normalize=normalise)(theirs, y).sum().backward()
        ours = x.clone().requires_grad_()
        (normalised_soft_dtw if normalise else soft_dtw)(ours, y, gamma).sum().backward()
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(4, 4, 2), (3, 6, 1), (6, 2, 3)])
@pytest.mark.parametrize("gamma", [0.05, 1.0])
def test_gradients_are_those_of_the_value(shape, gamma):
    x, y = (one.requires_grad_() for one in series(*shape, batch=2))
    assert torch.autograd.gradcheck(lambda a, b: soft_dtw(a, b, gamma), (x, y))
    assert torch.autograd.gradcheck(lambda a, b: normalised_soft_dtw(a, b, gamma), (x, y))


def test_without_smoothing_it_is_dynamic_time_warping():
    x, y = series(8, 11, 3)
    hard = [dtw(a.numpy(), b.numpy()) ** 2 for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(soft_dtw(x, y, 0.0), hard, rtol=1e-10)
    for gamma in (1e-3, 1e-6, 1e-12):
        small = x.float().clone().requires_grad_()
        value = soft_dtw(small, y.float(), gamma)
        np.testing.assert_allclose(value.detach(), hard, rtol=2e-3)
        value.sum().backward()
        assert torch.isfinite(small.grad).all()
    exact, limit = x.clone().requires_grad_(), x.clone().requires_grad_()
    soft_dtw(exact, y, 0.0).sum().backward()
    soft_dtw(limit, y, 1e-9).sum().backward()
    torch.testing.assert_close(limit.grad, exact.grad)


def test_a_warped_copy_costs_nothing_and_a_shift_in_level_does():
    x = torch.sin(torch.linspace(0, 6, 20, dtype=torch.float64))[None, :, None]
    slow = x.repeat_interleave(2, dim=1)
    assert soft_dtw(x, slow, 0.0).item() == 0
    assert soft_dtw(x, slow + 1, 0.0).item() > 1


def test_normalised_equals_zero_for_equal_series_and_is_symmetric():
    x, y = series(9, 9, 2)
    torch.testing.assert_close(normalised_soft_dtw(x, x, 0.3), torch.zeros(3, dtype=x.dtype))
    torch.testing.assert_close(normalised_soft_dtw(x, y, 0.3), normalised_soft_dtw(y, x, 0.3))


def test_pairs_of_a_batch_do_not_touch_each_other():
    x, y = series(5, 8, 2, batch=4)
    alone = torch.cat([soft_dtw(a[None], b[None], 0.5) for a, b in zip(x, y, strict=True)])
    torch.testing.assert_close(soft_dtw(x, y, 0.5), alone)


@pytest.mark.parametrize("gamma", [0.0, 0.1, 5.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_cells_and_diagonals_find_the_same(shape, gamma):
    x, y = series(*shape)
    costs = torch.cdist(x, y).square()
    values, weights = _align_cells(costs.numpy(), gamma)
    by_diagonals, diagonal_weights = _align_diagonals(costs, gamma)
    np.testing.assert_allclose(values, by_diagonals, rtol=1e-12)
    gradient = torch.tensor([1.0, -2.0, 0.5], dtype=x.dtype)
    alignment = _expected_diagonals(diagonal_weights, gradient)
    expected = _expected_cells(weights) * gradient[:, None, None].numpy()
    np.testing.assert_allclose(alignment, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same():
    x, y = series(12, 9, 5)
    here, there = x.clone().requires_grad_(), x.clone().cuda().requires_grad_()
    a, b = soft_dtw(here, y, 0.1), soft_dtw(there, y.cuda(), 0.1)
    torch.testing.assert_close(a, b.cpu())
    a.sum().backward()
    b.sum().backward()
    torch.testing.assert_close(here.grad, there.grad.cpu())


def test_what_makes_no_sense_is_refused():
    x, y = series(3, 4, 2)
    with pytest.raises(InputError, match="gamma is -1"):
        soft_dtw(x, y, -1)
    with pytest.raises(InputError, match="expected"):
        soft_dtw(x, y[:, :, :1], 1)
