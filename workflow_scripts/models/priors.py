"""Frozen image priors: what Vi-ST sees of each frame. None of them looks at a later frame.

=========  ============================================================================
pixels     grey levels, about zero mean and unit variance
tdann      a layer of the project's own video network, shown past frames only
random     the same network with random weights: an untrained control, by this name only
dinov2     patch tokens of DINOv2 through timm, weights from a local file
=========  ============================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from workflow_scripts.models.backbones import Backbone, normalise_pixels
from workflow_scripts.stores.errors import InputError

Prior = Callable[[Tensor], Tensor]
"""(batch, past, 1, y, x) in [0, 1], each the frames up to one's own → (batch, channel, row, column)
"""

# What DINOv2 was trained on: means and standard deviations of ImageNet.
_IMAGE_MEAN, _IMAGE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Past(NamedTuple):
    """Which frames a prior sees: the present one and `n_frames` − 1 before, `stride` apart.

    ``repeated`` shows the present frame in the place of all.
    """

    n_frames: int = 1
    stride: int = 1
    repeated: bool = False

    @property
    def look_back(self) -> int:
        """Frames between the present one and the earliest that is seen."""
        return 0 if self.repeated else (self.n_frames - 1) * self.stride


def pixels(past: Tensor) -> Tensor:
    """Show the present frame itself."""
    return normalise_pixels(past[:, -1])


class BackboneLayer(nn.Module):
    """The last time step of a layer of a video network that sees past frames.

    Parameters
    ----------
    network : Backbone
        In evaluation mode.
    layer : str
        ``layer1`` … ``layer4``.
    in_channels : int
        Of the network; each sees the grey frames.
    """

    def __init__(self, network: Backbone, layer: str, in_channels: int) -> None:
        super().__init__()
        self.network, self.layer, self.in_channels = cast("nn.Module", network), layer, in_channels

    def forward(self, past: Tensor) -> Tensor:
        """See `Prior`."""
        clips = normalise_pixels(past).transpose(1, 2).expand(-1, self.in_channels, -1, -1, -1)
        responses = cast("Backbone", self.network).responses(clips)
        if self.layer not in responses:
            raise InputError(f"vist.priors: no layer {self.layer!r}; take {', '.join(responses)}")
        return responses[self.layer][:, :, -1]


class DinoTokens(nn.Module):
    """Patch tokens of a frozen DINOv2, on their grid.

    Parameters
    ----------
    name : str
        In timm, such as ``vit_small_patch14_dinov2.lvd142m``.
    weights : Path
        Its state dict, .safetensors.
    image_px : int
        Height and width that frames are scaled to; a multiple of the patch.

    Raises
    ------
    InputError
        The file is missing or holds other weights, or the size is no multiple.
    """

    def __init__(self, name: str, weights: Path, image_px: int) -> None:
        import timm  # noqa: PLC0415 - only where it is asked for

        super().__init__()
        if not weights.is_file():
            raise InputError(
                f"vist.priors: no DINOv2 weights at {weights}; save timm's {name} there as "
                "safetensors, or choose another prior"
            )
        network = timm.create_model(name, pretrained=False, img_size=image_px, num_classes=0)
        self.network = cast("Any", network)
        try:
            network.load_state_dict(load_file(weights))
        except RuntimeError as error:
            raise InputError(
                f"{weights}: no weights of {name} at {image_px} px: {error}"
            ) from error
        self.image_px = image_px

    def forward(self, past: Tensor) -> Tensor:
        """See `Prior`."""
        size = (self.image_px, self.image_px)
        image = nn.functional.interpolate(past[:, -1], size, mode="bilinear", antialias=True)
        mean, std = (image.new_tensor(one)[:, None, None] for one in (_IMAGE_MEAN, _IMAGE_STD))
        tokens = self.network.forward_features((image - mean) / std)
        patches = tokens[:, self.network.num_prefix_tokens :]
        side = round(patches.shape[1] ** 0.5)
        return patches.transpose(1, 2).unflatten(2, (side, side))


@torch.inference_mode()
def prior_features(
    prior: Prior, frames: Tensor, past: Past, batch_size: int = 32
) -> Iterator[Tensor]:
    """Show a movie to a prior, frame by frame with its past.

    Parameters
    ----------
    prior : Prior
    frames : torch.Tensor of uint8, (time, y, x)
        Before the movie its first frame is shown.
    past : Past
    batch_size : int
        Frames at once.

    Yields
    ------
    torch.Tensor, (batch, channel, row, column)
        Of successive frames.
    """
    lag = torch.arange(past.n_frames - 1, -1, -1) * (0 if past.repeated else past.stride)
    for present in torch.arange(len(frames)).split(batch_size):
        seen = frames[(present[:, None] - lag).clamp(min=0)]
        yield prior(seen[:, :, None].float() / 255)
