"""The real salamander retina, and damaged copies of it."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.io import loadmat, savemat

from workflow_scripts.recordings.readers.onken import (
    MOVIE_CENTRE_PX,
    piece_raster,
    read_onken_flashes,
    read_onken_movie,
    read_outline_masks,
    read_pieces,
)
from workflow_scripts.recordings.reliability import add_reliability
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import variable, write_store

RETINA = Path(__file__).parents[2] / "resources" / "retina_onken2017"
SPIKES, OUTLINES = RETINA / "spikes", RETINA / "receptivefields"
ATTRIBUTES = {"session_id": "retina"}


def read_images():
    return read_onken_flashes(
        SPIKES / "NaturalImages1.mat", OUTLINES / "NaturalImages1.mat",
        RETINA / "natural_images.npz", 0.03, ATTRIBUTES,
    )  # fmt: skip


@pytest.fixture(scope="module")
def natural_images():
    return add_reliability(read_images())


def test_natural_images_are_as_reliable_as_published(natural_images):
    """The data set's README: trial split-half r .99 (Spearman–Brown, all 30 trials)."""
    assert natural_images["split_half_corrected_r"].mean() == pytest.approx(0.99, abs=0.005)
    assert natural_images["split_half_corrected_r"].min() > 0.96


def test_outlines_fall_on_what_the_cells_see(natural_images):
    """Mean |r| of grey level in the outline and spike count, over 60 images: about .6."""
    r = natural_images["outline_luminance_r"]
    assert np.abs(r).mean() == pytest.approx(0.63, abs=0.02)
    assert (r < 0).sum() >= 36  # nearly all are OFF cells


def test_no_spike_is_lost(natural_images):
    cells = loadmat(SPIKES / "NaturalImages1.mat")["Spikes"]
    total = sum(times.size for stimulus in cells.flat for times in stimulus.flat)
    assert natural_images["response"].sum() == total
    assert natural_images["time_course"].sum() == total
    one = cells[7, 0][4, 12].size
    trial = np.flatnonzero(natural_images["stimulus_id"] == 7)[12]
    assert natural_images["response"][4, trial] == one


def test_gratings_have_their_own_retina():
    session = read_onken_flashes(
        SPIKES / "Gratings.mat",
        OUTLINES / "Gratings.mat",
        RETINA / "gratings.npz",
        0.03,
        ATTRIBUTES,
    )
    assert session["response"].shape == (54, 1800)
    assert session["image"].shape == (60, 1, 600, 600)
    assert np.nanmean(np.abs(session["outline_luminance_r"])) > 0.6


@pytest.fixture
def onsets(tmp_path):
    kept = np.arange(60) < 45
    onset_s = variable("piece", 3.8 + 0.8 * np.arange(60), "s", "onset")
    store = xr.Dataset({"onset_s": onset_s, "kept": variable("piece", kept, "1", "kept")})
    write_store(tmp_path / "onsets.zarr", store, {"stage": "test"})
    return tmp_path / "onsets.zarr"


def test_movie_pieces_are_stimuli_with_onsets(onsets):
    session = read_onken_movie(
        SPIKES / "Movie1Exp1.mat", OUTLINES / "NaturalImages1.mat", onsets,
        bin_s=1 / 30, frame_shape=(90, 90), attributes=ATTRIBUTES,
    )  # fmt: skip
    assert session.attrs["onsets"] == "inferred"
    assert session["response"].shape == (38, 45 * 30)
    np.testing.assert_allclose(session["onset_s"], 3.8 + 0.8 * np.arange(45))
    assert session["receptive_field"].shape == (38, 90, 90)
    times = loadmat(SPIKES / "Movie1Exp1.mat")["Spikes"][3, 8].ravel()
    trial = (session["stimulus_id"] == 11).to_numpy() & (session["repeat"] == 8).to_numpy()
    in_piece = times[(times > 3300) & (times <= 3600)] - 3300
    expected = np.histogram(in_piece - 0.5, np.linspace(0, 300, 10))[0]
    np.testing.assert_array_equal(session["time_course"][3, trial][0], expected)
    reliability = add_reliability(session)["split_half_corrected_r"]
    assert reliability.mean() > 0.95


def test_raster_holds_every_millisecond():
    pieces = read_pieces(SPIKES / "Movie2Exp1.mat")
    raster = piece_raster(pieces, SPIKES)
    assert raster.shape == (38, 30, 60, 300)
    for cell, trial in ((0, 0), (20, 13), (37, 29)):
        times = np.flatnonzero(raster[cell, trial].ravel()) + 1
        np.testing.assert_array_equal(times, np.unique(pieces[cell, trial]))


def test_outlines_scale_with_a_smaller_copy_of_the_movie():
    full = read_outline_masks(OUTLINES / "NaturalImages1.mat", 38, (360, 360), MOVIE_CENTRE_PX, 360)
    half = read_outline_masks(OUTLINES / "NaturalImages1.mat", 38, (180, 180), MOVIE_CENTRE_PX, 360)
    np.testing.assert_allclose(half.sum((1, 2)) * 4, full.sum((1, 2)), rtol=0.15)
    for one, other in zip(full, half, strict=True):
        centre = np.argwhere(one).mean(axis=0) / 2
        np.testing.assert_allclose(np.argwhere(other).mean(axis=0), centre, atol=0.5)


def cell_array(shape, fill):
    cells = np.empty(shape, object)
    for index in np.ndindex(shape):
        cells[index] = fill(index)
    return cells


@pytest.fixture
def small(tmp_path):
    """Writes a recording of 2 cells, 3 stimuli and 4 trials, with one part replaced."""

    def write(spikes=None, outlines=None, images=None):
        times = cell_array((2, 4), lambda index: np.arange(1, 4 + index[1])[:, None] * 20)
        spikes = {"Spikes": cell_array((3, 1), lambda _: times)} if spikes is None else spikes
        square = np.array([[400.0, 410, 410, 400], [300, 300, 310, 310]])
        outlines = (
            {"ReceptiveFields": cell_array((1, 2), lambda _: square)}
            if outlines is None
            else outlines
        )
        images = (
            {"images": np.arange(3 * 256 * 256).reshape(3, 256, 256) % 256}
            if images is None
            else images
        )
        savemat(tmp_path / "spikes.mat", spikes)
        savemat(tmp_path / "outlines.mat", outlines)
        np.savez(tmp_path / "images.npz", **images)
        return tmp_path / "spikes.mat", tmp_path / "outlines.mat", tmp_path / "images.npz"

    return write


def test_the_small_recording_itself_is_read(small):
    session = read_onken_flashes(*small(), 0.03, ATTRIBUTES)
    assert session["response"].shape == (2, 12)
    assert session["response"][0].to_numpy().tolist() == [3, 4, 5, 6] * 3


def spikes_of(times, shape=(2, 4)):
    return {"Spikes": cell_array((3, 1), lambda _: cell_array(shape, lambda _: times))}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"spikes": {"Spike": 1}}, r"spikes\.mat: no variable 'Spikes'; it has \['Spike'\]"),
        ({"spikes": {"Spikes": np.ones((3, 1))}}, "'Spikes' is no cell array"),
        ({"spikes": spikes_of(np.array([0.02, 0.1]))}, "expected ms from 1 to 300"),
        ({"spikes": spikes_of(np.array([500.0]))}, "expected ms from 1 to 300"),
        ({"spikes": spikes_of(np.array([20.0, np.nan]))}, "cell 0, trial 0 holds .* NaN"),
        ({"spikes": spikes_of("text")}, "holds no spike times"),
        ({"spikes": spikes_of(np.array([20.0]), (2, 1))}, "without repeats no reliability"),
        ({"outlines": {"RF": 1}}, r"outlines\.mat: no variable 'ReceptiveFields'"),
        ({"outlines": {"ReceptiveFields": cell_array((1, 3), lambda _: np.ones((2, 9)))}},
         "3 outlines for 2 cells"),
        ({"outlines": {"ReceptiveFields": cell_array((1, 2), lambda _: np.ones((3, 9)))}},
         "not an array of 2 × vertices"),
        ({"outlines": {"ReceptiveFields": cell_array((1, 2), lambda _: np.full((2, 9), np.nan))}},
         "NaN or infinite"),
        ({"images": {"pictures": np.ones((3, 4, 4))}}, "not an .npz file with 'images'"),
        ({"images": {"images": np.full((2, 4, 4), 99)}}, "for 3 stimuli"),
        ({"images": {"images": np.ones((3, 4, 4)) - 2}}, "expected grey levels 0 to 255"),
    ],
)  # fmt: skip
def test_unusable_recordings_are_refused(small, parts, message):
    with pytest.raises(InputError, match=message):
        read_onken_flashes(*small(**parts), 0.03, ATTRIBUTES)


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_truncated_files_are_refused(small, part, keep):
    paths = small()
    content = paths[part].read_bytes()
    paths[part].write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match=paths[part].name):
        read_onken_flashes(*paths, 0.03, ATTRIBUTES)


@pytest.fixture
def movie(tmp_path, onsets):
    """Reads 2 cells × 4 trials of a movie's 60 pieces, of which one part is replaced."""

    def read(spikes=None, outlines=None, bin_s=0.1, damage=lambda folder: None):
        times = cell_array((2, 4), lambda index: np.arange(20.0, 18_000, 40 + index[1])[:, None])
        square = np.array([[400.0, 410, 410, 400], [300, 300, 310, 310]])
        fields = cell_array((1, 2), lambda _: square) if outlines is None else outlines
        savemat(tmp_path / "spikes.mat", {"Spikes": times} if spikes is None else spikes)
        savemat(tmp_path / "outlines.mat", {"ReceptiveFields": fields})
        damage(tmp_path)
        raster = piece_raster(read_pieces(tmp_path / "spikes.mat"), tmp_path / "spikes.mat")
        assert raster.shape[:2] == (2, 4)
        return read_onken_movie(
            tmp_path / "spikes.mat", tmp_path / "outlines.mat", onsets,
            bin_s=bin_s, frame_shape=(90, 90), attributes=ATTRIBUTES,
        )  # fmt: skip

    return read


def pieces_of(times, shape=(2, 4)):
    return {"Spikes": cell_array(shape, lambda _: times)}


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spikes": {"Spike": 1}}, r"spikes\.mat: no variable 'Spikes'"),
        ({"spikes": pieces_of(np.array([20.0]), (2, 1))}, "without repeats no reliability"),
        ({"spikes": {"Spikes": cell_array((2, 2, 2), lambda _: np.ones(1))}}, "cells × trials"),
        ({"spikes": pieces_of(np.array([20.0, np.nan]))}, "cell 0, trial 0 holds .* NaN"),
        ({"spikes": pieces_of("text")}, "cell 0, trial 0 holds no spike times"),
        ({"spikes": pieces_of(np.array([0.02, 17.9]))}, "times from 0.02 to 17.9; expected ms"),
        ({"spikes": pieces_of(np.array([20.0, 18_300]))}, "expected ms from 1 to 18000"),
        ({"outlines": cell_array((1, 3), lambda _: np.ones((2, 9)))}, "3 outlines for 2 cells"),
        ({"bin_s": 0.07}, "not a whole number of bins"),
        ({"damage": lambda f: cut(f / "spikes.mat")}, r"spikes\.mat: not a readable \.mat"),
        ({"damage": lambda f: cut(f / "outlines.mat")}, r"outlines\.mat: not a readable \.mat"),
        ({"damage": lambda f: (f / "onsets.zarr/zarr.json").unlink()}, r"onsets\.zarr"),
    ],
)
def test_unusable_movie_recordings_are_refused(movie, change, message):
    assert movie()["response"].shape == (2, 45 * 4)
    with pytest.raises(InputError, match=message):
        movie(**change)


def test_bins_that_do_not_fill_the_piece_are_refused(small):
    with pytest.raises(InputError, match="not a whole number of bins"):
        read_onken_flashes(*small(), 0.07, ATTRIBUTES)
