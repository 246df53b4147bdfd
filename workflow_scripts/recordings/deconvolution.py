"""Spike rates from calcium fluorescence: non-negative AR(2) deconvolution by OASIS.

The fluorescence of a cell is a baseline, plus its spikes convolved with a transient that rises and
decays exponentially, plus white noise. `deconvolve` estimates the noise, the decay and the baseline
of every cell and then solves for the non-negative spike train with OASIS (Friedrich, Zhou &
Paninski 2017, PLoS Comput Biol 13:e1005423), without a sparsity penalty: Pachitariu, Stringer &
Harris (2018, J Neurosci 38:7976) find none better on recordings with known spikes.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import welch

from workflow_scripts.stores.errors import InputError

Trace = NDArray[np.float64]

SHORTEST_DECAY_S = 0.2
LONGEST_DECAY_S = 8.0
SHORTEST_RECORDING_S = 10.0
# Noise and decay are read from traces binned to at most this rate: calcium is slower, the fits are
# cheaper, and a trace that was interpolated to a higher rate shows its true noise again.
FIT_RATE_HZ = 12.0
# Real transients are not exactly exponential: the decay may leave this many times the noise
# variance. Chosen on the cells of `deconvolution_truth`; 2 to 4 score within .02 of each other.
MISFIT_ALLOWED = 3.0
BISECTIONS = 6


class Deconvolution(NamedTuple):
    """Inferred spike rates and what was estimated on the way to them.

    Attributes
    ----------
    rates : (cell, time), float32
        Spike rate in transient heights per second: a lone spike whose transient peaks at height 1
        (in the unit of the fluorescence) integrates to 1. Divide by the height of a single spike's
        transient, where that is known, for spikes per second.
    denoised : (cell, time), float32
        The fitted fluorescence, baseline included, in the unit of the input.
    baseline, noise : (cell,)
        Baseline and standard deviation of the noise of one sample, in the unit of the input.
    decay_s : (cell,)
        Time constant of the decay, s.
    """

    rates: NDArray[np.float32]
    denoised: NDArray[np.float32]
    baseline: NDArray[np.float64]
    noise: NDArray[np.float64]
    decay_s: NDArray[np.float64]


def deconvolve(
    fluorescence: ArrayLike,
    rate_hz: float,
    rise_s: float = 0.1,
    decay_s: float | None = None,
) -> Deconvolution:
    """Infer the spike rate of every cell from its fluorescence.

    Parameters
    ----------
    fluorescence : (cell, time)
        ΔF/F or raw fluorescence without slow drift, in any unit.
    rate_hz : float
        Frames per second.
    rise_s : float
        Time constant of the rise, s: about 0.05 for GCaMP6f and jGCaMP8, 0.1 to 0.2 for GCaMP6s.
        0 gives the AR(1) model, whose transients rise at once.
    decay_s : float, optional
        Time constant of the decay, s, for all cells; by default estimated for each.

    Returns
    -------
    Deconvolution

    Raises
    ------
    InputError
        If the array is not (cell, time), holds values that are not finite, lasts less than 10 s,
        or a time constant or the rate is out of range.
    """
    traces = np.asarray(fluorescence)
    _check(traces, rate_hz, rise_s, decay_s)
    binned, noise, bin_size = _binned_with_noise(traces, rate_hz)
    result = Deconvolution(
        rates=np.empty(traces.shape, np.float32),
        denoised=np.empty(traces.shape, np.float32),
        baseline=np.empty(len(traces)),
        noise=noise * np.sqrt(bin_size),
        decay_s=np.empty(len(traces)),
    )

    def fill(cell: int) -> None:
        decay, baseline = _fit_cell(
            binned[cell], noise[cell], rate_hz / bin_size, float(rise_s), float(decay_s or 0)
        )
        trace = traces[cell].astype(np.float64)
        rates, denoised = _solve_cell(trace, baseline, decay, float(rise_s), float(rate_hz))
        result.rates[cell], result.denoised[cell] = rates, denoised
        result.decay_s[cell], result.baseline[cell] = decay, baseline

    if len(traces) == 1:  # starting a thread takes longer
        fill(0)
        return result
    with ThreadPoolExecutor(nb.get_num_threads()) as pool:  # the compiled functions drop the GIL
        list(pool.map(fill, range(len(traces))))
    return result


def _check(traces: NDArray, rate_hz: float, rise_s: float, decay_s: float | None) -> None:
    if traces.ndim != 2:
        raise InputError(
            f"fluorescence has shape {traces.shape}; deconvolve needs (cell, time): "
            "add a leading axis for a single cell"
        )
    if not rate_hz > 0:
        raise InputError(f"rate_hz is {rate_hz}; give the frames per second, above 0")
    if traces.shape[1] < SHORTEST_RECORDING_S * rate_hz:
        raise InputError(
            f"fluorescence holds {traces.shape[1]} frames, {traces.shape[1] / rate_hz:.3g} s at "
            f"rate_hz {rate_hz}; a decay needs at least {SHORTEST_RECORDING_S:g} s: check rate_hz "
            "and that time is the second axis"
        )
    bad = np.flatnonzero(~np.isfinite(traces).all(axis=1))
    if bad.size:
        raise InputError(
            f"fluorescence of {bad.size} cells holds NaN or infinite values (first: cell "
            f"{bad[0]}); leave those cells or frames out"
        )
    if not 0 <= rise_s <= 1:
        raise InputError(f"rise_s is {rise_s}; give 0 (AR(1)) to 1 s")
    if decay_s is not None and not decay_s > 0:
        raise InputError(f"decay_s is {decay_s}; give seconds above 0, or None to estimate it")


def _binned_with_noise(
    traces: NDArray, rate_hz: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Means over bins of at least 1/FIT_RATE_HZ, and the noise (standard deviation) of one bin."""
    size = max(1, round(rate_hz / FIT_RATE_HZ))
    n_bins = traces.shape[1] // size
    binned = traces[:, : n_bins * size].reshape(len(traces), n_bins, size).mean(2, dtype=np.float64)
    frequency, power = welch(binned, nperseg=min(256, n_bins // 2), axis=-1)
    # The upper half of the spectrum holds hardly any calcium; the mean of the logarithm weighs
    # down what it does hold.
    upper = np.maximum(power[:, frequency > 0.25], np.finfo(float).tiny)
    return binned, np.sqrt(np.exp(np.log(upper).mean(1)) / 2), size


@nb.njit(cache=True, nogil=True)
def _fit_cell(
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
    denoised, _ = _oasis(trace, *_roots(decay_s, rise_s, rate_hz))
    return ((trace - denoised) ** 2).mean()


@nb.njit(cache=True, nogil=True)
def _roots(decay_s: float, rise_s: float, rate_hz: float) -> tuple[float, float]:
    """Roots of the AR(2) process; a rise close to the decay would make them coincide."""
    rise = min(rise_s, 0.6 * decay_s)
    return np.exp(-1 / (decay_s * rate_hz)), np.exp(-1 / (rise * rate_hz)) if rise > 0 else 0.0


@nb.njit(cache=True, nogil=True)
def _solve_cell(
    trace: Trace, baseline: float, decay_s: float, rise_s: float, rate_hz: float
) -> tuple[Trace, Trace]:
    """Spike rate and denoised trace of one cell."""
    decay, rise = _roots(decay_s, rise_s, rate_hz)
    denoised, spikes = _oasis(trace - baseline, decay, rise)
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
def _oasis(trace: Trace, decay: float, rise: float) -> tuple[Trace, Trace]:
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
    """Powers 0 to n of a number, (n + 1,)."""
    powers = np.ones(n + 1)
    for exponent in range(n):
        powers[exponent + 1] = powers[exponent] * base
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
