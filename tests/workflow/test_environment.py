"""How trainings on several nodes are started; SLURM's `srun` is one that starts the tasks here."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from workflow_scripts.workflow.environment import module_launcher, shell_prefix

ROOT = Path(__file__).resolve().parents[2]
SRUN = """#!/bin/bash
tasks=${1#--ntasks=}; shift 2
for _ in $(seq $tasks); do "$@" & done; wait
"""
# Every process has to meet all others of its own training, and none of another.
MEETING = """
import sys
import torch
from torch import distributed
distributed.init_process_group("gloo")
total = torch.tensor([int(sys.argv[1])])
distributed.all_reduce(total)
print("met", distributed.get_world_size(), total.item(), flush=True)
distributed.barrier()
distributed.destroy_process_group()
"""


@pytest.fixture
def start(tmp_path):
    """Starts a command of a job as on several nodes."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/srun").write_text(SRUN)
    (tmp_path / "bin/hostname").write_text("#!/bin/bash\necho localhost\n")
    for command in (tmp_path / "bin").iterdir():
        command.chmod(0o755)
    (tmp_path / "meeting.py").write_text(MEETING)
    folders = [str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = os.environ | {"PATH": os.pathsep.join(folders), "SLURM_JOB_ID": "7"}

    def start(command):
        return subprocess.Popen(
            ["bash", "-c", shell_prefix(ROOT) + command],
            cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip

    return start


def test_one_node_needs_no_launcher():
    assert module_launcher({"nodes": 1, "devices": 4}) == "python -m"


def test_trainings_of_one_job_meet_at_ports_and_under_names_of_their_own(start):
    command = "echo " + module_launcher({"nodes": 2, "devices": 4})
    pattern = re.compile(r"--rdzv-endpoint=localhost:(\d+) --rdzv-id=(7\.\d+) -m --")
    with socket.socket() as taken:
        (port, name), (other_port, other_name) = (
            pattern.findall(start(command).communicate()[0])[0] for _ in range(2)
        )
        taken.bind(("", int(port)))  # free
        taken.listen()
    assert name != other_name
    assert port != other_port


@pytest.mark.cluster
@pytest.mark.timeout(600)
def test_two_trainings_on_two_nodes_each_on_one_machine(start):
    launcher = module_launcher({"nodes": 2, "devices": 1})
    running = [start(f"{launcher} meeting {number}") for number in (1, 10)]
    for number, one in zip((1, 10), running, strict=True):
        said = one.communicate()[0]
        assert one.returncode == 0, said
        assert re.findall(r"^met .*$", said, re.MULTILINE) == [f"met 2 {2 * number}"] * 2
