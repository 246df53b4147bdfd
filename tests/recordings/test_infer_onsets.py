"""The stage on the real recordings: what it finds is what the sessions are cut by."""

from pathlib import Path

import numpy as np
import pytest

from workflow_scripts.infer_onsets import InferOnsetsOptions, infer_onsets
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import open_store

RETINA = Path(__file__).parents[2] / "resources" / "retina_onken2017"
OUTLINES = RETINA / "receptivefields" / "NaturalImages1.mat"


@pytest.mark.parametrize(
    ("movie", "n_kept"), [pytest.param(1, 45, marks=pytest.mark.slow), (2, 47)]
)
def test_the_real_pieces_lie_on_one_grid(tmp_path, movie, n_kept):
    infer_onsets(
        RETINA / "spikes" / f"Movie{movie}Exp1.mat", OUTLINES, RETINA / f"movie{movie}.mp4",
        tmp_path / "onsets.zarr", InferOnsetsOptions(n_permutations=100),
    )  # fmt: skip
    found = open_store(tmp_path / "onsets.zarr", load=True)
    # Each movie is fitted freely; both give the same grid, and every stretch of it fits alone.
    assert found["interval_length_s"].item() == pytest.approx(0.806, abs=0.001)
    assert found["first_onset_s"].item() == pytest.approx(3.86, abs=0.03)
    assert np.abs(found["block_shift_s"]).max() < 0.05
    assert found["best_score"].item() > 0.38
    # At onsets that half of the cells choose, the others score as high, and no permutation does.
    assert found["held_out_score"].item() > 0.38
    assert (found["null_score"] < found["held_out_score"]).all()
    scores = found["score"].to_numpy()
    assert (np.nanmax(scores) - np.nanmean(scores)) / np.nanstd(scores) > 12
    kept = found["kept"].to_numpy()
    assert kept.sum() == n_kept
    assert np.diff(found["onset_s"].to_numpy()[kept]).min() > 0.8


def test_outlines_of_another_retina_are_refused(tmp_path):
    with pytest.raises(InputError, match="54 outlines for 38 cells"):
        infer_onsets(
            RETINA / "spikes" / "Movie1Exp1.mat", RETINA / "receptivefields" / "Gratings.mat",
            RETINA / "movie1.mp4", tmp_path / "onsets.zarr", InferOnsetsOptions(),
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
