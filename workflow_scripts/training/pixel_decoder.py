"""Trains the convolutional pixel decoder by squared error."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import nn

from workflow_scripts.models.pixel_decoder import PixelDecoder
from workflow_scripts.training.loop import TrainingOptions, train
from workflow_scripts.training.pairs import Pairs
from workflow_scripts.training.selection import Selection

N_VALIDATIONS = 8


class _PixelError(nn.Module):
    def __init__(self, decoder: PixelDecoder, pairs: Pairs) -> None:
        super().__init__()
        self.decoder, self.pairs = decoder, pairs

    def forward(
        self, batch: tuple[torch.Tensor, torch.Tensor], _step: int
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        responses, images = batch
        return (self.decoder(responses) - images).square().mean(), {}

    def validate(self) -> dict[str, float]:
        held = self.pairs.splits["validation"]
        device = next(self.parameters()).device
        predicted = self.decoder(held.responses.to(device)).cpu()
        return {"likeness": -float((predicted - self.pairs.images[held.image]).square().mean())}


def train_pixel_decoder(
    pairs: Pairs, options: TrainingOptions, fabric: Fabric, seed: int
) -> PixelDecoder:
    """Train a decoder on single training trials; the best on the validation trials is kept.

    It takes seconds, so no state of an interrupted run is kept.
    """
    torch.manual_seed(seed)
    n_channels, height, width = pairs.images.shape[1:]
    objective = _PixelError(PixelDecoder(pairs.n_neurons, (n_channels, height, width)), pairs)
    trials = pairs.splits["train"]

    def batch_of_step(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng((seed, step))
        rows = torch.as_tensor(rng.choice(len(trials.image), options.batch_size))
        return trials.responses[rows], pairs.images[trials.image[rows]]

    every = max(1, options.steps // N_VALIDATIONS)
    selection = Selection(every, "likeness", patience=options.steps + 1)
    with TemporaryDirectory() as folder:
        train(
            objective, batch_of_step, options, fabric, Path(folder), objective.validate, selection
        )
    return objective.decoder.cpu().eval()
