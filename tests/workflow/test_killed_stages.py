"""Every stage, killed while it writes, leaves nothing that counts as done, and then runs again."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(7200)]


def worker(stage: str, folder: Path) -> int | None:
    """The process that runs a stage in a folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if (
                f"workflow_scripts.{stage}".encode() in words
                and (process / "cwd").readlink() == folder
            ):
                return int(process.name)
        except OSError:
            continue  # it has ended meanwhile
    return None


def one_output_of_each_stage(study) -> dict[str, Path]:
    """Stage → one of its outputs, the latest first: none is then an input of those to come."""
    lines = study.run("--summary").splitlines()
    header = next(number for number, line in enumerate(lines) if line.startswith("output_file\t"))
    made = {}
    for line in lines[header + 1 :]:
        output, _, rule, *_ = line.split("\t")
        made.setdefault(rule, study.folder / output)
    return dict(sorted(made.items(), key=lambda item: -item[1].stat().st_mtime))


def kill_while_it_writes(study, stage: str, output: Path) -> None:
    snakemake = study.start(str(output.relative_to(study.folder)))
    while (pid := worker(stage, study.folder)) is None:
        assert snakemake.poll() is None, snakemake.communicate()[0]
        time.sleep(0.02)
    while not (output.exists() or list(output.parent.glob(f".{output.name}.*.part"))):
        assert Path(f"/proc/{pid}").exists(), "ended without writing"
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    said, _ = snakemake.communicate()
    assert snakemake.returncode != 0, said


@pytest.mark.skipif(
    not Path("/proc/self/cmdline").exists(),
    reason="finds the stages to kill in /proc, which only Linux has",
)
def test_every_stage_killed(finished_study, small_study, tmp_path, subtests):
    folder = Path(shutil.copytree(finished_study.folder, tmp_path / "run"))
    study = small_study(folder, *finished_study.arguments)
    before = study.hashes()
    outputs = one_output_of_each_stage(study)
    assert len(outputs) > 40
    for stage, output in outputs.items():
        with subtests.test(stage):
            shutil.rmtree(output) if output.is_dir() else output.unlink()
            shutil.rmtree(output.parent / "state", ignore_errors=True)  # or training would be done
            kill_while_it_writes(study, stage, output)
            assert not output.exists()
            study.run(str(output.relative_to(folder)))
            assert study.hashes() == before
            assert not list(output.parent.glob(".*.part"))
