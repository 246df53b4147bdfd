"""Where the jobs' commands find their interpreter and their modules."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path


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
