"""V1T's training step and the Gaussian readout."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import cast

import torch

from benchmarks.harness import Absent, Comparison, Row, close, has
from workflow_scripts.models.readouts import GaussianReadout
from workflow_scripts.models.v1t import Attention, Block, V1TCore

NEURAL_PREDICTORS = "neuralpredictors"


class PlainAttention(Attention):
    """Attention as it is published: weights, dropout on them, weighted values."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, token, dim) → the same shape."""
        value = self._heads(tokens)[2]
        weights = torch.dropout(self.weights(tokens), self.dropout, self.training)
        return self.projection((weights @ value).transpose(1, 2).flatten(2))


def rows(small: bool, _: Path) -> Iterator[Row]:
    """Training step of the core, with the published dropout and on a GPU, and the readout."""
    size = {"dim": 8, "n_blocks": 1, "n_heads": 2, "mlp_dim": 16} if small else {}
    yield _step("V1T training step", 2, "cpu", **size)
    part = "V1T training step, bf16"
    yield (
        _step(part, 16, "cuda")
        if torch.cuda.is_available()
        else Absent(part, "not measured on a GPU")
    )
    if has(NEURAL_PREDICTORS):
        yield _readout(*(10, 4, 2) if small else (8000, 155, 16))
    else:
        yield Absent("Gaussian readout", f"{NEURAL_PREDICTORS} is not installed")


def _step(part: str, batch: int, device: str, **size: int) -> Comparison:
    torch.manual_seed(0)
    core = V1TCore(**size).to(device)  # type: ignore[arg-type]
    plain = copy.deepcopy(core)
    n_heads = cast("Block", core.blocks[0]).attention.n_heads
    for block in cast("list[Block]", plain.blocks):
        block.attention.__class__ = PlainAttention
    images, behaviour = torch.randn(batch, 1, 36, 64), torch.randn(batch, 5)
    inputs = images.to(device), behaviour.to(device)
    half = torch.autocast(device, torch.bfloat16, enabled=device == "cuda")

    def step(network: V1TCore) -> Callable[[], torch.Tensor]:
        def run() -> torch.Tensor:
            with half:
                features = network(*inputs, "mouse")
            features.float().square().mean().backward()
            network.zero_grad()
            return features

        return run

    def gradients(network: V1TCore) -> list[torch.Tensor]:
        network.eval()
        out = network(*inputs, "mouse")
        found = torch.autograd.grad(out.square().sum(), [network.embed.weight])[0]
        network.train()
        return [out, found]

    return Comparison(
        part=part,
        work=f"{len(core.token_position)} tokens, {len(core.blocks)} blocks, {n_heads} heads as "
        f"wide as a token, batch {batch}, dropout",
        peer="plain attention (published formula)",
        goal=3, ours=step(core), theirs=step(plain),
        agree=lambda *_: close(1e-3)(gradients(core), gradients(plain)), unit="images",
        n_ours=batch, n_theirs=batch, device=device,
        reason="on a CPU PyTorch's fused attention has no dropout. The products of the attention, "
        "89 to 133 GFLOP/s, take 1.5 s of a step, and drawing the dropout of its weights 1 s: "
        "both sides need them, which leaves under 1.6 times",
    )  # fmt: skip


def _readout(n_units: int, channels: int, batch: int) -> Comparison:
    peer = import_module("neuralpredictors.layers.readouts")  # may be absent
    torch.manual_seed(0)
    shape = (channels, 29, 57)
    ours = GaussianReadout(n_units, channels)
    theirs = peer.FullGaussian2d(shape, n_units, bias=True, init_sigma=0.1)
    features = torch.randn(batch, *shape, requires_grad=True)

    def step(readout: torch.nn.Module) -> Callable[[], torch.Tensor]:
        def run() -> torch.Tensor:
            predicted = readout(features)
            predicted.square().mean().backward()
            readout.zero_grad()
            features.grad = None
            return predicted

        return run

    def agree(*_: torch.Tensor) -> None:
        with torch.no_grad():
            theirs.mu.copy_(ours.position[None, :, None])
            theirs._features.copy_(ours.features[None, :, None].normal_())  # noqa: SLF001
            theirs.bias.copy_(ours.bias.normal_())
        results = []
        for readout in (ours, theirs):
            readout.eval()
            predicted = readout(features)
            results.append((predicted, torch.autograd.grad(predicted.square().sum(), features)[0]))
            readout.train()
        close(1e-4)(*results)

    return Comparison(
        part="Gaussian readout, forward and backward",
        work=f"{n_units} neurons, {channels} × 29 × 57 features, batch {batch}",
        peer="neuralpredictors FullGaussian2d",
        goal=2, ours=step(ours), theirs=step(theirs), agree=agree, unit="images", n_ours=batch,
        n_theirs=batch,
        reason="both gather four corners of all channels for each neuron and image, 0.3 GB a "
        "batch, and scatter the gradient back: at 10 GB/s 0.1 s of our 0.2",
    )  # fmt: skip
