import os
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat
from scipy.linalg import toeplitz
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import nnls
from scipy.signal import lfilter

from workflow_scripts.recordings.deconvolution import deconvolve
from workflow_scripts.recordings.oasis import oasis
from workflow_scripts.stores.errors import InputError

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
TRUTH = SHARED / "deconvolution_truth"
needs_truth = pytest.mark.skipif(
    not TRUTH.is_dir(), reason=f"no recordings with known spikes in {TRUTH} (set SHARED_DATA)"
)


def simulate(seed, rate_hz, duration_s, spikes_hz, noise, *, decay_s=1.0, rise_s=0.1):
    """Fluorescence of transients of height 1 on a baseline of 0.3, and the spike counts."""
    rng = np.random.default_rng(seed)
    spikes = rng.poisson(spikes_hz / rate_hz, int(duration_s * rate_hz)).astype(float)
    decay, rise = np.exp(-1 / (decay_s * rate_hz)), np.exp(-1 / (rise_s * rate_hz))
    impulse = lfilter([1], [1, -decay - rise, decay * rise], np.eye(1, len(spikes))[0])
    calcium = np.convolve(spikes, impulse / impulse.max())[: len(spikes)]
    return 0.3 + calcium + noise * rng.standard_normal(len(spikes)), spikes


def smoothed_correlation(rates, truth, rate_hz):
    """The field's score: Pearson r after smoothing both with σ = 0.2 s."""
    smooth = gaussian_filter1d(np.stack([rates, truth]).astype(float), 0.2 * rate_hz, axis=-1)
    return np.corrcoef(smooth)[0, 1]


def best_fit(trace, decay, rise):
    """Least squares over all non-negative spike trains, by scipy's active-set solver."""
    lag = np.arange(len(trace))
    impulse = (decay ** (lag + 1) - rise ** (lag + 1)) / (decay - rise)
    spikes, residual = nnls(toeplitz(impulse, np.zeros(len(trace))), trace)
    return spikes, residual**2


@pytest.mark.parametrize("seed", range(3))
def test_ar1_is_the_exact_non_negative_least_squares(seed):
    trace = simulate(seed, 20, 12, 1.5, 0.3)[0] - 0.3
    denoised, spikes = oasis(trace, 0.95, 0.0)
    optimal, residual = best_fit(trace, 0.95, 0.0)
    # the calcium that is there at the start counts as a spike for scipy only
    np.testing.assert_allclose(spikes[1:], optimal[1:], atol=1e-9)
    assert ((trace - denoised) ** 2).sum() == pytest.approx(residual, rel=1e-9)


@pytest.mark.parametrize("noise", [0.1, 0.5])
@pytest.mark.parametrize("rise", [0.2, 0.6])
def test_ar2_is_close_to_the_optimum_and_obeys_its_own_dynamics(noise, rise):
    trace = simulate(0, 20, 20, 1.0, noise)[0] - 0.3
    denoised, spikes = oasis(trace, 0.95, rise)
    _, residual = best_fit(trace, 0.95, rise)
    squared_error = ((trace - denoised) ** 2).sum()
    assert residual * (1 - 1e-9) <= squared_error < 1.1 * residual
    assert (spikes >= 0).all()
    driven = lfilter([1, -0.95 - rise, 0.95 * rise], [1], denoised)
    np.testing.assert_allclose(driven[1:], spikes[1:], atol=1e-9)


def test_a_lone_spike_integrates_to_the_height_of_its_transient():
    trace, _ = simulate(0, 30, 40, 0.0, 0.01)
    impulse = lfilter([1], np.poly(np.exp(-1 / (30 * np.array([1.0, 0.1])))), np.eye(1, 600)[0])
    trace[500:1100] += 2.5 * impulse / impulse.max()
    result = deconvolve(trace[None], 30, decay_s=1.0)
    assert abs(result.rates[0].argmax() - 500) <= 1
    assert result.rates[0, 490:510].sum() / 30 == pytest.approx(2.5, rel=0.02)


@pytest.mark.parametrize("decay_s", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("rate_hz", "spikes_hz"), [(30, 0.5), (30, 2), (8, 0.5)])
def test_noise_and_decay_of_poisson_cells_are_recovered(decay_s, rate_hz, spikes_hz):
    traces = [simulate(seed, rate_hz, 400, spikes_hz, 0.3, decay_s=decay_s)[0] for seed in range(5)]
    result = deconvolve(np.stack(traces), rate_hz)
    assert np.median(result.noise) == pytest.approx(0.3, rel=0.25)
    assert np.median(result.decay_s) == pytest.approx(decay_s, rel=0.35)


@pytest.mark.parametrize(
    ("noise", "rate_hz", "at_least"), [(0.1, 30, 0.97), (0.3, 30, 0.94), (0.1, 8, 0.9)]
)
def test_true_rates_are_recovered(noise, rate_hz, at_least):
    simulated = [simulate(seed, rate_hz, 300, 1.0, noise) for seed in range(5)]
    result = deconvolve(np.stack([trace for trace, _ in simulated]), rate_hz)
    scores = [
        smoothed_correlation(rates, spikes, rate_hz)
        for rates, (_, spikes) in zip(result.rates, simulated, strict=True)
    ]
    assert np.median(scores) > at_least


def test_rates_scale_with_the_fluorescence_and_ignore_its_baseline():
    traces = np.stack([simulate(seed, 30, 60, 1.0, 0.2)[0] for seed in range(3)])
    once, again = deconvolve(traces, 30), deconvolve(50 * traces + 200, 30)
    np.testing.assert_allclose(again.decay_s, once.decay_s, rtol=1e-6)
    np.testing.assert_allclose(again.rates, 50 * once.rates, atol=1e-3 * again.rates.max())
    np.testing.assert_allclose(again.baseline, 50 * once.baseline + 200, rtol=1e-6)


def test_cells_do_not_influence_each_other():
    traces = np.stack([simulate(seed, 30, 30, 1.0, 0.2)[0] for seed in range(4)])
    together = deconvolve(traces, 30)
    for cell, trace in enumerate(traces):
        np.testing.assert_array_equal(deconvolve(trace[None], 30).rates[0], together.rates[cell])


def test_a_flat_trace_has_no_spikes():
    result = deconvolve(np.full((1, 600), 7.0), 30)
    assert not result.rates.any()
    np.testing.assert_allclose(result.denoised, 7.0)


@pytest.mark.parametrize(
    ("fluorescence", "rate_hz", "options", "message"),
    [
        (np.zeros(900), 30, {}, r"shape \(900,\).*leading axis"),
        (np.zeros((900, 3)), 30, {}, "3 frames.*time is the second axis"),
        (np.zeros((3, 900)), 0, {}, "rate_hz is 0"),
        (np.full((3, 900), np.nan), 30, {}, "3 cells hold"),
        (np.zeros((3, 900)), 30, {"rise_s": -1}, "rise_s is -1"),
        (np.zeros((3, 900)), 30, {"decay_s": 0}, "decay_s is 0"),
    ],
)
def test_bad_input_names_the_field_and_the_remedy(fluorescence, rate_hz, options, message):
    with pytest.raises(InputError, match=message):
        deconvolve(fluorescence, rate_hz, **options)


def recordings_with_known_spikes():
    for path in sorted(TRUTH.glob("*/*.mat")):
        segment = loadmat(path)["CAttached"][0, 0][0, 0]
        time_s = segment["fluo_time"].ravel()
        step_s = np.median(np.diff(time_s))
        spikes_s = segment["events_AP"].ravel() / 1e4
        edges = np.append(time_s, time_s[-1] + step_s) - step_s / 2
        rate = np.histogram(spikes_s[np.isfinite(spikes_s)], edges)[0] / step_s
        name = path.stem.removeprefix("CAttached_").removesuffix("_mini")
        yield name, 1 / step_s, segment["fluo_mean"].ravel(), rate


@needs_truth
def test_rates_agree_with_electrophysiology():
    scores = {
        name: smoothed_correlation(deconvolve(trace[None], rate_hz).rates[0], truth, rate_hz)
        for name, rate_hz, trace, truth in recordings_with_known_spikes()
    }
    assert len(scores) == 18
    worst = min(scores, key=scores.get)
    print(f"median r {np.median(list(scores.values())):.3f}, worst {worst} {scores[worst]:.3f}")
    # oasis-deconv 0.3.2 on the same traces: .729 (its default), .761 (AR(2)), .794 (AR(2) with
    # optimize_g=5, its best); its worst cells .628, .634, .497
    assert np.median(list(scores.values())) > 0.88
    assert scores[worst] > 0.76


@needs_truth
def test_not_below_the_oasis_package_and_no_slower():
    package = pytest.importorskip("oasis.functions", reason="oasis-deconv (GPL) is not installed")
    cells = list(recordings_with_known_spikes())
    deconvolve(cells[0][2][None], cells[0][1])  # compiles
    ours, theirs, our_s, their_s = [], [], 0.0, 0.0
    for _, rate_hz, trace, truth in cells:
        start = time.perf_counter()
        ours.append(smoothed_correlation(deconvolve(trace[None], rate_hz).rates[0], truth, rate_hz))
        middle = time.perf_counter()
        spikes = package.deconvolve(trace, penalty=1)[1]
        theirs.append(smoothed_correlation(spikes, truth, rate_hz))
        our_s, their_s = our_s + middle - start, their_s + time.perf_counter() - middle
    print(
        f"median r {np.median(ours):.3f}, {np.median(theirs):.3f}; {our_s:.2f} s, {their_s:.2f} s"
    )
    assert np.median(ours) >= np.median(theirs)
    assert our_s <= 1.1 * their_s
