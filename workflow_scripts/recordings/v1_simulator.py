"""A simulated population of mouse V1: energy-model cells that see natural images.

Each cell is a Gabor pair: complex cells take the energy of both phases, simple cells rectify one.
Its rate is ``(baseline + amplitude · drive) · exp(gain · arousal)``; arousal is read off running
and pupil size, the receptive field moves with the pupil, and counts are Poisson. Everything that
a model could be asked to find is known.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from workflow_scripts.stores.errors import InputError

Floats = NDArray[np.float64]


_UNITS = {
    "x_um": "um",
    "y_um": "um",
    "z_um": "um",
    "receptive_field_row": "px",
    "receptive_field_column": "px",
    "axis_deg": "deg",
    "spatial_frequency": "cycles per px",
    "phase_deg": "deg",
    "width": "px",
    "baseline": "spikes",
    "amplitude": "spikes",
}


@dataclass(frozen=True)
class SimulatedCells:
    """What is true of each cell, arrays (neuron,) unless stated.

    Attributes
    ----------
    x_um, y_um, z_um : array
        Position in cortex, µm.
    receptive_field_row, receptive_field_column : array
        Centre of the receptive field at pupil position 0, pixels.
    axis_deg : array
        Axis of the preferred grating's motion, degrees, 0 = horizontal (vertical bars),
        counter-clockwise positive.
    spatial_frequency : array
        Cycles per pixel.
    phase_deg : array
        Phase of the even filter, degrees.
    width : array
        Standard deviation of the Gabor's envelope, pixels.
    complexity : array
        1 for complex, 0 for simple cells.
    channel_balance : array
        Weight of the second of two colour channels; 0 with one channel.
    baseline, amplitude : array
        Spikes per trial without drive, and at mean drive.
    gain : array
        Log rate per standard deviation of arousal.
    """

    x_um: Floats
    y_um: Floats
    z_um: Floats
    receptive_field_row: Floats
    receptive_field_column: Floats
    axis_deg: Floats
    spatial_frequency: Floats
    phase_deg: Floats
    width: Floats
    complexity: Floats
    channel_balance: Floats
    baseline: Floats
    amplitude: Floats
    gain: Floats

    def items(self) -> list[tuple[str, str, Floats]]:
        """Name, units and values of each property."""
        names = [one.name for one in fields(self)]
        return [(name, _UNITS.get(name, "1"), getattr(self, name)) for name in names]


def draw_population(
    n_neurons: int, image_shape: tuple[int, int, int], rng: np.random.Generator
) -> SimulatedCells:
    """Draw cells whose receptive fields follow their position in cortex.

    Parameters
    ----------
    n_neurons : int
        Cells.
    image_shape : (channel, y, x)
        Shape of the images that they will see.
    rng : np.random.Generator

    Returns
    -------
    SimulatedCells
    """
    n_channels, height, width = image_shape
    x_um, y_um = rng.uniform(0, 600, (2, n_neurons))
    # Retinotopy: 600 µm of cortex see the middle half of the image, with a scatter of 1 pixel.
    row = height * (0.25 + y_um / 1200) + rng.normal(0, 1, n_neurons)
    column = width * (0.25 + x_um / 1200) + rng.normal(0, 1, n_neurons)
    spatial_frequency = rng.uniform(0.05, 0.15, n_neurons)
    return SimulatedCells(
        x_um=x_um,
        y_um=y_um,
        z_um=rng.uniform(150, 350, n_neurons),
        receptive_field_row=row,
        receptive_field_column=column,
        axis_deg=rng.uniform(0, 180, n_neurons),
        spatial_frequency=spatial_frequency,
        phase_deg=rng.uniform(0, 360, n_neurons),
        width=0.35 / spatial_frequency,
        complexity=(rng.random(n_neurons) < 0.6).astype(float),
        channel_balance=rng.uniform(0, 1, n_neurons) if n_channels == 2 else np.zeros(n_neurons),
        baseline=rng.uniform(0.1, 0.5, n_neurons),
        amplitude=rng.lognormal(np.log(3.0), 0.4, n_neurons),
        gain=rng.uniform(0.1, 0.5, n_neurons),
    )


def gabor_filters(population: SimulatedCells, height: int, width: int) -> Floats:
    """Even and odd filter of each cell, (2, neuron, y, x), of unit length and no mean."""
    y, x = np.mgrid[:height, :width]
    column = x - population.receptive_field_column[:, None, None]
    up = population.receptive_field_row[:, None, None] - y
    axis = np.deg2rad(population.axis_deg)[:, None, None]
    cycles = population.spatial_frequency[:, None, None] * (
        column * np.cos(axis) + up * np.sin(axis)
    )
    envelope = np.exp(-(column**2 + up**2) / (2 * population.width[:, None, None] ** 2))
    phase = 2 * np.pi * cycles + np.deg2rad(population.phase_deg)[:, None, None]
    filters = np.stack([envelope * np.cos(phase), envelope * np.sin(phase)])
    filters -= envelope * (
        filters.sum(axis=(2, 3), keepdims=True) / envelope.sum(axis=(1, 2))[:, None, None]
    )
    return filters / np.sqrt((filters**2).sum(axis=(2, 3), keepdims=True))


def drive(population: SimulatedCells, images: NDArray[np.uint8], shift_px: Floats) -> Floats:
    """Drive of each cell by each image, in units of its mean over the images.

    Parameters
    ----------
    population : SimulatedCells
    images : array, (trial, channel, y, x)
        Grey levels.
    shift_px : array, (trial, 2)
        Rows and columns by which the receptive fields are shifted in that trial.

    Returns
    -------
    array, (neuron, trial)
    """
    contrast = shift_images(images.astype(float) / 127.5 - 1, shift_px)
    filters = gabor_filters(population, *images.shape[2:]).reshape(2, len(population.x_um), -1)
    weights = np.array([1 - population.channel_balance, population.channel_balance])
    even, odd = (
        sum(
            weights[channel][:, None] * (phase @ contrast[:, channel].reshape(len(images), -1).T)
            for channel in range(images.shape[1])
        )
        for phase in filters
    )
    complexity = population.complexity[:, None]
    driven = complexity * np.hypot(even, odd) + (1 - complexity) * np.maximum(even, 0)
    return driven / driven.mean(axis=1, keepdims=True)


def shift_images(images: Floats, shift_px: Floats) -> Floats:
    """Move what lies at ``position + shift`` to ``position``, bilinearly, edges repeated."""
    n, n_channels, height, width = images.shape
    y, x = np.mgrid[:height, :width]
    trial, channel = np.ogrid[:n, :n_channels]
    coordinates = np.stack(
        np.broadcast_arrays(
            trial[..., None, None],
            channel[..., None, None],
            y + shift_px[:, 0, None, None, None],
            x + shift_px[:, 1, None, None, None],
        )
    ).astype(float)
    return map_coordinates(images, coordinates, order=1, mode="nearest")


@dataclass(frozen=True)
class Behaviour:
    """State of a mouse from trial to trial.

    Attributes
    ----------
    variables : array, (trial, 3)
        Pupil dilation, its change, and running speed (cm/s), as Sensorium 2022 has them.
    pupil_centre : array, (trial, 2)
        Horizontal and vertical position, pixels of the eye camera.
    arousal : array, (trial,)
        Mean of the standardised dilation and running speed, standardised.
    """

    variables: Floats
    pupil_centre: Floats
    arousal: Floats


# Receptive fields move by this many image pixels per pixel of the eye camera.
SHIFT_PER_PUPIL_PX = 0.15


def draw_behaviour(n_trials: int, rng: np.random.Generator) -> Behaviour:
    """Draw slowly wandering arousal and gaze."""
    state = _wander(n_trials, 3, 20.0, rng)
    dilation = 40 + 10 * state[:, 0] + rng.normal(0, 2, n_trials)
    running = np.maximum(
        0, 15 * (0.7 * state[:, 0] + 0.7 * state[:, 2]) + rng.normal(0, 2, n_trials)
    )
    gaze = _wander(n_trials, 2, 5.0, rng)
    variables = np.column_stack([dilation, np.gradient(dilation), running])
    return Behaviour(
        variables=variables,
        pupil_centre=np.column_stack([120 + 8 * gaze[:, 0], 90 + 5 * gaze[:, 1]]),
        arousal=arousal_of(variables),
    )


def arousal_of(variables: Floats) -> Floats:
    """Read arousal, (trial,), off the behaviour of all trials, (trial, 3): see `Behaviour`."""
    both = variables[:, [0, 2]]
    arousal = ((both - both.mean(axis=0)) / both.std(axis=0)).sum(axis=1)
    return arousal / arousal.std()


def shift_by_gaze(pupil_centre: Floats) -> Floats:
    """Shift of the receptive fields in each trial, rows and columns, pixels."""
    horizontal, vertical = (pupil_centre - np.array([120.0, 90.0])).T
    return SHIFT_PER_PUPIL_PX * np.column_stack([-vertical, horizontal])


def expected_response(population: SimulatedCells, driven: Floats, arousal: Floats) -> Floats:
    """Mean spike count, (neuron, trial), given drive and arousal."""
    rate = population.baseline[:, None] + population.amplitude[:, None] * driven
    return rate * np.exp(population.gain[:, None] * arousal)


def natural_crops(
    sources: NDArray[np.uint8], n: int, image_shape: tuple[int, int, int], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Cut distinct crops out of natural images, at one to three source pixels per pixel.

    Parameters
    ----------
    sources : array, (image, y, x)
        Grey levels.
    n : int
        Crops.
    image_shape : (channel, y, x)
        Shape of a crop. A second channel mixes the same place with another one.
    rng : np.random.Generator

    Returns
    -------
    array, (n, channel, y, x)

    Raises
    ------
    InputError
        The sources are smaller than a crop, or do not give as many different ones.
    """
    n_channels, height, width = image_shape
    largest = min(sources.shape[1] // height, sources.shape[2] // width)
    if largest < 1:
        raise InputError(
            f"images of {sources.shape[1:]} pixels are smaller than {height} × {width}"
        )

    def crop() -> Floats:
        scale = rng.integers(1, min(largest, 3) + 1)
        source = sources[rng.integers(len(sources))]
        y = rng.integers(source.shape[0] - scale * height + 1)
        x = rng.integers(source.shape[1] - scale * width + 1)
        window = source[y : y + scale * height, x : x + scale * width].astype(float)
        window = window.reshape(height, scale, width, scale).mean(axis=(1, 3))
        return window[:, ::-1] if rng.random() < 0.5 else window

    crops = np.empty((n, *image_shape), np.uint8)
    known: set[bytes] = set()
    for image in crops:
        for _ in range(100):
            image[0] = crop()
            if image[0].tobytes() not in known:
                break
        else:
            raise InputError(
                f"{len(sources)} images do not give {n} different crops; ask for fewer"
            )
        known.add(image[0].tobytes())
        for channel in range(1, n_channels):
            image[channel] = 0.7 * image[0] + 0.3 * crop()
    return crops


def _wander(n: int, dimensions: int, time_constant: float, rng: np.random.Generator) -> Floats:
    """Stationary AR(1) of unit variance, (n, dimensions)."""
    decay = np.exp(-1 / time_constant)
    steps = rng.normal(0, np.sqrt(1 - decay**2), (n, dimensions))
    steps[0] = rng.normal(0, 1, dimensions)
    for k in range(1, n):
        steps[k] += decay * steps[k - 1]
    return steps
