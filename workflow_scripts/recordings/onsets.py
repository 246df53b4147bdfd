"""Infers when, in a movie, the pieces of a recording were shown whose onsets are not published.

The movie recordings of Onken et al. (2017) are pieces of 0.3 s laid end to end. Two facts about the
onsets are found in the spikes alone or with the movie:

1. Some pieces repeat the spikes of the piece before them, shifted by a whole number of ms: they
   overlap it in time, and their onset relative to it is known exactly.
2. All other pieces start at equal intervals. First onset and interval are those at which an
   OFF-transient drive, computed from the movie in each cell's receptive-field outline, correlates
   best with the responses. The best of many candidates is high by selection alone; so for the
   test half of the cells choose and the others are scored, against their outlines permuted.

The drive's latency and the first onset trade off, so the onset is known to about ±30 ms; the
interval is not affected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.stats import gamma

Floats = NDArray[np.float64]

# A piece repeats another if nearly all spikes of the common stretch, and not by chance, coincide.
_LEAST_SPIKES, _LEAST_COINCIDENCE = 20, 0.95
# Times from onset (s) and order of the two phases of the drive's kernel, and the second's weight:
# the response to a step then peaks after 0.19 s, as these cells' response to flashed images does.
_PHASES_S, _ORDER, _REBOUND = (0.13, 0.26), 12, 0.9
# The search goes from the length of a piece to this, s.
_LONGEST_INTERVAL_S = 1.2
# Pieces in a block that is fitted alone.
_BLOCK = 10


@dataclass(frozen=True)
class PieceTimes:
    """Times of the pieces as far as the spikes give them.

    Attributes
    ----------
    interval : int array, (piece,)
        How many equal intervals after the first piece its interval starts.
    offset_s : array, (piece,)
        Start within the interval: above 0 for a piece that repeats the one before.
    """

    interval: NDArray[np.int64]
    offset_s: Floats

    def onset_s(self, first_s: float, interval_s: float) -> Floats:
        """Onset of every piece in the movie, s."""
        return first_s + self.interval * interval_s + self.offset_s


def find_overlaps(raster: NDArray[np.bool_], bin_s: float) -> PieceTimes:
    """Find the pieces that repeat the one before them.

    Parameters
    ----------
    raster : bool array, (cell, trial, piece, bin)
        Spikes.
    bin_s : float
        Length of a bin, s: the resolution of the spike times.

    Returns
    -------
    PieceTimes
    """
    n_pieces = raster.shape[2]
    interval, offset = np.zeros(n_pieces, dtype=np.int64), np.zeros(n_pieces)
    for piece in range(1, n_pieces):
        shift = _shift_of_repeat(raster[:, :, piece - 1], raster[:, :, piece])
        if shift is None:
            interval[piece] = interval[piece - 1] + 1
        else:
            interval[piece] = interval[piece - 1]
            offset[piece] = offset[piece - 1] + shift * bin_s
    return PieceTimes(interval, offset)


def _shift_of_repeat(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> int | None:
    """Smallest shift, in bins, at which `after` is what `before` goes on with."""
    n_bins = before.shape[-1]
    shift = np.arange(1, n_bins)
    # Spikes from bin `shift` on, spikes before the last `shift` bins, and those that coincide.
    going_on = before.sum(axis=(0, 1))[::-1].cumsum()[::-1][shift]
    repeated = after.sum(axis=(0, 1)).cumsum()[n_bins - 1 - shift]
    lagged = fftconvolve(before, after[..., ::-1].astype(float), axes=-1).sum(axis=(0, 1))
    coincident = np.rint(lagged[n_bins - 1 + shift])
    spikes = np.maximum(going_on, repeated)
    found = (spikes >= _LEAST_SPIKES) & (coincident >= _LEAST_COINCIDENCE * spikes)
    return int(shift[found][0]) if found.any() else None


def off_transient_drive(grey: NDArray, frame_rate_hz: float, rate_hz: float) -> Floats:
    """Predict the drive of OFF-transient cells from the grey level in their outlines.

    Parameters
    ----------
    grey : array, (cell, frame)
        Mean grey level in each cell's outline.
    frame_rate_hz : float
        Frames per second; each is shown until the next.
    rate_hz : float
        Samples per second of the result, a multiple of the frame rate.

    Returns
    -------
    array, (cell, sample)
        Rectified response of a biphasic filter to darkening.
    """
    held = np.repeat(np.asarray(grey, dtype=float), round(rate_hz / frame_rate_hz), axis=1)
    time_s = np.arange(0, 3 * _PHASES_S[1], 1 / rate_hz)
    phases = [gamma.pdf(time_s, _ORDER + 1, scale=peak_s / _ORDER) for peak_s in _PHASES_S]
    kernel = phases[0] - _REBOUND * phases[1]
    held -= held.mean(axis=1, keepdims=True)
    filtered = fftconvolve(held, kernel[None], axes=1)[:, : held.shape[1]]
    return np.maximum(-filtered, 0.0)


@dataclass(frozen=True)
class Pieces:
    """Drive and responses that candidate onsets are judged by.

    Attributes
    ----------
    drive : array, (cell, sample)
        At `rate_hz`, from the movie's start.
    responses : array, (cell, piece, bin)
        Spike counts of the pieces that start an interval.
    interval : int array, (piece,)
        Which interval each piece starts.
    rate_hz : float
        Samples of the drive per second.
    bin_s : float
        Length of a bin of the responses, s.
    """

    drive: Floats
    responses: Floats
    interval: NDArray[np.int64]
    rate_hz: float
    bin_s: float

    def scores(self, first_s: NDArray, interval_s: NDArray) -> Floats:
        """Score candidate onsets.

        Parameters
        ----------
        first_s, interval_s : array, (n,), (m,)
            Candidates: start of the first piece and length of an interval, s.

        Returns
        -------
        array, (m, n)
            Mean over cells of the correlation of drive and response over pieces and bins, with
            the drive's mean and variance over the whole movie; NaN where pieces lie beyond it.
        """
        drive = self.drive - self.drive.mean(axis=1, keepdims=True)
        drive /= np.maximum(drive.std(axis=1, keepdims=True), np.finfo(float).tiny)
        responses = _standardised(self.responses)
        lags = self._bin_samples
        n_starts = drive.shape[1] - lags[-1]
        # (piece, start): every piece's contribution if it started at that sample of the movie
        products = np.zeros((responses.shape[1], n_starts))
        for k, lag in enumerate(lags):
            products += responses[:, :, k].T @ drive[:, lag : lag + n_starts]
        products /= len(drive) * np.sqrt(responses[0].size)
        scores = np.full((len(interval_s), len(first_s)), np.nan)
        first = np.rint(np.asarray(first_s) * self.rate_hz).astype(int)
        for row, one_s in enumerate(interval_s):
            offset = np.rint(self.interval * one_s * self.rate_hz).astype(int)
            inside = (first >= 0) & (first + offset[-1] < n_starts)
            starts = first[inside] + offset[:, None]
            scores[row, inside] = np.take_along_axis(products, starts, axis=1).sum(axis=0)
        return scores

    def correlations(self, first_s: float, interval_s: float) -> Floats:
        """Pearson r of each cell's drive and response at given onsets, (cell,)."""
        start = np.rint((first_s + self.interval * interval_s) * self.rate_hz).astype(int)
        drive = self.drive[:, start[:, None] + self._bin_samples]
        return (_standardised(drive) * _standardised(self.responses)).sum(axis=(1, 2))

    def subset(self, pieces: slice) -> Pieces:
        """Only some of the pieces."""
        return replace(self, responses=self.responses[:, pieces], interval=self.interval[pieces])

    def of_cells(self, cells: slice) -> Pieces:
        """Only some of the cells."""
        return replace(self, drive=self.drive[cells], responses=self.responses[cells])

    @property
    def _bin_samples(self) -> NDArray[np.int64]:
        """Sample at each bin's centre, from the piece's start."""
        centre_s = (np.arange(self.responses.shape[2]) + 0.5) * self.bin_s
        return (centre_s * self.rate_hz).astype(np.int64)


def _standardised(values: Floats) -> Floats:
    """Each cell's (piece, bin) values with mean 0 and length 1; 0 where they are all alike."""
    centred = values - values.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True))
    return np.divide(centred, length, where=length > 0, out=np.zeros_like(centred))


@dataclass(frozen=True)
class OnsetFit:
    """The best onsets and what speaks for them.

    Attributes
    ----------
    first_s, interval_s : float
        Onset of the first piece and length of an interval, s.
    score : float
        Mean over cells of Pearson r between drive and response: the highest that was found.
    unit_scores : array, (cell,)
        The same for each cell.
    candidates_first_s, candidates_interval_s : array
        The grid that was searched.
    scores : array, (interval, first)
        Score of each candidate.
    held_out_score : float
        Mean over every second cell of r at the onsets that the other cells choose.
    null_scores : array, (permutation,)
        The same with the outlines permuted among the cells that are scored.
    block_shift_s : array, (block,)
        Shift against the best onsets at which a block of pieces, taken alone, scores best.
    """

    first_s: float
    interval_s: float
    score: float
    unit_scores: Floats
    candidates_first_s: Floats
    candidates_interval_s: Floats
    scores: Floats
    held_out_score: float
    null_scores: Floats
    block_shift_s: Floats


def fit_onsets(pieces: Pieces, n_permutations: int = 300, seed: int = 0) -> OnsetFit:
    """Search all onsets and intervals, coarse then fine.

    Parameters
    ----------
    pieces : Pieces
        Drive and responses.
    n_permutations : int
        Permutations of the outlines among cells.
    seed : int
        Seed of the permutations.

    Returns
    -------
    OnsetFit
    """
    shortest_s = pieces.responses.shape[2] * pieces.bin_s
    last_start_s = pieces.drive.shape[1] / pieces.rate_hz - shortest_s * pieces.interval[-1]
    # Steps within the width of the peak: 1/60 s at the first piece, 0.1 s at the last.
    first_s = np.arange(0, last_start_s, 1 / 60)
    interval_s = np.arange(shortest_s, _LONGEST_INTERVAL_S, 0.1 / pieces.interval[-1])
    best = _search(pieces, first_s, interval_s)
    chosen = _search(pieces.of_cells(slice(0, None, 2)), first_s, interval_s)
    scored = pieces.of_cells(slice(1, None, 2))
    rng = np.random.default_rng(seed)
    permuted = [
        replace(scored, drive=scored.drive[rng.permutation(len(scored.drive))])
        for _ in range(n_permutations)
    ]
    unit_scores = pieces.correlations(*best)
    return OnsetFit(
        first_s=best[0],
        interval_s=best[1],
        score=float(unit_scores.mean()),
        unit_scores=unit_scores,
        candidates_first_s=first_s,
        candidates_interval_s=interval_s,
        scores=pieces.scores(first_s, interval_s),
        held_out_score=float(scored.correlations(*chosen).mean()),
        null_scores=np.array([one.correlations(*chosen).mean() for one in permuted]),
        block_shift_s=_block_shifts(pieces, *best),
    )


def _search(pieces: Pieces, first_s: NDArray, interval_s: NDArray) -> tuple[float, float]:
    best = _best(pieces, first_s, interval_s)
    return _best(pieces, best[0] + np.arange(-20, 21) / 120, best[1] + np.arange(-40, 41) * 1e-4)


def _best(pieces: Pieces, first_s: NDArray, interval_s: NDArray) -> tuple[float, float]:
    scores = pieces.scores(first_s, interval_s)
    row, column = np.unravel_index(np.nanargmax(scores), scores.shape)
    return float(first_s[column]), float(interval_s[row])


def _block_shifts(pieces: Pieces, first_s: float, interval_s: float) -> Floats:
    """Fit the shift of each block of pieces alone."""
    shifts_s = np.arange(-48, 49) / 120
    best = []
    for start in range(0, len(pieces.interval) - _BLOCK // 2, _BLOCK):
        part = pieces.subset(slice(start, start + _BLOCK))
        best.append(_best(part, first_s + shifts_s, np.array([interval_s]))[0] - first_s)
    return np.array(best)
