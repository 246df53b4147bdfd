"""What the aligned feature maps see in images: places, patches and spatial frequencies."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from workflow_scripts.models.dina import DINA

Floats = NDArray[np.float64]
PATCH_PX = 31
FILTER_ORDER = 4  # of the Butterworth characteristic: its steepness


@torch.no_grad()
def image_contrasts(dina: DINA, candidates: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """Direct each shown image's latent away from those of the other candidates.

    Parameters
    ----------
    dina : DINA
    candidates : Tensor, (candidate, channel, y, x)
    shown : integer Tensor, (sample,)
        The candidate that each sample answers to.

    Returns
    -------
    Tensor, (sample, latent)
        Its product with a neural latent of unit length, over the temperature, is the margin: the
        logit of the shown image less the mean logit of the others.
    """
    image = functional.normalize(dina.image_latents(candidates), dim=1)
    n = len(image)
    return (n * image[shown] - image.sum(dim=0)) / max(n - 1, 1)


@torch.no_grad()
def margin_maps(
    dina: DINA, session: str, responses: torch.Tensor, candidates: torch.Tensor, shown: torch.Tensor
) -> Floats:
    """Divide each sample's margin among the places of the feature maps.

    See `image_contrasts`. A cosine similarity is a sum over places, so this division is exact and
    needs no gradient.

    Parameters
    ----------
    dina : DINA
    session : str
    responses : Tensor, (sample, neuron)
    candidates : Tensor, (candidate, channel, y, x)
    shown : integer Tensor, (sample,)

    Returns
    -------
    array, (sample, row, column)
        Its sum over places is the margin.
    """
    neural = functional.normalize(dina.neural_latents(session, responses), dim=1)
    parts = dina.scale * neural * image_contrasts(dina, candidates, shown)
    side = dina.image_tower.map_px
    return parts.unflatten(1, (-1, side, side)).sum(dim=1).double().numpy()


class Patches(NamedTuple):
    """Where images drive the latent dimensions most, and by what.

    Attributes
    ----------
    row, column : array, (channel, image)
        Place on the map where an image drives a channel most above its mean over images.
    best : array, (channel,)
        The image that drives it most of all.
    pixels, gradient : array, (channel, PATCH_PX, PATCH_PX)
        The patch of that image about the place, and the channel's gradient there.
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    best: NDArray[np.int64]
    pixels: Floats
    gradient: Floats


def back_project(dina: DINA, images: torch.Tensor) -> Patches:
    """Project every latent channel back to the image patch that drives it most.

    Parameters
    ----------
    dina : DINA
    images : Tensor, (image, channel, y, x)
        Standardised; channels are averaged in what is returned.
    """
    with torch.no_grad():
        maps = dina.image_tower(images)
        drive = (maps - maps.mean(dim=0)).flatten(2)
    strength, place = drive.max(dim=2)
    best = strength.argmax(dim=0)
    channel = torch.arange(maps.shape[1])
    row, column = place // maps.shape[3], place % maps.shape[3]
    chosen = images[best].clone().requires_grad_()
    out = dina.image_tower(chosen)[channel, channel, row[best, channel], column[best, channel]]
    (gradient,) = torch.autograd.grad(out.sum(), chosen)
    size = images.shape[2:]
    at = [
        ((where[best, channel] + 0.5) * pixels / maps.shape[2]).long()
        for where, pixels in zip((row, column), size, strict=True)
    ]
    return Patches(
        row.T.numpy(), column.T.numpy(), best.numpy(),
        _crop(images[best].mean(dim=1), *at), _crop(gradient.mean(dim=1), *at),
    )  # fmt: skip


def _crop(images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> Floats:
    """Squares of PATCH_PX about a place in each image (n, y, x); beyond the image is 0."""
    half = PATCH_PX // 2
    padded = functional.pad(images, (half, half, half, half))
    return torch.stack([
        image[row : row + PATCH_PX, column : column + PATCH_PX]
        for image, row, column in zip(padded, rows.tolist(), columns.tolist(), strict=True)
    ]).double().numpy()  # fmt: skip


def band_limited(
    images: torch.Tensor, cutoff: float, kind: Literal["low_pass", "high_pass"]
) -> torch.Tensor:
    """Filter images isotropically by a Butterworth characteristic in the Fourier domain.

    Parameters
    ----------
    images : Tensor, (image, channel, y, x)
        Mirrored at their edges before the transform.
    cutoff : float
        Cycles per pixel at which half of the amplitude is left.
    kind : {"low_pass", "high_pass"}
        The two add up to the image; the mean grey level belongs to the low frequencies.

    Returns
    -------
    Tensor
        As `images`.
    """
    height, width = images.shape[2:]
    mirrored = torch.cat([images, images.flip(3)], dim=3)
    mirrored = torch.cat([mirrored, mirrored.flip(2)], dim=2)
    fy = torch.fft.fftfreq(2 * height, dtype=images.dtype)
    fx = torch.fft.rfftfreq(2 * width, dtype=images.dtype)
    frequency = torch.hypot(fy[:, None].expand(-1, len(fx)), fx[None].expand(len(fy), -1))
    passed = 1 / (1 + (frequency / cutoff) ** (2 * FILTER_ORDER))
    spectrum = torch.fft.rfft2(mirrored) * passed
    low = torch.fft.irfft2(spectrum, s=mirrored.shape[2:])[..., :height, :width]
    return low if kind == "low_pass" else images - low
