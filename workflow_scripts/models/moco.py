"""Momentum contrast (He et al. 2020; Chen et al. 2020b for the projection head)."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from workflow_scripts.models.processes import gather

Responses = dict[str, torch.Tensor]


@dataclass
class MoCoOutput:
    """One step's loss and what else can be read off it.

    Attributes
    ----------
    loss : torch.Tensor, scalar
        InfoNCE.
    accuracy : torch.Tensor, scalar
        Share of queries whose own key scores above every key of the queue.
    query_responses, key_responses : dict of torch.Tensor
        Layer responses of both encoders; those of the key encoder carry no gradient.
    """

    loss: torch.Tensor
    accuracy: torch.Tensor
    query_responses: Responses
    key_responses: Responses


class ProjectedBackbone(nn.Module):
    """A backbone and a two-layer projection head onto the unit sphere."""

    def __init__(self, backbone: nn.Module, projection_dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        dim: int = backbone.feature_dim  # type: ignore[assignment]
        self.head = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, projection_dim))

    def forward(self, clips: torch.Tensor) -> tuple[torch.Tensor, Responses]:
        """Clips (batch, channel, time, y, x) → unit projections (batch, dim), layer responses."""
        responses = self.backbone.responses(clips)  # type: ignore[operator]
        projection = self.head(self.backbone.features(responses))  # type: ignore[operator]
        return functional.normalize(projection.float(), dim=1), responses


class MoCo(nn.Module):
    """Query and key encoder with a queue of past keys.

    Parameters
    ----------
    backbone : nn.Module
        See `models.backbones.Backbone`. The key encoder starts as its copy.
    projection_dim : int
        Dimensions of the projection.
    queue_length : int
        K, keys in the queue; a multiple of the batch size.
    momentum : float
        m of the key encoder's exponential moving average.
    temperature : float
        τ of InfoNCE.
    """

    queue: torch.Tensor
    queue_position: torch.Tensor

    def __init__(
        self,
        backbone: nn.Module,
        projection_dim: int = 128,
        queue_length: int = 65536,
        momentum: float = 0.999,
        temperature: float = 0.07,
    ) -> None:
        super().__init__()
        self.momentum, self.temperature = momentum, temperature
        self.query_encoder = ProjectedBackbone(backbone, projection_dim)
        self.key_encoder = copy.deepcopy(self.query_encoder).requires_grad_(requires_grad=False)
        keys = functional.normalize(torch.randn(queue_length, projection_dim), dim=1)
        self.register_buffer("queue", keys)
        self.register_buffer("queue_position", torch.zeros((), dtype=torch.long))

    def forward(self, query_clips: torch.Tensor, key_clips: torch.Tensor) -> MoCoOutput:
        """Compare two views of the same clips, each (batch, channel, time, y, x).

        In training the key encoder is moved first and the keys, of all processes, are queued
        last, as in the reference implementation.
        """
        queries, query_responses = self.query_encoder(query_clips)
        with torch.no_grad():
            if self.training:
                self.update_key_encoder()
            keys, key_responses = self.key_encoder(key_clips)
        logits = contrastive_logits(queries, keys, self.queue.clone(), self.temperature)
        accuracy = (logits.argmax(dim=1) == 0).float().mean()
        if self.training:
            self.enqueue(gather(keys))
        return MoCoOutput(info_nce(logits), accuracy, query_responses, key_responses)

    @torch.no_grad()
    def update_key_encoder(self) -> None:
        """θ_k ← m θ_k + (1 − m) θ_q (He et al. 2020, equation 2)."""
        pairs = zip(self.key_encoder.parameters(), self.query_encoder.parameters(), strict=True)
        for key, query in pairs:
            key.mul_(self.momentum).add_(query, alpha=1 - self.momentum)

    @torch.no_grad()
    def enqueue(self, keys: torch.Tensor) -> None:
        """Replace the oldest keys of the queue by new ones (batch, dim); wraps at the end."""
        length = len(self.queue)
        slots = (self.queue_position + torch.arange(len(keys), device=keys.device)) % length
        self.queue[slots] = keys.to(self.queue.dtype)
        self.queue_position.add_(len(keys)).remainder_(length)


def contrastive_logits(
    queries: torch.Tensor, keys: torch.Tensor, queue: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Similarities (batch, 1 + K) over τ: each query's own key first, then the queue's keys."""
    positive = (queries * keys).sum(dim=1, keepdim=True)
    return torch.cat([positive, queries @ queue.T], dim=1) / temperature


def info_nce(logits: torch.Tensor) -> torch.Tensor:
    """Cross entropy against column 0 (He et al. 2020, equation 1); ln(K + 1) on equal logits."""
    target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    return functional.cross_entropy(logits, target)
