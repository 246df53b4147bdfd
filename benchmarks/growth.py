"""How time and memory grow with the amount of work: four sizes, each twice the one before."""

from __future__ import annotations

import ctypes
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import clips, deconvolution, tuning, two_photon
from benchmarks.harness import Call, cpu_seconds
from workflow_scripts.analysis.maps import find_pinwheels
from workflow_scripts.analysis.von_mises import fit_two_lobe_von_mises
from workflow_scripts.recordings.deconvolution import deconvolve
from workflow_scripts.simulate_two_photon import simulate_two_photon

N_SIZES = 4


@dataclass(frozen=True)
class Growth:
    """Work of any size.

    Attributes
    ----------
    what, unit : str
    smallest : int
        Units of the smallest size.
    prepare : callable
        Units → the call that is measured.
    """

    what: str
    unit: str
    smallest: int
    prepare: Callable[[int], Call]


@dataclass(frozen=True)
class Grown:
    """Medians at each size: seconds, and what memory rose by above its start, MB."""

    growth: Growth
    sizes: list[int]
    seconds: list[float]
    memory_mb: list[float]

    @property
    def exponent(self) -> float:
        """Slope of log time over log size."""
        return slope(self.sizes, self.seconds)

    @property
    def memory_exponent(self) -> float:
        """Slope of log memory over log size."""
        return slope(self.sizes, self.memory_mb)


def slope(sizes: list[int], values: list[float]) -> float:
    """Least-squares exponent of a power law."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(values, 1e-9)), 1)[0])


def growths(small: bool, folder: Path) -> Iterator[Growth]:
    """Clips, units, pixels, neurons, frames."""
    scale = 20 if small else 1
    source = clips.clip_sources(clips.videos(small=True), folder, 64)["from the compressed store"]
    yield Growth(
        "clips read from a compressed store", "clips", 64 // scale + 1,
        lambda n: lambda: source.batch(0, n, 0),
    )  # fmt: skip
    yield Growth(
        "tuning curves fitted",
        "units",
        10_000 // scale,
        lambda n: _with(
            tuning.tuning_curves(n), lambda c: fit_two_lobe_von_mises(c, tuning.DIRECTIONS_DEG)
        ),
    )
    yield Growth(
        "pinwheels of a map",
        "pixels",
        512**2 // scale**2,
        lambda n: _with(tuning.direction_map(round(n**0.5)), find_pinwheels),
    )
    yield Growth(
        "spike rates from fluorescence, 6,000 frames each",
        "neurons",
        50 // scale,
        lambda n: _with(
            deconvolution.simulate(n, 6000)[0], lambda t: deconvolve(t, deconvolution.RATE_HZ)
        ),
    )
    yield Growth(
        "two-photon movie to traces, 128² px",
        "frames",
        300,
        lambda n: _movie(folder / str(n), n),
    )


def _with(data: Any, call: Callable[[Any], Any]) -> Call:
    return lambda: call(data)


def _movie(folder: Path, n_frames: int) -> Call:
    folder.mkdir(exist_ok=True)
    parameters = two_photon.simulated(128, n_frames)
    simulate_two_photon(folder / "movie.tif", folder / "truth.zarr", parameters)
    return two_photon.our_chain(folder)


def grow(growth: Growth, n_sizes: int = N_SIZES, repeats: int = 3) -> Grown:
    """Measure time and memory at each size."""
    sizes = [growth.smallest * 2**power for power in range(n_sizes)]
    seconds, memory_mb = [], []
    for size in sizes:
        call = growth.prepare(size)
        if size == sizes[0]:
            call()  # compiles and reads into the page cache
        memory_mb.append(peak_mb(call))
        seconds.append(statistics.median(cpu_seconds(call, 1) for _ in range(repeats)))
    return Grown(growth, sizes, seconds, memory_mb)


def peak_mb(call: Call) -> float:
    """How far a call lifts the resident memory above where it starts, MB (Linux)."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _status_mb("VmRSS")
    call()
    return _status_mb("VmHWM") - before


def _status_mb(field: str) -> float:
    status = Path("/proc/self/status").read_text()
    return (
        next(float(line.split()[1]) for line in status.splitlines() if line.startswith(field))
        / 1000
    )
