"""What the processes that train one model together share (data parallelism).

Each process takes its share of the batch, the same number of consecutive samples. What a loss, a
queue or a log takes from the whole batch comes from here; in a single process all of it is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import distributed


def count() -> int:
    """Processes that train together; 1 where none were launched."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def share(n: int) -> slice:
    """Say which samples of a batch of `n`, which `count` has to divide, this process takes."""
    own = n // count()
    first = own * distributed.get_rank() if count() > 1 else 0
    return slice(first, first + own)


def own_share(values: torch.Tensor, dim: int = 0) -> torch.Tensor:
    """Keep this process's samples of a tensor of the whole batch."""
    part = share(values.shape[dim])
    return values.narrow(dim, part.start, part.stop - part.start)


def uniform(*shape: int, generator: torch.Generator, dim: int = 0) -> torch.Tensor:
    """Draw this process's samples from [0, 1).

    A sample gets the same numbers whatever the number of processes, for all of them draw for the
    whole batch.

    Parameters
    ----------
    shape : int
        Of the result.
    generator : torch.Generator
        In the same state in each process.
    dim : int
        The dimension of samples.
    """
    whole = list(shape)
    whole[dim] *= count()
    return own_share(torch.rand(whole, generator=generator, device=generator.device), dim)


def gather(values: torch.Tensor) -> torch.Tensor:
    """Join the shares (sample, …) of all processes, in the order of the whole batch.

    The gradient flows back for a loss that every process computes alike from the joined tensor;
    beside it a process may have a mean over its own share.
    """
    return values if count() == 1 else _Gather.apply(values)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        del ctx
        parts = [torch.empty_like(values) for _ in range(count())]
        distributed.all_gather(parts, values.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        del ctx
        # Gradients of weights are averaged over the processes, of which each has only its own
        # share's part of this loss; so the parts are made to add up.
        return own_share(gradients[0]) * count()


def mean(metrics: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """Average scalars over the processes."""
    if count() == 1:
        return metrics
    values = torch.stack([value.detach().float() for value in metrics.values()])
    distributed.all_reduce(values)
    return dict(zip(metrics, values / count(), strict=True))
