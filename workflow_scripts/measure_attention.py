"""Measures where a V1T core attends, and what in image and animal that follows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
import xarray as xr
from numpy.typing import NDArray
from torch.nn import functional

from workflow_scripts.analysis.attention import (
    attention_maps,
    attention_rollout,
    map_moments,
    map_test,
    series_test,
)
from workflow_scripts.models.cortex_encoders import load_encoder
from workflow_scripts.models.v1t import V1TCore
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.progress import track
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import write_json, write_table
from workflow_scripts.stores.zarr_store import open_store, variable, write_store
from workflow_scripts.training.encoding_sessions import (
    EncodingSession,
    ShownOptions,
    read_encoding_session,
)
from workflow_scripts.training.machine import launch_fabric

BATCH_SIZE = 8  # a published core attends from 1654 tokens to as many in four heads and blocks
N_EXAMPLES = 4
# What of attention is compared with what of the animal.
PAIRS = {
    "column_follows_pupil": ("column", "pupil_horizontal"),
    "row_follows_pupil": ("row", "pupil_vertical"),
    "contrast_follows_running": ("contrast", "running_speed"),
    "contrast_follows_dilation": ("contrast", "pupil_dilation"),
}


@dataclass(frozen=True)
class MeasureAttentionOptions(ShownOptions):
    """Options of `measure_attention`.

    Parameters
    ----------
    n_permutations : int
        Of the null of series.
    seed : int
        Of the null.
    """

    n_permutations: int = 1000
    seed: int = 0


def measure_attention(
    sessions: list[Path], model: Path, config: Path, responses: Path, maps: Path, trials: Path,
    statistics: Path, options: MeasureAttentionOptions,
) -> None:  # fmt: skip
    """Roll attention out over the test trials of every mouse.

    Parameters
    ----------
    sessions : list of Path
        Session stores of the encoder's mice.
    model, config : Path
        A V1T encoder, from `train_encoder`.
    responses : Path
        From `stimulate_encoder`: receptive fields of the population.
    maps : Path
        Store to write: ``attention field (session, row, column)``, the mean rollout over trials
        and the mean receptive field (each unit's map summing to 1) at the tokens; ``example_image
        (session, example, y, x)`` and ``example_attention (session, example, row, column)``.
    trials : Path
        Table to write, one row per test trial: ``session row column contrast`` of the attention
        and the behaviour.
    statistics : Path
        JSON to write: by session, ``attention_on_fields`` and those of `PAIRS` whose behaviour was
        recorded: correlation; mean, standard deviation and bound of its null; p.
    options : MeasureAttentionOptions

    Raises
    ------
    InputError
        The encoder has no attention.
    """
    device = launch_fabric(options.machine).device
    encoder = load_encoder(model, config, device)
    if not isinstance(encoder.core, V1TCore):
        raise InputError(f"{config}: this core has no attention; name a variant with core v1t")
    fields = open_store(responses, load=True)
    stores, tables, tests = [], [], {}
    for path in sessions:
        session = read_encoding_session(path, options.stimulus)
        attention = _roll_out(encoder.core, session, device)
        field = _population_field(fields, session, encoder.core)
        table = _trial_table(session, attention)
        tests[session.name] = _tests(table, attention, field, options)
        tables.append(table)
        stores.append(_maps(session, attention, field))
    inputs = [*sessions, model, config, responses]
    attributes = provenance("measure_attention", options, inputs, options.seed, str(model))
    write_store(maps, cast("xr.Dataset", xr.concat(stores, "session")), attributes)
    write_table(trials, pd.concat(tables, ignore_index=True), attributes)
    write_json(statistics, tests, attributes)


@torch.no_grad()
def _roll_out(
    core: V1TCore, session: EncodingSession, device: torch.device
) -> NDArray[np.floating]:
    """Attention maps of the test trials, (trial, row, column)."""
    chosen, maps = session.trials("test"), []
    for first in track(range(0, len(chosen), BATCH_SIZE), "batches of trials"):
        images, behaviour, _, _ = session.batch(chosen[first : first + BATCH_SIZE])
        records = core.record(images.to(device), behaviour.to(device), session.name)
        rollout = attention_rollout([record.attention for record in records])
        maps.append(attention_maps(rollout, core.feature_shape[1:]).cpu())
    return torch.cat(maps).numpy()


def _population_field(
    fields: xr.Dataset, session: EncodingSession, core: V1TCore
) -> NDArray[np.floating]:
    """Mean receptive field of the session's units at the core's tokens, (row, column)."""
    maps = fields["spot_map"].to_numpy()[fields["session"].to_numpy() == session.name]
    total = maps.sum(axis=(1, 2), keepdims=True)
    mean = (maps / np.where(total > 0, total, 1.0)).mean(axis=0)
    _, rows, columns = core.feature_shape
    at = [core.offset_px + core.stride_px * np.arange(n_tokens) for n_tokens in (rows, columns)]
    places = [fields["row_px"].to_numpy(), fields["column_px"].to_numpy()]
    grid = np.meshgrid(
        *(
            2 * (one - place[0]) / (place[-1] - place[0]) - 1
            for one, place in zip(at, places, strict=True)
        ),
        indexing="ij",
    )
    grid = torch.from_numpy(np.stack(grid[::-1], axis=-1)).float()
    source = torch.from_numpy(mean)[None, None].float()
    sampled = functional.grid_sample(source, grid[None], align_corners=True, padding_mode="border")
    return sampled[0, 0].numpy()


def _trial_table(session: EncodingSession, attention: NDArray) -> pd.DataFrame:
    chosen = session.trials("test")
    behaviour = dict(zip(session.variables, session.behaviour[chosen].T.numpy(), strict=True))
    moments = map_moments(attention)._asdict()
    return pd.DataFrame({"session": session.name, "trial": chosen, **moments, **behaviour})


def _tests(
    table: pd.DataFrame, attention: NDArray, field: NDArray, options: MeasureAttentionOptions
) -> dict[str, Any]:
    tests = {"attention_on_fields": map_test(attention.mean(axis=0), field)}
    for name, (of_attention, of_animal) in PAIRS.items():
        if of_animal in table:
            pair = table[of_attention].to_numpy(), table[of_animal].to_numpy()
            tests[name] = series_test(*pair, options.n_permutations, options.seed)
    return {name: test._asdict() for name, test in tests.items()}


def _maps(session: EncodingSession, attention: NDArray, field: NDArray) -> xr.Dataset:
    chosen = session.trials("test")
    examples = np.linspace(0, len(chosen) - 1, N_EXAMPLES).astype(int)
    images = session.images[session.stimulus_id[chosen[examples]]].mean(dim=1).numpy()
    token, pixel = ("session", "row", "column"), ("session", "example", "y", "x")
    arrays = {
        "attention": (token, attention.mean(axis=0), "1", "share of attention, mean over trials"),
        "field": (token, field, "1", "mean receptive field, each unit's map summing to 1"),
        "example_image": (pixel, images, "1", "standardised image"),
        "example_attention": (
            ("session", "example", "row", "column"), attention[examples], "1", "share of attention"
        ),
    }  # fmt: skip
    dataset = xr.Dataset(
        {name: variable(dims, one[None], units, long) for name, (dims, one, units, long)
         in arrays.items()}
    )  # fmt: skip
    name = variable("session", np.array([session.name], object), "1", "session")
    return dataset.assign_coords(session=name)


if __name__ == "__main__":
    run_stage(measure_attention)
