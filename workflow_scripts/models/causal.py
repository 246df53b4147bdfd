"""Causal building blocks of video networks: an output at t depends on no frame after t.

Tensors are (batch, time, channel, row, column): frames lie side by side in memory, and a layer for
images does for all of them. Batch norm is causal in evaluation mode only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


class CausalConv3d(nn.Module):
    """Convolution that looks back in time; zeros stand before the first frame.

    Each tap is a 2D convolution of all frames, shifted and added. That equals a 3D convolution of
    the padded frames, takes half as long where it is depthwise (on a CPU), and training keeps no
    padded copy of the input.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    frames : int
        Frames of the kernel; 1 looks at the present frame only.
    size : int
        Rows and columns of the kernel.
    dilation : int
        Frames between two taps.
    groups : int
        As in ``nn.Conv3d``.
    padded : bool
        Keep the rows and columns (zero padding), or lose ``size − 1`` of each.
    causal : bool
        False centres the kernel in time: the control.
    """

    def __init__(
        self, inputs: int, outputs: int, frames: int, size: int, *, dilation: int = 1,
        groups: int = 1, padded: bool = False, causal: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        reference = nn.Conv3d(inputs, outputs, (frames, size, size), groups=groups)
        self.weight, self.bias = reference.weight, cast("nn.Parameter", reference.bias)
        self.groups, self.margin = groups, size // 2 if padded else 0
        past = dilation * (frames - 1) if causal else dilation * (frames - 1) // 2
        self.offsets = [dilation * tap - past for tap in range(frames)]

    def forward(self, x: Tensor, last: int | None = None) -> Tensor:
        """(batch, time, inputs, row, column) → (batch, time, outputs, row', column').

        With `last`, only so many frames at the end, of a causal kernel.
        """
        n_frames = x.shape[1]
        first = 0 if last is None else max(n_frames - last, 0)
        present = self.offsets.index(0)
        total = self._tap(x[:, first:], present, self.bias)
        for tap, offset in enumerate(self.offsets):
            # Frames of the output that see a frame through this tap.
            start, stop = max(first, -offset), min(n_frames, n_frames - offset)
            if tap == present or stop <= start:
                continue
            wanted = slice(start + offset, stop + offset)
            # All frames and then some: training keeps one input for all taps, not a copy for each.
            seen = self._tap(x, tap)[:, wanted] if last is None else self._tap(x[:, wanted], tap)
            total[:, start - first : stop - first] += seen
        return total

    def _tap(self, x: Tensor, tap: int, bias: Tensor | None = None) -> Tensor:
        kernel = self.weight[:, :, tap]
        return per_frame(
            lambda flat: functional.conv2d(
                flat, kernel, bias, padding=self.margin, groups=self.groups
            ),
            x,
        )


def per_frame(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a layer for images to every frame of (batch, time, channel, row, column)."""
    return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def with_past(x: Tensor, frames: int) -> Tensor:
    """(batch, time, …) → (batch, time, frames, …), the present last; the first frame's past is it.

    A view where it can be.
    """
    lead = x[:, :1].expand(-1, frames - 1, *x.shape[2:])
    unfolded = torch.cat((lead, x), dim=1).unfold(1, frames, 1)
    return unfolded.movedim(-1, 2)


class C3TCNBlock(nn.Module):
    """Residual block: depthwise 3×3×3 dilated in time, batch norm, ReLU, 1×1, dropout."""

    def __init__(self, width: int, dilation: int, dropout: float, *, causal: bool = True) -> None:
        super().__init__()
        self.depthwise = CausalConv3d(
            width, width, 3, 3, dilation=dilation, groups=width, padded=True, causal=causal
        )
        self.norm = nn.BatchNorm2d(width)
        self.pointwise = nn.Conv2d(width, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        hidden = functional.relu(per_frame(self.norm, self.depthwise(x)), inplace=True)
        return x + self.dropout(per_frame(self.pointwise, hidden))


class AdaLNZero3D(nn.Module):
    """Residual modulation by a condition, the identity at the start (Peebles & Xie 2023).

    As in the public code of Vi-ST it has no layer norm: ``x + gate · f(x (1 + scale) + shift)``
    with shift, scale and gate from zero-initialised 1×1 convolutions of the condition.

    Parameters
    ----------
    channels : int
        Of the features and of the condition.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.modulation = nn.Sequential(nn.SiLU(), nn.Conv2d(channels, 3 * channels, 1))
        self.transform = nn.Sequential(nn.SiLU(), nn.Conv2d(channels, channels, 1))
        modulation, transform = (cast("nn.Conv2d", m[1]) for m in (self.modulation, self.transform))
        nn.init.zeros_(modulation.weight)
        nn.init.zeros_(cast("Tensor", modulation.bias))
        nn.init.normal_(transform.weight, std=0.02)
        nn.init.zeros_(cast("Tensor", transform.bias))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Features and a condition that may be one frame long and of batch 1 → features."""
        shift, scale, gate = per_frame(self.modulation, condition).chunk(3, dim=2)
        return x + gate * per_frame(self.transform, x * (1 + scale) + shift)


class MultiscaleBlock(nn.Module):
    """CMST block: causal 3×3 convolutions of several temporal windows side by side.

    A window of one frame mixes the channels, longer ones filter each channel by itself, as in the
    public code. Space is not padded: rows and columns shrink by 2.

    Parameters
    ----------
    channels : int
    windows : sequence of int
        Frames of each branch.
    dropout : float
        Share of whole channels dropped in each branch.
    causal : bool
        False centres the windows: the control.
    """

    def __init__(
        self, channels: int, windows: Sequence[int], dropout: float, *, causal: bool = True
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            CausalConv3d(
                channels, channels, window, 3, groups=1 if window == 1 else channels, causal=causal
            )
            for window in windows
        )
        self.dropout = dropout
        self.mapping = nn.Conv2d(channels, channels, 1)
        self.shortcut = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, last: int | None = None) -> Tensor:
        """(batch, time, channel, row, column) → the same less 2 rows and columns.

        With `last`, only so many frames at the end.
        """
        total = torch.zeros((), dtype=x.dtype, device=x.device)
        for branch in self.branches:
            total = total + self._dropped(functional.leaky_relu(branch(x, last), 0.1))
        present = x if last is None else x[:, -last:]
        # A mean over space and a 1×1 convolution commute; the mean first is cheaper.
        pooled = per_frame(lambda flat: functional.avg_pool2d(flat, 3, stride=1), present)
        return per_frame(self.mapping, total) + per_frame(self.shortcut, pooled)

    def _dropped(self, x: Tensor) -> Tensor:
        """Drop whole channels of a clip."""
        if not (self.training and self.dropout):
            return x
        kept = x.new_ones(x.shape[0], 1, x.shape[2], 1, 1)
        return x * functional.dropout(kept, self.dropout)


def recomputed(block: Callable[..., Tensor], *inputs: Any, enabled: bool = True) -> Tensor:
    """Run a block and keep its inputs alone: backward computes it again.

    The running statistics of batch norm are updated by the first pass only. Calls may nest.
    """
    if not (enabled and torch.is_grad_enabled()):
        return block(*inputs)

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), _kept_statistics(block)

    return cast("Tensor", checkpoint(block, *inputs, use_reentrant=False, context_fn=contexts))


@contextmanager
def _kept_statistics(block: Callable[..., Tensor]) -> Iterator[None]:
    modules = block.modules() if isinstance(block, nn.Module) else ()
    norms = [(one, one.momentum) for one in modules if isinstance(one, _BatchNorm)]
    for norm, _ in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in norms:
            norm.momentum = momentum
