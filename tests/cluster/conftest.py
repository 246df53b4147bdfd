"""A SLURM of one node on loopback, from Debian's munge and slurm-wlm."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
CONFIG = """
ClusterName=test
SlurmctldHost=localhost
SlurmUser=root
SlurmctldPort=16917
SlurmdPort=16918
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CredType=cred/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/none
MinJobAge=3600
JobRequeue=1
KillWait=5
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=localhost NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 Gres=gpu:fake:2
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""
# Where SLURM's commands look: jobs of the plugin do not keep the variable SLURM_CONF.
PLACE = Path("/etc/slurm")
# Any two device files do: SLURM counts them and names them to the job.
FAKE_GPUS = "Name=gpu Type=fake File=/dev/null\nName=gpu Type=fake File=/dev/zero\n"


class Slurm:
    """The running cluster."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("state", "spool"):
            (root / folder).mkdir()
        (root / "slurm.conf").write_text(CONFIG.format(root=root))
        (root / "gres.conf").write_text(FAKE_GPUS)
        for file in ("slurm.conf", "gres.conf"):
            (PLACE / file).symlink_to(root / file)
        (root / "munge.key").write_bytes(os.urandom(1024))
        (root / "munge.key").chmod(0o400)

    def start(self) -> None:
        munge = {
            "key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid",
            "log-file": "munged.log", "seed-file": "munge.seed",
        }  # fmt: skip
        paths = [f"--{name}={self.root / file}" for name, file in munge.items()]
        subprocess.run(["munged", "--force", *paths], check=True)
        for daemon in ("slurmctld", "slurmd"):
            subprocess.run([daemon, "-c"], check=True)
        self.wait_for("idle", "sinfo", "--noheader", "--format=%t")

    def stop(self) -> None:
        for daemon in ("slurmd", "slurmctld", "munged"):
            pid = self.root / f"{daemon}.pid"
            if pid.exists():
                subprocess.run(["kill", pid.read_text().strip()], check=False)
        for file in ("slurm.conf", "gres.conf"):
            (PLACE / file).unlink()

    def ask(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def wait_for(self, text: str, *command: str, timeout_s: float = 600) -> str:
        """Wait until a command says it."""
        deadline = time.monotonic() + timeout_s
        while text not in (said := self.ask(*command)):
            assert time.monotonic() < deadline, f"{command} never said {text}, but {said}"
            time.sleep(0.5)
        return said


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.skip("starting SLURM's daemons needs root")
    if (PLACE / "slurm.conf").exists():
        pytest.skip(f"{PLACE}/slurm.conf is there already; this test would write its own")
    PLACE.mkdir(exist_ok=True)
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
