"""Responses of an encoder's digital twins to stimuli that their neurons never saw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from workflow_scripts.in_silico.battery import render_clips
from workflow_scripts.models.encoder import Encoder
from workflow_scripts.stores.errors import InputError
from workflow_scripts.training.encoding_sessions import EncodingSession, standardise_images

BATCH_SIZE = 256
GREY, WHITE = 127.5, 255.0


@torch.no_grad()
def show(encoder: Encoder, session: EncodingSession, grey_levels: torch.Tensor) -> NDArray:
    """Show images to one mouse's twins, whose behaviour is that of the mean training trial.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode.
    session : EncodingSession
        The mouse: its training trials' behaviour and image statistics.
    grey_levels : torch.Tensor, (image, y, x)
        Shown in every channel.

    Returns
    -------
    np.ndarray, (unit, image)
        Normalised responses.
    """
    training = session.trials("train")
    channels, device = session.images.shape[1], next(encoder.parameters()).device
    responses = []
    for part in grey_levels.split(BATCH_SIZE):
        images = standardise_images(part[:, None].expand(-1, channels, -1, -1), session.image_scale)
        state, pupil = (
            one[training].mean(dim=0).expand(len(part), -1)
            for one in (session.behaviour, session.pupil)
        )
        inputs = (one.to(device) for one in (images, state, pupil))
        responses.append(encoder(session.name, *inputs).cpu())
    return torch.cat(responses).T.numpy()


def render_battery(battery: pd.DataFrame, image_shape: tuple[int, int]) -> torch.Tensor:
    """Render every condition and repeat of a battery that stands still.

    Parameters
    ----------
    battery : pd.DataFrame
        From `in_silico.battery.battery_table`.
    image_shape : (y, x)
        The middle of the battery's square screen is shown.

    Returns
    -------
    torch.Tensor, (condition · repeat, y, x)
        Grey levels of the first frames, the repeat running fastest.

    Raises
    ------
    InputError
        The screen is smaller than the image.
    """
    size_px, n_repeats = battery.attrs["size_px"], battery.attrs["n_repeats"]
    if max(image_shape) > size_px:
        raise InputError(
            f"the battery's display has size_px {size_px}, but the encoder sees {image_shape[0]} × "
            f"{image_shape[1]} pixels; make it as large as the longer side"
        )
    condition, repeat = (index.ravel() for index in np.indices((len(battery), n_repeats)))
    luminance = render_clips(battery, condition, repeat).luminance[:, 0]
    top, left = ((size_px - side) // 2 for side in image_shape)
    return WHITE * luminance[:, top : top + image_shape[0], left : left + image_shape[1]]


def spot_images(
    image_shape: tuple[int, int], spot_px: int, step_px: int
) -> tuple[torch.Tensor, NDArray[np.floating], NDArray[np.floating]]:
    """Draw a grey screen, and on it one square spot at a time, white and then black.

    Parameters
    ----------
    image_shape : (y, x)
    spot_px, step_px : int
        Side of a spot, and distance between neighbouring places.

    Returns
    -------
    images : torch.Tensor, (1 + 2 · row · column, y, x)
        The grey screen first; of each place, white and black.
    rows_px, columns_px : np.ndarray
        Middles of the spots.
    """
    height, width = image_shape
    tops, lefts = (range(0, side - spot_px + 1, step_px) for side in (height, width))
    images = torch.full((1 + 2 * len(tops) * len(lefts), height, width), GREY)
    places = [(top, left) for top in tops for left in lefts]
    for number, (top, left) in enumerate(places):
        window = (slice(top, top + spot_px), slice(left, left + spot_px))
        images[1 + 2 * number][window] = WHITE
        images[2 + 2 * number][window] = 0
    middle = (spot_px - 1) / 2
    return images, np.array(tops) + middle, np.array(lefts) + middle


def spot_maps(responses: NDArray, n_rows: int, n_columns: int) -> NDArray[np.floating]:
    """Map where a spot of either polarity changes each unit's response, (unit, row, column).

    Parameters
    ----------
    responses : array, (unit, image)
        To the images of `spot_images`.

    Returns
    -------
    array
        Sum of both squared changes from the response to the grey screen.
    """
    change = responses[:, 1:] - responses[:, :1]
    return (change**2).reshape(len(responses), n_rows, n_columns, 2).sum(axis=-1)
