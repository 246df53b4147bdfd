"""Sessions as encoders see them, normalised, and batches of many mice.

Whatever normalises a session comes from its training trials alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch.nn import functional

from workflow_scripts.models.encoder import Population
from workflow_scripts.models.processes import share
from workflow_scripts.stimuli.display import Display
from workflow_scripts.stimuli.gratings import drifting_grating
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import open_store
from workflow_scripts.training.machine import MachineOptions

LEAST_STD = 0.01  # of a unit, in units of the mean std of all (Sensorium 2022)


@dataclass(frozen=True)
class StimulusOptions:
    """How stimuli become images.

    Parameters
    ----------
    size_px : (y, x), optional
        Images are averaged down to this size; as recorded without.
    grating_cpd, pixels_per_degree : float
        Spatial frequency and scale of the gratings that are drawn for sessions without images, of
        which only the direction is known. A still grating in cosine phase is that of the opposite
        direction, too: an encoder of still images knows orientations only.
    leave_out : list of str
        Behaviour variables, or ``pupil_centre``, that are not shown to the network.
    """

    size_px: tuple[int, int] | None = None
    grating_cpd: float = 0.05
    pixels_per_degree: float = 1.0
    leave_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ShownOptions:
    """How sessions are shown to a trained encoder.

    Parameters
    ----------
    stimulus : StimulusOptions
        As in training.
    machine : MachineOptions
        What to compute on.
    """

    stimulus: StimulusOptions
    machine: MachineOptions


@dataclass(frozen=True)
class EncodingSession:
    """One session, normalised by its training trials.

    Attributes
    ----------
    name : str
    images : torch.Tensor, (stimulus, channel, y, x)
        Grey levels, standardised per channel.
    image_scale : torch.Tensor, (2, channel)
        Mean and standard deviation of the training images, grey levels.
    stimulus_id : array, (trial,)
        Image of each trial.
    response : torch.Tensor, (trial, unit)
        In units of each unit's standard deviation.
    behaviour : torch.Tensor, (trial, variable)
        Variables in units of their standard deviation, then the standardised pupil centre.
    variables : tuple of str
        Names of its columns; the pupil's are ``pupil_horizontal`` and ``pupil_vertical``.
    pupil : torch.Tensor, (trial, 2)
        Standardised centre; 0 where it was not recorded.
    split : array of str, (trial,)
    response_std : array, (unit,)
        What responses were divided by.
    cortical_um : torch.Tensor, (unit, 2), optional
        None where a position is unknown.
    field_px : torch.Tensor, (unit, 2), optional
        Row and column of the middle of each measured receptive field.
    """

    name: str
    images: torch.Tensor
    image_scale: torch.Tensor
    stimulus_id: NDArray[np.integer]
    response: torch.Tensor
    behaviour: torch.Tensor
    variables: tuple[str, ...]
    pupil: torch.Tensor
    split: NDArray[np.object_]
    response_std: NDArray[np.floating]
    cortical_um: torch.Tensor | None
    field_px: torch.Tensor | None

    def trials(self, split: str) -> NDArray[np.intp]:
        """Numbers of a split's trials."""
        return np.flatnonzero(self.split == split)

    def population(self) -> Population:
        """Describe the neurons to a readout."""
        mean = self.response[self.trials("train")].mean(dim=0)
        return Population(self.response.shape[1], self.cortical_um, self.field_px, mean)

    def batch(self, trials: NDArray[np.integer]) -> tuple[torch.Tensor, ...]:
        """Images, behaviour, pupil and responses of some trials."""
        shown = torch.from_numpy(self.stimulus_id[trials].astype(np.int64))
        rows = torch.from_numpy(np.asarray(trials, dtype=np.int64))
        return self.images[shown], self.behaviour[rows], self.pupil[rows], self.response[rows]


def read_encoding_session(
    path: Path, options: StimulusOptions, split: NDArray[np.object_] | None = None
) -> EncodingSession:
    """Read and normalise a session.

    Parameters
    ----------
    path : Path
        Trial session with images, or with ``direction_deg``.
    options : StimulusOptions
    split : array of str, (trial,), optional
        Instead of the store's own.

    Raises
    ------
    InputError
        The store holds no trials, no stimuli that can be drawn, or no training trial.
    """
    store = open_store(path, load=True)
    if "stimulus_id" not in store or ("image" not in store and "direction_deg" not in store):
        raise InputError(f"{path}: encoders need trials, with images or gratings; leave it out")
    labels = store["split"].to_numpy() if split is None else split
    training = np.flatnonzero(labels == "train")
    if not len(training):
        raise InputError(f"{path}: no training trial; check split_rule of the sample sheet")
    stimulus = store["stimulus_id"].to_numpy()
    response = store["response"].to_numpy().T
    std = response[training].std(axis=0)
    std = np.maximum(std, LEAST_STD * std.mean())
    behaviour, variables, pupil = _behaviour(store, training, options.leave_out)
    images = _images(store, options)
    shown = images[torch.from_numpy(np.unique(stimulus[training]).astype(np.int64))]
    scale = torch.stack([shown.mean(dim=(0, 2, 3)), shown.std(dim=(0, 2, 3), correction=0)])
    return EncodingSession(
        name=str(store.attrs["session_id"]),
        images=standardise_images(images, scale),
        image_scale=scale,
        stimulus_id=stimulus,
        response=torch.from_numpy((response / std).astype(np.float32)),
        behaviour=torch.from_numpy(behaviour),
        variables=variables,
        pupil=torch.from_numpy(pupil),
        split=labels,
        response_std=std,
        cortical_um=_cortical_um(store),
        field_px=_field_centres(store, images.shape[2:]),
    )


def standardise_images(images: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Standardise grey levels, (image, channel, y, x), by `EncodingSession.image_scale`."""
    mean, std = scale[:, :, None, None]
    return (images - mean) / std


def _images(store: xr.Dataset, options: StimulusOptions) -> torch.Tensor:
    """Stimuli in grey levels, (stimulus, channel, y, x)."""
    if "image" not in store:
        return 255 * _gratings(store["direction_deg"].to_numpy(), options)
    images = torch.from_numpy(store["image"].to_numpy()).float()
    if options.size_px is not None:
        images = functional.interpolate(images, options.size_px, mode="area")
    return images


def _gratings(direction_deg: NDArray[np.floating], options: StimulusOptions) -> torch.Tensor:
    height, width = options.size_px or (36, 64)
    side = max(height, width)
    display = Display(options.pixels_per_degree, frame_rate_hz=1.0, size_px=side, n_frames=1)
    directions = torch.from_numpy(direction_deg)
    drawn = drifting_grating(directions, options.grating_cpd, 0.0, 0.0, 1.0, display=display)
    top, left = (side - height) // 2, (side - width) // 2
    return drawn[:, :, top : top + height, left : left + width]


def _behaviour(
    store: xr.Dataset, training: NDArray[np.integer], leave_out: Sequence[str]
) -> tuple[NDArray[np.float32], tuple[str, ...], NDArray[np.float32]]:
    n_trials = store.sizes["trial"]
    columns: list[NDArray[Any]] = [np.empty((n_trials, 0), np.float32)]
    names: list[str] = []
    pupil = np.zeros((n_trials, 2), np.float32)
    if "behaviour" in store:
        all_names = [str(name) for name in store["variable"].to_numpy()]
        kept = [index for index, name in enumerate(all_names) if name not in leave_out]
        values = store["behaviour"].to_numpy()[:, kept]
        columns.append(values / _std(values[training]))
        names += [all_names[index] for index in kept]
    if "pupil_centre" in store and "pupil_centre" not in leave_out:
        values = store["pupil_centre"].to_numpy()
        pupil = (values - values[training].mean(axis=0)) / _std(values[training])
        columns.append(pupil)
        names += [f"pupil_{axis}" for axis in store["axis"].to_numpy()]
    return np.hstack(columns).astype(np.float32), tuple(names), pupil.astype(np.float32)


def _std(values: NDArray[np.floating]) -> NDArray[np.floating]:
    std = values.std(axis=0)
    return np.where(std > 0, std, 1.0)


def _cortical_um(store: xr.Dataset) -> torch.Tensor | None:
    positions = np.stack([store["x_um"].to_numpy(), store["y_um"].to_numpy()], axis=1)
    known = np.isfinite(positions).all() and len(np.unique(positions, axis=0)) > 1
    return torch.from_numpy(positions).float() if known else None


def _field_centres(store: xr.Dataset, size_px: Sequence[int]) -> torch.Tensor | None:
    """Centroids of the measured fields, on images of another size; (unit, 2), row and column."""
    if "receptive_field" not in store:
        return None
    masks = store["receptive_field"].to_numpy()
    scale = np.array(size_px) / masks.shape[1:]
    middles = [scale[axis] * (np.arange(n) + 0.5) - 0.5 for axis, n in enumerate(masks.shape[1:])]
    total = np.maximum(masks.sum(axis=(1, 2)), 1)
    rows = np.einsum("uyx,y->u", masks, middles[0]) / total
    columns = np.einsum("uyx,x->u", masks, middles[1]) / total
    return torch.from_numpy(np.stack([rows, columns], axis=1)).float()


def draw_batches(
    sessions: Mapping[str, EncodingSession], batch_size: int, seed: int, step: int
) -> dict[str, tuple[torch.Tensor, ...]]:
    """Draw this process's share of each mouse's batch from (seed, step) alone.

    See `EncodingSession.batch`.
    """
    batches = {}
    for number, (name, session) in enumerate(sessions.items()):
        training = session.trials("train")
        rng = np.random.default_rng((seed, number, step))
        size = min(batch_size, len(training))
        batches[name] = session.batch(rng.choice(training, size, replace=False)[share(size)])
    return batches
