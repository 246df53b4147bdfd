"""The record of a study: what it was made from, which does not depend on when and how fast."""

import json

import numpy as np
import pytest
import xarray as xr

from workflow_scripts.record_provenance import (
    RecordProvenanceOptions,
    Source,
    record_provenance,
)
from workflow_scripts.stores.provenance import file_hash, input_hash, provenance
from workflow_scripts.stores.zarr_store import variable, write_store

TABLE = """used_by\tcitation\tlink
tdann\tMargalit\thttps://example.org/1
park sensorium2022\tPark\thttps://example.org/2
suite2p\tPachitariu\thttps://example.org/3
"""
BENCHMARK = "s\th:m:s\tmax_rss\tcpu_time\n{s}\t0:00:01\t{mb}\t{s}\n"


@pytest.fixture
def record(tmp_path, monkeypatch):
    """Record a study of one video; returns the record, which may be made again."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "film.mp4").write_bytes(b"frames")
    (tmp_path / "references.tsv").write_text(TABLE)
    made = tmp_path / "results/model.json"
    made.parent.mkdir()
    made.write_text("{}")
    inputs = [tmp_path.joinpath(name).relative_to(tmp_path) for name in ("film.mp4", made)]
    store = xr.Dataset({"frame": variable("time", np.arange(3), "1", "frames")})
    write_store(tmp_path / "results/a.zarr", store, provenance("ingest_videos", {}, inputs))
    options = RecordProvenanceOptions(
        config={"tdann": {"seeds": [0, 1], "network": {"width": 4}}, "analysis": {"seed": 3}},
        sources=[Source("video", "film", "", ""), Source("park", "mouse", "MIT", "github")],
        uses=["tdann", "park"],
    )

    def make(seconds):
        for number, name in enumerate(("train/a.tsv", "train/b.tsv", "index.tsv")):
            file = tmp_path / "results/benchmarks" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(BENCHMARK.format(s=seconds, mb=100 * (number + 1)))
        record_provenance(
            [tmp_path / "results/a.zarr"], tmp_path / "references.tsv",
            tmp_path / "results/benchmarks", tmp_path / "record.json", tmp_path / "cite.md",
            options,
        )  # fmt: skip
        return json.loads((tmp_path / "record.json").read_text())

    return make


def test_raw_files_are_named_with_their_hash_and_results_are_not(record, tmp_path):
    assert record(1)["inputs"] == {"film.mp4": file_hash(tmp_path / "film.mp4")}


def test_seeds_are_found_wherever_they_stand(record):
    assert record(1)["seeds"] == {"tdann.seeds": [0, 1], "analysis.seed": 3}


def test_times_and_memory_are_those_of_the_benchmarks(record):
    jobs = record(2)["provenance"]["jobs"]
    assert jobs["train"] == {"n": 2, "wall_s": 4, "cpu_s": 4, "max_mb": 200}
    assert list(jobs) == ["train", "index"]


def test_how_fast_it_went_changes_no_hash(record, tmp_path):
    record(1)
    before = input_hash(tmp_path / "record.json"), (tmp_path / "cite.md").read_bytes()
    assert record(5)["provenance"]["jobs"]["index"]["wall_s"] == 5
    assert (input_hash(tmp_path / "record.json"), (tmp_path / "cite.md").read_bytes()) == before


def test_only_what_is_in_use_is_cited(record, tmp_path):
    record(1)
    text = (tmp_path / "cite.md").read_text()
    assert "Margalit" in text
    assert "Park" in text
    assert "Pachitariu" not in text
    assert "| park | mouse | MIT | github |" in text
