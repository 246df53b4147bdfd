"""Encoders: images and behaviour to the responses of many mice's neurons, through one core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional

from workflow_scripts.models.readouts import GaussianReadout, PupilShifter


class Core(Protocol):
    """What images and behaviour go through before the readouts."""

    feature_shape: tuple[int, int, int]
    """Channels, rows and columns of the features."""
    offset_px: float
    """Pixel that the first row and column of features look at."""
    stride_px: int
    """Pixels from one feature to the next."""

    def __call__(self, images: torch.Tensor, behaviour: torch.Tensor, mouse: str) -> torch.Tensor:
        """Compute features, (batch, channel, row, column)."""
        ...

    def penalty(self) -> torch.Tensor:
        """What the core's penalty weight multiplies."""
        ...


@dataclass(frozen=True)
class Population:
    """One mouse's neurons, as far as a readout needs to know them.

    Attributes
    ----------
    n_units : int
    cortical_um : torch.Tensor, (unit, 2), optional
        Position in cortex.
    start_px : torch.Tensor, (unit, 2), optional
        Row and column of the image where the receptive field is thought to be.
    mean_response : torch.Tensor, (unit,), optional
        Mean normalised response to training trials.
    """

    n_units: int
    cortical_um: torch.Tensor | None = None
    start_px: torch.Tensor | None = None
    mean_response: torch.Tensor | None = None


class Encoder(nn.Module):
    """A shared core, and for each mouse a Gaussian readout and a pupil shifter.

    Parameters
    ----------
    core : Core
    mice : mapping of str to Population
    shifter : bool
        Let the pupil's centre move the receptive fields.
    """

    core: Any  # a module that is a Core; nn.Module knows its submodules as modules only
    readouts: Any  # of GaussianReadout, by mouse
    shifters: Any  # of PupilShifter, by mouse; empty without

    def __init__(self, core: nn.Module, mice: Mapping[str, Population], shifter: bool) -> None:
        super().__init__()
        self.core = core
        self.readouts = nn.ModuleDict({name: self._readout(one) for name, one in mice.items()})
        self.shifters = nn.ModuleDict({name: PupilShifter() for name in mice} if shifter else {})

    def _readout(self, mouse: Population) -> GaussianReadout:
        channels, rows, columns = self.core.feature_shape
        start = None
        if mouse.start_px is not None:
            steps = (mouse.start_px - self.core.offset_px) / self.core.stride_px
            row, column = steps.unbind(1)
            x_y = torch.stack([2 * column / (columns - 1) - 1, 2 * row / (rows - 1) - 1], dim=1)
            start = x_y.clamp(-1, 1)
        return GaussianReadout(
            mouse.n_units, channels, mouse.cortical_um, start, mouse.mean_response
        )

    def forward(
        self,
        mouse: str,
        images: torch.Tensor,
        behaviour: torch.Tensor,
        pupil: torch.Tensor,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Predict normalised responses.

        Parameters
        ----------
        mouse : str
        images : torch.Tensor, (batch, channel, y, x)
        behaviour : torch.Tensor, (batch, variable)
            Behaviour and pupil coordinates that the core takes in.
        pupil : torch.Tensor, (batch, 2)
            Standardised pupil centre, for the shifter.
        generator : torch.Generator, optional
            Of the positions that are read out in training; see `GaussianReadout`.

        Returns
        -------
        torch.Tensor, (batch, unit)
            ELU + 1: never negative, linear above 1.
        """
        shift = self.shifters[mouse](pupil) if mouse in self.shifters else None
        features = self.core(images, behaviour, mouse)
        return functional.elu(self.readouts[mouse](features, shift, generator)) + 1

    @torch.no_grad()
    def positions_px(self, mouse: str) -> torch.Tensor:
        """Row and column of the image that each neuron is read out at, (unit, 2), without shift."""
        _, rows, columns = self.core.feature_shape
        x, y = self.readouts[mouse].mean_position().unbind(1)
        steps = torch.stack([(y + 1) / 2 * (rows - 1), (x + 1) / 2 * (columns - 1)], dim=1)
        return self.core.offset_px + self.core.stride_px * steps
