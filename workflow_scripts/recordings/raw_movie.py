"""Raw two-photon movies that are read piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.stores.errors import InputError

# Of a piece of a movie in memory, single precision.
PIECE_BYTES = 4_000_000


@dataclass(frozen=True)
class RawMovie:
    """A movie that lies on disk.

    Attributes
    ----------
    n_frames, height, width : int
        Size.
    rate_hz : float
        Frames per second.
    read : callable
        ``read(start, stop)`` gives frames start … stop − 1, (time, y, x).
    start_s : float
        Time of the first frame on the recording's clock, s.
    um_per_px : float, optional
        Side of a pixel, µm.
    """

    n_frames: int
    height: int
    width: int
    rate_hz: float
    read: Callable[[int, int], NDArray]
    start_s: float = 0.0
    um_per_px: float | None = None

    def frames(self, start: int, stop: int) -> NDArray[np.float32]:
        """Read frames start … stop − 1 in single precision.

        Raises
        ------
        InputError
            A frame is missing or holds NaN or infinity.
        """
        frames = self.read(start, stop).astype(np.float32)
        if len(frames) != stop - start:
            raise InputError(
                f"the movie ends at frame {start + len(frames)} of {self.n_frames}; copy it again"
            )
        if not np.isfinite(frames).all():
            bad = np.flatnonzero(~np.isfinite(frames).all(axis=(1, 2)))
            raise InputError(
                f"frame {start + bad[0]} of the movie holds NaN or infinity; leave it out"
            )
        return frames

    def pieces(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Read the whole movie, some frames at a time: which ones, and their pixels."""
        length = max(1, PIECE_BYTES // (4 * self.height * self.width))
        for start in range(0, self.n_frames, length):
            piece = slice(start, min(start + length, self.n_frames))
            yield piece, self.frames(piece.start, piece.stop)

    def sample(self, most: int, most_bytes: float) -> NDArray[np.float32]:
        """Read frames from all over the movie, evenly spaced: `most`, or as many as fit."""
        n = min(self.n_frames, most, max(2, int(most_bytes // (4 * self.height * self.width))))
        sampled = np.empty((n, self.height, self.width), np.float32)
        for place, frame in enumerate(np.linspace(0, self.n_frames - 1, n).astype(int)):
            sampled[place] = self.frames(frame, frame + 1)[0]
        return sampled
