"""Raw movies through all stages: recovered truth, formats, bad input."""

from datetime import UTC, datetime

import numpy as np
import pytest
import tifffile
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ophys import OpticalChannel, TwoPhotonSeries
from scipy.ndimage import gaussian_filter1d

from workflow_scripts.analysis.two_photon_recovery import Recovery
from workflow_scripts.extract_rois import ExtractRoisOptions, extract_rois
from workflow_scripts.extract_traces import ExtractTracesOptions, extract_traces
from workflow_scripts.read_session import ReadSessionOptions, read_session
from workflow_scripts.recordings.readers.movie import MovieSource
from workflow_scripts.recordings.registration import RegistrationParameters
from workflow_scripts.recordings.roi_extraction import RoiParameters
from workflow_scripts.recordings.two_photon_truth import TwoPhotonParameters
from workflow_scripts.register_movie import RegisterMovieOptions, register_movie
from workflow_scripts.simulate_two_photon import simulate_two_photon
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import input_hash
from workflow_scripts.stores.zarr_store import open_store

SIMULATED = TwoPhotonParameters(
    n_frames=1200, height_px=144, width_px=144, rate_hz=15, n_cells=20, rigid_px=1.5
)
SOURCE = MovieSource("two_photon_tiff", sampling_rate_hz=15, um_per_px=1.4)
PARAMETERS = RegistrationParameters(largest_shift_px=10, block_px=48)
REGISTER = RegisterMovieOptions(SOURCE, PARAMETERS)
TRACES = ExtractTracesOptions("s", SOURCE, PARAMETERS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One simulated movie, passed through all stages."""
    folder = tmp_path_factory.mktemp("movie")
    simulate_two_photon(folder / "movie.tif", folder / "truth.zarr", SIMULATED)
    register_movie(folder / "movie.tif", folder / "registration.zarr", REGISTER)
    extract_rois(folder / "registration.zarr", folder / "rois.zarr", ExtractRoisOptions())
    inputs = (folder / f"{name}" for name in ("movie.tif", "registration.zarr", "rois.zarr"))
    extract_traces(*inputs, folder / "traces.zarr", TRACES)
    return folder


@pytest.fixture(scope="module")
def stores(folder):
    names = ("registration", "rois", "traces", "truth")
    return {name: open_store(folder / f"{name}.zarr", load=True) for name in names}


def test_cells_motion_and_spikes_are_recovered(stores):
    recovery = Recovery(stores)
    print(
        f"F1 {recovery.f1:.3f}, motion {recovery.motion_error_px:.3f} px, "
        f"spike r {np.median(recovery.rate_r):.3f}"
    )
    assert recovery.f1 >= 0.9
    assert recovery.motion_error_px <= 0.2
    assert np.median(recovery.rate_r) >= 0.8


def test_known_neuropil_is_removed(stores):
    recovery, traces, truth = Recovery(stores), stores["traces"], stores["truth"]
    calcium = truth["calcium"].to_numpy()
    left, before = [], []
    for found, true in recovery.pairs:
        ring = gaussian_filter1d(traces["neuropil"].to_numpy()[found], 15)
        for measured, into in (("delta_f_over_f", left), ("fluorescence", before)):
            signal = traces[measured].to_numpy()[found]
            rest = signal - np.polyval(np.polyfit(calcium[true], signal, 1), calcium[true])
            into.append(abs(np.corrcoef(gaussian_filter1d(rest, 15), ring)[0, 1]))
    print(f"|r| of what is left with the neuropil: {np.median(before):.2f} → {np.median(left):.2f}")
    assert np.median(before) > 0.8
    assert np.median(left) < 0.5 * np.median(before)
    assert np.median(traces["neuropil_ratio"]) == pytest.approx(0.7, abs=0.12)


def test_positions_are_micrometres_and_time_is_that_of_the_frames(stores):
    traces, rois = stores["traces"], stores["rois"]
    np.testing.assert_allclose(traces["x_um"], 1.4 * rois["centroid_column_px"])
    np.testing.assert_allclose(np.diff(traces["time_s"]), 1 / 15)
    assert traces.attrs["session_id"] == "s"
    assert rois.attrs["diameter_px"] == pytest.approx(10)


def test_traces_become_a_session_and_are_cut_into_trials(folder, tmp_path):
    lines = [f"{5 + 2 * k}\t{k % 4}" for k in range(36)]
    (tmp_path / "trials.tsv").write_text("\n".join(["onset_s\tstimulus", *lines]) + "\n")
    options = ReadSessionOptions("mine", "traces", species="mouse", window_s=(0.0, 1.0))
    read_session(folder / "traces.zarr", tmp_path / "whole.zarr", options)
    whole = open_store(tmp_path / "whole.zarr", load=True)
    assert set(whole.data_vars) == {"response"}
    assert whole.attrs["sampling_rate_hz"] == 15
    read_session(
        folder / "traces.zarr", tmp_path / "cut.zarr", options, trials=tmp_path / "trials.tsv"
    )
    cut = open_store(tmp_path / "cut.zarr", load=True)
    expected = whole["response"][:, 75:90].mean("time")
    np.testing.assert_allclose(cut["response"][:, 0], expected, rtol=1e-4, atol=1e-6)


def write_nwb(path, frames, **series):
    file = NWBFile("-", "id", datetime(2026, 1, 1, tzinfo=UTC))
    channel = OpticalChannel(name="green", description="-", emission_lambda=510.0)
    plane = file.create_imaging_plane(
        name="plane", optical_channel=channel, description="-", device=file.create_device("scope"),
        excitation_lambda=920.0, indicator="GCaMP6f", location="VISp", grid_spacing=[1.4, 1.4],
        grid_spacing_unit="micrometers",
    )  # fmt: skip
    timing = {"rate": 15.0, "starting_time": 100.0} | series
    file.add_acquisition(
        TwoPhotonSeries(name="movie", imaging_plane=plane, data=frames, unit="counts", **timing)
    )
    with NWBHDF5IO(path, "w") as io:
        io.write(file)


@pytest.mark.filterwarnings("ignore:.*")
def test_stack_folder_and_nwb_file_are_the_same_movie(folder, tmp_path):
    frames = tifffile.imread(folder / "movie.tif")[:150]
    (tmp_path / "parts").mkdir()
    tifffile.imwrite(tmp_path / "parts/a2.tif", frames[:70], photometric="minisblack")
    tifffile.imwrite(tmp_path / "parts/a10.tif", frames[70:], photometric="minisblack")
    tifffile.imwrite(tmp_path / "whole.tif", frames, photometric="minisblack")
    write_nwb(tmp_path / "movie.nwb", frames)
    found = []
    for name, source in (
        ("whole.tif", SOURCE), ("parts", SOURCE), ("movie.nwb", MovieSource("two_photon_nwb")),
    ):  # fmt: skip
        options = RegisterMovieOptions(source, PARAMETERS)
        register_movie(tmp_path / name, tmp_path / "r.zarr", options)
        found.append(open_store(tmp_path / "r.zarr", load=True))
    for other in found[1:]:
        np.testing.assert_array_equal(other["shift_px"], found[0]["shift_px"])
        np.testing.assert_array_equal(other["binned"], found[0]["binned"])
        assert other.attrs["um_per_px"] == 1.4


def test_equal_input_gives_equal_content(folder, tmp_path):
    for name in ("a", "b"):
        extract_rois(folder / "registration.zarr", tmp_path / name, ExtractRoisOptions())
    assert input_hash(tmp_path / "a") == input_hash(tmp_path / "b")


def tiff(path, frames):
    tifffile.imwrite(path, frames, photometric="minisblack")
    return path


def movie_with(path, **changes):
    frames = np.random.default_rng(0).integers(0, 500, (40, 64, 64)).astype(np.float32)
    frames = frames[:, : changes.get("height", 64)]
    frames[changes.get("bad", [])] = np.nan
    tiff(path, frames)
    if "keep" in changes:
        path.write_bytes(path.read_bytes()[: int(changes["keep"] * path.stat().st_size)])
    return path


def with_rate(rate_hz):
    return RegisterMovieOptions(MovieSource("two_photon_tiff", rate_hz), PARAMETERS)


MOVIES = {
    "missing": (lambda d: d / "none.tif", REGISTER, "no such file"),
    "truncated": (lambda d: movie_with(d / "m.tif", keep=0.5), REGISTER, "truncated|not a readabl"),
    "nan": (lambda d: movie_with(d / "m.tif", bad=[17]), REGISTER, "frame 17 .* NaN"),
    "small": (lambda d: movie_with(d / "m.tif", height=30), REGISTER, "too small for block_px 48"),
    "no rate": (lambda d: movie_with(d / "m.tif"), with_rate(None), "give sampling_rate_hz"),
    "odd rate": (lambda d: movie_with(d / "m.tif"), with_rate(-3.0), "not between"),
    "not nwb": (
        lambda d: movie_with(d / "m.tif"),
        RegisterMovieOptions(MovieSource("two_photon_nwb"), PARAMETERS),
        "not a readable NWB",
    ),
}


@pytest.mark.parametrize("case", MOVIES)
def test_unusable_movies_leave_nothing_behind(tmp_path, case):
    make, options, message = MOVIES[case]
    results = tmp_path / "results"
    results.mkdir()
    with pytest.raises(InputError, match=message):
        register_movie(make(tmp_path), results / "r.zarr", options)
    assert list(results.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*")
@pytest.mark.parametrize(
    ("stated", "message"),
    [({"sampling_rate_hz": 30.0}, "states sampling_rate_hz 15"), ({"um_per_px": 2.0}, "um_per_px")],
)
def test_a_sheet_that_contradicts_the_file_is_refused(tmp_path, stated, message):
    write_nwb(tmp_path / "m.nwb", np.zeros((20, 64, 64), np.uint16))
    options = RegisterMovieOptions(MovieSource("two_photon_nwb", **stated), PARAMETERS)
    with pytest.raises(InputError, match=message):
        register_movie(tmp_path / "m.nwb", tmp_path / "r.zarr", options)


@pytest.mark.parametrize("options", [{"bin_s": 0}, {"memory_mb": -1}])
def test_impossible_bins_are_refused(options):
    with pytest.raises(InputError, match="above 0"):
        RegisterMovieOptions(SOURCE, **options)


def cut_store(folder, path, n_bins=None, activity=1.0):
    """A registration with fewer bins, or with nothing but noise in them."""
    from workflow_scripts.stores.zarr_store import write_store  # noqa: PLC0415

    store = open_store(folder / "registration.zarr", load=True).isel(bin=slice(n_bins))
    if not activity:
        noise = np.random.default_rng(0).standard_normal(store["binned"].shape)
        store["binned"].values[:] = 100 + noise
    write_store(path, store, {})
    return path


ROIS = {
    "no store": (lambda f, d: d, {}, "not a finished store"),
    "few bins": (lambda f, d: cut_store(f, d / "r.zarr", 10), {}, "holds 10 bins"),
    "silent": (lambda f, d: cut_store(f, d / "r.zarr", 40, 0), {}, "no active cell of 10.0 px"),
    "tiny soma": (lambda f, d: f / "registration.zarr", {"soma_um": 1.0}, "check um_per_px"),
    "huge soma": (lambda f, d: f / "registration.zarr", {"soma_um": 300.0}, "214 px across"),
}


@pytest.mark.parametrize("case", ROIS)
def test_registrations_without_cells_leave_nothing_behind(folder, tmp_path, case):
    make, options, message = ROIS[case]
    with pytest.raises(InputError, match=message):
        extract_rois(make(folder, tmp_path), tmp_path / "rois.zarr", ExtractRoisOptions(**options))
    assert not [one for one in tmp_path.iterdir() if "rois" in one.name]


def test_impossible_criteria_are_refused():
    with pytest.raises(InputError, match="above 0"):
        ExtractRoisOptions(rois=RoiParameters(threshold=-1))


TRACE_CASES = {
    "other length": ("tif", {}, "frames .40, 64, 64."),
    "no movie": ("gone", {}, "no such file"),
    "no registration": ("reg", {}, "not a finished store"),
    "no cells": ("rois", {}, "not a finished store"),
    "rate": ("same", {"source": MovieSource("two_photon_tiff")}, "give sampling_rate_hz"),
    "too fast": ("same", {"source": MovieSource("two_photon_tiff", 900.0)}, "at least 10 s"),
}


@pytest.mark.parametrize("case", TRACE_CASES)
def test_traces_of_wrong_inputs_leave_nothing_behind(folder, tmp_path, case):
    kind, changes, message = TRACE_CASES[case]
    inputs = [folder / "movie.tif", folder / "registration.zarr", folder / "rois.zarr"]
    if kind in ("tif", "gone"):
        inputs[0] = tmp_path / "m.tif" if kind == "gone" else movie_with(tmp_path / "m.tif")
    if kind in ("reg", "rois"):
        inputs[{"reg": 1, "rois": 2}[kind]] = tmp_path
    options = ExtractTracesOptions(**({**TRACES.__dict__} | changes))
    with pytest.raises(InputError, match=message):
        extract_traces(*inputs, tmp_path / "traces.zarr", options)
    assert not [one for one in tmp_path.iterdir() if "traces" in one.name]


@pytest.mark.parametrize("change", [{"baseline_window_s": 0}, {"baseline_percentile": 101}])
def test_impossible_baselines_are_refused(change):
    with pytest.raises(InputError, match="baseline_window_s is above 0"):
        ExtractTracesOptions("s", SOURCE, PARAMETERS, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_frames": 0}, "n_frames is 0"),
        ({"n_cells": 0}, "n_cells is 0"),
        ({"photons": -1.0}, "photons is -1"),
        ({"height_px": 30}, "four cell diameters"),
        ({"cell_diameter_um": 2.0}, "needs at least 3 px"),
        ({"rise_s": 2.0}, "decay_s .* must exceed rise_s"),
    ],
)
def test_impossible_simulations_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        simulate_two_photon(tmp_path / "m", tmp_path / "t", TwoPhotonParameters(**change))
    assert list(tmp_path.iterdir()) == []
