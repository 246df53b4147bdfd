"""The cortical spatial loss: near units should respond alike (Margalit et al. 2024)."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable


def spatial_correlation_loss(
    responses: torch.Tensor,
    positions_mm: torch.Tensor,
    past_responses: torch.Tensor | None = None,
    pair_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Spatial loss of one neighbourhood, (1 − Pearson(R, D)) / 2.

    R are the pairwise Pearson correlations of unit responses over samples and D = 1 / (d + 1)
    with d the cortical distances; Pearson runs over the pairs of units.

    Parameters
    ----------
    responses : torch.Tensor, (batch, unit) or (neighbourhood, batch, unit)
        Responses to the current clips; the gradient flows through them.
    positions_mm : torch.Tensor, (unit, 2) or (neighbourhood, unit, 2)
        Cortical positions in mm.
    past_responses : torch.Tensor, (past, unit) or (neighbourhood, past, unit), optional
        Responses of the momentum encoder to earlier clips, further samples of R without a
        gradient. Batch and past are centred apart, because the encoder drifts. The gradient is
        multiplied by (batch + past) / batch, so that its size does not depend on the queue.
    pair_mask : torch.Tensor of bool, (unit, unit) or (neighbourhood, unit, unit), optional
        Pairs that count, e.g. those of different channels; symmetric; all where not given.

    Returns
    -------
    torch.Tensor, scalar or (neighbourhood,)
        In [0, 1]: 0 where R is affine in D, 1 where it is affine in −D, ½ where R or D does not
        vary over pairs. Units of zero variance correlate 0 with all others.
    """
    centred = responses - responses.mean(dim=-2, keepdim=True)
    gain = 1.0
    if past_responses is not None:
        past = past_responses - past_responses.mean(dim=-2, keepdim=True)
        gain = 1 + past.shape[-2] / centred.shape[-2]
        centred = torch.cat([centred, past], dim=-2)
    # Scaling first keeps the eps below far from both large and tiny responses.
    scale = centred.detach().abs().amax(dim=(-2, -1), keepdim=True).clamp_min(1e-30)
    unit = _unit_vectors(centred / scale)
    shape = (*unit.shape[:-2], unit.shape[-1], unit.shape[-1])
    weight = unit.new_ones(shape) if pair_mask is None else pair_mask.to(unit.dtype, copy=True)
    weight.diagonal(dim1=-2, dim2=-1).zero_()
    loss = (1 - _PearsonOfPairs.apply(unit, positions_mm, weight)) / 2
    return loss.detach() + gain * (loss - loss.detach())


def _unit_vectors(centred: torch.Tensor) -> torch.Tensor:
    """Scale each unit's samples (…, sample, unit) to length 1, silent units to 0."""
    power = centred.square().sum(dim=-2, keepdim=True)
    alive = power > torch.finfo(centred.dtype).eps ** 2
    inverse_norm = torch.where(alive, power, torch.ones_like(power)).rsqrt() * alive
    return centred * inverse_norm


class _PearsonOfPairs(torch.autograd.Function):
    """Pearson correlation of R and D over pairs of units; 0 where either is constant.

    From unit vectors (…, sample, unit), positions (…, unit, 2) and symmetric weights of pairs. The
    gradient is written out: autograd would pass over the matrices three times as often, and not
    know that they are symmetric.
    """

    @staticmethod
    def forward(
        ctx: Any, unit: torch.Tensor, positions_mm: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        similarity = unit.mT @ unit
        proximity = torch.cdist(positions_mm, positions_mm).add_(1).reciprocal_()
        pairs = weight.sum(dim=(-2, -1)).clamp_min(1)
        a, b = (
            one.sub_((_dot(weight, one) / pairs)[..., None, None]).mul_(weight)
            for one in (similarity, proximity)
        )
        power_a, power_b = _dot(a, a), _dot(b, b)
        power = power_a * power_b
        varies = power > torch.finfo(a.dtype).eps ** 2
        inverse = torch.where(varies, power, torch.ones_like(power)).rsqrt() * varies
        pearson = _dot(a, b) * inverse
        ctx.save_for_backward(unit, a, b, inverse, pearson / power_a.clamp_min(1e-30) * varies)
        return pearson

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # type: ignore[override]
        unit, a, b, along_b, along_a = ctx.saved_tensors
        to_b, to_a = (
            2 * gradient[..., None, None] * one[..., None, None] for one in (along_b, along_a)
        )
        return unit @ (b * to_b).addcmul_(a, to_a, value=-1), None, None


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Sum of products over the last two dimensions."""
    return torch.linalg.vecdot(a.flatten(-2), b.flatten(-2))
