"""DINA: an image and the population response to it meet in one space of feature maps.

One image tower and, for each recording session, a neural tower produce maps of the same layout,
(channel, row, column); a contrastive loss makes the maps of an image and of its response alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from workflow_scripts.models.files import load_into, save_model
from workflow_scripts.stores.table_store import read_json

DIM = 64
MAP_PX = 32
KERNEL_PX = 7
# Of CLIP (Radford et al. 2021): the first temperature, and the most that logits are scaled by.
FIRST_TEMPERATURE, LARGEST_SCALE = 0.07, 100.0


class ImageTower(nn.Module):
    """A shallow network that sees the image at several scales.

    Each scale averages pixels, filters and rectifies; the maps of all scales are brought to one
    grid and mixed. Images may have any size: a map's rows and columns divide it evenly.

    Parameters
    ----------
    in_channels : int
        Channels of the images.
    scales : sequence of int
        Side of the squares of pixels that each scale averages over.
    width : int
        Filters of a scale.
    dim, map_px : int
        Channels of the feature maps, and their rows and columns.
    """

    def __init__(
        self,
        in_channels: int = 1,
        scales: Sequence[int] = (1, 2, 4),
        width: int = 16,
        dim: int = DIM,
        map_px: int = MAP_PX,
    ) -> None:
        super().__init__()
        self.scales, self.map_px = tuple(scales), map_px
        self.filters = nn.ModuleList(
            nn.Conv2d(
                in_channels, width, KERNEL_PX, padding=KERNEL_PX // 2, padding_mode="replicate"
            )
            for _ in self.scales
        )
        self.mix = nn.Sequential(
            nn.Conv2d(width * len(self.scales), dim // 2, 1), nn.GELU(), nn.Conv2d(dim // 2, dim, 1)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Standardised images (batch, channel, y, x) → maps (batch, dim, map_px, map_px)."""
        size = (self.map_px, self.map_px)
        maps = [
            functional.interpolate(
                functional.gelu(conv(functional.avg_pool2d(images, scale))),
                size, mode="bilinear", antialias=True,
            )
            for scale, conv in zip(self.scales, self.filters, strict=True)
        ]  # fmt: skip
        return self.mix(torch.cat(maps, dim=1))


class NeuralTower(nn.Module):
    """A population response laid out as feature maps.

    One fully connected layer to a few maps, then 1×1 convolutions: fully connected to all
    channels, 8,000 neurons would take 524 million weights.

    Parameters
    ----------
    n_neurons : int
        Length of the responses.
    channels : int
        Maps of the fully connected layer.
    dropout : float
        Share of the neurons that are silenced in each training sample.
    dim, map_px : int
        As in `ImageTower`.
    """

    def __init__(
        self,
        n_neurons: int,
        channels: int = 4,
        dropout: float = 0.0,
        dim: int = DIM,
        map_px: int = MAP_PX,
    ) -> None:
        super().__init__()
        self.layout = (channels, map_px, map_px)
        self.dropout = nn.Dropout(dropout)
        self.spread = nn.Linear(n_neurons, math.prod(self.layout))
        self.mix = nn.Sequential(
            nn.Conv2d(channels, dim // 2, 1), nn.GELU(), nn.Conv2d(dim // 2, dim, 1)
        )

    def forward(self, responses: torch.Tensor) -> torch.Tensor:
        """Standardised responses (batch, neuron) → maps (batch, dim, map_px, map_px)."""
        return self.mix(self.spread(self.dropout(responses)).unflatten(1, self.layout))


class DINA(nn.Module):
    """One image tower, a neural tower for each session, and the temperature that they share.

    Parameters
    ----------
    n_neurons : mapping of str to int
        Neurons of each session, by its name.
    in_channels, scales, width
        Of the image tower.
    channels, dropout
        Of the neural towers.
    dim, map_px
        Of both.
    """

    def __init__(
        self,
        n_neurons: Mapping[str, int],
        in_channels: int = 1,
        scales: Sequence[int] = (1, 2, 4),
        width: int = 16,
        channels: int = 4,
        dropout: float = 0.0,
        dim: int = DIM,
        map_px: int = MAP_PX,
    ) -> None:
        super().__init__()
        self.image_tower = ImageTower(in_channels, scales, width, dim, map_px)
        self.neural_towers = nn.ModuleDict(
            {name: NeuralTower(n, channels, dropout, dim, map_px) for name, n in n_neurons.items()}
        )
        self.log_scale = nn.Parameter(torch.tensor(-math.log(FIRST_TEMPERATURE)))

    def image_latents(self, images: torch.Tensor) -> torch.Tensor:
        """Images (batch, channel, y, x) → (batch, dim · map_px²)."""
        return self.image_tower(images).flatten(1)

    def neural_latents(self, session: str, responses: torch.Tensor) -> torch.Tensor:
        """Responses (batch, neuron) of a session → (batch, dim · map_px²)."""
        return self.neural_tower(session)(responses).flatten(1)

    def neural_tower(self, session: str) -> NeuralTower:
        """The tower of one session."""
        return cast("NeuralTower", self.neural_towers[session])

    @property
    def scale(self) -> torch.Tensor:
        """One over the temperature."""
        return self.log_scale.exp().clamp(max=LARGEST_SCALE)

    def logits(self, neural: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Cosine similarities of latents over the temperature, (response, image)."""
        # Not of normalised latents: writing and differentiating those would double the time.
        lengths = neural.norm(dim=1)[:, None] * image.norm(dim=1)
        return self.scale * (neural @ image.T) / lengths.clamp(min=1e-12)


def symmetric_info_nce(logits: torch.Tensor, image_id: torch.Tensor) -> torch.Tensor:
    """InfoNCE of responses among images and of images among responses, averaged.

    Parameters
    ----------
    logits : Tensor, (sample, sample)
        Scaled similarity of each sample's response with each sample's image.
    image_id : integer Tensor, (sample,)
        Which image: all samples of one image are positives of each other, and the target is spread
        over them evenly (Khosla et al. 2020, equation 2), so that none is pushed away.

    Returns
    -------
    Tensor
        Scalar; ln(n) for n different images and equal logits.
    """
    positive = (image_id[:, None] == image_id).to(logits.dtype)
    target = positive / positive.sum(dim=1, keepdim=True)
    forward, backward = (
        -(target * scores.log_softmax(dim=1)).sum(dim=1).mean() for scores in (logits, logits.T)
    )
    return (forward + backward) / 2


def save_dina(
    models: Sequence[DINA],
    weights: Path,
    config: Path,
    description: dict[str, Any],
    provenance: dict[str, Any],
) -> None:
    """Write the models of all folds as safetensors and their description as JSON.

    Parameters
    ----------
    models : sequence of DINA
        One for each fold.
    weights, config : Path
        ``model.safetensors`` and ``model.json``.
    description : dict
        Holds ``dina``, the arguments of `DINA`, and whatever else describes the models.
    provenance : dict
        From `stores.provenance`.
    """
    description = {**description, "n_models": len(models)}
    save_model(nn.ModuleList(models), weights, config, description, provenance)


def load_dina(weights: Path, config: Path) -> tuple[list[DINA], dict[str, Any]]:
    """Load the models of all folds, in evaluation mode, and their description.

    Raises
    ------
    InputError
        The two files do not belong together.
    """
    record = read_json(config)
    models = nn.ModuleList(DINA(**record["dina"]) for _ in range(record["n_models"]))
    return list(load_into(models, weights, config)), record  # type: ignore[return-value]
