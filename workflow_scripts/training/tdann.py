"""The spatiotemporal TDANN's objective: momentum contrast and a spatial loss per layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from workflow_scripts.models.backbones import normalise_pixels
from workflow_scripts.models.moco import MoCo
from workflow_scripts.models.processes import gather
from workflow_scripts.models.spatial_loss import spatial_correlation_loss
from workflow_scripts.training.augmentation import AugmentationOptions, two_views
from workflow_scripts.training.seeds import step_generator

Metrics = dict[str, torch.Tensor]


@dataclass(frozen=True)
class SpatialLossOptions:
    """How the spatial loss is sampled.

    Parameters
    ----------
    alpha : float
        Weight of each layer's spatial loss; 0 trains by contrast alone.
    neighbourhoods_per_step : int
        Neighbourhoods a layer and step.
    queue_length : int
        Past responses of the momentum encoder that extend each correlation's samples.
    mask_same_channel : bool
        Leave out pairs of one channel, which weight sharing makes alike whatever is learned.
    """

    alpha: float
    neighbourhoods_per_step: int = 4
    queue_length: int = 480
    mask_same_channel: bool = True


@dataclass(frozen=True)
class Sheet:
    """One layer's cortical sheet.

    Attributes
    ----------
    positions_mm : np.ndarray, (unit, 2)
    channels : np.ndarray, (unit,)
    neighbourhoods : np.ndarray, (neighbourhood, unit)
        Precomputed; each step draws some of them.
    """

    positions_mm: np.ndarray
    channels: np.ndarray
    neighbourhoods: np.ndarray


class SpatialLoss(nn.Module):
    """The spatial loss of one layer over drawn neighbourhoods, with a queue of past responses."""

    queue: torch.Tensor
    filled: torch.Tensor
    position: torch.Tensor

    def __init__(self, sheet: Sheet, options: SpatialLossOptions) -> None:
        super().__init__()
        self.options = options
        for name, values, dtype in (
            ("positions_mm", sheet.positions_mm, torch.float32),
            ("channels", sheet.channels, torch.int32),
            ("neighbourhoods", sheet.neighbourhoods, torch.int32),
        ):
            self.register_buffer(name, torch.as_tensor(values, dtype=dtype), persistent=False)
        self.register_buffer("queue", torch.zeros(options.queue_length, len(sheet.positions_mm)))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))

    def forward(self, responses: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Mean loss over this step's neighbourhoods; responses (own share, unit).

        Correlations need the whole batch, so the responses of all processes are joined.
        """
        available: torch.Tensor = self.neighbourhoods  # type: ignore[assignment]
        drawn = torch.randint(
            len(available), (self.options.neighbourhoods_per_step,),
            generator=generator, device=generator.device,
        )  # fmt: skip
        units = available[drawn].long()
        # Rows of the ring, the oldest first.
        oldest = self.position - self.filled
        rows = (oldest + torch.arange(int(self.filled), device=units.device)) % len(self.queue)
        channels = self.channels[units]  # type: ignore[index]
        different = channels[:, :, None] != channels[:, None, :]
        loss = spatial_correlation_loss(
            gather(responses[:, units]).transpose(0, 1),
            self.positions_mm[units],  # type: ignore[index]
            self.queue[rows[None, :, None], units[:, None]] if len(rows) else None,
            different if self.options.mask_same_channel else None,
        )
        return loss.mean()

    @torch.no_grad()
    def enqueue(self, responses: torch.Tensor) -> None:
        """Append the momentum encoder's responses (batch, unit); the oldest fall out."""
        length = len(self.queue)
        newest = responses[-length:]
        rows = (self.position + torch.arange(len(newest), device=newest.device)) % length
        self.queue[rows] = newest
        self.position.add_(len(newest)).remainder_(length)
        self.filled.add_(len(newest)).clamp_(max=length)


class TdannObjective(nn.Module):
    """Total loss = MoCo + Σ_l α L_l.

    Parameters
    ----------
    moco : MoCo
    sheets : mapping of str to Sheet
        By layer name; empty for α = 0.
    spatial : SpatialLossOptions
    augmentation : AugmentationOptions
    seed : int
        Of views and neighbourhoods.
    """

    def __init__(
        self,
        moco: MoCo,
        sheets: Mapping[str, Sheet],
        spatial: SpatialLossOptions,
        augmentation: AugmentationOptions,
        seed: int,
    ) -> None:
        super().__init__()
        self.moco, self.alpha = moco.to(memory_format=torch.channels_last_3d), spatial.alpha
        self.augmentation, self.seed = augmentation, seed
        self.spatial = nn.ModuleDict({n: SpatialLoss(s, spatial) for n, s in sheets.items()})

    def forward(self, clips: torch.Tensor, step: int) -> tuple[torch.Tensor, Metrics]:
        """Loss of one step for uint8 clips (batch, channel, time, y, x)."""
        generator = step_generator(self.seed, step, clips.device)
        query, key = two_views(clips, self.augmentation, generator)
        output = self.moco(normalise_pixels(query), normalise_pixels(key))
        metrics = {"contrastive_loss": output.loss, "contrastive_accuracy": output.accuracy}
        total = output.loss
        # Pearson correlations of bf16 responses would lose the differences they are made of.
        with torch.autocast(clips.device.type, enabled=False):
            for name, loss in self.spatial.items():
                value = loss(unit_responses(output.query_responses[name]), generator)
                loss.enqueue(gather(unit_responses(output.key_responses[name])))  # type: ignore[operator]
                metrics[f"spatial_loss_{name}"] = value
                total = total + self.alpha * value
        return total, metrics


def unit_responses(response: torch.Tensor) -> torch.Tensor:
    """Average over time: (batch, channel, time, row, column) → (batch, unit), float32."""
    return response.float().mean(dim=2).flatten(1)


@torch.no_grad()
def layer_shapes(
    backbone: nn.Module, augmentation: AugmentationOptions, in_channels: int
) -> dict[str, tuple[int, int, int]]:
    """Channels, rows and columns of each layer for one view."""
    side = augmentation.crop_px
    probe = torch.zeros(1, in_channels, augmentation.n_frames, side, side)
    responses = backbone.responses(probe)  # type: ignore[operator]
    return {name: (r.shape[1], r.shape[3], r.shape[4]) for name, r in responses.items()}
