"""Shows the movie of a session to a frozen image prior, once, and stores what it says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance

if TYPE_CHECKING:
    import torch

    from workflow_scripts.models.priors import Prior
    from workflow_scripts.recordings.stimulus_video import StimulusVideo


@dataclass(frozen=True)
class PriorFeaturesOptions:
    """Options of one prior.

    Parameters
    ----------
    kind : {"pixels", "tdann", "random", "dinov2"}
        See `models.priors`.
    scale_px : float
        Shown pixels per pixel that the prior sees.
    layer : str
        Of ``tdann`` and ``random``: whose responses are taken.
    n_frames, stride : int
        Past frames that ``tdann`` and ``random`` see, the present one included, and the frames
        between two of them.
    repeated : bool
        Show the present frame in the place of all of them.
    timm_name, weights, image_px
        Of ``dinov2``: the model's name in timm, its weights (.safetensors) and the side that
        frames are scaled to.
    blank_s : float
        Grey between flashed images, s.
    seed : int
        Of the weights of ``random``.
    torch_threads : int
        CPU threads of torch.
    """

    kind: Literal["pixels", "tdann", "random", "dinov2"]
    scale_px: float
    layer: str = "layer1"
    n_frames: int = 1
    stride: int = 1
    repeated: bool = False
    timm_name: str = "vit_small_patch14_dinov2.lvd142m"
    weights: str = ""
    image_px: int = 224
    blank_s: float = 1.0
    seed: int = 0
    torch_threads: int = 1


def prior_features(
    movie: list[Path],
    session: list[Path],
    model: list[Path],
    features: Path,
    options: PriorFeaturesOptions,
) -> None:
    """Store a prior's features of every frame of a session's movie.

    Parameters
    ----------
    movie : list of Path
        The movie's file, or none.
    session : list of Path
        Where there is none, the session store whose images make it.
    model : list of Path
        Weights and description of the project's video network for ``tdann`` and ``random``; else
        none.
    features : Path
        Store to write: ``feature (time, channel, row, column)`` in half precision; attributes
        ``frame_rate_hz``, ``shown_px_per_row``, ``look_back_frames`` (of the prior, before the
        present frame); ``onset_s (stimulus)`` for flashed images.
    options : PriorFeaturesOptions

    Raises
    ------
    InputError
        There is neither a movie nor images, or the prior's weights are missing or others.
    """
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415 - costs seconds that --help should not
    import xarray as xr  # noqa: PLC0415

    from workflow_scripts.models.priors import Past  # noqa: PLC0415
    from workflow_scripts.models.priors import prior_features as show  # noqa: PLC0415
    from workflow_scripts.stores.zarr_store import variable, write_store  # noqa: PLC0415

    torch.set_num_threads(options.torch_threads)
    prior = _build_prior(model, options)
    video = _read_video(movie, session, options)
    past = Past(options.n_frames, options.stride, options.repeated)
    shown = list(
        track(show(prior, torch.from_numpy(video.frames), past), "batches of frames shown")
    )
    values = torch.cat(shown).half().numpy()
    frame_s = np.arange(len(values)) / video.frame_rate_hz
    dims = ("time", "channel", "row", "column")
    dataset = xr.Dataset(
        {"feature": variable(dims, values, "1", f"features of the prior {options.kind}")},
        coords={"frame_s": variable("time", frame_s, "s", "start of the frame")},
        attrs={
            "frame_rate_hz": video.frame_rate_hz,
            "shown_px_per_row": video.shown_height_px / values.shape[2],
            "look_back_frames": past.look_back,
        },
    )
    if video.onset_s is not None:
        dataset["onset_s"] = variable("stimulus", video.onset_s, "s", "start of the stimulus")
    weights = {"pixels": None, "random": "random", "dinov2": options.weights}
    stated = weights.get(options.kind, str(model[0]) if model else None)
    inputs = [*movie, *session, *(model if options.kind == "tdann" else [])]
    write_store(
        features, dataset,
        provenance("prior_features", options, inputs, seed=options.seed, weights=stated),
    )  # fmt: skip


def _read_video(
    movie: list[Path], session: list[Path], options: PriorFeaturesOptions
) -> StimulusVideo:
    from workflow_scripts.recordings.stimulus_video import (  # noqa: PLC0415
        flashed_images,
        read_movie,
    )
    from workflow_scripts.stores.zarr_store import open_store  # noqa: PLC0415

    if movie:
        return read_movie(movie[0], options.scale_px)
    frame_rate_hz = 30.0  # of the movies that the same network sees
    return flashed_images(open_store(session[0]), options.scale_px, frame_rate_hz, options.blank_s)


def _build_prior(model: list[Path], options: PriorFeaturesOptions) -> Prior:
    import torch  # noqa: PLC0415

    from workflow_scripts.models.backbones import build_backbone, load_backbone  # noqa: PLC0415
    from workflow_scripts.models.priors import BackboneLayer, DinoTokens, pixels  # noqa: PLC0415
    from workflow_scripts.stores.table_store import read_json  # noqa: PLC0415

    if options.kind == "pixels":
        return pixels
    if options.kind == "dinov2":
        return DinoTokens(options.timm_name, Path(options.weights), options.image_px).eval()
    if len(model) != 2:
        raise InputError(f"vist.priors: {options.kind} needs a network of the project; name one")
    weights, config = model
    description = read_json(config)["backbone"]
    torch.manual_seed(options.seed)
    network: torch.nn.Module = (
        load_backbone(weights, config) if options.kind == "tdann" else build_backbone(**description)
    )
    return BackboneLayer(network.eval(), options.layer, description["in_channels"])  # type: ignore[arg-type]


if __name__ == "__main__":
    run_stage(prior_features)
