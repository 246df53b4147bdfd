"""What encoders of retinal cells are trained for, how they predict, how linear ones are fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from workflow_scripts.models.processes import gather
from workflow_scripts.models.retina_baselines import LinearNonlinear
from workflow_scripts.models.retina_encoders import RetinaEncoderOptions
from workflow_scripts.models.vist import ViST
from workflow_scripts.recordings.movie_responses import MovieResponses
from workflow_scripts.recordings.reliability import pearson
from workflow_scripts.training.retina import Batch, Recording, chunks
from workflow_scripts.training.soft_dtw import normalised_soft_dtw


@dataclass(frozen=True)
class LossOptions:
    """What is minimised.

    Parameters
    ----------
    kind : {"published", "poisson"}
        ``published``: ``rmse · RMSE + negative · mean ReLU(−ŷ) + dtw · Σ soft-DTW``, the last over
        window lengths, each averaged over windows and normalised. ``poisson``: mean ``ŷ − y ln ŷ``
        of rates in units of their standard deviation.
    rmse, negative, dtw : float
        Weights; the defaults are the published ones.
    dtw_frames : list of int
        Lengths of the soft-DTW windows, which start every half a length. Published are a twentieth
        and a tenth of 128 frames. Windows with a frame that was not recorded are left out.
    gamma : float
        Of soft-DTW.
    """

    kind: Literal["published", "poisson"] = "published"
    rmse: float = 0.1
    negative: float = 0.5
    dtw: float = 0.5e-5
    dtw_frames: list[int] = field(default_factory=lambda: [6, 12])
    gamma: float = 0.1


class RetinaObjective(nn.Module):
    """An encoder and its loss.

    Parameters
    ----------
    network : nn.Module
        From `models.retina_encoders.build_retina_encoder`.
    loss : LossOptions
    """

    def __init__(self, network: nn.Module, loss: LossOptions) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Batch of `training.retina.BatchSource` → loss and its parts."""
        del step
        predicted = run_encoder(
            self.network, batch.features, batch.maps, batch.cell, batch.rate.shape[-1], batch.ahead
        )
        if predicted.shape[1] != batch.rate.shape[1]:  # of the whole frame: all cells
            predicted = predicted[:, batch.cell]
        # A root, and means over what is known, are no means over samples.
        return encoder_loss(gather(predicted), gather(batch.rate), gather(batch.known), self.loss)


def run_encoder(
    network: nn.Module, features: Tensor, maps: Tensor, cell: Tensor, frames: int, ahead: int
) -> Tensor:
    """Features of `Batch` → rates of the frames that count, (batch, cell, frame)."""
    if isinstance(network, ViST):  # of the whole frame: all cells at once
        rates = network(features, maps)
    else:
        n_windows = len(features) // len(cell)
        # A causal network need not compute its warm-up's outputs.
        last = frames if ahead == 0 else None
        rates = network(features, maps, cell.repeat(n_windows), last)
        rates = rates.unflatten(0, (n_windows, len(cell)))
    return rates[..., rates.shape[-1] - frames - ahead :][..., :frames]


def encoder_loss(
    predicted: Tensor, rate: Tensor, known: Tensor, options: LossOptions
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss over the known frames.

    Parameters
    ----------
    predicted, rate : torch.Tensor, (batch, cell, time)
    known : torch.Tensor of bool, (batch, time)
    options : LossOptions

    Returns
    -------
    (loss, parts)
    """
    p, y = (one.movedim(1, 2)[known] for one in (predicted, rate))
    if options.kind == "poisson":
        return (p - y * torch.log(p + 1e-3)).mean(), {}
    rmse = (p - y).square().mean().sqrt()
    negative = functional.relu(-p).mean()
    parts = {"rmse": rmse, "negative": negative}
    warped = [
        _warped(predicted, rate, known, frames, options.gamma) for frames in options.dtw_frames
    ]
    parts["soft_dtw"] = torch.stack(warped).sum() if warped else rmse.new_zeros(())
    loss = options.rmse * rmse + options.negative * negative + options.dtw * parts["soft_dtw"]
    return loss, parts


def _warped(predicted: Tensor, rate: Tensor, known: Tensor, frames: int, gamma: float) -> Tensor:
    """Mean soft-DTW over the windows of `frames` known frames; 0 where there is none."""
    if known.shape[1] < frames:
        return predicted.new_zeros(())
    hop = max(1, frames // 2)
    whole = known.unfold(1, frames, hop).all(dim=-1)
    p, y = (one.unfold(2, frames, hop).permute(0, 2, 3, 1)[whole] for one in (predicted, rate))
    return normalised_soft_dtw(p, y, gamma).mean() if len(p) else predicted.new_zeros(())


@torch.no_grad()
def predict(
    network: nn.Module, recording: Recording, frames: NDArray[np.integer],
    encoder: RetinaEncoderOptions, cells: NDArray[np.integer] | None = None, longest: int = 120,
) -> Tensor:  # fmt: skip
    """Predict rates in some frames, each with its whole past.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    recording : Recording
    frames : int array, (frame,)
        Sorted.
    encoder : RetinaEncoderOptions
        How many frames an output depends on.
    cells : int array, optional
        Which; all unless given.
    longest : int
        Frames of a span that is predicted at once.

    Returns
    -------
    torch.Tensor, (cell, frame)
    """
    device = next(network.parameters()).device
    chosen = np.arange(recording.n_cells) if cells is None else cells
    cell = torch.from_numpy(np.asarray(chosen))
    whole = recording.view.bin_px is None
    maps = (recording.maps if whole else recording.maps[cell]).to(device)
    spans = []
    for span in chunks(frames, longest):
        first, n_frames = int(span[0]), int(span[-1] - span[0]) + 1
        shown = torch.arange(first - encoder.before, first + n_frames + encoder.ahead)
        windows = recording.windows(shown, cell).to(device)
        rates = run_encoder(
            network, windows[None] if whole else windows, maps, cell.to(device), n_frames,
            encoder.ahead,
        )[0]  # fmt: skip
        wanted = torch.from_numpy(np.asarray(span)) - first
        spans.append((rates[cell] if whole else rates)[:, wanted].float().cpu())
    return torch.cat(spans, dim=1)


def correlation(
    network: nn.Module, recordings: Sequence[Recording], held_out: Sequence[MovieResponses],
    encoder: RetinaEncoderOptions, cells: NDArray[np.integer],
) -> float:  # fmt: skip
    """Score by which weights are selected: Pearson r per cell, averaged over cells and recordings.

    A cell that does not vary, or is not predicted to, counts as 0.
    """
    scores = []
    for recording, responses in zip(recordings, held_out, strict=True):
        frames = np.flatnonzero(responses.stimulus >= 0)
        if len(frames):
            predicted = predict(network, recording, frames, encoder, cells)
            recorded = responses.rate_hz[np.ix_(cells, frames)].astype(float)
            r = pearson(predicted.double().numpy(), recorded)
            scores.append(np.nan_to_num(r).mean())
    return float(np.mean(scores))


def fit_ridge(
    model: LinearNonlinear, recordings: Sequence[Recording], responses: Sequence[MovieResponses],
    scale_hz: Tensor, penalties: Sequence[float],
) -> list[dict[str, Tensor]]:  # fmt: skip
    """Fit the filters of a linear–nonlinear model by ridge regression before the rectification.

    Parameters
    ----------
    model : LinearNonlinear
    recordings, responses
        What to fit.
    scale_hz : torch.Tensor, (cell,)
    penalties : sequence of float
        Each λ, relative to the mean squared length of the inputs.

    Returns
    -------
    list of state dict
        The model's weights by penalty.
    """
    weight = torch.zeros(len(penalties), *model.weight.shape)
    bias = torch.zeros(len(penalties), len(scale_hz))
    for cell in torch.arange(len(scale_hz)):
        designs, targets = [], []
        for recording, one in zip(recordings, responses, strict=True):
            frames = np.flatnonzero(one.stimulus >= 0)
            designs.append(_design(model, recording, frames, cell))
            targets.append(torch.from_numpy(one.rate_hz[int(cell), frames]).double())
        x, y = torch.cat(designs), torch.cat(targets) / scale_hz[cell]
        mean_x, mean_y = x.mean(dim=0), y.mean()
        solved = ridge_path(x - mean_x, y - mean_y, penalties)
        weight[:, cell] = solved.float()
        bias[:, cell] = (mean_y - solved @ mean_x).float()
    return [{"weight": w, "bias": b} for w, b in zip(weight, bias, strict=True)]


def _design(
    model: LinearNonlinear, recording: Recording, frames: NDArray[np.integer], cell: Tensor
) -> Tensor:
    """What one cell's filter multiplies in some frames, (frame, weight)."""
    rows = []
    for span in chunks(frames, 200):
        shown = torch.arange(int(span[0]) - model.frames + 1, int(span[-1]) + 1)
        windows = recording.windows(shown, cell[None])
        rows.append(model.design(windows)[0][torch.from_numpy(span) - int(shown[0])])
    return torch.cat(rows).double()


def ridge_path(x: Tensor, y: Tensor, penalties: Sequence[float]) -> Tensor:
    """Solve ridge regressions of several penalties by one decomposition.

    Parameters
    ----------
    x : torch.Tensor, (sample, input)
    y : torch.Tensor, (sample,)
    penalties : sequence of float
        Each λ, relative to the mean squared length of the inputs.

    Returns
    -------
    torch.Tensor, (penalty, input)
        Minimisers of ``‖y − x w‖² + λ ‖w‖²``.
    """
    relative = x.square().sum() / len(x) * torch.tensor(penalties, dtype=x.dtype)[:, None]
    dual = len(x) < x.shape[1]  # the smaller of the two Gram matrices
    values, vectors = torch.linalg.eigh(x @ x.T if dual else x.T @ x)
    target = y if dual else x.T @ y
    solved = (vectors.T @ target / (values.clamp(min=0) + relative)) @ vectors.T
    return solved @ x if dual else solved
