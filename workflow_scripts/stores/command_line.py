"""Makes a stage function a command.

``python -m workflow_scripts.STAGE --argument value … --options '{JSON}'``
"""

from __future__ import annotations

import errno
import inspect
import json
import os
import sys
import typing
from collections.abc import Callable, Sequence

from workflow_scripts.stores.errors import InputError

# What a disk may refuse, and what to do about it; other errors of the system keep their traceback.
_DISK = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "your quota is used up: make room",
    errno.EROFS: "mount it writable, or work in another folder (--directory)",
    errno.EACCES: "make it readable and writable for this user",
}
INTERRUPTED = 130  # as shells report it


def run_stage(stage: Callable[..., None], arguments: Sequence[str] | None = None) -> None:
    """Parse the command line by the stage's signature and call it.

    A parameter annotated ``list[...]`` takes any number of values (``--clips a.zarr b.zarr``).
    Bad input, a disk that refuses and Ctrl-C end with one message and a status that is not 0;
    ``TRACEBACK=1`` shows the traceback too.
    """
    from jsonargparse import ArgumentParser  # noqa: PLC0415 - where a command line is parsed

    # Not auto_cli: it keeps the name `config`, which is a model's description here, to itself.
    parser = ArgumentParser(description=inspect.getdoc(stage))
    parser.add_function_arguments(stage, as_group=False, as_positional=False)
    words = list(sys.argv[1:] if arguments is None else arguments)
    parsed = parser.parse_args(_join_lists(stage, words))
    try:
        stage(**parser.instantiate(parsed))  # options may refuse their own values
    except (InputError, OSError, KeyboardInterrupt) as error:
        message = _message(error)
        if message is None or os.environ.get("TRACEBACK"):
            raise
        print(f"error: {message}", file=sys.stderr, flush=True)
        status = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 2
        raise SystemExit(status) from None


def _message(error: BaseException) -> str | None:
    """Say what went wrong and what to do; None where only the traceback tells."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; the same command does this step again, a training goes on where it was"
    if isinstance(error, OSError):
        remedy = _DISK.get(error.errno or 0)
        where = f"{error.filename}: " if error.filename else ""
        return remedy and f"{where}{error.strerror}; {remedy}, and repeat the command"
    return str(error)


def _join_lists(stage: Callable[..., None], words: list[str]) -> list[str]:
    """Replace the values after a list parameter's name by one JSON list."""
    hints = typing.get_type_hints(stage)
    lists = {
        f"--{name}" for name in inspect.signature(stage).parameters
        if typing.get_origin(hints[name]) is list
    }  # fmt: skip
    joined: list[str] = []
    while words:
        word = words.pop(0)
        joined.append(word)
        if word in lists:
            values = []
            while words and not words[0].startswith("--"):
                values.append(words.pop(0))
            joined.append(json.dumps(values))
    return joined
