import dataclasses
import json
import os

import numpy as np
import pytest
from torch.optim.optimizer import register_optimizer_step_post_hook

from workflow_scripts.read_session import ReadSessionOptions, read_session
from workflow_scripts.recordings.splits import SplitOptions
from workflow_scripts.simulate_mouse import SimulateMouseOptions, simulate_mouse


@pytest.fixture(scope="session")
def mice(tmp_path_factory):
    """Session stores of two small simulated mice."""
    folder = tmp_path_factory.mktemp("mice")
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (20, 15, 20), dtype=np.uint8)
    np.savez(folder / "images.npz", images=coarse.repeat(4, axis=1).repeat(4, axis=2))
    stores = []
    for seed in range(2):
        options = SimulateMouseOptions(
            seed=seed, n_neurons=12, n_train=60, n_validation=10, n_test=8, n_repeats=4,
            image_shape=(1, 18, 24),
        )  # fmt: skip
        simulate_mouse(folder / "images.npz", folder / f"mouse{seed}.zip", options)
        store = folder / f"mouse{seed}.zarr"
        read = ReadSessionOptions(
            f"mouse{seed}", "sensorium2022", split=SplitOptions(rule="published")
        )
        read_session(folder / f"mouse{seed}.zip", store, read)
        stores.append(store)
    return stores


def _lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def _train(stage, arguments, options):
    """Run a training; returns its last weights, which only one process writes."""
    weights = []

    def remember(optimizer, *_):
        groups = optimizer.param_groups
        weights[:] = [one.detach().numpy().copy() for group in groups for one in group["params"]]

    hook = register_optimizer_step_post_hook(remember)
    stage(**arguments, options=options)
    hook.remove()
    return weights


@pytest.fixture
def two_follow_one(two_processes, tmp_path):
    """Train alone and in two processes, and compare losses and weights.

    Given the stage, the arguments of its call for a folder of outputs, and its options. Each
    process has a folder of its own: the second one's stays empty. What is named in `but` may
    differ more.
    """

    def compare(stage, arguments, options, but=()):
        one, first, second = (tmp_path / name for name in ("one", "first", "second"))
        for folder in (one, first, second):
            folder.mkdir()
        stage(**arguments(one), options=options)
        together = dataclasses.replace(
            options, machine=dataclasses.replace(options.machine, devices=2)
        )
        weights = two_processes(
            lambda: _train(
                stage, arguments(first if os.environ["RANK"] == "0" else second), together
            )
        )
        for a, b in zip(*weights, strict=True):
            np.testing.assert_array_equal(a, b)
        assert not list(second.iterdir())
        pairs = list(zip(_lines(one), _lines(first), strict=True))
        assert sum("loss" in alone for alone, _ in pairs) >= 20
        worst = {}
        for alone, shared in pairs:
            assert alone.keys() == shared.keys()
            for name, value in alone.items():
                difference = abs(shared[name] - value) / (abs(value) or 1)
                worst[name] = max(worst.get(name, 0), difference)
        print("largest relative differences:", {n: f"{v:.0e}" for n, v in worst.items()})
        assert worst.pop("gradient_norm") < 1e-3  # sums of many roundings
        assert max(value for name, value in worst.items() if name not in but) < 1e-4

    return compare
