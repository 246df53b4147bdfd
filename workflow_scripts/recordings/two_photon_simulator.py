"""Two-photon movies of known cells, spikes, neuropil, motion and noise.

The tissue is a linear mixture: a static texture, somata whose fluorescence follows their spikes,
and neuropil that fluctuates in a few broad patches. Each frame looks at it through a rigid shift
and a smooth bend, counts photons (Poisson) and adds the noise of the amplifier. The signal model is
that of the AR(2) transient in `deconvolution`. The warp is the cubic B-spline of the tissue, whose
blur (0.6 px) stands for the optics; it shares no code with the registration that is tested on it.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.signal import lfilter
from scipy.sparse import csr_array, vstack

from workflow_scripts.recordings.two_photon_truth import (
    BEND_MODES,
    TwoPhotonParameters,
    TwoPhotonTruth,
)
from workflow_scripts.stores.errors import InputError

NEUROPIL_PATCHES = 4
COUNTS_PER_PHOTON = 20.0
AMPLIFIER_OFFSET = 100.0
AMPLIFIER_NOISE = 10.0
LARGEST_SHIFT_SD = 3.0
# Somata lie at least this many diameters apart: some overlap, as in the depth of a focal plane.
LEAST_DISTANCE = 0.8


def simulate_tissue(parameters: TwoPhotonParameters) -> TwoPhotonTruth:
    """Draw the tissue, its activity and its motion; `render_frames` turns them into a movie.

    Raises
    ------
    InputError
        If a parameter is out of range, or the field of view too small for a cell.
    """
    _check(parameters)
    rng = np.random.default_rng(parameters.seed)
    shift, bend = _motion(parameters, rng)
    margin = int(np.ceil(np.abs(shift).max() + np.abs(bend).sum(1).max())) + 2
    size = parameters.height_px + 2 * margin, parameters.width_px + 2 * margin
    footprints = _footprints(parameters, size, margin, rng)
    n_cells = len(footprints.indptr) - 1
    texture = np.exp(0.25 * _smooth_noise(size, 1.2, rng) + 0.35 * _smooth_noise(size, 15, rng))
    texture *= parameters.photons / texture.mean()
    soma = np.minimum(np.asarray(footprints.max(axis=0).todense()).reshape(size), 1.0)
    background = texture * (1 - (1 - parameters.neuropil_fraction) * soma)
    spikes, calcium = _activity(parameters, n_cells, rng)
    brightness = parameters.photons * rng.lognormal(0.0, 0.3, n_cells)
    return TwoPhotonTruth(
        parameters,
        margin,
        still=background.astype(np.float32),
        patches=(background * _patches(size, rng)).astype(np.float32),
        footprints=csr_array(footprints * brightness[:, None]),
        spikes=spikes,
        calcium=calcium,
        neuropil=_neuropil(parameters, rng),
        shift_px=shift,
        bend_px=bend,
    )


def render_frames(truth: TwoPhotonTruth, start: int, stop: int) -> NDArray[np.uint16]:
    """Frames `start` to `stop` of the movie, (time, y, x); each has a random stream of its own."""
    seed = truth.parameters.seed
    return np.stack([
        counted(expected_photons(truth, frame), np.random.default_rng([seed, frame]))
        for frame in range(start, stop)
    ])  # fmt: skip


def expected_photons(truth: TwoPhotonTruth, frame: int) -> NDArray[np.float32]:
    """Photons (y, x) that one frame would hold without noise."""
    parameters = truth.parameters
    rows, columns = np.arange(parameters.height_px), np.arange(parameters.width_px)
    scene = truth.still + np.tensordot(truth.neuropil[:, frame], truth.patches, 1)
    scene += (truth.footprints.T @ (1 + truth.calcium[:, frame])).reshape(scene.shape)
    # The pixel at p shows the tissue at q, p = q + displacement(q): its bend is that at q.
    shift = truth.shift_px[frame]
    points = np.stack(np.meshgrid(rows, columns, indexing="ij")) + truth.margin_px
    points = points - truth.displacement_px(frame, rows - shift[0], columns - shift[1])
    return np.maximum(map_coordinates(scene, points, order=3, prefilter=False), 0)


def counted(photons: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.uint16]:
    """Counts of a frame of expected photons: Poisson noise, and that of the amplifier."""
    counts = AMPLIFIER_OFFSET + COUNTS_PER_PHOTON * rng.poisson(photons)
    counts += AMPLIFIER_NOISE * rng.standard_normal(counts.shape)
    return np.clip(np.rint(counts), 0, np.iinfo(np.uint16).max).astype(np.uint16)


def _check(parameters: TwoPhotonParameters) -> None:
    for name in ("n_frames", "rate_hz", "pixel_um", "n_cells", "photons"):
        if getattr(parameters, name) <= 0:
            raise InputError(f"{name} is {getattr(parameters, name)}; give a number above 0")
    diameter_px = parameters.cell_diameter_um / parameters.pixel_um
    if min(parameters.height_px, parameters.width_px) < 4 * diameter_px:
        raise InputError(
            f"height_px and width_px are {parameters.height_px} and {parameters.width_px}, under "
            f"four cell diameters ({diameter_px:.1f} px each): enlarge the field of view"
        )
    if diameter_px < 3:
        raise InputError(
            f"cell_diameter_um {parameters.cell_diameter_um} is {diameter_px:.2g} px at pixel_um "
            f"{parameters.pixel_um}; a soma needs at least 3 px"
        )
    if not parameters.decay_s > parameters.rise_s > 0:
        raise InputError(
            f"decay_s {parameters.decay_s} must exceed rise_s {parameters.rise_s}, and both 0"
        )


def _motion(
    parameters: TwoPhotonParameters, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rigid shift (time, 2) and bend (time, mode, 2), both wandering with time."""
    shift = _wander((parameters.n_frames, 2), 0.5 * parameters.rate_hz, rng)
    shift = np.clip(shift, -LARGEST_SHIFT_SD, LARGEST_SHIFT_SD) * parameters.rigid_px
    bend = _wander((parameters.n_frames, len(BEND_MODES), 2), parameters.rate_hz, rng)
    # each mode's mean square over the field is 1/2, or 1/4 where it varies along both axes
    power = sum(0.5 ** np.count_nonzero(mode) for mode in BEND_MODES)
    return shift, bend * parameters.nonrigid_px / np.sqrt(power)


def _wander(shape: tuple[int, ...], time_constant: float, rng: np.random.Generator) -> NDArray:
    """Ornstein-Uhlenbeck processes along the first axis, mean 0 and standard deviation 1."""
    keep = np.exp(-1 / time_constant)
    steps = rng.standard_normal(shape) * np.sqrt(1 - keep**2)
    steps[0] /= np.sqrt(1 - keep**2)
    return cast("NDArray", lfilter([1], [1, -keep], steps, axis=0))


def _footprints(
    parameters: TwoPhotonParameters, size: tuple[int, int], margin: int, rng: np.random.Generator
) -> csr_array:
    """Somata with a dim nucleus at random places that keep clear of each other and the edge."""
    radius = parameters.cell_diameter_um / parameters.pixel_um / 2
    rows, columns = np.indices(size)
    centres: list[NDArray] = []
    footprints: list[csr_array] = []
    for _ in range(50 * parameters.n_cells):
        if len(centres) == parameters.n_cells:
            break
        centre = rng.uniform(margin + radius, np.array(size) - margin - radius)
        if any(np.hypot(*(centre - one)) < 2 * radius * LEAST_DISTANCE for one in centres):
            continue
        centres.append(centre)
        angle, squash = rng.uniform(0, np.pi), rng.uniform(0.8, 1.0)
        along = np.cos(angle) * (rows - centre[0]) + np.sin(angle) * (columns - centre[1])
        across = np.cos(angle) * (columns - centre[1]) - np.sin(angle) * (rows - centre[0])
        distance = np.hypot(along, across / squash) / radius
        soma = gaussian_filter(np.where(distance < 0.45, 0.5, 1.0) * (distance < 1), 0.7)
        soma[soma < 0.05 * soma.max()] = 0
        footprints.append(csr_array((soma / soma.max()).reshape(1, -1)))
    return csr_array(vstack(footprints))


def _smooth_noise(size: tuple[int, int], sigma_px: float, rng: np.random.Generator) -> NDArray:
    noise = gaussian_filter(rng.standard_normal(size), sigma_px)
    return (noise - noise.mean()) / noise.std()


def _patches(size: tuple[int, int], rng: np.random.Generator) -> NDArray:
    """Broad weights of the neuropil's patches, which add up to 1 in each pixel."""
    weights = [_smooth_noise(size, min(size) / 6, rng) for _ in range(NEUROPIL_PATCHES)]
    weights = np.exp(weights)
    return weights / weights.sum(0)


def _transients(parameters: TwoPhotonParameters, drive: NDArray) -> NDArray:
    """Convolve with the AR(2) transient of height 1 along the last axis."""
    roots = np.exp(-1 / (parameters.rate_hz * np.array([parameters.decay_s, parameters.rise_s])))
    n = int(5 * parameters.decay_s * parameters.rate_hz)
    impulse: Any = lfilter([1], np.poly(roots), np.eye(1, n)[0])
    return cast("NDArray", lfilter([1 / impulse.max()], np.poly(roots), drive, axis=-1))


def _activity(
    parameters: TwoPhotonParameters, n_cells: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Spikes of doubly stochastic cells, and their ΔF/F, both (cell, time)."""
    mean_hz = parameters.spikes_hz * rng.lognormal(0.0, 0.5, n_cells)
    modulation = np.exp(_wander((parameters.n_frames, n_cells), 2 * parameters.rate_hz, rng).T)
    rate_hz = mean_hz[:, None] * modulation / np.exp(0.5)
    spikes = rng.poisson(rate_hz / parameters.rate_hz).astype(np.float32)
    calcium = parameters.transient * _transients(parameters, spikes)
    return spikes, calcium.astype(np.float32)


def _neuropil(parameters: TwoPhotonParameters, rng: np.random.Generator) -> NDArray[np.float32]:
    """ΔF/F of the patches: calcium of many unseen axons, half of it common to all patches."""
    n = parameters.n_frames
    drive = rng.standard_normal((NEUROPIL_PATCHES, n)) + rng.standard_normal(n)
    signal = _transients(parameters, drive)
    signal -= signal.mean(1, keepdims=True)
    return (parameters.neuropil_sd * signal / signal.std(1, keepdims=True)).astype(np.float32)
