"""The image that a two-photon movie is registered to."""

from __future__ import annotations

import numpy as np

from workflow_scripts.recordings.registration import (
    Image,
    Motion,
    Registration,
    RegistrationParameters,
)

ROUNDS = 4
SIMILAR_FRAMES = 20


def reference_image(frames: Image, parameters: RegistrationParameters) -> Image:
    """Sharp mean image (y, x) of some hundred frames (time, y, x) from all over the movie.

    Starts from the frames most like each other, then aligns all and averages the better half, a few
    times and the last time with blocks, and keeps the tissue at its mean position.
    """
    reference = _similar_frames(frames).mean(0)
    rigid = RegistrationParameters(parameters.largest_shift_px, block_px=0)
    unused = np.zeros(reference.shape, np.int32)
    for following in (*[rigid] * (ROUNDS - 1), parameters):
        registration = Registration(reference, following)
        motions = [registration.motion(frame) for frame in frames]
        peaks = np.array([motion.peak for motion in motions])
        better = np.flatnonzero(peaks >= np.median(peaks))
        mean_shift = np.mean([motions[frame].shift_px for frame in better], axis=0)
        mean_bend = np.mean([motions[frame].bend_px for frame in better], axis=0)
        total = np.zeros(reference.shape)
        for frame in better:
            shift, bend, peak = motions[frame]
            centred = Motion(shift - mean_shift, bend - mean_bend, peak)
            total += registration.align(frames[frame], centred, unused)
        reference = (total / len(better)).astype(np.float32)
    return reference


def _similar_frames(frames: Image) -> Image:
    """Return the frame most correlated with its best partners, and those partners."""
    height, width = (size // 2 * 2 for size in frames.shape[1:])
    small = frames[:, :height, :width].reshape(len(frames), height // 2, 2, width // 2, 2)
    flat = small.mean((2, 4)).reshape(len(frames), -1)
    flat = flat - flat.mean(1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    correlation = flat @ flat.T
    partners = np.argsort(-correlation, axis=1)[:, :SIMILAR_FRAMES]
    best = np.take_along_axis(correlation, partners, 1).mean(1).argmax()
    return frames[partners[best]]
