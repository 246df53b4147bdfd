"""Where the jobs' commands find their interpreter and their modules."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# For glibc's allocator. As it comes, it returns the memory of each large tensor to the kernel and
# asks for it again in the next operation, and the kernel spends up to half of a stage's time on
# pages of zeros. Kept, and in large pages, memory makes networks 5 % (training) to 40 % (forward
# passes) faster and changes no result. Other C libraries do not read this.
_KEEP_MEMORY = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in {
        "hugetlb": 1,
        "mmap_threshold": 32 * 2**20,  # the largest that glibc takes
        "trim_threshold": 4 * 2**30,
        "top_pad": 256 * 2**20,
    }.items()
)


def prefer_this_interpreter() -> None:
    """Let jobs find the `python` that runs Snakemake, also where no environment is activated.

    It goes by the variable and not by the command: a container has a `PATH` of its own.
    """
    folders = [str(Path(sys.executable).parent), *os.environ["PATH"].split(os.pathsep)]
    os.environ["PATH"] = os.pathsep.join(dict.fromkeys(folders))


def shell_prefix(root: Path) -> str:
    """Begin each job's command: any failure ends it, and its modules are those of `root`.

    The modules that `code` hashes are then the ones that run, in every working directory.
    """
    exported = f"PYTHONPATH={shlex.quote(str(root))} GLIBC_TUNABLES={_KEEP_MEMORY}"
    return f"set -euo pipefail; export {exported}; "


def module_launcher(torch: Mapping[str, Any]) -> str:
    """Begin the command of a training: Python, or on several nodes torchrun on each.

    Each training meets on its own port, and under its own name: several may run on one node, and
    in one SLURM job.

    Parameters
    ----------
    torch : mapping
        The config's `runtime.torch`.
    """
    if torch["nodes"] == 1:
        return "python -m"
    return (
        f"srun --ntasks={torch['nodes']} --ntasks-per-node=1 torchrun --nnodes={torch['nodes']}"
        f" --nproc-per-node={torch['devices']} --rdzv-backend=c10d"
        " --rdzv-endpoint=$(hostname):$(python -m workflow_scripts.workflow.free_port)"
        " --rdzv-id=$SLURM_JOB_ID.$$ -m --"
    )


def growing(amount: int) -> Callable[[Any, int], int]:
    """Ask for an amount of memory or time, and for more of it when a job is tried again."""
    return lambda _wildcards, attempt: amount * attempt
