"""Causal building blocks of video networks: an output at t depends on no frame after t.

Tensors are (batch, channel, time, row, column). Batch norm is causal in evaluation mode only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


class CausalConv3d(nn.Conv3d):
    """Convolution that looks back in time; zeros stand before the first frame.

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
        kernel = (frames, size, size)
        super().__init__(inputs, outputs, kernel, dilation=(dilation, 1, 1), groups=groups)
        self.margin = size // 2 if padded else 0
        self.past = dilation * (frames - 1) if causal else dilation * (frames - 1) // 2
        self.future = dilation * (frames - 1) - self.past

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, time, row, column) → (batch, outputs, time, row', column')."""
        if self.groups == self.in_channels == self.out_channels and self.future == 0:
            return self._depthwise(x)
        x = functional.pad(x, (*[self.margin] * 4, self.past, self.future))
        return functional.conv3d(x, self.weight, self.bias, 1, 0, self.dilation, self.groups)

    def _depthwise(self, x: Tensor) -> Tensor:
        """Sum the shifted 2D convolutions of the taps: equal, and twice as fast on a CPU.

        It also spares the padded copy of the input, which training would keep.
        """
        frames = x.transpose(1, 2)
        batch, n_frames = frames.shape[:2]
        flat = frames.flatten(0, 1)
        n_taps = self.weight.shape[2]
        total = self._tap(flat, n_taps - 1, self.bias).unflatten(0, (batch, n_frames))
        for tap in range(n_taps - 1):
            delay = self.dilation[0] * (n_taps - 1 - tap)
            if delay < n_frames:
                seen = frames[:, : n_frames - delay].flatten(0, 1)
                delayed = self._tap(seen, tap, None).unflatten(0, (batch, n_frames - delay))
                total[:, delay:] += delayed
        return total.transpose(1, 2)

    def _tap(self, flat: Tensor, tap: int, bias: Tensor | None) -> Tensor:
        kernel = self.weight[:, :, tap]
        return functional.conv2d(flat, kernel, bias, padding=self.margin, groups=self.groups)


class C3TCNBlock(nn.Module):
    """Residual block: depthwise 3×3×3 dilated in time, batch norm, ReLU, 1×1, dropout."""

    def __init__(self, width: int, dilation: int, dropout: float, *, causal: bool = True) -> None:
        super().__init__()
        self.depthwise = CausalConv3d(
            width, width, 3, 3, dilation=dilation, groups=width, padded=True, causal=causal
        )
        self.norm = nn.BatchNorm3d(width)
        self.pointwise = nn.Conv3d(width, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        hidden = functional.relu(self.norm(self.depthwise(x)), inplace=True)
        return x + self.dropout(self.pointwise(hidden))


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
        self.modulation = nn.Sequential(nn.SiLU(), nn.Conv3d(channels, 3 * channels, 1))
        self.transform = nn.Sequential(nn.SiLU(), nn.Conv3d(channels, channels, 1))
        modulation, transform = (cast("nn.Conv3d", m[1]) for m in (self.modulation, self.transform))
        nn.init.zeros_(modulation.weight)
        nn.init.zeros_(cast("Tensor", modulation.bias))
        nn.init.normal_(transform.weight, std=0.02)
        nn.init.zeros_(cast("Tensor", transform.bias))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Features and a condition that may be one frame long and of batch 1 → features."""
        shift, scale, gate = self.modulation(condition).chunk(3, dim=1)
        return x + gate * self.transform(x * (1 + scale) + shift)


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
        self.dropout = nn.Dropout3d(dropout)
        self.mapping = nn.Conv3d(channels, channels, 1)
        self.shortcut = nn.Conv3d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, time, row, column) → the same less 2 rows and columns."""
        branches = [self.dropout(functional.leaky_relu(branch(x), 0.1)) for branch in self.branches]
        # A mean over space and a 1×1 convolution commute; the mean first is cheaper.
        pooled = functional.avg_pool3d(x, (1, 3, 3), stride=1)
        return self.mapping(torch.stack(branches).sum(dim=0)) + self.shortcut(pooled)


def recomputed(block: Callable[..., Tensor], *inputs: Tensor, enabled: bool = True) -> Tensor:
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
    norms = [(one, one.momentum) for one in modules if isinstance(one, nn.BatchNorm3d)]
    for norm, _ in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in norms:
            norm.momentum = momentum
