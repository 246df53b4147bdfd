"""TIFF movies written by tifffile."""

import numpy as np
import pytest
import tifffile

from workflow_scripts.recordings.readers.tiff import open_tiff
from workflow_scripts.stores.errors import InputError

MOVIE = np.random.default_rng(0).integers(0, 60000, (25, 12, 16), np.uint16)


def read(path, start=0, stop=10**6, rate_hz=30.0):
    with open_tiff(path, rate_hz) as movie:
        return movie.read(start, stop)


@pytest.mark.parametrize(
    "options",
    [{}, {"bigtiff": True}, {"compression": "zlib"}, {"imagej": True}, {"rowsperstrip": 5}],
)
def test_stacks_of_every_kind(tmp_path, options):
    tifffile.imwrite(tmp_path / "m.tif", MOVIE, photometric="minisblack", **options)
    np.testing.assert_array_equal(read(tmp_path / "m.tif"), MOVIE)
    np.testing.assert_array_equal(read(tmp_path / "m.tif", 7, 19), MOVIE[7:19])
    with open_tiff(tmp_path / "m.tif", 15.0) as movie:
        assert (movie.n_frames, movie.height, movie.width, movie.rate_hz) == (25, 12, 16, 15.0)


def test_pages_written_one_by_one(tmp_path):
    with tifffile.TiffWriter(tmp_path / "m.tif") as writer:
        for frame in MOVIE:
            writer.write(frame, contiguous=False)
    np.testing.assert_array_equal(read(tmp_path / "m.tif", 3, 11), MOVIE[3:11])


def test_folders_are_joined_by_number(tmp_path):
    for first, number in ((0, 2), (5, 10), (20, 11)):
        part = MOVIE[first : {0: 5, 5: 20, 20: 25}[first]]
        tifffile.imwrite(tmp_path / f"img_{number}.tif", part, photometric="minisblack")
    np.testing.assert_array_equal(read(tmp_path), MOVIE)
    np.testing.assert_array_equal(read(tmp_path, 3, 22), MOVIE[3:22])


def stack(path, data=MOVIE, **options):
    tifffile.imwrite(path, data, **({"photometric": "minisblack"} | options))
    return path


def truncated(path, keep):
    content = stack(path).read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    return path


def changed_description(path):
    content = stack(path).read_bytes()
    path.write_bytes(content.replace(b'{"shape": [25, 12, 16]}', b'{"shape": [25, 12, 16]E'))
    return path


def with_nan(path):
    movie = MOVIE.astype(np.float32)
    movie[17, 3, 3] = np.nan
    return stack(path, movie)


def mixed(folder, other):
    stack(folder / "a1.tif")
    stack(folder / "a2.tif", other)
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "none.tif", "no such file or folder"),
        (lambda d: d, "file in this folder"),
        (lambda d: truncated(d / "m.tif", 0.0), "not a readable TIFF file"),
        (lambda d: truncated(d / "m.tif", 0.3), "truncated|not a readable"),
        (lambda d: truncated(d / "m.tif", 0.97), "truncated|not a readable"),
        (lambda d: changed_description(d / "m.tif"), "invalid image description"),
        (lambda d: with_nan(d / "m.tif"), "frame 17 of the movie holds NaN"),
        (lambda d: stack(d / "m.tif", MOVIE[:1]), "one frame is no movie"),
        (lambda d: stack(d / "m.tif", np.zeros((5, 8, 8, 3), np.uint8), photometric="rgb"), "grey"),
        (lambda d: mixed(d, MOVIE[:, :6]), r"a2\.tif: page 0 is \(6, 16\) uint16, the movie's"),
        (lambda d: mixed(d, MOVIE.astype(np.float32)), r"a2\.tif: page 0 is \(12, 16\) float32"),
    ],
)
def test_damaged_movies_are_refused(tmp_path, make, message):
    path = make(tmp_path)
    with pytest.raises(InputError, match=message), open_tiff(path, 30.0) as movie:
        list(movie.pieces())


@pytest.mark.parametrize("rate_hz", [None, 0.0, -1.0, 1e6, float("nan")])
def test_rates_that_no_microscope_has_are_refused(tmp_path, rate_hz):
    with pytest.raises(InputError, match=r"sampling_rate_hz|sampling rate"):
        read(stack(tmp_path / "m.tif"), rate_hz=rate_hz)


def test_damaged_pages_are_refused_when_they_are_read(tmp_path):
    path = stack(tmp_path / "m.tif", compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset = file.pages[20].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 8] = b"\xff" * 8
    path.write_bytes(bytes(content))
    np.testing.assert_array_equal(read(path, 0, 10), MOVIE[:10])
    with pytest.raises(InputError, match="pages 15 to 25 are damaged"):
        read(path, 15, 25)
