"""A disturbed training continues: the same command ends with the weights of an undisturbed one."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from workflow_scripts.workflow.configuration import merge

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]

NETWORK = Path("results/tdann/alpha0_s0")
MODEL = NETWORK / "model.safetensors"
STEPS = 40


class Run:
    """Snakemake in a working directory of its own, on its way to one network."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder

    def command(self, *arguments: str) -> list[str]:
        return [
            sys.executable, "-m", "snakemake", *arguments, "--cores", "1",
            "--directory", str(self.folder), "--configfile", str(self.folder / "study.yaml"),
        ]  # fmt: skip

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip

    def do(self, *arguments: str) -> str:
        done = self.attempt(*arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(str(MODEL)),
            cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, **options,
        )  # fmt: skip

    def trainer(self, snakemake: subprocess.Popen[bytes]) -> int:
        """Wait until the training has saved a state and name its process."""
        while not (saved := list((self.folder / NETWORK).glob("state/*/state.safetensors"))):
            assert snakemake.poll() is None, "ended before a state was saved"
            time.sleep(0.05)
        assert not (self.folder / MODEL).exists()
        return int((saved[0].parent / "lock").read_text())

    def wait_for(self, text: str, snakemake: subprocess.Popen[bytes]) -> None:
        """Wait until the training's log says it."""
        log = self.folder / "results/logs/train_tdann/alpha0_s0.log"
        while not log.exists() or text not in log.read_text(errors="replace"):
            assert snakemake.poll() is None, f"ended without saying '{text}'"
            time.sleep(0.1)

    def state(self) -> Path:
        """The saved state."""
        return next((self.folder / NETWORK).glob("state/*/state.safetensors"))

    def weights(self) -> bytes:
        return (self.folder / MODEL).read_bytes()


@pytest.fixture(scope="module")
def clips(repository_root, tmp_path_factory):
    """A folder with the clips of the small study, ready to train on."""
    folder = tmp_path_factory.mktemp("clips")
    study = yaml.safe_load((repository_root / "profiles/test/study.yaml").read_text())
    training = {"steps": STEPS, "save_every_s": 0}
    study = merge(study, {"tdann": {"network": {"training": training}}})
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    Run(repository_root, folder).do("results/videos/clips.parquet")
    return folder


@pytest.fixture
def new_run(clips, repository_root, tmp_path):
    return lambda name: Run(repository_root, Path(shutil.copytree(clips, tmp_path / name)))


@pytest.fixture(scope="module")
def uninterrupted(clips, repository_root, tmp_path_factory):
    run = Run(
        repository_root, Path(shutil.copytree(clips, tmp_path_factory.mktemp("whole") / "run"))
    )
    run.do(str(MODEL))
    return run.weights()


def test_after_the_training_is_killed(new_run, uninterrupted):
    run = new_run("killed")
    snakemake = run.start()
    os.kill(run.trainer(snakemake), signal.SIGKILL)
    assert snakemake.wait() != 0
    assert not (run.folder / MODEL).exists()
    run.do(str(MODEL))
    assert run.weights() == uninterrupted


def test_after_snakemake_is_killed_its_trainer_and_a_second_one_take_turns(new_run, uninterrupted):
    run = new_run("orphaned")
    first = run.start()
    trainer = run.trainer(first)
    os.kill(trainer, signal.SIGSTOP)  # held, or it would be done before there is a second one
    first.kill()
    first.wait()
    run.do("--unlock")
    second = run.start()
    run.wait_for(f"process {trainer} trains this model; waiting", second)
    os.kill(trainer, signal.SIGCONT)
    assert second.wait() == 0
    assert run.weights() == uninterrupted


def test_two_runs_at_once(new_run, uninterrupted):
    run = new_run("twice")
    first = run.start()
    trainer = run.trainer(first)
    os.kill(trainer, signal.SIGSTOP)  # held, or it would be done before there is a second one
    second = run.attempt(str(MODEL))
    os.kill(trainer, signal.SIGCONT)
    assert second.returncode != 0
    assert "cannot be locked" in second.stdout
    assert first.wait() == 0
    assert run.weights() == uninterrupted


CGROUP = Path("/sys/fs/cgroup")
# Takes memory until a process is gone.
GREEDY = """
import sys
from pathlib import Path
taken = []
while Path("/proc", sys.argv[1]).exists():
    taken.append(b"x" * 2**24)
"""


class MemoryGroup:
    """A control group, whose memory the kernel limits."""

    def __init__(self) -> None:
        version_1 = (CGROUP / "memory").is_dir()
        self.folder = (CGROUP / "memory" if version_1 else CGROUP) / "fault-test"
        self._limit = "memory.limit_in_bytes" if version_1 else "memory.max"
        self._usage = "memory.usage_in_bytes" if version_1 else "memory.current"
        self.folder.mkdir()

    def join(self) -> None:
        (self.folder / "cgroup.procs").write_text("0")

    def leave(self, n_bytes: int) -> None:
        """Limit the memory to what is used and a little more."""
        used = int((self.folder / self._usage).read_text())
        (self.folder / self._limit).write_text(str(used + n_bytes))


@pytest.fixture
def memory_group():
    try:
        group = MemoryGroup()
        group.leave(2**40)
    except OSError as error:
        pytest.skip(f"cannot limit memory here: {error}")
    yield group
    group.folder.rmdir()


def test_out_of_memory(new_run, uninterrupted, memory_group):
    run = new_run("starved")
    snakemake = run.start(preexec_fn=memory_group.join)
    trainer = run.trainer(snakemake)
    os.kill(trainer, signal.SIGSTOP)  # held, or it would be done before its neighbour is fed
    Path(f"/proc/{trainer}/oom_score_adj").write_text("1000")  # and not Snakemake is killed
    memory_group.leave(2**26)
    subprocess.run(
        [sys.executable, "-c", GREEDY, str(trainer)],
        preexec_fn=memory_group.join, check=True, timeout=60,
    )  # fmt: skip
    assert snakemake.wait() != 0
    assert not (run.folder / MODEL).exists()
    run.do(str(MODEL))
    assert run.weights() == uninterrupted


def test_a_damaged_state_is_named_and_replaced(new_run, uninterrupted):
    run = new_run("damaged")
    snakemake = run.start()
    os.kill(run.trainer(snakemake), signal.SIGKILL)
    snakemake.wait()
    content = bytearray(run.state().read_bytes())
    content[len(content) // 2] ^= 4
    run.state().write_bytes(content)
    done = run.attempt(str(MODEL))
    assert done.returncode != 0
    assert (
        "state.safetensors: damaged, its checksum does not agree; delete and rerun" in done.stdout
    )
    run.state().unlink()
    run.do(str(MODEL))
    assert run.weights() == uninterrupted


def test_a_loss_that_diverges(new_run, uninterrupted):
    run = new_run("diverging")
    overlay = run.folder / "study.yaml"
    sound = overlay.read_text()
    study = yaml.safe_load(sound)
    study["tdann"]["network"]["training"]["learning_rate"] = 1e30
    overlay.write_text(yaml.safe_dump(study))
    done = run.attempt(str(MODEL))
    assert done.returncode != 0
    assert "not finite by step" in done.stdout
    assert "Lower the learning rate" in done.stdout
    assert not (run.folder / MODEL).exists()
    overlay.write_text(sound)
    run.do(str(MODEL))
    assert run.weights() == uninterrupted
