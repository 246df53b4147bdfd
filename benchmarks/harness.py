"""Times ours and a peer on the same work, in turns and in one process."""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

REPEATS = 5
# Shorter calls are repeated within one measurement: clocks and schedulers disturb them.
SHORTEST_S = 0.1

Call = Callable[[], Any]


@dataclass(frozen=True)
class Comparison:
    """Ours and a peer's way to do one piece of work.

    Attributes
    ----------
    part, work : str
        Row of the table, and the size of the work.
    peer : str
        Whose code the other is: a package, or "plain formula" written here.
    goal : float
        How many times as fast as the peer ours should be.
    ours, theirs : callable
        Do the work; what they return is for `agree`.
    agree : callable
        Takes both results; an AssertionError if the two do not compute the same.
    unit : str
        What rates count.
    n_ours, n_theirs : float
        Units in one call: a slow peer may do less of the same work.
    reason : str
        Why the goal is missed where it is, and what the floor is.
    device : str
        ``cpu`` or ``cuda``.
    """

    part: str
    work: str
    peer: str
    goal: float
    ours: Call
    theirs: Call
    agree: Callable[[Any, Any], None]
    unit: str
    n_ours: float = 1
    n_theirs: float = 1
    reason: str = ""
    device: str = "cpu"


@dataclass(frozen=True)
class Absent:
    """A row that cannot be measured here, and why."""

    part: str
    why: str


@dataclass(frozen=True)
class Measurement:
    """Rates of ours and the peer, and their ratio, one of each per turn."""

    comparison: Comparison
    ours: list[float]
    theirs: list[float]

    @property
    def ratios(self) -> list[float]:
        """How many times as fast as the peer ours was, turn by turn."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def reached(self) -> bool:
        """Whether the median ratio is at the goal."""
        return statistics.median(self.ratios) >= self.comparison.goal


Row = Comparison | Absent
Area = Callable[[bool, Path], Iterator[Row]]
"""Small sizes or those of the table, and a scratch folder → rows."""


def measure(comparison: Comparison, repeats: int = REPEATS) -> Measurement:
    """Warm both up, see that they agree, and time them in turns."""
    timer = cuda_seconds if comparison.device == "cuda" else cpu_seconds
    rates: list[list[float]] = [[], []]
    sides = (comparison.ours, comparison.n_ours), (comparison.theirs, comparison.n_theirs)
    comparison.agree(comparison.ours(), comparison.theirs())
    n_calls = [max(1, math.ceil(SHORTEST_S / timer(call, 1))) for call, _ in sides]
    for _ in range(repeats):
        for measured, (call, n_units), calls in zip(rates, sides, n_calls, strict=True):
            measured.append(n_units * calls / timer(call, calls))
    return Measurement(comparison, *rates)


def cpu_seconds(call: Call, calls: int) -> float:
    """Wall time of so many calls."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return time.perf_counter() - start


def cuda_seconds(call: Call, calls: int) -> float:
    """Time on the device's own clock, between two events."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(calls):
        call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def has(package: str) -> bool:
    """Whether a peer is installed."""
    return find_spec(package) is not None


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def machine() -> str:
    """What kind of machine this is, not which one."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    vector = next(
        (said for flag, said in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), ""
    )
    kind = platform.machine().replace("_", "-")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{cores()} cores of an {kind} CPU{f' with {vector}' if vector else ''}, {gpu}"


def close(tolerance: float) -> Callable[[Any, Any], None]:
    """Agreement of nested results within `tolerance` of the peer's largest value."""

    def agree(ours: Any, theirs: Any) -> None:
        if isinstance(theirs, tuple | list):
            for one, other in zip(ours, theirs, strict=True):
                agree(one, other)
            return
        a, b = (torch.as_tensor(value).detach().double().cpu() for value in (ours, theirs))
        assert a.shape == b.shape, f"shapes {tuple(a.shape)} and {tuple(b.shape)}"
        off = float((a - b).abs().max() / b.abs().max())
        assert off <= tolerance, f"off by {off:.2g} of the largest value"

    return agree
