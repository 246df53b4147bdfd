"""Soft dynamic time warping (Cuturi & Blondel 2017), batched along anti-diagonals.

``R[i, j] = C[i, j] + softmin_γ(R[i−1, j−1], R[i−1, j], R[i, j−1])`` and the value is the last
entry of R. All cells of an anti-diagonal are independent of each other, so a batch takes n + m − 1
steps on any device. The gradient is analytic: the softmin's weights, kept from the forward pass,
carry the expected alignment back. No step divides by γ there, so that γ → 0 ends in the gradient of
the hard alignment.
"""

from __future__ import annotations

from typing import Any

import torch
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
    # Not cdist: its gradient is not defined where two points coincide.
    costs = (x[:, :, None] - y[:, None]).square().sum(dim=-1)
    return _SoftDtw.apply(costs, gamma)


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
    """Costs (batch, n, m) → soft-DTW (batch,)."""

    @staticmethod
    def forward(ctx: Any, costs: Tensor, gamma: float) -> Tensor:
        batch, n, m = costs.shape
        skewed, inside = _skew(costs), _inside(n, m, costs.device)
        infinite = costs.new_full((batch, n + 1), torch.inf)
        # Entry i + 1 of a diagonal is row i; entry 0 lies above the matrix.
        before, last = infinite.clone(), infinite
        before[:, 0] = 0  # the corner R[−1, −1] = 0 from which every path starts
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
        ctx.save_for_backward(weights)
        return last[:, n].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (weights,) = ctx.saved_tensors
        n_diagonals, _, batch, n = weights.shape
        m = n_diagonals - n + 1
        # Expected alignment E[i, j] = Σ over its successors of E · weight; the end cell has 1.
        alignment = weights.new_zeros(n_diagonals + 2, batch, n + 1)
        alignment[n_diagonals - 1, :, n - 1] = gradient
        flow = torch.nn.functional.pad(weights, (0, 1))
        flow = torch.cat((flow, flow.new_zeros(2, *flow.shape[1:])))
        for k in range(n_diagonals - 2, -1, -1):
            diagonal = alignment[k + 2] * flow[k + 2, 0]
            down = alignment[k + 1] * flow[k + 1, 1]
            right = alignment[k + 1] * flow[k + 1, 2]
            alignment[k, :, :n] = diagonal[:, 1:] + down[:, 1:] + right[:, :n]
        return _unskew(alignment[:n_diagonals, :, :n], m), None


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
