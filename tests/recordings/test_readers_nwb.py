"""NWB files written by pynwb."""

import datetime as dt

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from pynwb.image import ImageSeries
from pynwb.ophys import (
    Fluorescence,
    ImageSegmentation,
    OpticalChannel,
    RoiResponseSeries,
    TwoPhotonSeries,
)

from workflow_scripts.recordings.readers.nwb import (
    check_nwb_traces,
    open_nwb_movie,
    read_nwb_images,
    read_nwb_traces,
    read_nwb_trials,
    read_nwb_units,
)
from workflow_scripts.stores.errors import InputError

RATE_HZ, N_TIMES, N_ROIS = 10.0, 80, 3
MOVIE = np.random.default_rng(0).integers(0, 4000, (N_TIMES, 6, 8), np.uint16)
TRACES = np.random.default_rng(1).random((N_TIMES, N_ROIS))
SPIKES = [np.sort(np.random.default_rng(k).uniform(0, 60, 30 + k)) for k in range(4)]
IMAGES = np.random.default_rng(2).integers(0, 255, (5, 6, 8), np.uint8)


def imaging_plane(file, unit="micrometers"):
    channel = OpticalChannel(name="green", description="-", emission_lambda=510.0)
    return file.create_imaging_plane(
        name="plane", optical_channel=channel, description="-", device=file.create_device("scope"),
        excitation_lambda=920.0, indicator="GCaMP6f", location="VISp", imaging_rate=RATE_HZ,
        grid_spacing=[2.0, 4.0], grid_spacing_unit=unit,
    )  # fmt: skip


def add_traces(file, plane, data, series=("dff",), **timing):
    segmentation = ImageSegmentation()
    file.create_processing_module("ophys", "-").add(segmentation)
    rois = segmentation.create_plane_segmentation("-", plane, "rois")
    for k in range(N_ROIS):
        rois.add_roi(pixel_mask=[(k, 1, 1.0), (k, 3, 1.0)])
    for name in series:
        region = rois.create_roi_table_region("-", region=list(range(N_ROIS)))
        timing = timing or {"rate": RATE_HZ, "starting_time": 5.0}
        one = RoiResponseSeries(name=name, data=data, rois=region, unit="dF/F", **timing)
        file.processing["ophys"].add(Fluorescence(name=f"F_{name}", roi_response_series=[one]))


@pytest.fixture
def write(tmp_path):
    def write(fill):
        start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
        file = NWBFile(session_description="-", identifier="x", session_start_time=start)
        fill(file)
        with NWBHDF5IO(tmp_path / "session.nwb", "w") as io:
            io.write(file)
        return tmp_path / "session.nwb"

    return write


def with_movie(file, data=MOVIE, **timing):
    file.add_acquisition(
        TwoPhotonSeries(
            name="movie", imaging_plane=imaging_plane(file), data=data, unit="counts",
            **(timing or {"rate": RATE_HZ}),
        )
    )  # fmt: skip


def with_units(file):
    for times in SPIKES:
        file.add_unit(spike_times=times)


def with_trials(file, names=("a", "b", "a")):
    if names:
        file.add_trial_column("stimulus", "-")
    file.add_trial_column("direction", "-")
    for k, onset in enumerate((3.0, 1.0, 2.0)):
        name = {"stimulus": names[k]} if names else {}
        file.add_trial(start_time=onset, stop_time=onset + 0.5, direction=float(k % 2) * 90, **name)


def test_traces_with_their_clock_and_positions(write):
    path = write(lambda f: add_traces(f, imaging_plane(f), TRACES))
    session = read_nwb_traces(path, {"session_id": "s"})
    np.testing.assert_allclose(session["response"], TRACES.T, rtol=1e-6)
    np.testing.assert_allclose(session["time_s"], 5 + np.arange(N_TIMES) / RATE_HZ)
    np.testing.assert_allclose(session["x_um"], [0, 2, 4])
    np.testing.assert_allclose(session["y_um"], [8, 8, 8])
    assert session.attrs["area"] == "VISp"
    assert session.attrs["indicator"] == "GCaMP6f"
    assert session.attrs["sampling_rate_hz"] == pytest.approx(RATE_HZ)
    assert session["response"].attrs["units"] == "dF/F"


@pytest.mark.parametrize(
    ("unit", "um"),
    [("meters", 1e6), ("m", 1e6), ("mm", 1e3), ("centimeters", 1e4), ("um", 1), ("Micrometers", 1)],
)
def test_positions_are_in_the_unit_that_the_file_says(write, unit, um):
    path = write(lambda f: add_traces(f, imaging_plane(f, unit), TRACES))
    session = read_nwb_traces(path, {"session_id": "s"})
    np.testing.assert_allclose(session["x_um"], [0, 2 * um, 4 * um])


@pytest.mark.parametrize("unit", ["pixels", "n.a.", "mmm"])
def test_a_unit_that_is_none_is_refused(write, unit):
    path = write(lambda f: add_traces(f, imaging_plane(f, unit), TRACES))
    for read in (
        lambda: read_nwb_traces(path, {"session_id": "s"}),
        lambda: check_nwb_traces(path),
    ):
        with pytest.raises(InputError, match=r"plane: grid_spacing_unit .*; write it as meters"):
            read()


def test_traces_with_timestamps(write):
    stamps = np.cumsum(np.full(N_TIMES, 0.125))
    path = write(lambda f: add_traces(f, imaging_plane(f), TRACES, timestamps=stamps))
    np.testing.assert_allclose(read_nwb_traces(path, {"session_id": "s"})["time_s"], stamps)


def test_one_of_several_series_must_be_named(write):
    path = write(lambda f: add_traces(f, imaging_plane(f), TRACES, series=("dff", "spikes")))
    with pytest.raises(InputError, match=r"2 RoiResponseSeries; name one of \['dff', 'spikes'\]"):
        read_nwb_traces(path, {"session_id": "s"})
    assert read_nwb_traces(path, {"session_id": "s"}, series="spikes").sizes["unit"] == N_ROIS
    with pytest.raises(InputError, match="no RoiResponseSeries named 'raw'"):
        read_nwb_traces(path, {"session_id": "s"}, series="raw")


def spoil(traces, value):
    spoiled = traces.copy()
    spoiled[3, 1] = value
    return spoiled


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (with_units, "no RoiResponseSeries; name one of"),
        (lambda f: add_traces(f, imaging_plane(f), TRACES.T.copy()), "time × ROIs: transposed"),
        (lambda f: add_traces(f, imaging_plane(f), spoil(TRACES, np.nan)), "NaN or infinity in 1"),
        (lambda f: add_traces(f, imaging_plane(f), TRACES, timestamps=np.zeros(N_TIMES)),
         "not strictly increasing"),
        (lambda f: add_traces(f, imaging_plane(f), TRACES, timestamps=125.0 * np.arange(N_TIMES)),
         "rate 0.008 Hz is not between"),
        (lambda f: add_traces(f, imaging_plane(f), TRACES, rate=1e7), "not between 0.1 Hz and 100"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*")
def test_unusable_traces_are_refused(write, fill, message):
    path = write(fill)
    with pytest.raises(InputError, match=message):
        read_nwb_traces(path, {"session_id": "s"})
    if not {"NaN", "increasing"} & set(message.split()):  # values are read later
        with pytest.raises(InputError, match=message):
            check_nwb_traces(path)


@pytest.mark.filterwarnings("ignore:.*")
def test_timestamps_that_do_not_fit_are_refused(write):
    path = write(lambda f: with_movie(f, timestamps=np.arange(float(N_TIMES))))
    with h5py.File(path, "r+") as file:  # pynwb itself does not write such a file
        attributes = dict(file["acquisition/movie/timestamps"].attrs)
        del file["acquisition/movie/timestamps"]
        file["acquisition/movie/timestamps"] = np.arange(70.0)
        file["acquisition/movie/timestamps"].attrs.update(attributes)
    message = "70 timestamps for 80 samples|damaged NWB file"
    with pytest.raises(InputError, match=message), open_nwb_movie(path):
        pass


def read_movie(path):
    with open_nwb_movie(path) as movie:
        return [frames for _, frames in movie.pieces()]


READERS = {
    "traces": (
        lambda f: add_traces(f, imaging_plane(f), TRACES),
        lambda path: read_nwb_traces(path, {"session_id": "s"}),
    ),
    "units": (with_units, read_nwb_units),
    "trials": (with_trials, read_nwb_trials),
    "images": (lambda f: with_images(f, IMAGES), read_nwb_images),
    "movie": (with_movie, read_movie),
}


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.98])
@pytest.mark.parametrize("reader", READERS)
def test_truncated_files_are_refused(write, reader, keep):
    fill, read = READERS[reader]
    path = write(fill)
    read(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(InputError, match=r"session\.nwb: (not a readable|damaged) NWB file"):
        read(path)


def test_other_hdf5_files_and_missing_files_are_refused(tmp_path):
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        file["a"] = 1
    with pytest.raises(InputError, match=r"other\.nwb"):
        read_nwb_units(tmp_path / "other.nwb")
    with pytest.raises(InputError, match="no such file"):
        read_nwb_units(tmp_path / "none.nwb")


def test_units(write):
    trains = read_nwb_units(write(with_units))
    for read, written in zip(trains.times_s, SPIKES, strict=True):
        np.testing.assert_allclose(read, written)


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (with_movie, "no table Units"),
        (lambda f: f.add_unit(spike_times=np.array([1.0, np.nan])), "NaN or infinite"),
        (lambda f: f.add_unit(spike_times=np.array([-1.0, 2.0])), "negative"),
        (lambda f: f.add_unit(spike_times=np.array([], float)), "not one spike"),
        (lambda f: f.add_unit(spike_times=np.linspace(0, 0.1, 300)), "check their unit"),
    ],
)
def test_unusable_units_are_refused(write, fill, message):
    path = write(fill)
    with pytest.raises(InputError, match=message):
        read_nwb_units(path)


@pytest.mark.parametrize("ends", [[30, 61, 93, 200], [30, 61, 93, 120], [61, 30, 93, 126]])
def test_spike_times_that_do_not_fit_their_index_are_refused(write, ends):
    path = write(with_units)
    with h5py.File(path, "r+") as file:  # pynwb itself does not write such a file
        assert file["units/spike_times_index"][:].tolist() == [30, 61, 93, 126]
        file["units/spike_times_index"][:] = ends
    with pytest.raises(InputError, match=f"spike_times_index ends at {ends[-1]} for 126"):
        read_nwb_units(path)


def test_trials_by_name_and_by_parameters(write):
    trials = read_nwb_trials(write(with_trials))
    assert trials["onset_s"].tolist() == [1.0, 2.0, 3.0]
    assert list(trials["stimulus"]) == ["b", "a", "a"]
    trials = read_nwb_trials(write(lambda f: with_trials(f, names=None)))
    assert list(trials["stimulus"]) == ["direction=90", "direction=0", "direction=0"]
    assert trials["direction"].tolist() == [90, 0, 0]


def with_bad_trials(file, onsets=(1.0, np.nan), column=("phase", [0.0, 1.0]), text=False):
    name, values = column
    file.add_trial_column(name, "-")
    for onset, value in zip(onsets, values, strict=True):
        file.add_trial(
            start_time=onset, stop_time=9.0, **{name: str(value) if text else float(value)}
        )


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (with_units, r"no trial table 'trials'; it has \[\]"),
        (with_bad_trials, "column onset_s, row 3: 'nan' is no number"),
        (lambda f: with_bad_trials(f, (1.0, 2.0), ("phase", [0, np.inf])), "row 3: 'inf' is"),
        (lambda f: with_bad_trials(f, (1.0, 2.0), text=True), "no column stimulus and no numeric"),
        (lambda f: with_bad_trials(f, (1.0, 2.0), ("stimulus", [0, np.nan])), "without a stimulus"),
    ],
)
def test_unusable_trial_tables_are_refused(write, fill, message):
    path = write(fill)
    with pytest.raises(InputError, match=message):
        read_nwb_trials(path)


def test_images(write):
    series = ImageSeries(name="images", data=IMAGES, unit="-", rate=1.0)
    path = write(lambda f: f.add_stimulus_template(series))
    np.testing.assert_array_equal(read_nwb_images(path)[:, 0], IMAGES)


def with_images(file, *data, **options):
    for number, images in enumerate(data):
        settings = {"data": images, "unit": "-", "rate": 1.0} | options
        file.add_stimulus_template(ImageSeries(name=f"images{number}", **settings))


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (with_units, "no ImageSeries in stimulus"),
        (lambda f: with_images(f, IMAGES / 255 - 0.5), "expected grey levels 0 to 255, not normal"),
        (lambda f: with_images(f, np.where(IMAGES > 250, np.nan, IMAGES)), "expected grey levels"),
        (lambda f: with_images(f, np.stack([IMAGES] * 3, -1)), "not time × y × x"),
        (lambda f: with_images(f, IMAGES, IMAGES), r"2 ImageSeries .*\['images0', 'images1'\]"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*")
def test_unusable_images_are_refused(write, fill, message):
    path = write(fill)
    with pytest.raises(InputError, match=message):
        read_nwb_images(path)


def test_movie_is_read_piece_by_piece(write):
    path = write(with_movie)
    with open_nwb_movie(path) as movie:
        assert (movie.n_frames, movie.height, movie.width) == MOVIE.shape
        assert movie.rate_hz == pytest.approx(RATE_HZ)
        assert movie.um_per_px is None  # its pixels are not square
        np.testing.assert_array_equal(movie.read(30, 47), MOVIE[30:47])


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (with_units, "no TwoPhotonSeries"),
        (lambda f: with_movie(f, MOVIE[:, None]), "not time × y × x"),
        (lambda f: with_movie(f, rate=1e-4), "not between 0.1 Hz"),
        (lambda f: with_movie(f, spoil(MOVIE.astype(float), np.nan)), "frame 3 of the movie holds"),
        (lambda f: f.add_acquisition(
            TwoPhotonSeries(name="m", imaging_plane=imaging_plane(f), external_file=["a.tif"],
                            format="external", rate=RATE_HZ, starting_frame=[0], dimension=[6, 8],
                            num_samples=80)
        ), "frames in another file"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*")
def test_unusable_movies_are_refused(write, fill, message):
    path = write(fill)
    with pytest.raises(InputError, match=message):
        read_movie(path)
