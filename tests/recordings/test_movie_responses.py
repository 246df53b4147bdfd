import numpy as np
import pytest
import xarray as xr

from workflow_scripts.recordings.movie_responses import outlines_of, responses_on_frames
from workflow_scripts.recordings.sessions import add_images, add_time_course, trial_session
from workflow_scripts.recordings.stimulus_video import flashed_images
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import variable


def session(n_bins=3, bin_s=1 / 30, n_stimuli=2, n_trials=4):
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (2, n_stimuli * n_trials, n_bins))
    stimulus = np.tile(np.arange(n_stimuli), n_trials)
    trials = trial_session(
        counts.sum(axis=2), stimulus, response_units="spikes",
        stimulus_names=[str(k) for k in range(n_stimuli)], attributes={"session_id": "here"},
    )  # fmt: skip
    split = np.array(["train", "test"], dtype=object)[stimulus % 2]
    trials = trials.assign_coords(split=variable("trial", split, "1", "split"))
    return add_time_course(trials, counts, np.arange(n_bins) * bin_s, bin_s), counts, stimulus


def test_means_over_trials_lie_on_their_frames():
    trials, counts, stimulus = session()
    laid = responses_on_frames(trials, [0.1, 1.0], 30.0, 40)
    assert np.flatnonzero(laid.stimulus == 0).tolist() == [3, 4, 5]
    assert np.flatnonzero(laid.stimulus == 1).tolist() == [30, 31, 32]
    for one, frames in ((0, slice(3, 6)), (1, slice(30, 33))):
        expected = counts[:, stimulus == one].mean(axis=1) * 30
        np.testing.assert_allclose(laid.rate_hz[:, frames], expected, rtol=1e-5)
    assert np.isnan(laid.rate_hz[:, laid.stimulus < 0]).all()
    assert laid.split.tolist() == ["train", "test"]
    assert laid.pieces == [(3, 3), (30, 3)]
    assert laid.without("test").pieces == [(3, 3)]


@pytest.mark.parametrize(("onset_s", "first"), [(0.1 + 0.4 / 30, 3), (0.1 + 0.6 / 30, 4)])
def test_bins_go_to_the_nearest_frame(onset_s, first):
    laid = responses_on_frames(session()[0], [onset_s, 1.0], 30.0, 40)
    assert np.flatnonzero(laid.stimulus == 0)[0] == first


def test_two_bins_in_one_frame_are_averaged():
    trials, counts, stimulus = session(n_bins=10, bin_s=0.03)
    laid = responses_on_frames(trials, [0.0, 1.0], 30.0, 40)
    spikes = (laid.rate_hz[:, :9] / 30).sum(axis=1)
    np.testing.assert_allclose(spikes, counts[:, stimulus == 0].mean(axis=1).sum(axis=1), rtol=0.15)
    assert (laid.stimulus[:9] == 0).all()


def test_hidden_splits_are_gone():
    laid = responses_on_frames(session()[0], [0.1, 1.0], 30.0, 40).without("test")
    assert set(laid.stimulus) == {-1, 0}
    assert np.isnan(laid.rate_hz[:, 30:33]).all()


@pytest.mark.parametrize(
    ("onset_s", "said"), [([0.1, 2.0], "do not fit a movie"), ([0.1, 0.15], "overlap")]
)
def test_what_does_not_fit_the_movie_is_refused(onset_s, said):
    with pytest.raises(InputError, match=said):
        responses_on_frames(session()[0], onset_s, 30.0, 40)


def test_outlines_are_in_shown_pixels_whatever_the_masks_resolution():
    masks = np.zeros((2, 20, 20), dtype=bool)
    masks[0, 4:8, 10:12] = True
    masks[1, 0, 0] = True
    trials = session()[0].assign(receptive_field=variable(("unit", "y", "x"), masks, "1", "inside"))
    outlines = outlines_of(trials, shown_height_px=80)
    np.testing.assert_allclose(outlines.centre_px, [[24, 44], [2, 2]])
    assert outlines.px == 4
    empty = trials.assign(receptive_field=xr.zeros_like(trials["receptive_field"]))
    with pytest.raises(InputError, match="cell 0 holds no pixel"):
        outlines_of(empty, 80)
    with pytest.raises(InputError, match="no receptive-field outlines"):
        outlines_of(session()[0], 80)


def test_flashed_images_become_a_movie_with_grey_between():
    images = np.zeros((2, 1, 8, 8), dtype=np.uint8)
    images[0], images[1, 0, :4] = 200, 100
    trials = add_images(session(n_bins=10, bin_s=0.03)[0], images)
    video = flashed_images(trials, scale_px=4.0, frame_rate_hz=30.0, blank_s=0.5)
    assert video.frames.shape == (2 * (15 + 9), 2, 2)
    np.testing.assert_allclose(video.onset_s, [0.5, 1.3])
    assert (video.frames[15:24] == 200).all()
    assert (video.frames[39, 0] == 100).all()
    assert (video.frames[39, 1] == 0).all()
    assert (video.frames[:15] == round(float(images.mean()))).all()
    assert video.shown_height_px == 8
    with pytest.raises(InputError, match="neither a movie nor images"):
        flashed_images(session()[0], 4.0, 30.0, 0.5)
