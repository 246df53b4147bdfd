from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

WriteVideo = Callable[..., Path]


@pytest.fixture
def write_video(tmp_path: Path) -> WriteVideo:
    """Encode frames, uint8 (y, x) or (y, x, 3) each; lossless unless told otherwise."""

    def write(
        name: str,
        frames: Iterable[np.ndarray],
        *,
        rate_hz: float = 30,
        times_s: Sequence[float] | None = None,
        codec: str = "ffv1",
        pix_fmt: str | None = None,
        rotation_deg: float = 0,
        muxer: dict[str, str] | None = None,
        **settings: Any,
    ) -> Path:
        frames = iter(frames)
        first = next(frames)
        colour = first.ndim == 3
        rate = Fraction(rate_hz).limit_denominator(1001)
        with av.open(str(tmp_path / name), "w", options=muxer or {}) as container:
            stream = container.add_stream(codec, rate=rate)
            stream.height, stream.width = first.shape[:2]
            stream.pix_fmt = pix_fmt or ("bgr0" if colour else "gray")
            for key, value in settings.items():
                setattr(stream.codec_context, key, value)
            if rotation_deg:
                stream.set_display_rotation(rotation_deg)
            if times_s is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            for index, image in enumerate(chain([first], frames)):
                frame = VideoFrame.from_ndarray(image, format="rgb24" if colour else "gray")
                if times_s is not None:
                    frame.pts, frame.time_base = round(1000 * times_s[index]), Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return tmp_path / name

    return write


@pytest.fixture
def texture() -> np.ndarray:
    """A drifting texture, uint8 (time, y, x) = (60, 48, 64), two pixels to the right per frame."""
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.integers(0, 256, (12, 16)), np.ones((4, 4)))
    return np.stack([np.roll(coarse, 2 * k, axis=1) for k in range(60)]).astype(np.uint8)
