"""What the tests that run the small study share."""

import contextlib
import multiprocessing
import os
import queue
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workflow_scripts.stores.provenance import input_hash

# Some tests fork, which numba's other threads do not live through.
os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")

ROOT = Path(__file__).resolve().parents[1]
HASHED = {".zarr", ".parquet", ".json", ".jsonl", ".safetensors", ".tsv", ".rst", ".png"}


def hashes_of(folder: Path) -> dict[str, str]:
    """Content hash of every output of a run, which leaves out when and at which commit it was."""
    results = folder / "results"
    outputs = [
        path
        for path in results.rglob("*")
        if path.suffix in HASHED
        and not any(parent.suffix == ".zarr" for parent in path.parents)
        and not {"benchmarks", "logs", "state"} & set(path.relative_to(results).parts)
    ]
    # What these captions state is how long the run took, and at which commit.
    outputs = [path for path in outputs if path.name not in ("performance.rst", "provenance.rst")]
    return {str(path.relative_to(folder)): input_hash(path) for path in sorted(outputs)}


class SmallStudy:
    """Snakemake on the study of profiles/test, in a working directory of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder, self.arguments = folder, arguments
        folder.mkdir(parents=True, exist_ok=True)

    def command(self, *targets: str) -> list[str]:
        return [
            sys.executable, "-m", "snakemake", *targets, "--profile", "profiles/test",
            "--directory", str(self.folder), *self.arguments,
        ]  # fmt: skip

    def start(self, *targets: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*targets), cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def attempt(self, *targets: str) -> subprocess.CompletedProcess[str]:
        """Run and return what it said."""
        return subprocess.run(
            self.command(*targets), cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip

    def run(self, *targets: str) -> str:
        """Run; a failure fails the test."""
        done = self.attempt(*targets)
        assert done.returncode == 0, done.stdout[-8000:]
        return done.stdout

    def hashes(self) -> dict[str, str]:
        return hashes_of(self.folder)


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """The small study, run once here with one core, to read."""
    study = SmallStudy(tmp_path_factory.mktemp("study") / "one core", "--cores", "1")
    study.run()
    return study


@pytest.fixture(scope="session")
def small_study() -> type[SmallStudy]:
    """Make further runs of the small study."""
    return SmallStudy


def _one_of_two(rank: int, port: int, function: Callable[[], Any], results: Any) -> None:
    """What torchrun tells a process."""
    told = {
        "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "GROUP_RANK": 0,
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test",
    }  # fmt: skip
    os.environ.update({name: str(value) for name, value in told.items()})
    results.put((rank, function()))


@pytest.fixture
def two_processes() -> Callable[[Callable[[], Any]], list[Any]]:
    """Run a function as torchrun would in two processes; returns what each returned.

    They are forks, which have imported everything.
    """

    def run(function: Callable[[], Any]) -> list[Any]:
        context = multiprocessing.get_context("fork")
        results = context.Queue()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        pair = [
            context.Process(target=_one_of_two, args=(rank, port, function, results), daemon=True)
            for rank in range(2)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
            for one in pair:
                one.start()
        returned: dict[int, Any] = {}
        try:
            while len(returned) < 2:
                with contextlib.suppress(queue.Empty):
                    returned.update([results.get(timeout=1)])
                # The other one would wait for it.
                assert all(one.exitcode in (None, 0) for one in pair), "a process failed"
        finally:
            for one in pair:
                one.kill()
        return [returned[0], returned[1]]

    return run
