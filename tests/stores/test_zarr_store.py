import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import input_hash
from workflow_scripts.stores.zarr_store import (
    COMPRESSOR,
    StoreWriter,
    add_array,
    add_dataset,
    open_store,
    variable,
    write_store,
)

PROVENANCE = {"created": "now", "git_commit": "abc", "stage": "test", "options": "{}", "inputs": {}}


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "response": variable(("unit", "trial"), rng.normal(size=(30, 40)), "1", "response"),
            "z1": variable("unit", rng.normal(size=30) + 1j, "1", "preference"),
        },
        coords={"layer": variable("unit", ["layer1"] * 15 + ["é|2"] * 15, "1", "layer")},
    )


def chunk_files(path: Path):
    return [file for file in path.rglob("*") if file.is_file() and "/c/" in str(file)]


def test_round_trip_without_warnings(tmp_path, dataset):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_store(tmp_path / "s.zarr", dataset, PROVENANCE)
        (tmp_path / "s.zarr" / ".snakemake_timestamp").touch()  # Snakemake adds this
        loaded = open_store(tmp_path / "s.zarr", load=True)
    np.testing.assert_array_equal(loaded["response"], dataset["response"])
    np.testing.assert_array_equal(loaded["z1"], dataset["z1"])
    assert loaded["layer"].to_numpy().tolist() == dataset["layer"].to_numpy().tolist()
    assert loaded["response"].attrs == {"units": "1", "long_name": "response"}
    assert loaded.attrs == PROVENANCE


def test_large_variables_may_name_their_chunks(tmp_path, dataset):
    write_store(tmp_path / "s.zarr", dataset, PROVENANCE, {"response": (10, 40)})
    assert len(list((tmp_path / "s.zarr/response/c").rglob("*/*"))) == 3
    np.testing.assert_array_equal(open_store(tmp_path / "s.zarr")["response"], dataset["response"])


def test_units_and_names_are_required(tmp_path, dataset):
    del dataset["response"].attrs["units"]
    with pytest.raises(InputError, match="'response' has no units"):
        write_store(tmp_path / "s.zarr", dataset, PROVENANCE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("position", [0.2, 0.5, 0.9])
def test_a_flipped_bit_is_noticed(tmp_path, dataset, position):
    write_store(tmp_path / "s.zarr", dataset, PROVENANCE)
    file = max(chunk_files(tmp_path / "s.zarr"), key=lambda f: f.stat().st_size)
    content = bytearray(file.read_bytes())
    content[int(position * len(content))] ^= 4
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"s\.zarr: a chunk is damaged .* delete the store"):
        open_store(tmp_path / "s.zarr", load=True)


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(b"short")])
def test_missing_or_truncated_chunks_are_noticed_on_opening(tmp_path, dataset, damage):
    write_store(tmp_path / "s.zarr", dataset, PROVENANCE)
    damage(chunk_files(tmp_path / "s.zarr")[0])
    with pytest.raises(InputError, match=r"s\.zarr: its file .* is (missing|truncated)"):
        open_store(tmp_path / "s.zarr")


def test_a_folder_without_manifest_is_no_store(tmp_path):
    (tmp_path / "s.zarr").mkdir()
    with pytest.raises(InputError, match="delete it and rerun"):
        open_store(tmp_path / "s.zarr")


def test_content_hash_sees_data_and_options_but_not_the_clock(tmp_path, dataset):
    def hashed(data, **changes):
        write_store(tmp_path / "s.zarr", data, {**PROVENANCE, **changes})
        return input_hash(tmp_path / "s.zarr")

    first = hashed(dataset)
    assert hashed(dataset, created="later", git_commit="def") == first
    assert hashed(dataset, options='{"a": 1}') != first
    with xr.set_options(keep_attrs=True):
        assert hashed(dataset.assign(response=dataset["response"] * 2)) != first


def test_an_error_while_writing_leaves_the_old_store(tmp_path, dataset):
    write_store(tmp_path / "s.zarr", dataset, PROVENANCE)
    before = input_hash(tmp_path / "s.zarr")
    with pytest.raises(KeyboardInterrupt), StoreWriter(tmp_path / "s.zarr", PROVENANCE):
        raise KeyboardInterrupt
    assert input_hash(tmp_path / "s.zarr") == before
    assert [path.name for path in tmp_path.iterdir()] == ["s.zarr"]


def test_arrays_and_datasets_make_one_store(tmp_path, dataset):
    rng = np.random.default_rng(1)
    pieces = rng.normal(size=(30, 50)).astype(np.float32)
    seconds = variable("time", np.arange(50.0), "s", "time of the sample")
    dataset = dataset.assign_coords(time_s=seconds).assign_attrs(rate_hz=3.0)
    with StoreWriter(tmp_path / "s.zarr", PROVENANCE) as group:
        array = add_array(
            group, "trace", ("unit", "time"), (30, 50), (7, 20), units="1", long_name="trace"
        )
        for start in range(0, 50, 20):
            array[:, start : start + 20] = pieces[:, start : start + 20]
        np.testing.assert_array_equal(array[8:10], pieces[8:10])
        add_dataset(group, dataset)
    store = open_store(tmp_path / "s.zarr", load=True)
    np.testing.assert_array_equal(store["trace"], pieces)
    assert store["trace"].dims == ("unit", "time")
    assert {"layer", "time_s"} <= set(store["trace"].coords)
    np.testing.assert_array_equal(store["response"], dataset["response"])
    assert store.attrs == {**PROVENANCE, "rate_hz": 3.0}
    del dataset["response"].attrs["units"]
    with (
        pytest.raises(InputError, match="'response' has no units"),
        StoreWriter(tmp_path / "t.zarr", PROVENANCE) as group,
    ):
        add_dataset(group, dataset)
    assert not (tmp_path / "t.zarr").exists()


def test_a_store_written_piece_by_piece_opens_with_xarray(tmp_path):
    frames = np.arange(20 * 4 * 4, dtype=np.uint8).reshape(20, 4, 4)
    with StoreWriter(tmp_path / "s.zarr", PROVENANCE) as group:
        array = group.create_array(
            "frames",
            shape=(0, 4, 4),
            chunks=(2, 4, 4),
            shards=(8, 4, 4),
            dtype="uint8",
            compressors=COMPRESSOR,
            dimension_names=("time", "y", "x"),
            attributes={"units": "1", "long_name": "frames"},
        )
        for start in range(0, 20, 8):
            piece = frames[start : start + 8]
            array.resize((start + len(piece), 4, 4))
            array[start:] = piece
    store = open_store(tmp_path / "s.zarr")
    np.testing.assert_array_equal(store["frames"], frames)
    assert len(chunk_files(tmp_path / "s.zarr")) == 3
    manifest = json.loads((tmp_path / "s.zarr" / "manifest.json").read_text())
    assert "zarr.json" in manifest["files"]
