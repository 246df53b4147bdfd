"""OASIS for AR(2) transients, and the decay and baseline of a cell that it is run with.

Compiled functions call each other within this file only: numba's cache of a function is renewed
when its own file changes, not when that of a function it calls does.
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray

Trace = NDArray[np.float64]

SHORTEST_DECAY_S = 0.2
LONGEST_DECAY_S = 8.0
# Real transients are not exactly exponential: the decay may leave this many times the noise
# variance. Chosen on the cells of `deconvolution_truth`; 2 to 4 score within .02 of each other.
MISFIT_ALLOWED = 3.0
BISECTIONS = 6
_SMALLEST = 1e-300


@nb.njit(cache=True, nogil=True)
def fit_cell(
    trace: Trace, noise: float, rate_hz: float, rise_s: float, known_decay_s: float
) -> tuple[float, float]:
    """Decay (s) and baseline of one cell from its binned trace.

    The decay is that of the autocovariance, which is exact for Poisson spikes. Bursts and slow
    changes of the firing rate make it too long: then it is the longest decay whose fit is not much
    worse than the noise. The baseline is the highest one whose fit is no worse than the noise.
    """
    ordered = np.sort(trace)
    low, median = ordered[len(trace) // 20], ordered[len(trace) // 2]
    floor = max(noise**2, _misfit(trace - low, SHORTEST_DECAY_S, rise_s, rate_hz))
    decay = known_decay_s
    if decay == 0:
        decay = _autocovariance_decay(trace, rate_hz)
        if _misfit(trace - low, decay, rise_s, rate_hz) > MISFIT_ALLOWED * floor:
            decay = _longest_decay(trace - low, decay, MISFIT_ALLOWED * floor, rise_s, rate_hz)
    below, above = low - 2 * noise, median + noise
    if _misfit(trace - below, decay, rise_s, rate_hz) > floor:
        return decay, low
    for _ in range(BISECTIONS):
        middle = (below + above) / 2
        if _misfit(trace - middle, decay, rise_s, rate_hz) <= floor:
            below = middle
        else:
            above = middle
    return decay, below


@nb.njit(cache=True, nogil=True)
def _longest_decay(
    trace: Trace, too_long_s: float, allowed: float, rise_s: float, rate_hz: float
) -> float:
    """Longest decay (s) whose mean squared residual is at most `allowed`, by bisection."""
    good, bad = SHORTEST_DECAY_S, too_long_s
    for _ in range(BISECTIONS):
        middle = np.sqrt(good * bad)
        if _misfit(trace, middle, rise_s, rate_hz) <= allowed:
            good = middle
        else:
            bad = middle
    return good


@nb.njit(cache=True, nogil=True)
def _autocovariance_decay(trace: Trace, rate_hz: float) -> float:
    """Decay (s) of the autocovariance between 0.3 s (past the rise) and 1.5 s."""
    centred = trace - trace.mean()
    first = max(1, int(np.ceil(0.3 * rate_hz)))
    last = max(first + 2, int(1.5 * rate_hz))
    n = 0
    sum_lag = sum_log = sum_lag_log = sum_lag_lag = 0.0
    for lag in range(first, last + 1):
        covariance = (centred[:-lag] * centred[lag:]).mean()
        if covariance <= 0:
            break
        n += 1
        sum_lag += lag
        sum_log += np.log(covariance)
        sum_lag_log += lag * np.log(covariance)
        sum_lag_lag += lag * lag
    if n < 2:
        return SHORTEST_DECAY_S
    slope = (n * sum_lag_log - sum_lag * sum_log) / (n * sum_lag_lag - sum_lag**2)
    if slope >= 0:
        return LONGEST_DECAY_S
    return min(max(-1 / (slope * rate_hz), SHORTEST_DECAY_S), LONGEST_DECAY_S)


@nb.njit(cache=True, nogil=True)
def _misfit(trace: Trace, decay_s: float, rise_s: float, rate_hz: float) -> float:
    """Mean squared residual of the deconvolved trace."""
    denoised, _ = oasis(trace, *_roots(decay_s, rise_s, rate_hz))
    return ((trace - denoised) ** 2).mean()


@nb.njit(cache=True, nogil=True)
def _roots(decay_s: float, rise_s: float, rate_hz: float) -> tuple[float, float]:
    """Roots of the AR(2) process; a rise close to the decay would make them coincide."""
    rise = min(rise_s, 0.6 * decay_s)
    return np.exp(-1 / (decay_s * rate_hz)), np.exp(-1 / (rise * rate_hz)) if rise > 0 else 0.0


@nb.njit(cache=True, nogil=True)
def solve_cell(
    trace: Trace, baseline: float, decay_s: float, rise_s: float, rate_hz: float
) -> tuple[Trace, Trace]:
    """Spike rate and denoised trace of one cell."""
    decay, rise = _roots(decay_s, rise_s, rate_hz)
    denoised, spikes = oasis(trace - baseline, decay, rise)
    return spikes * (_transient_peak(decay, rise) * rate_hz), denoised + baseline


@nb.njit(cache=True, nogil=True)
def _transient_peak(decay: float, rise: float) -> float:
    """Height of the AR(2) response to one unit spike."""
    height, power_decay, power_rise = 1.0, decay, rise
    while True:
        power_decay *= decay
        power_rise *= rise
        following = (power_decay - power_rise) / (decay - rise)
        if following <= height:
            return height
        height = following


@nb.njit(cache=True, nogil=True)
def oasis(trace: Trace, decay: float, rise: float) -> tuple[Trace, Trace]:
    """OASIS for AR(2) with roots `decay` > `rise`; exact for `rise` 0, greedy else.

    The trace is cut into pools, each one spike and the free decay after it:
    `x[t + lag] = from_start[lag] x[t] + from_before[lag] x[t - 1]`.

    Returns the denoised trace and the spikes, both (time,).
    """
    from_start = (decay * _powers(decay, len(trace)) - rise * _powers(rise, len(trace))) / (
        decay - rise
    )
    from_before = np.zeros_like(from_start)
    from_before[1:] = -decay * rise * from_start[:-1]
    lengths, starts, befores = _pool(trace, decay, rise, from_start, from_before)
    denoised, spikes = np.empty(len(trace)), np.zeros(len(trace))
    time, expected = 0, starts[0]
    for length, start, before in zip(lengths, starts, befores):  # noqa: B905 - numba has no strict
        spikes[time] = start - expected
        denoised[time : time + length] = from_start[:length] * start + from_before[:length] * before
        expected = from_start[length] * start + from_before[length] * before
        time += length
    return denoised, spikes


@nb.njit(cache=True, nogil=True)
def _powers(base: float, n: int) -> Trace:
    """Powers 0 to n of a number below 1, (n + 1,); those too small to count are 0."""
    powers = np.zeros(n + 1)
    power = 1.0
    for exponent in range(n + 1):
        # Below lie subnormal numbers, which many CPUs multiply a hundred times more slowly; the
        # smallest of them is its own product with a base above 1/2 and would fill the rest.
        if power < _SMALLEST:
            break
        powers[exponent] = power
        power *= base
    return powers


@nb.njit(cache=True, nogil=True)
def _pool(
    trace: Trace, decay: float, rise: float, from_start: Trace, from_before: Trace
) -> tuple[NDArray[np.int64], Trace, Trace]:
    """Length, first value and preceding value of each pool.

    The first value minimises the pool's squared error given the preceding one; two pools merge when
    the spike between them would be negative. As the free decay is a sum of two powers, a pool's
    projections on them follow from those of its parts, and a merge costs O(1).
    """
    n = len(trace)
    decay_powers, rise_powers = _powers(decay, n), _powers(rise, n)
    start_start = np.cumsum(from_start**2)
    start_before = np.cumsum(from_start * from_before)
    length = np.empty(n, np.int64)
    start, before, on_decay, on_rise = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    pool = -1
    for value in trace:
        pool += 1
        length[pool] = 1
        on_decay[pool] = on_rise[pool] = start[pool] = value
        before[pool] = 0.0
        if pool > 0:
            last = length[pool - 1] - 1
            before[pool] = from_start[last] * start[pool - 1] + from_before[last] * before[pool - 1]
        while pool > 0:
            span = length[pool - 1]
            expected = from_start[span] * start[pool - 1] + from_before[span] * before[pool - 1]
            if start[pool] >= expected:
                break
            pool -= 1
            on_decay[pool] += decay_powers[span] * on_decay[pool + 1]
            on_rise[pool] += rise_powers[span] * on_rise[pool + 1]
            length[pool] += length[pool + 1]
            projection = (decay * on_decay[pool] - rise * on_rise[pool]) / (decay - rise)
            projection -= start_before[length[pool] - 1] * before[pool]
            start[pool] = projection / start_start[length[pool] - 1]
        if pool == 0:
            start[0] = max(start[0], 0.0)
    return length[: pool + 1], start[: pool + 1], before[: pool + 1]
