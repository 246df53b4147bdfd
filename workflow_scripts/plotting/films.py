"""Films: frames drawn by matplotlib, written as H.264 in MP4, which browsers play."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.provenance import stable

Frame = NDArray[np.uint8]
"""RGB, (y, x, 3)."""
QUALITY = "20"  # constant rate factor of x264: text stays sharp


class FrameCanvas:
    """Draws frames that differ in some artists; the rest is drawn once.

    Parameters
    ----------
    figure : Figure
        Complete, its layout as in the first frame.
    moving : sequence of Artist
        What changes from frame to frame, in the order of drawing.
    """

    def __init__(self, figure: Figure, moving: Sequence[Artist]) -> None:
        self._figure, self._moving = figure, moving
        for artist in moving:
            artist.set_animated(True)
        self._canvas = FigureCanvasAgg(figure)
        self._canvas.draw()
        self._still = self._canvas.copy_from_bbox(figure.bbox)

    def frame(self) -> Frame:
        """Draw the figure as it is now; sides are even, as the codec needs them."""
        self._canvas.restore_region(self._still)
        for artist in self._moving:
            self._figure.draw_artist(artist)
        image = np.asarray(self._canvas.buffer_rgba())[..., :3]
        height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
        return image[:height, :width].copy()


def write_film(
    path: Path, frames: Iterable[Frame], rate_hz: float, provenance: dict[str, Any]
) -> None:
    """Write frames of one size as MP4, atomically.

    Parameters
    ----------
    path : Path
    frames : iterable of Frame
        With even sides.
    rate_hz : float
        Frames per second.
    provenance : dict
        From `stores.provenance.provenance`; kept in the file's comment, but for what changes from
        run to run.
    """
    rate = Fraction(rate_hz).limit_denominator(1000)
    with atomic_path(path) as temporary:
        options = {"movflags": "+faststart"}
        with av.open(str(temporary), "w", format="mp4", options=options) as film:
            film.metadata["comment"] = json.dumps(stable(provenance), sort_keys=True)
            # One thread, because the bytes depend on their number.
            settings = {"crf": QUALITY, "threads": "1"}
            stream = film.add_stream("libx264", rate=rate, options=settings)
            stream.pix_fmt = "yuv420p"
            for index, image in enumerate(frames):
                if index == 0:
                    stream.height, stream.width = image.shape[:2]
                film.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            film.mux(stream.encode())
