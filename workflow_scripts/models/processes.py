"""What the processes that train one model together share (data parallelism).

Each process takes its share of the batch, the same number of consecutive samples. What a loss, a
queue or a log takes from the whole batch comes from here; in a single process all of it is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import distributed

from workflow_scripts.stores.errors import InputError


def count() -> int:
    """Processes that train together; 1 where none were launched."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Say which of them this process is; the first is 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def share(n: int) -> slice:
    """Say which samples of a batch of `n` this process takes.

    Raises
    ------
    InputError
        They cannot be divided.
    """
    own, left = divmod(n, count())
    if left:
        raise InputError(
            f"training.batch_size: a batch of {n} cannot be divided among {count()} processes; "
            "choose a multiple of devices × nodes that no session has fewer training samples than"
        )
    return slice(own * rank(), own * (rank() + 1))


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


def normal_like(samples: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """Draw standard normal numbers for this process's samples (sample, …), as `uniform` does."""
    shape = (count() * len(samples), *samples.shape[1:])
    return own_share(torch.randn(shape, generator=generator, device=samples.device))


def gather(values: torch.Tensor) -> torch.Tensor:
    """Join the shares (sample, …) of all processes, in the order of the whole batch.

    What each process makes of the joined tensor sends its gradient back to all of them: the loss
    that is minimised is the mean of the processes' losses.
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
        total = gradients[0].clone()  # the engine may hold the same memory elsewhere
        distributed.all_reduce(total)
        return own_share(total)


def mean(metrics: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """Average scalars over the processes."""
    if count() == 1:
        return metrics
    values = torch.stack([value.detach().float() for value in metrics.values()])
    distributed.all_reduce(values)
    return dict(zip(metrics, values / count(), strict=True))
