"""Interprets the alignment of one session: its neurons, places, patches and frequencies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
import xarray as xr
from numpy.typing import NDArray
from torch.nn import functional

from workflow_scripts.analysis.attribution import (
    field_masks,
    gradient_times_input,
    image_margin,
    integrated_gradients,
    keep,
    neuron_footprints,
    pairwise_interactions,
)
from workflow_scripts.analysis.latent_maps import Patches, back_project, band_limited, margin_maps
from workflow_scripts.analysis.retrieval import retrieval_ranks, top_k
from workflow_scripts.models.dina import DINA
from workflow_scripts.training.pairs import Pairs

Floats = NDArray[np.float64]
Kind = Literal["low_pass", "high_pass"]
KINDS: tuple[Kind, ...] = ("low_pass", "high_pass")


@dataclass(frozen=True)
class InterpretationOptions:
    """How an alignment is interpreted.

    Parameters
    ----------
    kept_shares : list of float
        Shares of the neurons that are kept, ascending, the last 1.
    cutoffs_cycles_per_image : list of float
        Cut-off of the low- and high-pass filters, cycles per longest side of the image.
    n_random_orders : int
        Random orders that the curve of attribution is compared with.
    n_interacting : int
        Neurons of highest attribution whose pairs are measured.
    n_integration_steps : int
        Nodes of the integrated gradients.
    seed : int
        Of the random orders.
    """

    kept_shares: list[float]
    cutoffs_cycles_per_image: list[float]
    n_random_orders: int = 5
    n_interacting: int = 12
    n_integration_steps: int = 32
    seed: int = 0


class Interpretation(NamedTuple):
    """What one session's alignment rests on, in one fold.

    Attributes
    ----------
    images : array, (image,)
        Test images, as positions along the session's stimuli.
    neurons : DataFrame
        One row per neuron: ``neuron decoy attribution gradient_input rank``; attribution is the
        mean over validation images of integrated gradients of the shown image's margin, nats;
        rank 0 is the most important.
    completeness_error : float
        Largest deviation of a sum of attributions from the difference it should be, nats.
    curves : DataFrame
        One row per test image, curve and x: ``image curve x top1``. Curves ``attribution``,
        ``random`` and ``reverse`` over the share of neurons kept in that order, ``low_pass`` and
        ``high_pass`` over the cut-off.
    footprints : array, (neuron, row, column)
    margins : array, (image, row, column)
    interactions : array, (image, pair partner, pair partner)
    patches : Patches
    """

    images: NDArray[np.int64]
    neurons: pd.DataFrame
    completeness_error: float
    curves: pd.DataFrame
    footprints: Floats
    margins: Floats
    interactions: Floats
    patches: Patches


def interpret(dina: DINA, pairs: Pairs, options: InterpretationOptions) -> Interpretation:
    """Interpret averaged responses.

    Neurons are ranked on the validation images and judged on the test images.

    Parameters
    ----------
    dina : DINA
    pairs : Pairs
    options : InterpretationOptions
    """
    neurons, error = _attribution(dina, pairs, options.n_integration_steps)
    order = neurons.sort_values("rank")["neuron"].to_numpy()
    average = pairs.splits["test"].averages()
    candidates, own = pairs.images[average.image], torch.arange(len(average.image))
    scores = image_margin(dina, pairs.name, candidates, own)
    curves = pd.DataFrame(
        [*_keep_curves(dina, pairs, order, options), *_frequency_curves(dina, pairs, options)],
        columns=["curve", "x", "top1"],
    ).assign(image=[average.image.numpy()] * _n_curves(options))
    return Interpretation(
        average.image.numpy(),
        neurons,
        error,
        curves.explode(["image", "top1"], ignore_index=True).astype({"image": int, "top1": float}),
        neuron_footprints(dina, pairs.name, average.responses, candidates, own),
        margin_maps(dina, pairs.name, average.responses, candidates, own),
        pairwise_interactions(scores, average.responses, order[: options.n_interacting]),
        back_project(dina, candidates),
    )


def _n_curves(options: InterpretationOptions) -> int:
    return 3 * len(options.kept_shares) + 2 * len(options.cutoffs_cycles_per_image)


def _attribution(dina: DINA, pairs: Pairs, n_steps: int) -> tuple[pd.DataFrame, float]:
    held = pairs.splits["validation"].averages()
    shown = torch.arange(len(held.image))
    scores = image_margin(dina, pairs.name, pairs.images[held.image], shown)
    attributed = integrated_gradients(scores, held.responses, n_steps)
    with torch.no_grad():
        difference = scores(held.responses) - scores(torch.zeros_like(held.responses))
    error = np.abs(attributed.sum(axis=1) - difference.double().numpy()).max()
    attribution = attributed.mean(axis=0)
    table = pd.DataFrame({
        "neuron": np.arange(pairs.n_neurons),
        "decoy": pairs.decoy,
        "attribution": attribution,
        "gradient_input": gradient_times_input(scores, held.responses).mean(axis=0),
        "rank": np.argsort(np.argsort(-attribution, kind="stable"), kind="stable"),
    })  # fmt: skip
    return table, float(error)


@torch.no_grad()
def _found(dina: DINA, pairs: Pairs, responses: torch.Tensor, images: torch.Tensor) -> Floats:
    logits = dina.logits(dina.neural_latents(pairs.name, responses), dina.image_latents(images))
    return top_k(retrieval_ranks(logits.numpy(), np.arange(len(images))), 1, len(images))


def _keep_curves(
    dina: DINA, pairs: Pairs, order: NDArray[np.int64], options: InterpretationOptions
) -> Iterator[tuple[str, float, Floats]]:
    average = pairs.splits["test"].averages()
    images = pairs.images[average.image]
    rng = np.random.default_rng(options.seed)
    random = [rng.permutation(len(order)) for _ in range(options.n_random_orders)]
    with torch.no_grad():
        latents = dina.image_latents(images)
    orders = {"attribution": [order], "random": random, "reverse": [order[::-1]]}
    for curve, of_curve in orders.items():
        for share in options.kept_shares:
            n_kept = max(1, round(share * len(order)))
            found = []
            for one in of_curve:
                kept = keep(average.responses, one, n_kept)
                with torch.no_grad():
                    logits = dina.logits(dina.neural_latents(pairs.name, kept), latents).numpy()
                ranks = retrieval_ranks(logits, np.arange(len(images)))
                found.append(top_k(ranks, 1, len(images)))
            yield curve, share, np.mean(found, axis=0)


def _frequency_curves(
    dina: DINA, pairs: Pairs, options: InterpretationOptions
) -> Iterator[tuple[str, float, Floats]]:
    average = pairs.splits["test"].averages()
    images = pairs.images[average.image]
    for kind in KINDS:
        for cutoff in options.cutoffs_cycles_per_image:
            filtered = band_limited(images, cutoff / max(images.shape[2:]), kind)
            yield kind, cutoff, _found(dina, pairs, average.responses, filtered)


def known_fields(session: xr.Dataset, map_px: int) -> Floats | None:
    """Receptive fields of a session's neurons on the grid of the feature maps.

    Parameters
    ----------
    session : xr.Dataset
        With measured outlines (``receptive_field``), or with the truth of the simulated V1, whose
        fields are discs of two standard deviations of the envelope.
    map_px : int

    Returns
    -------
    array, (neuron, map_px, map_px), or None
        Share of each place that a field covers; all 0 for an unknown field. None where the session
        knows of none.
    """
    if "receptive_field" in session:
        masks = torch.as_tensor(session["receptive_field"].to_numpy(), dtype=torch.float32)
        return functional.adaptive_avg_pool2d(masks, map_px).double().numpy()
    if "truth_receptive_field_row" not in session:
        return None
    row, column, width = (
        session[f"truth_{name}"].to_numpy()
        for name in ("receptive_field_row", "receptive_field_column", "width")
    )
    size = session.sizes["y"], session.sizes["x"]
    return field_masks(row, column, 2 * width, size, map_px)
