"""Onsets: planted overlaps and onsets are found; the real recordings agree with each other."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from workflow_scripts.recordings.onsets import (
    Pieces,
    find_overlaps,
    fit_onsets,
    off_transient_drive,
)
from workflow_scripts.recordings.readers.onken import piece_raster, read_pieces

SPIKES = Path(__file__).parents[2] / "resources" / "retina_onken2017" / "spikes"
RATE_HZ, BIN_S, N_BINS = 120.0, 1 / 30, 9


def continuous_raster(n_ms, rate=0.02, seed=0):
    return np.random.default_rng(seed).random((4, 6, n_ms)) < rate


def test_overlaps_are_found_to_the_millisecond():
    raster = continuous_raster(8000)
    starts = [0, 800, 1600, 1610, 1650, 2400, 3200]
    pieces = np.stack([raster[:, :, start : start + 300] for start in starts], axis=2)
    times = find_overlaps(pieces, bin_s=0.001)
    assert times.interval.tolist() == [0, 1, 2, 2, 2, 3, 4]
    np.testing.assert_allclose(times.offset_s, [0, 0, 0, 0.01, 0.05, 0, 0])
    expected = np.array(starts) / 1000
    np.testing.assert_allclose(times.onset_s(0.0, 0.8), expected)


def test_similar_responses_are_no_overlap():
    # Twice the same stimulus: the same rates, other spikes.
    rate = np.repeat(np.random.default_rng(0).gamma(0.3, 0.1, (4, 1, 300)), 6, axis=1)
    rng = np.random.default_rng(1)
    pieces = np.stack([rng.random(rate.shape) < rate for _ in range(3)], axis=2)
    assert find_overlaps(pieces, bin_s=0.001).interval.tolist() == [0, 1, 2]


def test_silence_is_no_overlap():
    assert find_overlaps(np.zeros((4, 6, 3, 300), bool), 0.001).interval.tolist() == [0, 1, 2]


def test_drive_follows_darkening_only():
    grey = np.full((2, 120), 100.0)
    grey[0, 60:], grey[1, 60:] = 50, 150
    drive = off_transient_drive(grey, 30, RATE_HZ)
    peak_s = np.argmax(drive[0]) / RATE_HZ - 2
    assert 0.15 < peak_s < 0.25
    assert drive[0].max() > 10 * drive[1, 240 : 240 + 36].max()


def planted(first_s, interval_s, noise, seed=0):
    rng = np.random.default_rng(seed)
    grey = np.cumsum(rng.normal(0, 5, (20, 1600)), axis=1)
    drive = off_transient_drive(grey, 30, RATE_HZ)
    interval = np.r_[np.arange(25), np.arange(27, 45)]
    start = np.rint((first_s + interval * interval_s) * RATE_HZ).astype(int)
    centre = ((np.arange(N_BINS) + 0.5) * BIN_S * RATE_HZ).astype(int)
    shown = drive[:, start[:, None] + centre]
    responses = shown + noise * shown.std() * rng.normal(0, 1, shown.shape)
    return Pieces(drive, responses, interval, RATE_HZ, BIN_S)


@pytest.mark.parametrize(("first_s", "interval_s"), [(3.8, 0.8053), (0.5, 1.05), (9.0, 0.45)])
def test_planted_onsets_are_recovered(first_s, interval_s):
    fit = fit_onsets(planted(first_s, interval_s, noise=3.0), n_permutations=50)
    assert fit.first_s == pytest.approx(first_s, abs=0.02)
    assert fit.interval_s == pytest.approx(interval_s, abs=0.0006)
    assert (fit.null_scores < fit.held_out_score).all()
    assert np.abs(fit.block_shift_s).max() < 0.06


def test_responses_to_something_else_fit_nowhere_well():
    pieces = planted(3.8, 0.8, noise=1.0)
    rng = np.random.default_rng(1)
    noise = Pieces(
        pieces.drive, rng.random(pieces.responses.shape), pieces.interval, RATE_HZ, BIN_S
    )
    assert (
        fit_onsets(noise, n_permutations=2).score < 0.5 * fit_onsets(pieces, n_permutations=2).score
    )


def test_responses_to_something_else_pass_the_test_as_often_as_it_says():
    rng = np.random.default_rng(0)
    p = []
    for _ in range(300):
        grey = np.cumsum(rng.normal(0, 5, (12, 300)), axis=1)
        drive = off_transient_drive(grey, 30, RATE_HZ)
        responses = rng.poisson(1.0, (12, 6, N_BINS)).astype(float)
        fit = fit_onsets(
            Pieces(drive, responses, np.arange(6), RATE_HZ, BIN_S), n_permutations=39,
            seed=int(rng.integers(2**31)),
        )  # fmt: skip
        p.append((1 + (fit.null_scores >= fit.held_out_score).sum()) / 40)
    for level in (0.05, 0.25, 0.5):
        passed = int((np.array(p) <= level).sum())
        assert binomtest(passed, len(p), level).pvalue > 0.001, (level, passed)


@pytest.mark.parametrize(
    ("name", "first_repeat", "n_repeats", "last_offset_ms"),
    [("Movie1Exp1", 45, 15, 170), ("Movie2Exp1", 30, 13, 130)],
)
def test_the_real_movies_repeat_spikes(name, first_repeat, n_repeats, last_offset_ms):
    """Both recordings hold a run of pieces that overlap by all but 10 ms (one by 30 ms)."""
    path = SPIKES / f"{name}.mat"
    times = find_overlaps(piece_raster(read_pieces(path), path), bin_s=0.001)
    repeats = np.flatnonzero(times.offset_s > 0)
    assert repeats.tolist() == list(range(first_repeat, first_repeat + n_repeats))
    assert times.offset_s.max() * 1000 == pytest.approx(last_offset_ms)
    assert times.interval[-1] == 59 - n_repeats
