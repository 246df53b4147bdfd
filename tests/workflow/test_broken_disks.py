"""Disks that are full, read-only or damaged, and clocks that go wrong."""

import os
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from workflow_scripts.stores.zarr_store import open_store

BATCH = "results/videos/batch_000.zarr"
CLIPS = "results/videos/clips.parquet"
DAY_S = 86_400


@pytest.fixture
def study(repository_root, small_study, tmp_path):
    """The small study without a result."""
    return small_study(tmp_path / "run", "--cores", "1")


@pytest.fixture
def disk(study):
    """Give the results a disk of their own; returns what mounts it anew with options."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("mounting a disk needs root on Linux")
    results = study.folder / "results"
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", results], check=True)
    yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", results], check=True)
    subprocess.run(["umount", "--lazy", results], check=True)


@pytest.mark.faults
def test_a_full_disk(study, disk):
    disk("size=128k")
    done = study.attempt(BATCH)
    assert done.returncode != 0
    assert "No space left on device; make room on that disk" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (study.folder / BATCH).exists()
    disk("size=100m")
    study.run(BATCH)
    open_store(study.folder / BATCH, load=True)


def test_results_that_cannot_be_written(study, disk):
    disk("ro")
    done = study.attempt("results/in_silico/gratings.parquet")
    assert done.returncode != 0
    assert "Read-only file system" in done.stdout
    assert "Traceback" not in done.stdout
    disk("rw")
    study.run("results/in_silico/gratings.parquet")


def flip_bits(file):
    """Flip a bit in every chunk, as a failing disk does: size and date stay."""
    content = np.frombuffer(file.read_bytes(), np.uint8).copy()
    content[100::500] ^= 4
    times = file.stat()
    file.write_bytes(content.tobytes())
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.faults
def test_a_damaged_chunk_stops_the_stage_that_reads_it(study):
    study.run(CLIPS)
    whole = study.hashes()
    for shard in (study.folder / BATCH / "frames").rglob("c/**/*"):
        if shard.is_file():
            flip_bits(shard)
    done = study.attempt("results/figures/clips.png")
    assert done.returncode != 0
    assert re.search(r"(?i)zstd|checksum", done.stdout), done.stdout
    assert not (study.folder / "results/figures/clips.png").exists()
    shutil.rmtree(study.folder / BATCH)
    study.run("results/figures/clips.png")
    assert {name: study.hashes()[name] for name in whole} == whole


def test_a_clock_that_is_ahead(finished):
    """Results and videos dated tomorrow: nothing of it runs, for small inputs count by content."""
    tomorrow = time.time() + DAY_S
    for path in [*finished.root.glob("videos/*"), *finished.root.rglob("results/**/*")]:
        os.utime(path, (tomorrow, tomorrow))
    assert finished.planned() == {}


def test_a_clock_that_was_ahead_costs_a_repetition(finished):
    """A large video dated tomorrow is read again: never is an old result taken for a new one."""
    video = finished.root / "videos/a.mp4"
    video.write_bytes(bytes(2 * 1024**2))
    tomorrow = time.time() + DAY_S
    os.utime(video, (tomorrow, tomorrow))
    assert finished.planned()["ingest_videos"] == 1
