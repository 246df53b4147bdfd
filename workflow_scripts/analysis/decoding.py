"""Decodes the held-out images of one session from its responses, by DINA and by baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from workflow_scripts.analysis.reconstruction import (
    fit_linear_decoder,
    image_correlation,
    structural_similarity,
)
from workflow_scripts.analysis.retrieval import (
    chance_draws,
    confidence,
    mean_by,
    nearest_centroid,
    retrieval_ranks,
    top_k,
)
from workflow_scripts.models.dina import DINA
from workflow_scripts.training.pairs import Pairs, Trials

Floats = NDArray[np.float64]
Decoder = Callable[[torch.Tensor], NDArray[np.float32]]
BATCH = 128


class Decoded(NamedTuple):
    """What was decoded from one session in one fold.

    Attributes
    ----------
    images : array, (image,)
        The candidates, as positions along the session's stimuli.
    scores : DataFrame
        One row per image, method and query (``average`` of its trials, or ``single``, the mean
        over them): ``image method query n_candidates rank top1 top5 confidence pearson
        pearson_others ssim``.
    chance : DataFrame
        One row per permutation, method and query: ``permutation method query top1 top5``; see
        `analysis.retrieval.chance_draws`.
    logits : array, (image, image)
        Averaged response × candidate image.
    likenesses : array, (image, image)
        Cosine similarity of the same.
    reconstructed : dict of str to array, (image, channel, y, x)
        By method, from averaged responses.
    originals : array, (image, channel, y, x)
    """

    images: NDArray[np.int64]
    scores: pd.DataFrame
    chance: pd.DataFrame
    logits: Floats
    likenesses: Floats
    reconstructed: dict[str, NDArray[np.float32]]
    originals: NDArray[np.float32]


def decode(
    dina: DINA, pairs: Pairs, baseline: nn.Module, n_permutations: int, seed: int
) -> Decoded:
    """Find and reconstruct the test images.

    Methods: ``dina`` compares latents; ``latent`` reconstructs pixels linearly from the neural
    latents, ``ridge`` linearly from the responses and ``cnn`` by `baseline`, and each of the three
    finds the candidate that its reconstruction correlates with most. Ridge penalties are chosen on
    the validation trials.

    Parameters
    ----------
    dina : DINA
    pairs : Pairs
    baseline : nn.Module
        Responses (batch, neuron) → images.
    n_permutations, seed : int
        Of the answers among the images, for chance.
    """
    test = pairs.splits["test"]
    average = test.averages()
    candidates, inverse = test.image.unique(return_inverse=True)
    own, answers = np.arange(len(candidates)), inverse.numpy()
    originals = pairs.images[candidates].numpy()
    pixel_decoders = _pixel_decoders(dina, pairs, baseline)
    tables: list[tuple[pd.DataFrame, pd.DataFrame]] = []
    logits, reconstructed = {}, {}
    for query, trials, shown in (("average", average, own), ("single", test, answers)):
        logits[query] = response_logits(dina, pairs, trials.responses, candidates)
        pixels = {name: decoder(trials.responses) for name, decoder in pixel_decoders.items()}
        reconstructed[query] = pixels
        found = {
            "dina": (logits[query], {"confidence": confidence(logits[query])}),
            **{name: _likeness(one, originals, shown, pairs) for name, one in pixels.items()},
        }
        for method, (similarity, measured) in found.items():
            named = {"method": method, "query": query}
            scores = {**_retrieval(similarity, shown), **measured}
            tables.append((
                _of_images(candidates.numpy(), shown, scores).assign(**named),
                _chance(similarity, shown, [pairs.pixels[image] for image in candidates],
                        n_permutations, seed).assign(**named),
            ))  # fmt: skip
    return Decoded(
        candidates.numpy(),
        pd.concat(
            [*(scores for scores, _ in tables), *_probe(dina, pairs), *_classes(dina, pairs)],
            ignore_index=True,
        ),
        pd.concat([chance for _, chance in tables], ignore_index=True),
        logits["average"],
        logits["average"] / dina.scale.item(),
        reconstructed["average"],
        originals,
    )


def _of_images(images: NDArray, shown: NDArray, scores: dict[str, Floats]) -> pd.DataFrame:
    """Average scores of trials over the trials of each image."""
    means = {name: mean_by(values, shown) for name, values in scores.items()}
    return pd.DataFrame({"image": images, "n_candidates": len(images), **means})


def _chance(
    similarity: Floats, shown: NDArray, pixels: Sequence[bytes], n_permutations: int, seed: int
) -> pd.DataFrame:
    """Accuracies of permuted answers; the same permutations wherever the same images are tested.

    Sessions share an image tower and its preferences among the images, so these do not average out.
    """
    order = np.array(sorted(range(len(pixels)), key=pixels.__getitem__))
    place = np.argsort(order)[shown]
    draws = {
        f"top{k}": chance_draws(similarity[:, order], place, k, n_permutations, seed)
        for k in (1, 5)
    }
    return pd.DataFrame({"permutation": np.arange(n_permutations), **draws})


@torch.no_grad()
def response_logits(
    dina: DINA, pairs: Pairs, responses: torch.Tensor, candidates: torch.Tensor
) -> Floats:
    """Scaled similarity of responses (trial, neuron) with images named by position."""
    image = dina.image_latents(pairs.images[candidates])
    return np.concatenate([
        dina.logits(dina.neural_latents(pairs.name, part), image).numpy()
        for part in responses.split(BATCH)
    ]).astype(float)  # fmt: skip


@torch.no_grad()
def pooled_latents(dina: DINA, session: str, responses: torch.Tensor) -> NDArray[np.float32]:
    """Neural latents averaged over 2 × 2 places, (trial, dim · map_px²/4): a quarter to fit on."""
    side = dina.image_tower.map_px
    return np.concatenate([
        functional.avg_pool2d(
            dina.neural_latents(session, part).unflatten(1, (-1, side, side)), 2
        ).flatten(1).numpy()
        for part in responses.split(BATCH)
    ])  # fmt: skip


def _pixel_decoders(dina: DINA, pairs: Pairs, baseline: nn.Module) -> dict[str, Decoder]:
    """Functions from responses to pixels, by method."""
    train, held = pairs.splits["train"], pairs.splits["validation"]
    shape = pairs.images.shape[1:]

    def pixels(trials: Trials) -> NDArray[np.float32]:
        return pairs.images[trials.image].flatten(1).numpy()

    def linear(features: Decoder) -> Decoder:
        fitted = fit_linear_decoder(
            features(train.responses), pixels(train), (features(held.responses), pixels(held))
        )
        return lambda responses: fitted(features(responses)).reshape(-1, *shape).astype("f4")

    @torch.no_grad()
    def convolutional(responses: torch.Tensor) -> NDArray[np.float32]:
        return baseline(responses).numpy()

    return {
        "latent": linear(lambda responses: pooled_latents(dina, pairs.name, responses)),
        "ridge": linear(lambda responses: responses.numpy()),
        "cnn": convolutional,
    }


def _retrieval(similarity: Floats, shown: NDArray) -> dict[str, Floats]:
    ranks = retrieval_ranks(similarity, shown)
    n = similarity.shape[1]
    return {"rank": ranks, "top1": top_k(ranks, 1, n), "top5": top_k(ranks, 5, n)}


def _likeness(
    pixels: NDArray, originals: NDArray, shown: NDArray, pairs: Pairs
) -> tuple[Floats, dict[str, Floats]]:
    """Pearson r of reconstructions (trial, …) with all images, and how like they are to theirs."""
    r = image_correlation(pixels, originals)
    seen = pairs.images[pairs.splits["train"].image.unique()]
    own = np.take_along_axis(r, shown[:, None], axis=1)[:, 0]
    others = (r.sum(axis=1) - own) / max(r.shape[1] - 1, 1)
    ssim = structural_similarity(pixels, originals[shown], float(seen.max() - seen.min()))
    return r, {"pearson": own, "pearson_others": others, "ssim": ssim}


def _probe(dina: DINA, pairs: Pairs) -> Sequence[pd.DataFrame]:
    """Closed-set identity: nearest centroid of even trials for odd ones of the same images."""
    test = pairs.splits["test"]
    number = pd.Series(test.image.numpy()).groupby(test.image.numpy()).cumcount().to_numpy()
    fitted, tested = number % 2 == 0, number % 2 == 1
    labels, shown = np.unique(test.image.numpy(), return_inverse=True)
    if len(np.unique(test.image.numpy()[tested])) < len(labels):
        return []  # an image was shown once: there is nothing to split by trial
    rows = []
    features = {
        "probe_latent": pooled_latents(dina, pairs.name, test.responses),
        "probe_response": test.responses.numpy(),
    }
    for method, vectors in features.items():
        similarity = nearest_centroid(vectors[fitted], shown[fitted], vectors[tested])
        scores = _retrieval(similarity, shown[tested])
        rows.append(_of_images(labels, shown[tested], scores).assign(method=method, query="single"))
    return rows


def _classes(dina: DINA, pairs: Pairs) -> Iterator[pd.DataFrame]:
    """Image class, where labels exist: linear from latents and from responses, largest wins.

    ``n_candidates`` counts the classes; ``commonest`` is what always guessing one would reach.
    """
    if pairs.labels is None:
        return
    classes, label = np.unique(pairs.labels, return_inverse=True)
    train, held = pairs.splits["train"], pairs.splits["validation"]
    average = pairs.splits["test"].averages()
    indicator, truth = np.eye(len(classes)), label[average.image]

    def latents(responses: torch.Tensor) -> NDArray[np.float32]:
        return pooled_latents(dina, pairs.name, responses)

    for method, features in (("class_latent", latents), ("class_response", torch.Tensor.numpy)):
        fitted = fit_linear_decoder(
            features(train.responses), indicator[label[train.image]],
            (features(held.responses), indicator[label[held.image]]),
        )  # fmt: skip
        guess = fitted(features(average.responses)).argmax(axis=1)
        yield pd.DataFrame({
            "image": average.image.numpy(), "method": method, "query": "average",
            "n_candidates": len(classes), "top1": (guess == truth).astype(float),
            "commonest": np.bincount(truth).max() / len(truth),
        })  # fmt: skip
