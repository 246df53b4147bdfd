"""What each mouse adds to a shared core: where its neurons look, and how gaze moves that."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from workflow_scripts.models import processes

POSITION_HIDDEN = 30
SPREAD = 0.1  # the entries of A start within ± this
SHIFTER_HIDDEN = 5


class GaussianReadout(nn.Module):
    """Reads each neuron's response off the features at one position (Lurz et al. 2021).

    In training the position is drawn from a Gaussian of full covariance, ``μ + A ε`` with
    covariance ``A Aᵀ``, anew for each trial: gradients come from a neighbourhood, and A shrinks
    where the place is known. In evaluation it is μ.

    Parameters
    ----------
    n_units : int
        Neurons.
    channels : int
        Feature channels.
    cortical_um : torch.Tensor, (unit, 2), optional
        Position in cortex; a small network shared by the mouse's neurons makes μ of it. Without
        it μ is free.
    start : torch.Tensor, (unit, 2), optional
        Where a free μ starts, x and y in [−1, 1]; drawn within ±0.3 without.
    mean_response : torch.Tensor, (unit,), optional
        Mean normalised response to training trials, where the bias starts.
    """

    def __init__(
        self,
        n_units: int,
        channels: int,
        cortical_um: torch.Tensor | None = None,
        start: torch.Tensor | None = None,
        mean_response: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        self.features = nn.Parameter(torch.full((channels, n_units), 1 / channels))
        # The response is ELU + 1 of what is read out.
        mean = torch.ones(n_units) if mean_response is None else mean_response.float()
        self.bias = nn.Parameter(mean - 1)
        self.covariance_root = nn.Parameter(torch.empty(n_units, 2, 2).uniform_(-SPREAD, SPREAD))
        if cortical_um is None:
            free = torch.empty(n_units, 2).uniform_(-0.3, 0.3) if start is None else start.float()
            self.position = nn.Parameter(free)
        else:
            centred = cortical_um.float() - cortical_um.float().mean(dim=0)
            self.register_buffer("cortical", centred / centred.abs().max())
            self.position_network = nn.Sequential(
                nn.Linear(2, POSITION_HIDDEN), nn.ELU(), nn.Linear(POSITION_HIDDEN, 2), nn.Tanh()
            )

    def mean_position(self) -> torch.Tensor:
        """μ of each neuron, (unit, 2): x and y in [−1, 1], from the first feature to the last."""
        if hasattr(self, "position_network"):
            return self.position_network(self.cortical)
        return self.position.clamp(-1, 1)

    def covariance(self) -> torch.Tensor:
        """Covariance of each neuron's position, (unit, 2, 2)."""
        return self.covariance_root @ self.covariance_root.mT

    def forward(
        self,
        features: torch.Tensor,
        shift: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Read out.

        Parameters
        ----------
        features : torch.Tensor, (batch, channel, y, x)
        shift : torch.Tensor, (batch, 2), optional
            Moves all positions of a trial.
        generator : torch.Generator, optional
            Of ε, in the same state in each process; the global one without.

        Returns
        -------
        torch.Tensor, (batch, unit)
            Before the nonlinearity.
        """
        at = self.mean_position().expand(len(features), -1, -1)
        if self.training:
            noise = processes.normal_like(at, generator)
            at = at + torch.einsum("uij,buj->bui", self.covariance_root, noise)
        at = at.clamp(-1, 1)
        if shift is not None:
            at = at + shift[:, None]
        return (interpolate(features.float(), at.float()) * self.features.T).sum(dim=2) + self.bias

    def penalty(self) -> torch.Tensor:
        """L1 norm of the feature weights."""
        return self.features.abs().sum()


def interpolate(features: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Read features between their pixels, bilinearly; beyond the border they go on unchanged.

    The same as `functional.grid_sample` with ``align_corners`` and border padding, but whole
    columns of channels are read at a time, which is several times faster on a CPU.

    Parameters
    ----------
    features : torch.Tensor, (batch, channel, y, x)
    at : torch.Tensor, (batch, unit, 2)
        x and y, from −1 (the first pixel's centre) to 1 (the last one's).

    Returns
    -------
    torch.Tensor, (batch, unit, channel)
    """
    batch, channels, height, width = features.shape
    size = at.new_tensor([width, height])
    place = ((at + 1) / 2 * (size - 1)).clamp(at.new_zeros(2), size - 1)
    first = place.detach().floor().minimum(size - 2).clamp_min(0)
    part = place - first  # of the way to the next pixel, x and y
    left, top = first.long().unbind(-1)
    weights = torch.stack([1 - part, part], dim=-1)  # (batch, unit, axis, pixel)
    weights = weights[:, :, 1, :, None] * weights[:, :, 0, None, :]  # (batch, unit, row, column)
    row = torch.stack([top, (top + 1).clamp_max(height - 1)], dim=-1)
    column = torch.stack([left, (left + 1).clamp_max(width - 1)], dim=-1)
    image = torch.arange(batch, device=at.device)[:, None, None, None]
    pixel = (image * height + row[..., :, None]) * width + column[..., None, :]
    table = features.permute(0, 2, 3, 1).reshape(-1, channels)
    read = functional.embedding_bag(
        pixel.reshape(-1, 4), table, per_sample_weights=weights.reshape(-1, 4), mode="sum"
    )
    return read.view(batch, -1, channels)


class PupilShifter(nn.Module):
    """Shift of all receptive fields with the centre of the pupil: (batch, 2) → (batch, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(2, SHIFTER_HIDDEN), nn.Tanh(),
            nn.Linear(SHIFTER_HIDDEN, SHIFTER_HIDDEN), nn.Tanh(),
            nn.Linear(SHIFTER_HIDDEN, 2), nn.Tanh(),
        )  # fmt: skip

    def forward(self, pupil_centre: torch.Tensor) -> torch.Tensor:
        """Standardised centre, x and y, to a shift in units of half the feature map."""
        return self.network(pupil_centre)
