"""Folders written by suite2p 1.1 itself, and by the NumPy that earlier versions ran on."""

import datetime as dt
import io
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from workflow_scripts.recordings.readers.object_array import read_object_array
from workflow_scripts.recordings.readers.suite2p import check_suite2p, read_suite2p
from workflow_scripts.stores.errors import InputError

DATA = Path(__file__).parent / "data"
VERSIONS = ["suite2p_1.1", "suite2p_numpy1"]
ATTRIBUTES = {"session_id": "s"}


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(DATA / "suite2p_1.1", tmp_path / "plane0"))


@pytest.mark.parametrize("version", VERSIONS)
def test_reads_the_cells_of_old_and_new_folders(version):
    session = read_suite2p(DATA / version, ATTRIBUTES, um_per_px=2.0)
    stat = np.load(DATA / version / "stat.npy", allow_pickle=True)  # this test's own file
    assert session["response"].shape == (3, 60)
    np.testing.assert_array_equal(session["response"], np.load(DATA / version / "spks.npy")[:3])
    np.testing.assert_allclose(session["x_um"], [2.0 * roi["med"][1] for roi in stat[:3]])
    np.testing.assert_allclose(session["y_um"], [2.0 * roi["med"][0] for roi in stat[:3]])
    np.testing.assert_allclose(np.diff(session["time_s"]), 1 / 30)
    assert session.attrs["sampling_rate_hz"] == 30


def test_fluorescence_and_unknown_scale(folder):
    session = read_suite2p(folder, ATTRIBUTES, signal="F")
    np.testing.assert_array_equal(session["response"], np.load(folder / "F.npy")[:3])
    assert np.isnan(session["x_um"]).all()


@pytest.mark.parametrize("renamed", [False, True])
def test_places_in_a_montage_of_planes_are_no_places_in_the_tissue(folder, renamed):
    """As suite2p combines planes: their centres are shifted, and ``iplane`` says which it is."""
    rois = np.load(folder / "stat.npy", allow_pickle=True)  # this test's own file
    for number, roi in enumerate(rois):
        plane = number % 2
        roi["med"] = [roi["med"][0], roi["med"][1] + 512 * plane]
        roi["iplane"] = plane
    np.save(folder / "stat.npy", rois)
    name = "elsewhere" if renamed else "combined"
    combined = folder.rename(folder.parent / name)
    session = read_suite2p(combined, ATTRIBUTES, um_per_px=2.0)
    assert np.isnan(session["x_um"]).all()
    assert np.isnan(session["y_um"]).all()


def rewrite(folder, name, change):
    np.save(folder / name, change(np.load(folder / name)))


def damage_stat(folder):
    path = folder / "stat.npy"
    path.write_bytes(path.read_bytes()[:-400])


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def stat(*centres):
    return np.array([{"med": list(centre)} for centre in centres])


def nan_trace(traces):
    traces[1, 5] = np.nan
    return traces


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "spks.npy").unlink(), r"spks\.npy: not a readable numeric \.npy file"),
        (lambda f: (f / "stat.npy").unlink(), r"stat\.npy: no such file"),
        (damage_stat, r"stat\.npy: not a readable array of plain objects"),
        (lambda f: rewrite(f, "iscell.npy", lambda a: a[:2]), r"iscell\.npy: shape \(2, 2\)"),
        (lambda f: rewrite(f, "iscell.npy", lambda a: 0 * a), "no ROI is a cell; curate"),
        (lambda f: rewrite(f, "spks.npy", lambda a: a[0]), r"spks\.npy: shape \(60,\)"),
        (lambda f: rewrite(f, "spks.npy", nan_trace), "response holds NaN or infinity in 1 of 3"),
        (lambda f: np.save(f / "stat.npy", np.array([{"ypix": 1}] * 4)), "ROI without its centre"),
        (lambda f: np.save(f / "stat.npy", stat(*[(1, 2)] * 3)), "3 ROIs for 4 traces"),
        (lambda f: np.save(f / "stat.npy", stat(*[(1, 2, 3)] * 4)), "ROI without its centre 'med'"),
        (lambda f: np.save(f / "stat.npy", stat(*[(1, np.nan)] * 4)), "'med' of a ROI is NaN"),
        (lambda f: cut(f / "spks.npy"), r"spks\.npy: not a readable numeric \.npy file"),
        (lambda f: np.save(f / "settings.npy", {"fs": "fast"}), "fs is 'fast', no rate"),
        (lambda f: np.save(f / "settings.npy", {"fs": 3e7}), "not between 0.1 Hz and 100 kHz"),
        (lambda f: np.save(f / "spks.npy", np.array([{}], object)), "arrays cannot be loaded"),
        (lambda f: (f / "settings.npy").unlink(), "does not say its rate; give sampling_rate_hz"),
    ],
)  # fmt: skip
def test_refuses_damaged_folders(folder, damage, message):
    damage(folder)
    with pytest.raises(InputError, match=message):
        read_suite2p(folder, ATTRIBUTES)
    if "NaN" not in message:  # values are read later
        with pytest.raises(InputError):
            check_suite2p(folder)


def test_a_sound_folder_passes_the_check(folder):
    check_suite2p(folder, 30.0)


def test_a_rate_that_contradicts_suite2p_is_refused(folder):
    with pytest.raises(InputError, match=r"ran at fs = 30\.0 Hz, the sample sheet says 7\.5 Hz"):
        read_suite2p(folder, ATTRIBUTES, sampling_rate_hz=7.5)
    (folder / "settings.npy").unlink()
    session = read_suite2p(folder, ATTRIBUTES, sampling_rate_hz=7.5)
    assert session.attrs["sampling_rate_hz"] == 7.5


def test_the_folder_above_the_planes_is_named(folder):
    with pytest.raises(InputError, match="give plane0 or combined"):
        read_suite2p(folder.parent, ATTRIBUTES)


PLAIN = {
    "text": "µm", "bytes": b"\x00\xff", "big": 2**70, "none": None, "flags": [True, False],
    "tuple": (1, (2.5, "a"), ()), "float64": np.float64(1.5), "int64": np.int64(-3),
    "array": np.arange(6, dtype="<f4").reshape(2, 3), "fortran": np.asfortranarray(np.eye(3)),
    "big_endian": np.arange(4, dtype=">i2"), "unicode": np.array(["ab", "c"]),
    "nested": {"deep": [{"er": np.array([True])}]}, "long": list(range(1500)),
    "same": [[1]] * 2, "empty": [{}, [], ""],
}  # fmt: skip


def assert_same(read, written):
    if isinstance(written, np.ndarray):
        assert read.dtype == written.dtype
        np.testing.assert_array_equal(read, written)
    elif isinstance(written, dict):
        assert read.keys() == written.keys()
        for key, value in written.items():
            assert_same(read[key], value)
    elif isinstance(written, list | tuple):
        assert type(read) is type(written)
        assert len(read) == len(written)
        for one, other in zip(read, written, strict=True):
            assert_same(one, other)
    else:
        assert read == written
        assert isinstance(read, type(written))


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_plain_objects_come_back_whatever_the_protocol(tmp_path, protocol):
    path = tmp_path / "object.npy"
    header = io.BytesIO()
    array = np.array(PLAIN, dtype=object)
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    path.write_bytes(header.getvalue() + pickle.dumps(array, protocol=protocol))
    assert_same(read_object_array(path), PLAIN)


class Attack:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: {"med": a}, lambda a: [[a]]])
def test_code_in_a_file_is_never_run(tmp_path, wrap):
    target = tmp_path / "made_by_attack"
    np.save(tmp_path / "stat.npy", np.array([wrap(Attack(target)), 1], dtype=object))
    with pytest.raises(InputError, match=r"asks for (posix|os|nt)\.mkdir, which is no plain data"):
        read_object_array(tmp_path / "stat.npy")
    assert not target.exists()


def test_other_objects_are_refused_and_dates_are_inert(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"date": dt.datetime(2024, 1, 2)}, 1], object))  # noqa: DTZ001
    assert isinstance(read_object_array(tmp_path / "a.npy")[0]["date"], tuple)
    np.save(tmp_path / "b.npy", np.array([{"path": dt.timedelta(1)}, 1], object))
    with pytest.raises(InputError, match="asks for datetime"):
        read_object_array(tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", np.arange(3))
    with pytest.raises(InputError, match="expected an object array"):
        read_object_array(tmp_path / "c.npy")
