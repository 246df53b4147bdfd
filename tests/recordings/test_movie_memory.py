"""Raw movies of ten times the memory that their jobs may take, under a limit of the kernel."""

import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import tifffile
import xarray as xr

from workflow_scripts.analysis.two_photon_recovery import Recovery
from workflow_scripts.recordings.two_photon_simulator import (
    counted,
    expected_photons,
    simulate_tissue,
)
from workflow_scripts.recordings.two_photon_truth import TwoPhotonParameters
from workflow_scripts.simulate_two_photon import simulate_two_photon
from workflow_scripts.stores.zarr_store import open_store

# Runs a stage on a small movie, which loads and compiles all that it needs, and then on another
# with only `memory_mb` more to allocate: RLIMIT_DATA counts what a process writes to, not what
# libraries map (RLIMIT_AS counts both), and what exceeds it is refused by the kernel. Prints by how
# much the resident memory grew at its peak.
UNDER_A_LIMIT = """
import ctypes, resource, sys, threading
threading.stack_size(2**18)  # the stacks of zarr's threads, 8 MB each, are reserved, not used
from pathlib import Path
import numpy as np
from workflow_scripts.extract_rois import ExtractRoisOptions, extract_rois
from workflow_scripts.extract_traces import ExtractTracesOptions, extract_traces
from workflow_scripts.recordings.readers.movie import MovieSource
from workflow_scripts.recordings.registration import RegistrationParameters
from workflow_scripts.register_movie import RegisterMovieOptions, register_movie

stage, memory_mb, rate_hz = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
source = MovieSource("two_photon_tiff", rate_hz, 1.4)
parameters = RegistrationParameters(10)

def run(folder):
    movie, *stores = (folder / name for name in ("movie.tif", "g", "c", "t"))
    if stage == "register_movie":
        options = RegisterMovieOptions(source, parameters, memory_mb=memory_mb)
        register_movie(movie, stores[0], options)
    elif stage == "extract_rois":
        extract_rois(*stores[:2], ExtractRoisOptions(memory_mb=memory_mb))
    else:
        options = ExtractTracesOptions("s", source, parameters, memory_mb=memory_mb)
        extract_traces(movie, *stores, options)

def status_bytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name + ":"))

warm_up, folder = map(Path, sys.argv[4:])
run(warm_up)
ctypes.CDLL(None).malloc_trim(0)
Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
before = status_bytes("VmHWM")
limit = status_bytes("VmData") + int(memory_mb * 1e6)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    np.empty(int(1.1e6 * memory_mb), np.uint8)
except MemoryError:
    run(folder)
    print("grew", (status_bytes("VmHWM") - before) / 1e6)
"""
# glibc keeps freed memory for its next user, in an arena for each thread, and keeps more of it the
# larger the arrays that it has seen: 20 to 40 MB in these jobs, whatever the movie.
ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "131072"}
STAGES = ("register_movie", "extract_rois", "extract_traces")


def grown_mb(memory_mb, rate_hz, *folders):
    """By how much each stage's memory grows on the second folder's movie, after the first's."""
    grown = {}
    for stage in STAGES:
        done = subprocess.run(
            [sys.executable, "-c", UNDER_A_LIMIT, *map(str, (stage, memory_mb, rate_hz, *folders))],
            capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
            env=os.environ | ALLOCATOR,
        )  # fmt: skip
        assert done.returncode == 0, f"{stage}: {done.stderr[-2000:]}"
        assert "grew" in done.stdout, "the limit does not hold"
        grown[stage] = float(done.stdout.split("grew")[1])
    return grown


def recovered(folder, times=1):
    files = {"registration": "g", "rois": "c", "traces": "t", "truth": "truth"}
    stores = {name: open_store(folder / file, load=True) for name, file in files.items()}
    stores["truth"] = xr.concat([stores["truth"]] * times, "time", data_vars="minimal")
    return Recovery(stores)


def simulated(folder, times=1, **parameters):
    """A movie, or one that repeats itself under noise that does not: that is cheaper to render."""
    folder.mkdir()
    simulated = TwoPhotonParameters(**parameters)
    simulate_two_photon(folder / "movie.tif", folder / "truth", simulated)
    if times > 1:
        tissue, rng = simulate_tissue(simulated), np.random.default_rng(1)
        photons = [expected_photons(tissue, frame) for frame in range(simulated.n_frames)]
        with tifffile.TiffWriter(folder / "movie.tif") as writer:
            for expected in chain(*[photons] * times):
                writer.write(counted(expected, rng), contiguous=True, photometric="minisblack")
    return folder


@pytest.fixture(scope="module")
def warm_up(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory") / "warm_up"
    return simulated(
        folder, n_frames=600, height_px=72, width_px=72, n_cells=4, rigid_px=1, transient=1.5
    )


def test_a_movie_of_ten_times_the_memory_loses_no_cell(warm_up, tmp_path):
    memory_mb, times = 20, 12
    size = {"n_frames": 510, "height_px": 128, "width_px": 128, "n_cells": 14}
    folder = simulated(tmp_path / "long", times, **size, rigid_px=1)
    assert (folder / "movie.tif").stat().st_size >= 10e6 * memory_mb
    grown = grown_mb(memory_mb, 30, warm_up, folder)
    recovery = recovered(folder, times)
    print(f"grew by {grown} MB; F1 {recovery.f1:.3f}, r {np.median(recovery.rate_r):.3f}")
    assert recovery.f1 >= 0.9
    assert recovery.motion_error_px <= 0.2
    assert np.median(recovery.rate_r) >= 0.8


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_memory_is_flat_and_a_movie_of_gigabytes_loses_no_cell(warm_up, tmp_path):
    memory_mb, rate_hz = 300, 10
    size = {"n_frames": 750, "height_px": 512, "width_px": 512, "n_cells": 240}
    grown = []
    for times in (1, 8):
        folder = simulated(tmp_path / str(times), times, **size, rate_hz=rate_hz)
        grown.append(grown_mb(memory_mb, rate_hz, warm_up, folder))
        recovery = recovered(folder, times)
        print(
            f"{750 * times} frames, {(folder / 'movie.tif').stat().st_size / 1e6:.0f} MB: grew by "
            f"{grown[-1]} MB; F1 {recovery.f1:.3f}, motion {recovery.motion_error_px:.3f} px, "
            f"r {np.median(recovery.rate_r):.3f}"
        )
        assert recovery.f1 >= 0.9
        assert recovery.motion_error_px <= 0.2
        assert np.median(recovery.rate_r) >= 0.8
    assert (folder / "movie.tif").stat().st_size >= 10e6 * memory_mb
    assert all(max(one.values()) <= memory_mb for one in grown)
