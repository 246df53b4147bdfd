import json

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import input_hash
from workflow_scripts.stores.table_store import read_json, read_table, write_json, write_table

PROVENANCE = {"created": "now", "git_commit": "abc", "stage": "test", "options": "{}"}


@pytest.fixture
def frame():
    frame = pd.DataFrame({"unit": [0, 1], "layer": ["layer1", "layer2"], "dsi": [0.5, None]})
    frame.attrs = {"pixels_per_degree": 4.0}
    return frame


def test_table_round_trip(tmp_path, frame):
    write_table(tmp_path / "t.parquet", frame, PROVENANCE)
    loaded = read_table(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(loaded, frame, check_dtype=False)
    assert loaded.attrs == frame.attrs


def test_table_hash_sees_data_but_not_the_clock(tmp_path, frame):
    path = tmp_path / "t.parquet"
    hashes = []
    for data, changes in (
        (frame, {}),
        (frame, {"created": "later"}),
        (frame.assign(dsi=0.1), {}),
        (frame, {"options": '{"a": 1}'}),
    ):
        write_table(path, data, {**PROVENANCE, **changes})
        hashes.append(input_hash(path))
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_damaged_table_is_named(tmp_path, frame):
    path = tmp_path / "t.parquet"
    write_table(path, frame, PROVENANCE)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"t\.parquet"):
        read_table(path)
    with pytest.raises(InputError, match=r"absent\.parquet"):
        read_table(tmp_path / "absent.parquet")


def test_json_record_carries_provenance_and_a_stable_hash(tmp_path):
    path = tmp_path / "r.json"
    write_json(path, {"delta_deg": 71.5}, PROVENANCE)
    first = input_hash(path)
    write_json(path, {"delta_deg": 71.5}, {**PROVENANCE, "created": "later"})
    assert input_hash(path) == first == read_json(path)["content_hash"]
    assert read_json(path)["delta_deg"] == 71.5
    write_json(path, {"of": [{"p": np.float32("nan"), "n": np.int64(3)}, np.inf]}, PROVENANCE)
    assert json.loads(path.read_text())["of"] == [{"p": None, "n": 3}, None]
    path.write_text("{")
    with pytest.raises(InputError, match=r"r\.json"):
        read_json(path)


def test_an_edited_record_is_noticed(tmp_path):
    path = tmp_path / "record.json"
    write_json(path, {"delta_deg": 71.5, "counts": {2: 1, 10: 3}}, PROVENANCE)
    assert read_json(path)["counts"] == {"2": 1, "10": 3}
    path.write_text(path.read_text().replace("71.5", "81.5"))
    with pytest.raises(InputError, match=r"record\.json: damaged.*delete and rerun"):
        read_json(path)
