"""A convolutional decoder from population responses to pixels: a baseline."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class PixelDecoder(nn.Module):
    """Lays responses out at a quarter of the image's resolution and convolves them up to it.

    Parameters
    ----------
    n_neurons : int
        Length of the responses.
    image_shape : (channel, y, x)
        Shape of the images.
    width : int
        Channels of the layers between.
    dropout : float
        Share of the neurons that are silenced in each training sample.
    """

    def __init__(
        self, n_neurons: int, image_shape: tuple[int, int, int], width: int = 16,
        dropout: float = 0.3,
    ) -> None:  # fmt: skip
        super().__init__()
        n_channels, *self.size = image_shape
        self.layout = (width, *(-(-side // 4) for side in self.size))
        self.dropout = nn.Dropout(dropout)
        self.spread = nn.Linear(n_neurons, width * self.layout[1] * self.layout[2])
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, n_channels, 5, padding=2)

    def forward(self, responses: torch.Tensor) -> torch.Tensor:
        """Standardised responses (batch, neuron) → images (batch, channel, y, x)."""
        x = functional.gelu(self.spread(self.dropout(responses)).unflatten(1, self.layout))
        half = [-(-side // 2) for side in self.size]
        x = functional.gelu(self.first(functional.interpolate(x, half, mode="bilinear")))
        return self.second(functional.interpolate(x, self.size, mode="bilinear"))
