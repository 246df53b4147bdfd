"""Raw two-photon movies that are read piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from numpy.typing import NDArray


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
    """

    n_frames: int
    height: int
    width: int
    rate_hz: float
    read: Callable[[int, int], NDArray]
