"""Cells are the same whether the image is searched at once or tile by tile."""

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

from workflow_scripts.recordings.binned_movie import BinnedMovie
from workflow_scripts.recordings.footprints import match_by_overlap
from workflow_scripts.recordings.roi_extraction import RoiParameters, find_rois
from workflow_scripts.recordings.tiled_extraction import WORKING_COPIES, find_rois_by_tile, tiles
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import open_store, variable, write_store

DIAMETER_PX, N_BINS = 6.0, 80


@pytest.fixture
def movie_of(tmp_path):
    def stored(values):
        binned = variable(("bin", "y", "x"), values, "counts", "registered movie")
        write_store(tmp_path / "r.zarr", xr.Dataset({"binned": binned}), {})
        return BinnedMovie(open_store(tmp_path / "r.zarr")["binned"], 0.5)

    return stored


@pytest.fixture(scope="module")
def crowd():
    """Cells all over the image, many of them on borders of tiles and overlapping."""
    rng, size = np.random.default_rng(0), (80, 100)
    rows, columns = np.indices(size)
    movie = rng.standard_normal((N_BINS, *size)).astype(np.float32)
    for row in range(8, 74, 9):
        for column in range(6, 96, 11):
            place = row + rng.uniform(-1, 1), column + 2 * rng.uniform(-1, 1)
            disc = (np.hypot(rows - place[0], columns - place[1]) < DIAMETER_PX / 2).astype(float)
            trace = 6 * (rng.random(N_BINS) < 0.1) * rng.uniform(0.5, 1.5, N_BINS)
            movie += (trace[:, None, None] * gaussian_filter(disc, 0.7)).astype(np.float32)
    return movie + 2 * rng.standard_normal((N_BINS, 1, 1)).astype(np.float32)


@pytest.mark.parametrize("n_bytes", [0.9e6, 1.4e6])
def test_tiling_changes_no_cell(crowd, movie_of, n_bytes):
    movie = movie_of(crowd)
    n_tiles = len(list(tiles(movie, DIAMETER_PX, n_bytes)))
    assert n_tiles > 2
    usable = np.ones(crowd.shape[1:], bool)
    usable[:4] = False
    whole = find_rois(crowd.copy(), 0.5, DIAMETER_PX, RoiParameters(), usable)
    memory_bytes = n_bytes * WORKING_COPIES
    tiled = find_rois_by_tile(movie, DIAMETER_PX, RoiParameters(), memory_bytes, usable)
    pairs = match_by_overlap(tiled.footprints, whole.footprints, 0.9)
    print(f"{n_tiles} tiles, {len(whole.activity)} cells, {len(pairs)} the same")
    assert len(whole.activity) > 50
    assert len(pairs) == len(whole.activity) == len(tiled.activity)
    np.testing.assert_allclose(tiled.activity[pairs[:, 0]], whole.activity[pairs[:, 1]], rtol=0.05)
    assert (np.diff(tiled.activity) <= 0).all()


@pytest.mark.parametrize("size", [(90, 130), (64, 300), (131, 97)])
@pytest.mark.parametrize("n_bytes", [0.9e6, 1.4e6, 1e9])
def test_tiles_cover_the_image_once_and_fit_into_memory(movie_of, size, n_bytes):
    movie, times_seen = movie_of(np.zeros((N_BINS, *size), np.float32)), np.zeros(size, int)
    for tile in tiles(movie, DIAMETER_PX, n_bytes):
        times_seen[tile.low[0] : tile.high[0], tile.low[1] : tile.high[1]] += 1
        assert movie.read(tile.window).nbytes <= n_bytes
        for side, low, high, extent in zip(tile.window, tile.low, tile.high, size, strict=True):
            assert side.start <= max(low - 2 * DIAMETER_PX, 0)
            assert side.stop >= min(high + 2 * DIAMETER_PX, extent)
    assert (times_seen == 1).all()


def test_a_movie_that_no_tile_of_fits_is_refused(crowd, movie_of):
    usable = np.ones(crowd.shape[1:], bool)
    with pytest.raises(InputError, match=r"80 bins of 0\.5 s do not fit"):
        find_rois_by_tile(movie_of(crowd), DIAMETER_PX, RoiParameters(), 1e5, usable)
