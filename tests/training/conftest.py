import numpy as np
import pytest

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
