"""Spike rates from fluorescence."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from benchmarks.harness import Absent, Comparison, Row, has
from workflow_scripts.recordings.deconvolution import deconvolve

RATE_HZ, DECAY_S, RISE_S = 30.0, 1.0, 0.1


def rows(small: bool, _: Path) -> Iterator[Row]:
    """One trace, and a thousand."""
    for name, n_traces, goal in (("one trace", 1, 1), ("1,000 traces", 4 if small else 1000, 2)):
        part = f"deconvolution, {name}"
        if has("oasis"):
            yield _comparison(part, n_traces, goal, n_frames=1500 if small else 6000)
        else:
            yield Absent(part, "oasis-deconv is not installed")


def simulate(n_traces: int, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Fluorescence and spike counts, (trace, frame): transients of height 1, noise .3."""
    rng = np.random.default_rng(0)
    spikes = rng.poisson(0.5 / RATE_HZ, (n_traces, n_frames)).astype(float)
    roots = np.exp(-1 / (RATE_HZ * np.array([DECAY_S, RISE_S])))
    impulse: Any = lfilter([1], np.poly(roots), np.eye(1, 300)[0])
    calcium: Any = lfilter([1 / impulse.max()], np.poly(roots), spikes, axis=-1)
    return calcium + 0.3 * rng.standard_normal(spikes.shape), spikes


def _comparison(part: str, n_traces: int, goal: float, n_frames: int) -> Comparison:
    oasis = import_module("oasis.functions").deconvolve  # may be absent
    traces, spikes = simulate(n_traces, n_frames)
    n_theirs = min(n_traces, 50)

    def agree(ours: np.ndarray, theirs: np.ndarray) -> None:
        for rates in (ours, theirs):
            true = gaussian_filter1d(spikes[0], 0.2 * RATE_HZ)
            r = np.corrcoef(gaussian_filter1d(rates[0].astype(float), 0.2 * RATE_HZ), true)[0, 1]
            assert r > 0.6, f"r to the true rate is {r:.2f}"

    return Comparison(
        part=part,
        work=f"{n_traces} traces of {n_frames} frames, parameters estimated",
        peer="oasis-deconv, its default (AR(1), L1 penalty)",
        goal=goal, ours=lambda: deconvolve(traces, RATE_HZ, RISE_S).rates,
        theirs=lambda: [oasis(trace, penalty=1)[1] for trace in traces[:n_theirs]], agree=agree,
        unit="traces", n_ours=n_traces, n_theirs=n_theirs,
    )  # fmt: skip
