"""V1T: a vision transformer that predicts the responses of mouse V1 (Li et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import nn
from torch.nn import functional

from workflow_scripts.models.encoder import Encoder, Population

BehaviourInput = Literal["every_block", "first_block", "none"]


class BlockRecord(NamedTuple):
    """What one block did with a batch."""

    attention: torch.Tensor
    """Weights of each query token's attention over tokens, (batch, head, token, token)."""
    behaviour: torch.Tensor | None
    """What was added to all tokens for the behaviour, (batch, dim)."""


class V1TCore(nn.Module):
    """Overlapping patches as tokens, transformer blocks, and tokens back to a feature map.

    With the default arguments it is the published configuration: 1653 tokens and a class token,
    2,465,200 parameters.

    Parameters
    ----------
    image_shape : (channel, y, x)
    behaviour_dim : int
        Behaviour variables and pupil coordinates.
    patch_px, stride_px : int
        Side of a patch, and pixels between two patches.
    dim : int
        Width of a token and of each attention head.
    n_blocks, n_heads : int
    mlp_dim : int
        Hidden units of a block's perceptron.
    behaviour_hidden : int
        Hidden units of the behaviour perceptron (B-MLP).
    patch_dropout, block_dropout : float
    behaviour : {"every_block", "first_block", "none"}
        Where a B-MLP adds the animal's state to all tokens.
    mice : sequence of str
        For B-MLPs of their own; empty: the mice share them.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 36, 64),
        behaviour_dim: int = 5,
        *,
        patch_px: int = 8,
        stride_px: int = 1,
        dim: int = 155,
        n_blocks: int = 4,
        n_heads: int = 4,
        mlp_dim: int = 488,
        behaviour_hidden: int = 77,
        patch_dropout: float = 0.0229,
        block_dropout: float = 0.2544,
        behaviour: BehaviourInput = "every_block",
        mice: Sequence[str] = (),
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.patch_px, self.stride_px = patch_px, stride_px
        rows, columns = ((side - patch_px) // stride_px + 1 for side in (height, width))
        self.feature_shape = (dim, rows, columns)
        self.offset_px = (patch_px - 1) / 2
        self.embed = nn.Linear(channels * patch_px**2, dim)
        self.class_token = nn.Parameter(torch.randn(1, 1, dim))
        self.token_position = nn.Parameter(torch.randn(rows * columns + 1, dim))
        self.patch_dropout = nn.Dropout(patch_dropout)
        n_behaviour = {"every_block": n_blocks, "first_block": 1, "none": 0}[behaviour]
        n_behaviour = n_behaviour if behaviour_dim else 0
        self.blocks = nn.ModuleList(
            Block(
                dim, n_heads, mlp_dim, block_dropout,
                BehaviourMLP(behaviour_dim, behaviour_hidden, dim, mice)
                if index < n_behaviour else None,
            )
            for index in range(n_blocks)
        )  # fmt: skip
        self.blocks.apply(_initialise)

    def forward(self, images: torch.Tensor, behaviour: torch.Tensor, mouse: str) -> torch.Tensor:
        """Compute features.

        Parameters
        ----------
        images : torch.Tensor, (batch, channel, y, x)
        behaviour : torch.Tensor, (batch, behaviour_dim)
        mouse : str

        Returns
        -------
        torch.Tensor, (batch, dim, row, column)
        """
        tokens = self.tokens(images)
        for block in self.blocks:
            tokens = block(tokens, behaviour, mouse)
        return tokens[:, 1:].mT.unflatten(2, self.feature_shape[1:])

    def tokens(self, images: torch.Tensor) -> torch.Tensor:
        """Embed patches behind the class token, (batch, 1 + row · column, dim)."""
        patches = functional.unfold(images, self.patch_px, stride=self.stride_px).mT
        class_token = self.class_token.expand(len(images), -1, -1)
        tokens = torch.cat([class_token, self.embed(patches)], dim=1)
        return self.patch_dropout(tokens + self.token_position)

    def record(
        self, images: torch.Tensor, behaviour: torch.Tensor, mouse: str
    ) -> list[BlockRecord]:
        """Run the core and return each block's attention and behaviour; shapes as in `forward`."""
        tokens, records = self.tokens(images), []
        for block in cast("list[Block]", self.blocks):
            added = block.behaviour(behaviour, mouse) if block.behaviour else None
            seen = tokens if added is None else tokens + added[:, None]
            records.append(BlockRecord(block.attention.weights(seen), added))
            tokens = block(tokens, behaviour, mouse)
        return records

    def penalty(self) -> torch.Tensor:
        """L1 norm of all parameters."""
        return torch.stack([parameter.abs().sum() for parameter in self.parameters()]).sum()


class Block(nn.Module):
    """State of the animal, attention and perceptron, each added to the tokens."""

    def __init__(
        self, dim: int, n_heads: int, mlp_dim: int, dropout: float, behaviour: BehaviourMLP | None
    ) -> None:
        super().__init__()
        self.behaviour = behaviour
        self.attention = Attention(dim, n_heads, dropout)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, mlp_dim), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(mlp_dim, dim), nn.Dropout(dropout),
        )  # fmt: skip

    def forward(self, tokens: torch.Tensor, behaviour: torch.Tensor, mouse: str) -> torch.Tensor:
        """(batch, token, dim) → the same shape."""
        if self.behaviour is not None:
            tokens = tokens + self.behaviour(behaviour, mouse)[:, None]
        tokens = tokens + self.attention(tokens)
        return tokens + self.mlp(tokens)


class Attention(nn.Module):
    """Self-attention whose heads are each as wide as a token; scaled by ``dim ** -0.5``."""

    def __init__(self, dim: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.norm = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * n_heads * dim, bias=False)
        self.projection = nn.Sequential(nn.Linear(n_heads * dim, dim), nn.Dropout(dropout))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, token, dim) → the same shape."""
        query, key, value = self._heads(tokens)
        # The default scale, one over the root of a head's width, is the published one.
        attended = functional.scaled_dot_product_attention(
            query, key, value, dropout_p=self.dropout if self.training else 0.0
        )
        return self.projection(attended.transpose(1, 2).flatten(2))

    def weights(self, tokens: torch.Tensor) -> torch.Tensor:
        """Attention of each token, (batch, head, token, token); rows sum to 1."""
        query, key, _ = self._heads(tokens)
        return (query @ key.mT * query.shape[-1] ** -0.5).softmax(dim=-1)

    def _heads(self, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Query, key and value, each (batch, head, token, dim)."""
        qkv = self.to_qkv(self.norm(tokens)).unflatten(2, (3, self.n_heads, -1))
        return qkv.permute(2, 0, 3, 1, 4).unbind(0)


class BehaviourMLP(nn.Module):
    """B-MLP: behaviour (batch, behaviour_dim) → what is added to every token, (batch, dim)."""

    def __init__(self, behaviour_dim: int, hidden: int, dim: int, mice: Sequence[str]) -> None:
        super().__init__()
        self.by_mouse = bool(mice)
        self.networks = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(behaviour_dim, hidden), nn.Tanh(), nn.Linear(hidden, dim), nn.Tanh()
                )
                for name in (mice or ["all"])
            }
        )

    def forward(self, behaviour: torch.Tensor, mouse: str) -> torch.Tensor:
        """Through the network of all mice, or of this one."""
        return self.networks[mouse if self.by_mouse else "all"](behaviour)


class V1T(Encoder):
    """A V1T core with a readout and a shifter for each mouse.

    Parameters
    ----------
    mice : mapping of str to Population
    image_shape : (channel, y, x)
    behaviour_dim : int
    shifter : bool
        Let the pupil's centre move the receptive fields.
    core
        Of `V1TCore`.
    """

    def __init__(
        self,
        mice: Mapping[str, Population],
        image_shape: Sequence[int] = (1, 36, 64),
        behaviour_dim: int = 5,
        shifter: bool = True,
        **core: Any,
    ) -> None:
        super().__init__(V1TCore(image_shape, behaviour_dim, **core), mice, shifter)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
