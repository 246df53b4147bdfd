"""What a population decoder rests on: neurons, their places, and pairs of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from workflow_scripts.analysis.latent_maps import image_contrasts
from workflow_scripts.models.dina import DINA

Floats = NDArray[np.float64]
Scores = Callable[[torch.Tensor], torch.Tensor]
"""Responses (sample, neuron) → one number per sample."""


def image_margin(dina: DINA, session: str, candidates: torch.Tensor, shown: torch.Tensor) -> Scores:
    """Make the function whose parts are attributed: the margin of the shown image.

    That is its logit less the mean logit of the others. The image's log-likelihood would saturate:
    where an image is found with certainty no neuron seems to matter, and any two of them seem to
    stand in for each other.

    Parameters
    ----------
    dina, candidates, shown
        As in `image_contrasts`.
    session : str

    Returns
    -------
    Scores
        Nats. For ``len(shown)`` samples, or a multiple of them.
    """
    contrasts = image_contrasts(dina, candidates, shown)

    def scores(responses: torch.Tensor) -> torch.Tensor:
        return _margins(dina, dina.neural_latents(session, responses), contrasts)

    return scores


def _margins(dina: DINA, neural: torch.Tensor, contrasts: torch.Tensor) -> torch.Tensor:
    products = torch.einsum("rsd,sd->rs", neural.unflatten(0, (-1, len(contrasts))), contrasts)
    return dina.scale * products.flatten() / neural.norm(dim=1).clamp(min=1e-12)


def gradient_times_input(scores: Scores, responses: torch.Tensor) -> Floats:
    """Attribute by gradient × input, (sample, neuron); inputs are deviations from the mean."""
    return (_gradient(scores, responses) * responses).double().numpy()


def integrated_gradients(scores: Scores, responses: torch.Tensor, n_steps: int = 32) -> Floats:
    """Attribute by integrated gradients from the mean response, 0 (Sundararajan et al. 2017).

    Parameters
    ----------
    scores : Scores
    responses : Tensor, (sample, neuron)
        Standardised.
    n_steps : int
        Gauss–Legendre nodes along the straight path.

    Returns
    -------
    array, (sample, neuron)
        Its sum over neurons is ``scores(responses) − scores(0)``, up to the quadrature's error.
    """
    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    mean_gradient = torch.zeros_like(responses, dtype=torch.float64)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        mean_gradient += weight * _gradient(scores, node * responses).double()
    return (mean_gradient * responses.double()).numpy()


def _gradient(scores: Scores, responses: torch.Tensor) -> torch.Tensor:
    at = responses.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(scores(at).sum(), at)
    return gradient


def keep(responses: torch.Tensor, order: Sequence[int] | NDArray, n_kept: int) -> torch.Tensor:
    """Leave the first neurons of an order as they are; all others respond at their mean, 0."""
    kept = torch.zeros_like(responses)
    chosen = torch.as_tensor(np.asarray(order)[:n_kept].copy())
    kept[:, chosen] = responses[:, chosen]
    return kept


@torch.no_grad()
def pairwise_interactions(
    scores: Scores, responses: torch.Tensor, neurons: Sequence[int] | NDArray
) -> Floats:
    """Functional interaction of every two neurons: what both add beyond what each adds.

    ``f(all) − f(without i) − f(without j) + f(without i and j)``, where a neuron that is without
    responds at its mean; 0 where contributions add up, negative where neurons stand in for each
    other.

    Parameters
    ----------
    scores : Scores
    responses : Tensor, (sample, neuron)
    neurons : sequence of int
        The neurons to pair.

    Returns
    -------
    array, (sample, n, n)
        Symmetric; NaN on the diagonal.
    """
    n = len(neurons)
    without = torch.ones(n, n, responses.shape[1])
    for row, i in enumerate(neurons):
        without[row, :, int(i)] = 0
        without[:, row, int(i)] = 0
    value = torch.stack([
        scores((responses[None] * mask[:, None]).flatten(0, 1)).reshape(n, -1) for mask in without
    ]).double()  # fmt: skip
    single = value.diagonal().T
    whole = scores(responses).double()
    found = whole - single[:, None] - single[None] + value
    found[range(n), range(n)] = torch.nan
    return found.permute(2, 0, 1).numpy()


def neuron_footprints(
    dina: DINA, session: str, responses: torch.Tensor, candidates: torch.Tensor, shown: torch.Tensor
) -> Floats:
    """Where on the feature maps each neuron matters.

    The gradient of the shown image's margin with respect to a neuron is a sum over the places that
    its fully connected weights reach; a footprint is the root mean square of the summands over
    samples.

    Parameters
    ----------
    dina, session, candidates, shown
        As in `image_margin`.
    responses : Tensor, (sample, neuron)

    Returns
    -------
    array, (neuron, row, column)
        Each of unit sum.
    """
    tower = dina.neural_tower(session)
    contrasts = image_contrasts(dina, candidates, shown)
    with torch.no_grad():
        spread = tower.spread(responses).unflatten(1, tower.layout)
    spread.requires_grad_()
    margins = _margins(dina, tower.mix(spread).flatten(1), contrasts)
    (gradient,) = torch.autograd.grad(margins.sum(), spread)
    weights = tower.spread.weight.detach().unflatten(0, tower.layout)
    parts = torch.einsum("skyx,kyxn->snyx", gradient, weights)
    footprint = parts.double().square().mean(dim=0).sqrt()
    return (footprint / footprint.sum(dim=(1, 2), keepdim=True)).numpy()


def field_masks(
    rows: NDArray, columns: NDArray, radii: NDArray, image_shape: tuple[int, int], map_px: int
) -> Floats:
    """Discs on an image, on the grid of the feature maps.

    Parameters
    ----------
    rows, columns, radii : array, (neuron,)
        Centre and radius, pixels.
    image_shape : (y, x)
        Pixels of the image.

    Returns
    -------
    array, (neuron, map_px, map_px)
        1 where a place's centre lies inside the disc.
    """
    y, x = ((np.arange(map_px) + 0.5) * size / map_px - 0.5 for size in image_shape)
    distance2 = (y[None, :, None] - rows[:, None, None]) ** 2 + (
        x[None, None, :] - columns[:, None, None]
    ) ** 2
    return (distance2 <= radii[:, None, None] ** 2).astype(float)


def share_inside(footprints: Floats, masks: Floats) -> Floats:
    """Share of every footprint inside every field, (footprint, field); both (n, row, column)."""
    return footprints.reshape(len(footprints), -1) @ masks.reshape(len(masks), -1).T


class FootprintTest(NamedTuple):
    """Whether footprints lie in their own neurons' fields."""

    own: float
    """Mean share of a footprint inside its own neuron's field."""
    null: float
    """The same with fields permuted among neurons, mean over permutations."""
    p: float
    """One-sided."""


def footprint_test(shares: Floats, n_permutations: int, seed: int) -> FootprintTest:
    """Test whether footprints lie in their own neurons' fields.

    Parameters
    ----------
    shares : array, (neuron, neuron)
        From `share_inside`, own fields on the diagonal.
    n_permutations, seed : int
        Of the fields among the neurons.
    """
    rng = np.random.default_rng(seed)
    n = np.arange(len(shares))
    own = float(shares[n, n].mean())
    null = np.array([shares[n, rng.permutation(n)].mean() for _ in range(n_permutations)])
    p = (1 + (null >= own).sum()) / (1 + n_permutations)
    return FootprintTest(own, float(null.mean()), float(p))
