"""Where the jobs' commands find their interpreter and their modules."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


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
    return f"set -euo pipefail; export PYTHONPATH={shlex.quote(str(root))}; "


def module_launcher(torch: Mapping[str, Any]) -> str:
    """Begin the command of a training: Python, or on several nodes torchrun on each.

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
        " --rdzv-endpoint=$(hostname):29400 --rdzv-id=$SLURM_JOB_ID -m --"
    )


def growing(amount: int) -> Callable[[Any, int], int]:
    """Ask for an amount of memory or time, and for more of it when a job is tried again."""
    return lambda _wildcards, attempt: amount * attempt
