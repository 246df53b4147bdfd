"""The spatial loss, the optimisation of positions, and the training step of the TDANN."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.models.video import r3d_18

from benchmarks.harness import Absent, Comparison, Row, close, cuda_seconds
from workflow_scripts.models.backbones import build_backbone
from workflow_scripts.models.moco import MoCo
from workflow_scripts.models.positions import (
    cortical_positions,
    draw_neighbourhoods,
    proximity,
    two_opt,
)
from workflow_scripts.models.resnet3d import ResNet3D
from workflow_scripts.models.spatial_loss import spatial_correlation_loss
from workflow_scripts.training.augmentation import AugmentationOptions
from workflow_scripts.training.tdann import (
    Sheet,
    SpatialLossOptions,
    TdannObjective,
    layer_shapes,
)

N_LAYERS = 8
SHEET_MM = 5.7
PAPER_STEPS = 93_750  # of profiles/full


def rows(small: bool, _: Path) -> Iterator[Row]:
    """Spatial loss, positions, training step; the step on a GPU too."""
    yield _spatial_loss(n_units=20 if small else 500, batch=8 if small else 128)
    yield _positions(n_units=12 if small else 500)
    yield training_step(4, side=32, batch=2) if small else training_step(64, side=64, batch=8)
    yield _share_of_the_step(4, 32, 2) if small else _share_of_the_step(64, 64, 8)
    part = "TDANN training step, bf16"
    if torch.cuda.is_available():
        yield training_step(64, side=112, batch=128, n_frames=16, device="cuda", part=part)
    else:
        yield Absent(part, "not measured on a GPU")


# Spatial loss -------------------------------------------------------------------------------------


def _spatial_loss(n_units: int, batch: int) -> Comparison:
    torch.manual_seed(0)
    responses = torch.rand(N_LAYERS, batch, n_units, requires_grad=True)
    positions_mm = torch.rand(N_LAYERS, n_units, 2)

    def with_gradient(loss: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return loss, torch.autograd.grad(loss.sum(), responses)[0]

    def ours() -> tuple[torch.Tensor, torch.Tensor]:
        return with_gradient(spatial_correlation_loss(responses, positions_mm))

    def theirs() -> tuple[torch.Tensor, torch.Tensor]:
        layers = zip(responses, positions_mm, strict=True)
        return with_gradient(torch.stack([plain_spatial_loss(*layer) for layer in layers]))

    return Comparison(
        part="spatial loss, forward and backward",
        work=f"{n_units} units × batch {batch}, {N_LAYERS} layers",
        peer="plain formula in torch",
        goal=3, ours=ours, theirs=theirs, agree=close(1e-3), unit="losses", n_ours=N_LAYERS,
        n_theirs=N_LAYERS,
        reason="three products of 500 × 128 × 500 a layer, which the peer has too, are the floor",
    )  # fmt: skip


def plain_spatial_loss(responses: torch.Tensor, positions_mm: torch.Tensor) -> torch.Tensor:
    """(1 − Pearson(R, D)) / 2 over pairs of units, as it is written (Margalit et al. 2024)."""
    similarity = torch.corrcoef(responses.T)
    difference = positions_mm[:, None] - positions_mm[None]
    distance_mm = difference.square().sum(dim=-1).sqrt()
    row, column = torch.tril_indices(*similarity.shape, offset=-1)
    pairs = torch.stack([similarity[row, column], 1 / (distance_mm[row, column] + 1)])
    return (1 - torch.corrcoef(pairs)[0, 1]) / 2


# Positions ----------------------------------------------------------------------------------------


def _positions(n_units: int) -> Comparison:
    rng = np.random.default_rng(0)
    responses = rng.standard_normal((64, n_units))
    similarity = np.asarray(np.corrcoef(responses, rowvar=False), np.float32)
    near = proximity(rng.uniform(0, SHEET_MM, (n_units, 2)))
    order = rng.permutation(n_units).astype(np.int32)
    n_theirs = min(200, n_units * (n_units - 1) // 2)

    def agree(*_: Any) -> None:
        part = order.argsort()[:12].argsort().astype(np.int32)
        pieces = similarity[:12, :12].copy(), near[:12, :12].copy()
        swapped = two_opt(*pieces, part, 1)[0]
        np.testing.assert_array_equal(swapped, recomputed_swaps(*pieces, part, 66))

    return Comparison(
        part="position optimisation",
        work=f"tried swaps in a neighbourhood of {n_units} units",
        peer="plain swaps with the loss recomputed in numpy",
        goal=100, ours=lambda: two_opt(similarity, near, order, 1),
        theirs=lambda: recomputed_swaps(similarity, near, order, n_theirs), agree=agree,
        unit="swaps", n_ours=n_units * (n_units - 1) // 2, n_theirs=n_theirs,
    )  # fmt: skip


def recomputed_swaps(
    similarity: np.ndarray, near: np.ndarray, order: np.ndarray, n_swaps: int
) -> np.ndarray:
    """Try swaps in the order of `two_opt`, each with Σ R D summed anew: unit at each place."""
    assignment = np.arange(len(order))
    best = _alike(similarity, near, assignment)
    tried = 0
    for i in range(1, len(order)):
        for j in range(i):
            if tried == n_swaps:
                return assignment
            tried += 1
            trial = assignment.copy()
            trial[[order[i], order[j]]] = trial[[order[j], order[i]]]
            value = _alike(similarity, near, trial)
            if value > best + 1e-4:
                assignment, best = trial, value
    return assignment


def _alike(similarity: np.ndarray, near: np.ndarray, assignment: np.ndarray) -> float:
    row, column = np.tril_indices(len(assignment), -1)
    return float((similarity[assignment[row], assignment[column]] * near[row, column]).sum())


# Training step ------------------------------------------------------------------------------------


def training_step(
    width: int, side: int, batch: int, n_frames: int = 8, device: str = "cpu",
    part: str = "TDANN training step",
) -> Comparison:  # fmt: skip
    """Augmentation, both encoders, contrast, four spatial losses, backward, AdamW."""
    torch.manual_seed(0)
    clips = torch.randint(256, (batch, 3, n_frames + 2, side * 3 // 2, side * 3 // 2))
    clips = clips.byte().to(device)
    objective = build_objective(width, side, n_frames).to(device).train()
    network = r3d_18().to(memory_format=torch.channels_last_3d).to(device).train()
    views = torch.rand(batch, 3, n_frames, side, side, device=device) - 0.5
    views = views.to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.AdamW(
        [one for one in objective.parameters() if one.requires_grad], lr=1e-4
    )
    half = torch.autocast(device, torch.bfloat16, enabled=device == "cuda")

    def ours() -> torch.Tensor:
        with half:
            loss = objective(clips, 0)[0]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def theirs() -> torch.Tensor:
        with half:
            loss = network(views).square().mean()
        loss.backward()
        with torch.no_grad(), half:
            network(views)
        network.zero_grad()
        return loss

    return Comparison(
        part=part,
        work=f"width {width}, {batch} clips of 3 × {n_frames} × {side} × {side}",
        peer="torchvision r3d_18: forward, backward, one more forward",
        goal=1 / 1.1, ours=ours, theirs=theirs,
        agree=lambda *_: _same_network(), unit="clips",
        n_ours=batch, n_theirs=batch, device=device,
        reason="the convolutions of both run at oneDNN's peak; ours adds group norm, which has no "
        "fused kernel on a CPU, views, queues and the optimiser",
    )  # fmt: skip


def _share_of_the_step(width: int, side: int, batch: int) -> Comparison:
    """Four layers' spatial losses against the whole step that they are part of."""
    whole = training_step(width, side, batch)
    objective = build_objective(width, side, n_frames=8)
    sheets = {name: len(loss.positions_mm) for name, loss in objective.spatial.items()}  # type: ignore[arg-type]
    responses = {n: torch.rand(batch, units, requires_grad=True) for n, units in sheets.items()}

    def spatial() -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        total = torch.zeros(())
        for name, loss in objective.spatial.items():
            total = total + loss(responses[name], generator)
            loss.enqueue(responses[name])  # type: ignore[operator]
        total.backward()
        return total

    return Comparison(
        part="spatial loss in a training step",
        work=f"{len(sheets)} layers, four neighbourhoods each, queues included",
        peer="the whole step",
        goal=20, ours=spatial, theirs=whole.ours, agree=lambda *_: None, unit="steps",
        reason="correlations of batch and queue, and moving the queues along",
    )  # fmt: skip


def build_objective(width: int, side: int, n_frames: int) -> TdannObjective:
    """The objective of the study with four layers on sheets of drawn positions."""
    augmentation = AugmentationOptions(crop_px=side, n_frames=n_frames)
    backbone = build_backbone("resnet3d", width, 3)
    shapes = layer_shapes(backbone, augmentation, 3)
    sheets = {}
    for name, (n_channels, n_rows, _) in shapes.items():
        xy = cortical_positions(n_channels, n_rows, SHEET_MM, shapes["layer1"][1], seed=0)
        drawn = draw_neighbourhoods(xy, SHEET_MM / 4, 20, 200, seed=0)
        sheets[name] = Sheet(xy, np.repeat(np.arange(n_channels), n_rows**2), drawn)
    moco = MoCo(backbone, 128, queue_length=4096)
    return TdannObjective(moco, sheets, SpatialLossOptions(alpha=0.1), augmentation, seed=0)


def _same_network() -> None:
    """With batch norm and the peer's weights, our backbone gives the peer's features."""
    peer = r3d_18().eval()
    backbone = ResNet3D(64, 3, norm="batch").eval()
    weights = {name: one for name, one in peer.state_dict().items() if not name.startswith("fc.")}
    backbone.load_state_dict(weights)
    clip = torch.rand(1, 3, 8, 32, 32)
    with torch.no_grad():
        close(1e-4)(peer.fc(backbone(clip)), peer(clip))


def gpu_figures() -> str:
    """Time, memory and share of the bf16 peak of a paper-scale step, and a whole run's time."""
    if not torch.cuda.is_available():
        return "Not measured on a GPU."
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415 - only on a GPU

    batch = 256
    step = training_step(64, side=112, batch=batch, n_frames=16, device="cuda").ours
    step()
    torch.cuda.reset_peak_memory_stats()
    step_s = float(np.median([cuda_seconds(step, 5) / 5 for _ in range(5)]))
    with FlopCounterMode(display=False) as counted:
        step()
    share = counted.get_total_flops() / step_s / _peak_flops()
    return (
        f"A step at paper scale (width 64, {batch} clips of 16 × 112 × 112, bf16) takes "
        f"{step_s:.3f} s, {batch / step_s:.0f} clips/s, at {share:.0%} of the measured bf16 peak, "
        f"in {torch.cuda.max_memory_allocated() / 1e9:.0f} GB; the {PAPER_STEPS:,} steps of a run "
        f"take {PAPER_STEPS * step_s / 3600:.0f} h."
    )


def _peak_flops() -> float:
    """Operations per second of a large bf16 matrix product."""
    side, n_products = 8192, 20
    a, b = (torch.rand(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    torch.mm(a, b)
    return 2 * side**3 * n_products / cuda_seconds(lambda: torch.mm(a, b), n_products)
