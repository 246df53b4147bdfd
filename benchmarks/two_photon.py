"""Registration, cells and traces of a raw two-photon movie."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import numpy as np

from benchmarks.harness import Absent, Comparison, Row, has
from workflow_scripts.extract_rois import ExtractRoisOptions, extract_rois
from workflow_scripts.extract_traces import ExtractTracesOptions, extract_traces
from workflow_scripts.recordings.footprints import match_by_centre
from workflow_scripts.recordings.readers.movie import MovieSource
from workflow_scripts.recordings.registration import RegistrationParameters
from workflow_scripts.recordings.two_photon_simulator import TwoPhotonParameters
from workflow_scripts.register_movie import RegisterMovieOptions, register_movie
from workflow_scripts.simulate_two_photon import simulate_two_photon
from workflow_scripts.stores.zarr_store import open_store

RATE_HZ, PIXEL_UM, SOMA_UM = 15.0, 1.4, 14.0
LARGEST_DISTANCE_PX = 5.0
PART = "registration and extraction"


def rows(small: bool, folder: Path) -> Iterator[Row]:
    """A simulated movie from TIFF to traces."""
    if not has("suite2p"):
        yield Absent(PART, "suite2p is not installed")
        return
    parameters = simulated(144 if small else 256, 400)
    simulate_two_photon(folder / "movie.tif", folder / "truth.zarr", parameters)
    yield _comparison(parameters, folder)


def simulated(side: int, n_frames: int) -> TwoPhotonParameters:
    """What is filmed: a cell to 1,000 pixels, as in the shipped study."""
    return TwoPhotonParameters(
        n_frames, side, side, RATE_HZ, PIXEL_UM, n_cells=side**2 // 1000, rigid_px=1.5
    )


def our_chain(folder: Path) -> Callable[[], np.ndarray]:
    """The three stages; gives the cells' centres, (cell, 2)."""
    source = MovieSource("two_photon_tiff", sampling_rate_hz=RATE_HZ, um_per_px=PIXEL_UM)
    parameters = RegistrationParameters(largest_shift_px=20, block_px=64)
    traces = ExtractTracesOptions("s", source, parameters)

    def run() -> np.ndarray:
        names = ("movie.tif", "registration.zarr", "rois.zarr", "traces.zarr")
        movie, registration, rois, out = (folder / name for name in names)
        register_movie(movie, registration, RegisterMovieOptions(source, parameters))
        extract_rois(registration, rois, ExtractRoisOptions(soma_um=SOMA_UM))
        extract_traces(movie, registration, rois, out, traces)
        return centres_px(rois)

    return run


def suite2p_chain(folder: Path) -> Callable[[], np.ndarray]:
    """suite2p with its default settings but for rate, diameter and the size of its blocks."""
    suite2p = import_module("suite2p")  # may be absent

    def run() -> np.ndarray:
        shutil.rmtree(folder / "suite2p", ignore_errors=True)
        settings = suite2p.default_settings()
        settings |= {"fs": RATE_HZ, "tau": 1.0, "diameter": [SOMA_UM / PIXEL_UM] * 2}
        settings["torch_device"] = "cpu"
        settings["registration"] |= {"block_size": (64, 64)}
        db = {
            "data_path": [str(folder)], "save_path0": str(folder), "file_list": ["movie.tif"],
            "input_format": "tif",
        }  # fmt: skip
        suite2p.run_s2p(db=db, settings=settings)
        stat = np.load(folder / "suite2p" / "plane0" / "stat.npy", allow_pickle=True)
        return np.array([cell["med"] for cell in stat], float)

    return run


def centres_px(rois: Path) -> np.ndarray:
    """Row and column of each cell, (cell, 2)."""
    store = open_store(rois)
    return np.stack([store[f"centroid_{axis}_px"].to_numpy() for axis in ("row", "column")], axis=1)


def _comparison(parameters: TwoPhotonParameters, folder: Path) -> Comparison:
    true = centres_px(folder / "truth.zarr")

    def agree(ours: np.ndarray, theirs: np.ndarray) -> None:
        for found in (ours, theirs):
            share = len(match_by_centre(found, true, LARGEST_DISTANCE_PX)) / len(true)
            assert share > 1 / 3, f"only {share:.2f} of the true cells were found"

    n_frames = parameters.n_frames
    return Comparison(
        part=PART,
        work=f"{n_frames} frames of {parameters.height_px}² px, {parameters.n_cells} cells, TIFF "
        "to traces and spike rates, non-rigid",
        peer="suite2p",
        goal=1, ours=our_chain(folder), theirs=suite2p_chain(folder), agree=agree, unit="frames",
        n_ours=n_frames, n_theirs=n_frames,
    )  # fmt: skip
