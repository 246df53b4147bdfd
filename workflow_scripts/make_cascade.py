"""Makes the fixed V1–MT cascade that the networks are compared with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from workflow_scripts.models.backbones import CASCADE
from workflow_scripts.models.files import save_model
from workflow_scripts.models.v1_mt_cascade import V1MTCascade
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.provenance import provenance


@dataclass(frozen=True)
class MakeCascadeOptions:
    """The cells of the cascade; see `models.v1_mt_cascade.V1MTCascade`.

    Parameters
    ----------
    n_directions : int
        Preferred directions.
    spatial_frequency_cpd, temporal_frequency_hz : list of float
        Of the V1 cells: every combination.
    speed_deg_s : list of float
        Of the MT cells.
    pixels_per_degree, frame_rate_hz : float
        Of the screen.
    """

    n_directions: int
    spatial_frequency_cpd: list[float]
    temporal_frequency_hz: list[float]
    speed_deg_s: list[float]
    pixels_per_degree: float
    frame_rate_hz: float


def make_cascade(model: Path, config: Path, options: MakeCascadeOptions) -> None:
    """Write the cascade as a network that `stimulate` can show stimuli to.

    Parameters
    ----------
    model, config : Path
        Filters (safetensors) and description (JSON) to write.
    options : MakeCascadeOptions
    """
    settings = asdict(options)
    description = {"backbone": {"name": CASCADE, "in_channels": 1, "settings": settings}}
    attributes = provenance("make_cascade", options, inputs=[])
    save_model(V1MTCascade(**settings), model, config, description, attributes)


if __name__ == "__main__":
    run_stage(make_cascade)
