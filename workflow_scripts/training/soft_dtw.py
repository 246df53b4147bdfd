"""Soft dynamic time warping (Cuturi & Blondel 2017) of batches of series.

``R[i, j] = C[i, j] + softmin_γ(R[i−1, j−1], R[i−1, j], R[i, j−1])`` and the value is the last
entry of R. The gradient is analytic: the softmin's weights, kept from the forward pass, carry the
expected alignment back. No step divides by γ there, so that γ → 0 ends in the gradient of the hard
alignment.

A CPU goes from cell to cell in compiled loops, pairs in parallel. On a GPU all cells of an
anti-diagonal, which are independent of each other, are one operation: n + m − 1 steps a batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor
from torch.autograd.function import once_differentiable

from workflow_scripts.stores.errors import InputError


def soft_dtw(x: Tensor, y: Tensor, gamma: float) -> Tensor:
    """Soft-DTW of pairs of series under squared Euclidean costs, unnormalised.

    Parameters
    ----------
    x, y : torch.Tensor, (batch, n, d) and (batch, m, d)
        Series; half precision is computed in single.
    gamma : float
        Smoothing, at least 0; at 0 it is dynamic time warping, with ties shared equally.

    Returns
    -------
    torch.Tensor, (batch,)

    Raises
    ------
    InputError
        γ is negative, or the shapes do not belong together.
    """
    if gamma < 0:
        raise InputError(f"soft_dtw: gamma is {gamma}; it must be at least 0")
    if x.ndim != 3 or y.ndim != 3 or x.shape[::2] != y.shape[::2]:
        raise InputError(
            f"soft_dtw: shapes {tuple(x.shape)} and {tuple(y.shape)}; "
            "expected (batch, n, d) and (batch, m, d)"
        )
    if x.dtype in (torch.float16, torch.bfloat16):
        x, y = x.float(), y.float()
    return _SoftDtw.apply(x, y, gamma)


def normalised_soft_dtw(x: Tensor, y: Tensor, gamma: float) -> Tensor:
    """Soft-DTW less the mean of both series' own: 0 for equal series (Blondel et al. 2021).

    Parameters
    ----------
    x, y, gamma
        As in `soft_dtw`.

    Returns
    -------
    torch.Tensor, (batch,)
    """
    own = soft_dtw(x, x, gamma) + soft_dtw(y, y, gamma)
    return soft_dtw(x, y, gamma) - own / 2


class _SoftDtw(torch.autograd.Function):
    """Series (batch, n, d) and (batch, m, d) → soft-DTW (batch,)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, gamma: float) -> Tensor:
        # Distances by way of a matrix product would not be 0 where two points coincide.
        costs = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
        if costs.is_cuda:
            values, weights = _align_diagonals(costs, gamma)
        else:
            found = _align_cells(costs.detach().numpy(), costs.numpy().dtype.type(gamma))
            values, weights = map(torch.from_numpy, found)
        ctx.save_for_backward(x, y, weights)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        x, y, weights = ctx.saved_tensors
        if weights.is_cuda:
            alignment = _expected_diagonals(weights, gradient)
        else:
            alignment = torch.from_numpy(_expected_cells(weights.numpy()))
            alignment *= gradient[:, None, None]
        # The cost of a cell is |x_i − y_j|², and its weight the expected alignment.
        to_x = alignment.sum(dim=2, keepdim=True) * x - alignment @ y
        to_y = alignment.sum(dim=1)[..., None] * y - alignment.mT @ x
        return 2 * to_x, 2 * to_y, None


@njit(parallel=True, cache=True)
def _align_cells(costs: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Costs (batch, n, m) → values (batch,) and the softmin's weights (batch, n, m, 3)."""
    batch, n, m = costs.shape
    values = np.empty(batch, costs.dtype)
    weights = np.empty((batch, n, m, 3), costs.dtype)
    for pair in prange(batch):
        row = np.full(m + 1, np.inf, costs.dtype)  # of R, above the current cell or left of it
        row[0] = 0  # the corner R[−1, −1] = 0 from which every path starts
        for i in range(n):
            diagonal, row[0] = row[0], np.inf
            for j in range(m):
                down, right = row[j + 1], row[j]
                least = min(diagonal, down, right)
                if gamma > 0:
                    a = np.exp((least - diagonal) / gamma)
                    b = np.exp((least - down) / gamma)
                    c = np.exp((least - right) / gamma)
                else:
                    a, b, c = diagonal == least, down == least, right == least
                total = costs.dtype.type(a + b + c)
                weights[pair, i, j, 0] = a / total
                weights[pair, i, j, 1] = b / total
                weights[pair, i, j, 2] = c / total
                row[j + 1] = costs[pair, i, j] + least - gamma * np.log(total)
                diagonal = down
        values[pair] = row[m]
    return values, weights


@njit(parallel=True, cache=True)
def _expected_cells(weights: np.ndarray) -> np.ndarray:
    """Softmin's weights (batch, n, m, 3) → expected alignment (batch, n, m).

    E[i, j] = Σ over its successors of E · weight; the end cell has 1.
    """
    batch, n, m = weights.shape[:3]
    alignment = np.zeros((batch, n, m), weights.dtype)
    for pair in prange(batch):
        alignment[pair, n - 1, m - 1] = 1
        for i in range(n - 1, -1, -1):
            for j in range(m - 1, -1, -1):
                here = alignment[pair, i, j]
                if i > 0 and j > 0:
                    alignment[pair, i - 1, j - 1] += here * weights[pair, i, j, 0]
                if i > 0:
                    alignment[pair, i - 1, j] += here * weights[pair, i, j, 1]
                if j > 0:
                    alignment[pair, i, j - 1] += here * weights[pair, i, j, 2]
    return alignment


def _align_diagonals(costs: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Costs (batch, n, m) → values (batch,) and the weights (diagonal, 3, batch, n)."""
    batch, n, m = costs.shape
    skewed, inside = _skew(costs), _inside(n, m, costs.device)
    infinite = costs.new_full((batch, n + 1), torch.inf)
    # Entry i + 1 of a diagonal is row i; entry 0 lies above the matrix.
    before, last = infinite.clone(), infinite
    before[:, 0] = 0
    weights = costs.new_zeros(n + m - 1, 3, batch, n)
    for k in range(n + m - 1):
        ways = torch.stack((before[:, :-1], last[:, :-1], last[:, 1:]))
        least = ways.amin(dim=0)
        above = ways - least
        share = (-above / gamma).exp() if gamma > 0 else (above == 0).to(above)
        total = share.sum(dim=0)
        here = skewed[k] + least - gamma * total.log()
        before, last = last, infinite.clone()
        last[:, 1:] = torch.where(inside[k], here, torch.inf)
        weights[k] = torch.where(inside[k], share / total, 0)
    return last[:, n].clone(), weights


def _expected_diagonals(weights: Tensor, gradient: Tensor) -> Tensor:
    """Weights (diagonal, 3, batch, n), gradient (batch,) → gradient of the costs (batch, n, m)."""
    n_diagonals, _, batch, n = weights.shape
    alignment = weights.new_zeros(n_diagonals + 2, batch, n + 1)
    alignment[n_diagonals - 1, :, n - 1] = gradient
    flow = torch.nn.functional.pad(weights, (0, 1))
    flow = torch.cat((flow, flow.new_zeros(2, *flow.shape[1:])))
    for k in range(n_diagonals - 2, -1, -1):
        diagonal = alignment[k + 2] * flow[k + 2, 0]
        down = alignment[k + 1] * flow[k + 1, 1]
        right = alignment[k + 1] * flow[k + 1, 2]
        alignment[k, :, :n] = diagonal[:, 1:] + down[:, 1:] + right[:, :n]
    return _unskew(alignment[:n_diagonals, :, :n], n_diagonals - n + 1)


def _inside(n: int, m: int, device: torch.device) -> Tensor:
    """Whether entry i of diagonal k is a cell (i, k − i) of the matrix, (diagonal, n)."""
    column = torch.arange(n + m - 1, device=device)[:, None] - torch.arange(n, device=device)
    return (column >= 0) & (column < m)


def _skew(costs: Tensor) -> Tensor:
    """(batch, n, m) → anti-diagonals (diagonal, batch, n), 0 outside of the matrix."""
    batch, n, m = costs.shape
    # Rows of n + m zeros, read as rows of n + m − 1, lie one further right each.
    padded = torch.nn.functional.pad(costs, (0, n)).reshape(batch, -1)[:, : n * (n + m - 1)]
    return padded.reshape(batch, n, n + m - 1).permute(2, 0, 1)


def _unskew(diagonals: Tensor, m: int) -> Tensor:
    """Invert `_skew`."""
    n_diagonals, batch, n = diagonals.shape
    rows = diagonals.permute(1, 2, 0).reshape(batch, -1)
    return torch.nn.functional.pad(rows, (0, n)).reshape(batch, n, n_diagonals + 1)[:, :, :m]
