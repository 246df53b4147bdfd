"""Batch norm over the batch of all processes; torch's own, `SyncBatchNorm`, needs GPUs."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from workflow_scripts.models.processes import count, gather


class SharedBatchNorm(_BatchNorm):
    """Batch norm whose training statistics are those of all processes' samples.

    Each process has as many of them, of any dimension.
    """

    def _check_input_dim(self, input: torch.Tensor) -> None:  # noqa: A002 - torch's name
        """Take (batch, channel, …)."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        """(batch, channel, …) → the same shape and type."""
        if not self.training or count() == 1:
            return super().forward(input)
        x = input.float()
        axes = [0, *range(2, x.ndim)]
        own = torch.stack([x.mean(axes), x.var(axes, correction=0)])
        means, variances = gather(own[None]).unbind(1)  # (process, channel)
        mean = means.mean(0)
        variance = variances.mean(0) + means.var(0, correction=0)
        self._track(mean.detach(), variance.detach(), count() * x.numel() // x.shape[1])
        shape = [1, -1, *[1] * (x.ndim - 2)]
        scale = self.weight * (variance + self.eps).rsqrt()
        return ((x - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)).to(input.dtype)

    def _track(self, mean: torch.Tensor, variance: torch.Tensor, n: int) -> None:
        """Move the running statistics; the variance's is that of a sample of `n`, unbiased."""
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr, arg-type]
        self.running_var.lerp_(variance * n / (n - 1), self.momentum)  # type: ignore[union-attr, arg-type]


def share_batch_norm(module: nn.Module) -> None:
    """Let every batch norm of a module normalise over all processes; its weights stay its own."""
    for one in module.modules():
        if isinstance(one, _BatchNorm):
            one.__class__ = SharedBatchNorm  # so that parameters, buffers and references stay
