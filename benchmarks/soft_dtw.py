"""Soft-DTW forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from tslearn.metrics import SoftDTWLossPyTorch

from benchmarks.harness import Absent, Comparison, Row, close
from workflow_scripts.training.soft_dtw import soft_dtw

GAMMA = 0.1


def rows(small: bool, _: Path) -> Iterator[Row]:
    """At the windows of the retina's published loss, and at length 512; on a GPU too."""
    # 16 pieces of 128 frames hold 20 windows of 12 frames, one starting every 6, each.
    windows = ("at the Vi-ST windows", 6, 12, 4) if small else ("at the Vi-ST windows", 320, 12, 38)
    long = ("at length 512", 2, 24, 4) if small else ("at length 512", 16, 512, 38)
    for name, batch, length, dim in (windows, long):
        yield _comparison(f"soft-DTW {name}", 10, batch, length, dim)
    for name, batch, length, dim in (windows, long):
        part = f"soft-DTW {name}, GPU"
        yield (
            _comparison(part, 100, batch, length, dim, device="cuda")
            if torch.cuda.is_available()
            else Absent(part, "not measured on a GPU")
        )


def _comparison(
    part: str, goal: float, batch: int, length: int, dim: int, device: str = "cpu"
) -> Comparison:
    # The peer's gradient divides differences of R by γ. At length 512, R is about 3,000 and its
    # rounding in single precision is not small beside γ: the peer is off by .013 of the gradient in
    # double precision, ours by .0006.
    tolerance = 0.05 if length > 100 else 2e-3
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.rand(batch, length, dim, generator=generator).to(device) for _ in range(2))
    x.requires_grad_()
    peer = SoftDTWLossPyTorch(gamma=GAMMA)

    def step(loss: Callable[[], torch.Tensor]) -> Callable[[], list[torch.Tensor]]:
        def run() -> list[torch.Tensor]:
            values = loss()
            return [values, torch.autograd.grad(values.sum(), x)[0]]

        return run

    return Comparison(
        part=part,
        work=f"{batch} pairs of {length} × {dim}, forward and backward",
        peer="tslearn SoftDTWLossPyTorch",
        goal=goal, ours=step(lambda: soft_dtw(x, y, GAMMA)), theirs=step(lambda: peer(x, y)),
        agree=close(tolerance), unit="pairs", n_ours=batch, n_theirs=batch, device=device,
        reason="the peer's loops are compiled and parallel too. Of our 1.8 ms at the windows 0.64 "
        "go to the loops over 46,000 cells, 0.4 to distances, the rest to starting operations: "
        "the exponentials and logarithms alone, vectorised by torch, take 0.1",
    )  # fmt: skip
