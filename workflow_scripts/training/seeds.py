"""Random numbers that depend on the seed and the step alone, so that a resumed run draws alike."""

from __future__ import annotations

import numpy as np
import torch


def step_seed(seed: int, step: int, stream: int = 0) -> int:
    """Seed of one training step, independent of all other steps and streams."""
    return int(np.random.SeedSequence((seed, step, stream)).generate_state(1, np.uint64)[0] >> 1)


def step_generator(seed: int, step: int, device: torch.device) -> torch.Generator:
    """Random numbers of one training step, alike in all processes."""
    return torch.Generator(device).manual_seed(step_seed(seed, step))
