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

from workflow_scripts.recordings.oasis import fit_cell, solve_cell
from workflow_scripts.stores.errors import InputError

SHORTEST_RECORDING_S = 10.0
# Noise and decay are read from traces binned to at most this rate: calcium is slower, the fits are
# cheaper, and a trace that was interpolated to a higher rate shows its true noise again.
FIT_RATE_HZ = 12.0


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
        decay, baseline = fit_cell(
            binned[cell], noise[cell], rate_hz / bin_size, float(rise_s), float(decay_s or 0)
        )
        trace = traces[cell].astype(np.float64)
        rates, denoised = solve_cell(trace, baseline, decay, float(rise_s), float(rate_hz))
        result.rates[cell], result.denoised[cell] = rates, denoised
        result.decay_s[cell], result.baseline[cell] = decay, baseline

    if len(traces) == 1:  # starting a thread takes longer
        fill(0)
        return result
    with ThreadPoolExecutor(nb.get_num_threads()) as pool:  # the compiled functions drop the GIL
        list(pool.map(fill, range(len(traces))))
    return result


def check_duration(n_frames: int, rate_hz: float) -> None:
    """Refuse recordings of under 10 s, whose decay cannot be told."""
    if not rate_hz > 0:
        raise InputError(f"rate_hz is {rate_hz}; give the frames per second, above 0")
    if n_frames < SHORTEST_RECORDING_S * rate_hz:
        raise InputError(
            f"fluorescence holds {n_frames} frames, {n_frames / rate_hz:.3g} s at rate_hz "
            f"{rate_hz}; a decay needs at least {SHORTEST_RECORDING_S:g} s: check rate_hz and that "
            "time is the second axis"
        )


def _check(traces: NDArray, rate_hz: float, rise_s: float, decay_s: float | None) -> None:
    if traces.ndim != 2:
        raise InputError(
            f"fluorescence has shape {traces.shape}; deconvolve needs (cell, time): "
            "add a leading axis for a single cell"
        )
    check_duration(traces.shape[1], rate_hz)
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
