"""What Snakemake says at the end of a run: why jobs failed, or which figures there are now.

Snakemake itself names the log of a failed job; here the reason is taken out of that log, so that a
run of a hundred jobs ends with the one line that says what to mend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

# As Snakemake writes it, for a job and for the jobs of a group.
FAILED = re.compile(
    r"^ *(?:Error in )?rule (\w+):$(?:(?!^ *(?:Error in )?rule \w+:$).)*?"
    r"^ *log: (\S.*?) \(check log file\(s\) for error details\)$",
    re.MULTILINE | re.DOTALL,
)
REFUSED = "error: "
TRACEBACK = "Traceback (most recent call last):"
LONGEST = 20  # lines of one reason
DRAWN = {".png", ".html", ".mp4", ".gif"}


def reasons(snakemake_logs: Iterable[str]) -> str:
    """Say why the jobs of a run failed.

    Parameters
    ----------
    snakemake_logs : iterable of str
        Snakemake's own logs of the run; the logs of jobs that they name are read.

    Returns
    -------
    str
        A paragraph for each failed job: its rule, what its log says was wrong, and the log; empty
        where Snakemake itself gave up, which it says.
    """
    said = "\n".join(Path(log).read_text(errors="replace") for log in snakemake_logs)
    failed = dict.fromkeys(FAILED.findall(said))  # one that was tried again stands there twice
    if not failed:
        return ""
    return "\n".join(
        [
            "",
            f"{len(failed)} job(s) failed; what was finished stays, and the same command goes on.",
            *(f"\n{rule}: {_reason(Path(log))}\n  log: {log}" for rule, log in failed),
        ]
    )


def _reason(log: Path) -> str:
    """Take the last message out of a job's log."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    for number in range(len(lines) - 1, -1, -1):
        if lines[number].startswith(REFUSED):
            return "\n".join(lines[number : number + LONGEST]).removeprefix(REFUSED)
    if TRACEBACK in lines:
        return f"{lines[-1]}\n  not foreseen: the log has the traceback; please report it"
    return (
        "ended without a message: killed, for its memory or by hand? Give it more memory "
        "(runtime.memory_mb), run fewer jobs at once (--cores), and repeat the command"
    )


def drawn(figures: Path, since_s: float) -> str:
    """List the figures that a run has drawn.

    Parameters
    ----------
    figures : Path
        Folder of the figures.
    since_s : float
        When the run began, s since the epoch.

    Returns
    -------
    str
        Their folder, and a line for each figure or each subfolder; empty without any.
    """
    files = sorted(
        (
            file.relative_to(figures)
            for file in figures.rglob("*")
            if file.suffix in DRAWN and file.stat().st_mtime >= since_s
        ),
        key=lambda file: file.as_posix(),
    )
    if not files:
        return ""
    where = f"{len(files)} figure(s) drawn in {figures.resolve()}"
    lines = ["", f"{where}; beside each its caption (.rst):"]
    for folder, of_folder in groupby(files, key=lambda file: file.parent):
        names = [file.name for file in of_folder]
        if folder == Path():
            lines += [f"  {name}" for name in names]
        else:
            lines.append(f"  {folder.as_posix()}/ {', '.join(names)}")
    return "\n".join(lines)
