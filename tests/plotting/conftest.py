"""A small study of known truth: networks whose maps are planted, and controls without a map."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workflow_scripts.analysis.networks import Network, NetworkMap
from workflow_scripts.measure_map import MeasureMapOptions, measure_map
from workflow_scripts.measure_tuning import MeasureTuningOptions, measure_tuning
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.table_store import write_table
from workflow_scripts.stores.zarr_store import variable, write_store
from workflow_scripts.summarise import SummariseOptions, summarise

SHEET_MM = 4.0
WAVELENGTH_MM = 2.0
SHAPES = {"layer1": (8, 8), "layer2": (12, 6)}  # channels, anchors along a side
COHERENCES = [0.0, 0.5, 1.0]
SCREEN = {"size_px": 96, "pixels_per_degree": 8, "n_frames": 8, "frame_rate_hz": 15,
          "options": json.dumps({"margin_px": 16})}  # fmt: skip
N_CLIPS = {"lively": 12, "middling": 9, "quiet": 6}


@pytest.fixture(scope="session")
def chromium():
    """A browser without a window."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if found is None:
        pytest.skip("no chromium on this machine (Debian, Ubuntu: apt install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        # Tests may run as root in a container, where Chromium's own sandbox cannot.
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def out(tmp_path):
    """Where a figure is drawn, by the names of its stage's arguments."""
    return {"figure": tmp_path / "figure.png", "caption": tmp_path / "figure.rst"}


@dataclass
class Study:
    """Files of the study, in the order of its networks and maps."""

    networks: list[Network]
    maps: list[NetworkMap]
    gratings: list[Path]
    tuning: list[Path]
    metrics: list[Path]
    stores: list[Path]
    pinwheels: list[Path]
    smoothness: list[Path]
    statistics: list[Path]


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def summary_file(study, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("summary") / "summary.json"
    options = json.dumps(asdict(SummariseOptions(study.networks, study.maps)))
    words = ["--statistics", *study.statistics, "--tuning", *study.tuning,
             "--metrics", *study.metrics, "--summary", path, "--options", options]  # fmt: skip
    run_stage(summarise, [str(word) for word in words])
    return path


def make_study(
    folder: Path, shapes=SHAPES, seeds=(0, 1), fine: bool = False, steps: int = 100
) -> Study:
    """Make responses and positions, and measure them with the stages themselves."""
    networks = [
        Network(f"{variant}_s{seed}", alpha, steps, 1024)
        for variant, alpha in (("alpha0", 0.0), ("full", 8.0))
        for seed in seeds
    ]
    other = dict(zip(seeds, [*seeds[1:], seeds[0]], strict=True))
    by_name = {network.name: network for network in networks}
    maps = [
        NetworkMap(network.variant, network, f"optimised_s{network.seed}",
                   "spatial" if network.alpha else "source")
        for network in networks
    ]  # fmt: skip
    for seed in seeds:
        own, another = (by_name[f"alpha0_s{number}"] for number in (seed, other[seed]))
        maps.append(NetworkMap("other_seed", another, f"optimised_s{seed}", "control"))
        maps.append(NetworkMap("random_positions", own, f"random_s{seed}", "control"))
    for network in networks:
        _measure_network(folder, network, shapes)
    for positions in {one.positions for one in maps}:
        _write_positions(folder / f"{positions}.zarr", positions, shapes)
    for one in maps:
        _measure_map(folder, one, shapes, fine)
    named = [folder / f"{one.network.name}_on_{one.positions}" for one in maps]
    return Study(
        networks,
        maps,
        [folder / f"{network.name}.gratings.zarr" for network in networks],
        [folder / f"{network.name}.parquet" for network in networks],
        [folder / f"{network.name}.jsonl" for network in networks],
        [path / "map.zarr" for path in named],
        [path / "pinwheels.parquet" for path in named],
        [path / "smoothness.parquet" for path in named],
        [path / "statistics.json" for path in named],
    )


def unit_table(shapes) -> pd.DataFrame:
    tables = []
    for layer, (n_channels, n_side) in shapes.items():
        channel, row, column = (i.ravel() for i in np.indices((n_channels, n_side, n_side)))
        edge = (row % (n_side - 1) == 0) | (column % (n_side - 1) == 0)
        tables.append(
            pd.DataFrame(
                {"layer": layer, "channel": channel, "row": row, "column": column, "border": edge}
            )
        )
    return pd.concat(tables, ignore_index=True)


def positions_mm(name: str, shapes) -> np.ndarray:
    rng = np.random.default_rng([int(name[-1]), len(name)])
    return rng.uniform(0, SHEET_MM, (len(unit_table(shapes)), 2))


def _preference_deg(network: Network, shapes) -> np.ndarray:
    """Five crossing waves over the sheet with a spatial loss, else one draw per channel."""
    units = unit_table(shapes)
    if network.alpha:
        x, y = positions_mm(f"optimised_s{network.seed}", shapes).T
        turn = 2 * np.pi * np.arange(5)[:, None] / 5
        along = np.cos(turn) * x + np.sin(turn) * y
        waves = np.exp(1j * (2 * np.pi * along / WAVELENGTH_MM + turn**2))
        return np.rad2deg(np.angle(waves.sum(axis=0))) % 360
    rng = np.random.default_rng(network.seed)
    channels = units.groupby(["layer", "channel"], sort=False).ngroup().to_numpy()
    return rng.uniform(0, 360, channels.max() + 1)[channels]


def _measure_network(folder: Path, network: Network, shapes) -> None:
    rng = np.random.default_rng(network.seed + 7)
    units, preferred = unit_table(shapes), _preference_deg(network, shapes)
    sharpness = rng.uniform(0.5, 3, len(units))
    for family, parameter in (("drifting_grating", "spatial_frequency_cpd"), ("dots", "coherence")):
        values = [0.1, 0.2] if family == "drifting_grating" else COHERENCES
        directions = np.arange(0, 360, 22.5 if family == "drifting_grating" else 45)
        grid = [("blank", np.nan, np.nan), *((family, v, d) for v in values for d in directions)]
        table = pd.DataFrame(grid, columns=["family", parameter, "direction_deg"])
        if family == "drifting_grating":
            table["temporal_frequency_hz"] = np.where(table.family == family, 2.0, np.nan)
            table["contrast"] = np.where(table.family == family, 1.0, np.nan)
        angle = np.deg2rad(table.direction_deg.fillna(0).to_numpy() - preferred[:, None])
        if family == "drifting_grating":
            static = pd.DataFrame({
                "family": "static_grating", parameter: 0.2, "orientation_deg": directions[:8],
            })  # fmt: skip
            bars = np.deg2rad(2 * (directions[:8] - 90 - preferred[:, None]))
            table, angle = pd.concat([table, static], ignore_index=True), np.hstack([angle, bars])
        strength = table[parameter].fillna(0).to_numpy()
        curve = np.exp(sharpness[:, None] * (np.cos(angle) - 1)) * strength
        response = 0.2 + curve[:, :, None] + 0.03 * rng.normal(size=(*curve.shape, 4))
        name = family.replace("drifting_grating", "gratings")
        _write_responses(folder / f"{network.name}.{name}.zarr", units, table, response)
    measure_tuning(
        folder / f"{network.name}.gratings.zarr", folder / f"{network.name}.dots.zarr",
        folder / f"{network.name}.parquet", MeasureTuningOptions(n_permutations=20),
    )  # fmt: skip
    _write_metrics(folder / f"{network.name}.jsonl", network, shapes)


def _write_responses(path: Path, units, conditions, response) -> None:
    coords = {name: variable("unit", units[name].to_numpy(), "1", name) for name in units}
    coords |= {name: variable("condition", conditions[name].to_numpy(), "1", name)
               for name in conditions}  # fmt: skip
    values = variable(("unit", "condition", "repeat"), response.astype("f4"), "1", "response")
    write_store(path, xr.Dataset({"response": values}, coords), SCREEN)


def _write_metrics(path: Path, network: Network, shapes) -> None:
    steps = np.arange(20, network.steps + 1, 20)
    lines = []
    for step in steps:
        line = {"step": int(step), "learning_rate": 0.001, "gradient_norm": 1.0,
                "contrastive_loss": 6.9 - 4 * step / (step + 60),
                "contrastive_accuracy": 0.6 * step / (step + 60)}  # fmt: skip
        if network.alpha:
            line |= {f"spatial_loss_{layer}": 0.5 - 0.3 * step / (step + 60) for layer in shapes}
        lines.append(json.dumps(line))
    path.write_text("".join(f"{line}\n" for line in lines))


def _write_positions(path: Path, name: str, shapes) -> None:
    units = unit_table(shapes)
    x, y = positions_mm(name, shapes).T
    coords = {column: variable("unit", units[column].to_numpy(), "1", column)
              for column in ("layer", "channel", "row", "column")}  # fmt: skip
    places = {"x_mm": variable("unit", x, "mm", "x"), "y_mm": variable("unit", y, "mm", "y")}
    sheet = json.dumps(dict.fromkeys(shapes, SHEET_MM))
    write_store(path, xr.Dataset(places, coords), {"sheet_mm": sheet})


def _measure_map(folder: Path, one: NetworkMap, shapes, fine: bool) -> None:
    name = f"{one.network.name}_on_{one.positions}"
    options = MeasureMapOptions(
        kernel_mm=dict.fromkeys(shapes, 0.2 if fine else 0.3),
        near_mm=0.2 if fine else 0.4,
        distance_edges_mm=[0, 0.1, 0.2, 0.4, 0.7, 1, 1.5, 2] if fine else [0, 0.4, 1, 2],
        n_pixels=128 if fine else 32,
        n_permutations=1000 if fine else 120,
        n_resamples=200,
        n_maps=20 if fine else 2,
    )
    measure_map(
        folder / f"{one.network.name}.parquet", folder / f"{one.positions}.zarr",
        map_store=folder / name / "map.zarr", pinwheels=folder / name / "pinwheels.parquet",
        smoothness=folder / name / "smoothness.parquet",
        statistics=folder / name / "statistics.json", options=options,
    )  # fmt: skip


@pytest.fixture(scope="session")
def videos(tmp_path_factory) -> tuple[Path, list[Path]]:
    """Clips of three videos whose brightness steps by 4, 2 and 1 grey levels a frame."""
    folder = tmp_path_factory.mktemp("videos")
    rows, frames = [], []
    for video, (name, n_clips) in enumerate(N_CLIPS.items()):
        step = 4 >> video
        n_frames = 10 * n_clips
        ramp = 100 + step * (np.arange(n_frames) % 2)
        picture = np.add.outer(ramp, np.linspace(-90, 90, 24))[:, None, :, None]
        start = sum(map(len, frames))
        frames.append(np.broadcast_to(picture, (n_frames, 18, 24, 1)).astype(np.uint8))
        rows += [(name, 0, start + 10 * clip, 10, 1, 15.0, float(step)) for clip in range(n_clips)]
    array = variable(("time", "y", "x", "channel"), np.concatenate(frames), "grey level", "frames")
    write_store(folder / "batch_0.zarr", xr.Dataset({"frames": array}), {})
    columns = ["video_id", "batch", "start", "n_frames", "stride", "frame_rate_hz", "motion_energy"]
    write_table(folder / "clips.parquet", pd.DataFrame(rows, columns=columns), {})
    return folder / "clips.parquet", [folder / "batch_0.zarr"]
