import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TREE = [
    "Snakefile", "config.yaml", "rules", "profiles", "workflow_scripts", "resources/schemas",
    "resources/report", "resources/sessions.tsv", "resources/in_vivo_mt.csv",
    "resources/citations.tsv",
]  # fmt: skip


@pytest.fixture
def config():
    """The shipped config, each test its own."""
    return yaml.safe_load((ROOT / "config.yaml").read_text())


class Repository:
    """A copy of the repository that a test may edit; its videos and recordings are empty files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def create(cls, root: Path) -> "Repository":
        """Copy the tree, without its data."""
        for name in TREE:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / name, root / name)
        (root / "videos").mkdir()
        for name in "abc":
            (root / f"videos/{name}.mp4").touch()
        for file in _recordings(ROOT / "resources/sessions.tsv"):
            (root / "resources" / file).parent.mkdir(parents=True, exist_ok=True)
            (root / "resources" / file).touch()
        repository = cls(root)
        repository.edit_config(
            lambda config: config["videos"].update(source="videos", batch_size=2)
        )
        return repository

    def copy(self, root: Path) -> "Repository":
        """Copy the tree as it stands, its results and Snakemake's records too."""
        return Repository(shutil.copytree(self.root, root))

    def edit_config(self, edit: Callable[[dict[str, Any]], object]) -> None:
        path = self.root / "config.yaml"
        config = yaml.safe_load(path.read_text())
        edit(config)
        path.write_text(yaml.safe_dump(config, sort_keys=False))

    def snakemake(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run it here and return all that it says; a failure fails the test."""
        done = self.try_snakemake(*arguments, cwd=cwd)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def try_snakemake(
        self, *arguments: str, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=cwd or self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def planned(self, *arguments: str, cwd: Path | None = None) -> dict[str, int]:
        """How many jobs of each rule a run would do."""
        said = self.snakemake("--dry-run", *arguments, cwd=cwd)
        table = re.search(
            r"^Job stats:\njob +count\n[- ]+\n(.*?)^total ", said, re.MULTILINE | re.DOTALL
        )
        if table is None:
            assert "Nothing to be done" in said
            return {}
        return {rule: int(count) for rule, count in map(str.split, table[1].splitlines())}

    def finish(self) -> None:
        """Leave the tree as a complete run leaves it, with empty outputs."""
        lines = self.snakemake("--summary", "--quiet", "all").splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("output_file"))
        for line in lines[start + 1 :]:
            output = self.root / line.split("\t")[0]
            output.parent.mkdir(parents=True, exist_ok=True)
            output.mkdir() if output.suffix in (".zarr", "") else output.touch()
        self.snakemake("--touch", "--forceall", "--cores", "1", "--quiet", "all")


def _recordings(sheet: Path) -> set[str]:
    """Name the files of a sheet of sessions."""
    with sheet.open(newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    return {row[column] for row in rows for column in ("path", "stimuli", "outlines")} - {""}


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A fresh clone, to read."""
    return Repository.create(tmp_path_factory.mktemp("pristine") / "repository")


@pytest.fixture
def repository(pristine: Repository, tmp_path: Path) -> Repository:
    """A fresh clone, to edit."""
    return pristine.copy(tmp_path / "repository")


@pytest.fixture(scope="session")
def finished_once(pristine: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A complete run, to read."""
    repository = pristine.copy(tmp_path_factory.mktemp("finished") / "repository")
    repository.finish()
    return repository


@pytest.fixture
def finished(finished_once: Repository, tmp_path: Path) -> Repository:
    """A complete run, to edit."""
    return finished_once.copy(tmp_path / "repository")


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """This repository, with its videos."""
    return ROOT
