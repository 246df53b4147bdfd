"""The objective that aligns images and population responses (DINA)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from workflow_scripts.models.dina import DINA, symmetric_info_nce
from workflow_scripts.models.processes import gather
from workflow_scripts.training.pairs import Batch, Pairs


class AlignmentObjective(nn.Module):
    """InfoNCE over the images of all sessions at once, in both directions.

    Parameters
    ----------
    dina : DINA
    pairs : sequence of Pairs
        Their validation trials score the weights.
    """

    def __init__(self, dina: DINA, pairs: Sequence[Pairs]) -> None:
        super().__init__()
        self.dina, self.pairs = dina, pairs

    def forward(self, batch: Batch, _step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of one step; ``accuracy`` is the share of responses that find their image."""
        neural = torch.cat(
            [self.dina.neural_latents(name, r) for name, r in batch.responses.items()]
        )
        image, image_id = self.dina.image_latents(batch.images), gather(batch.image_id)
        logits = self.dina.logits(gather(neural), gather(image))
        found = image_id[logits.argmax(dim=1)] == image_id
        metrics = {"accuracy": found.float().mean(), "scale": self.dina.scale}
        return symmetric_info_nce(logits, image_id), metrics

    def validate(self) -> dict[str, float]:
        """Score single validation trials among their session's validation images.

        Returns
        -------
        dict
            ``log_likelihood`` (nats, of the shown image) and ``accuracy``, averaged over sessions.
        """
        device = self.dina.log_scale.device
        scores = []
        for one in self.pairs:
            trials = one.splits["validation"]
            candidates, shown = trials.image.unique(return_inverse=True)
            logits = self.dina.logits(
                self.dina.neural_latents(one.name, trials.responses.to(device)),
                self.dina.image_latents(one.images[candidates].to(device)),
            ).cpu()
            likelihood = logits.log_softmax(dim=1).gather(1, shown[:, None]).mean()
            accuracy = (logits.argmax(dim=1) == shown).float().mean()
            scores.append((float(likelihood), float(accuracy)))
        likelihood, accuracy = (float(mean) for mean in np.mean(scores, axis=0))
        return {"log_likelihood": likelihood, "accuracy": accuracy}
