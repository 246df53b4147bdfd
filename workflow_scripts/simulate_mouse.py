"""Simulate one mouse's V1 in the layout of Sensorium 2022, with its truth."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.recordings.readers.checks import load_images
from workflow_scripts.recordings.v1_simulator import (
    Behaviour,
    draw_behaviour,
    draw_population,
    drive,
    expected_response,
    natural_crops,
    shift_by_gaze,
)
from workflow_scripts.stores.atomic import atomic_path
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError

# Any fixed date makes equal content equal bytes.
_DATE = (1980, 1, 1, 0, 0, 0)
# The share of the source images that only test images, and only validation images, come from.
_TEST_SOURCES, _VALIDATION_SOURCES = 0.2, 0.1


@dataclass(frozen=True)
class SimulateMouseOptions:
    """Options of `simulate_mouse`.

    Attributes
    ----------
    seed : int
        Seed of the mouse: its cells, behaviour, training images and noise. Test images are the
        same for all mice.
    n_neurons : int
        Cells.
    n_train, n_validation, n_test : int
        Images of each split; training and validation images are shown once.
    n_repeats : int
        Presentations of each test image.
    image_shape : (channel, y, x)
        Pixels of an image; two channels make the layout that of Franke et al. (2022).
    """

    seed: int
    n_neurons: int = 150
    n_train: int = 1500
    n_validation: int = 150
    n_test: int = 60
    n_repeats: int = 10
    image_shape: tuple[int, int, int] = (1, 36, 64)

    def __post_init__(self) -> None:
        counts = (self.n_neurons, self.n_train, self.n_validation, self.n_test, *self.image_shape)
        if min(counts) < 1 or self.n_repeats < 2 or self.image_shape[0] > 2:
            raise InputError("simulated mouse: needs 1 or 2 channels, 2 repeats, no count below 1")


def simulate_mouse(images: Path, mouse: Path, options: SimulateMouseOptions) -> None:
    """Simulate one mouse.

    Parameters
    ----------
    images : Path
        .npz with natural ``images`` (image, y, x), of which crops are shown. No source image
        serves two splits.
    mouse : Path
        .zip file to write, in the published layout, with the truth in ``meta/truth``: the
        population's properties and ``expected_response`` (neuron × trial).
    options : SimulateMouseOptions

    Raises
    ------
    InputError
        The images are too few or too small.
    """
    rng = np.random.default_rng(options.seed)
    population = draw_population(options.n_neurons, options.image_shape, rng)
    shown, stimulus, tiers = _draw_stimuli(images, options, rng)
    order = rng.permutation(len(stimulus))
    stimulus, tiers = stimulus[order], tiers[order]
    behaviour = draw_behaviour(len(stimulus), rng)
    driven = drive(population, shown[stimulus], shift_by_gaze(behaviour.pupil_centre))
    expected = expected_response(population, driven, behaviour.arousal)
    truth = {f"{name}__{units}": values for name, units, values in population.items()}
    truth["expected_response__spikes"] = expected
    meta = {
        "trials/tiers": tiers,
        f"trials/{_ID_FILES[options.image_shape[0]]}": stimulus,
        "trials/trial_idx": np.arange(len(stimulus)),
        "neurons/cell_motor_coordinates": np.column_stack(
            [population.x_um, population.y_um, population.z_um]
        ),
        "neurons/unit_ids": np.arange(options.n_neurons),
        "neurons/area": np.full(options.n_neurons, "V1"),
        **{f"truth/{name}": values for name, values in truth.items()},
    }
    _write_archive(mouse, shown[stimulus], rng.poisson(expected), behaviour, meta)


_ID_FILES = {1: "frame_image_id", 2: "colorframeprojector_image_id"}


def _draw_stimuli(
    images: Path, options: SimulateMouseOptions, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.str_]]:
    """Draw the images of all splits: pixels, and each trial's image and tier."""
    sources = load_images(images)
    n_test = round(_TEST_SOURCES * len(sources))
    n_validation = round(_VALIDATION_SOURCES * len(sources))
    if min(n_test, n_validation) < 1:
        raise InputError(f"{images}: {len(sources)} images cannot be divided into three splits")
    parts = np.split(sources, [n_test, n_test + n_validation])
    counts = (options.n_test, options.n_validation, options.n_train)
    rngs = (np.random.default_rng(0), rng, rng)  # the same test images for every mouse
    shown = np.concatenate(
        [
            natural_crops(part, n, options.image_shape, one)
            for part, n, one in zip(parts, counts, rngs, strict=True)
        ]
    )
    repeats = np.where(np.arange(len(shown)) < options.n_test, options.n_repeats, 1)
    tiers = np.repeat(["test", "validation", "train"], counts)
    return shown, np.repeat(np.arange(len(shown)), repeats), np.repeat(tiers, repeats)


def _write_archive(
    path: Path,
    images: NDArray[np.uint8],
    responses: NDArray[np.integer],
    behaviour: Behaviour,
    meta: dict[str, NDArray],
) -> None:
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for trial in range(len(images)):
            _write_array(archive, f"data/images/{trial}", images[trial])
            _write_array(archive, f"data/responses/{trial}", responses[:, trial].astype("f4"))
            _write_array(archive, f"data/behavior/{trial}", behaviour.variables[trial])
            _write_array(archive, f"data/pupil_center/{trial}", behaviour.pupil_centre[trial])
        for name, values in meta.items():
            _write_array(archive, f"meta/{name}", values)


def _write_array(archive: zipfile.ZipFile, name: str, values: ArrayLike) -> None:
    entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(entry, "w") as file:
        np.lib.format.write_array(file, np.asarray(values), allow_pickle=False)


if __name__ == "__main__":
    run_stage(simulate_mouse)
