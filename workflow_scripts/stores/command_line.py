"""Makes a stage function a command.

``python -m workflow_scripts.STAGE --argument value … --options '{JSON}'``
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import typing
from collections.abc import Callable, Sequence

from workflow_scripts.stores.errors import InputError


def run_stage(stage: Callable[..., None], arguments: Sequence[str] | None = None) -> None:
    """Parse the command line by the stage's signature and call it.

    A parameter annotated ``list[...]`` takes any number of values (``--clips a.zarr b.zarr``).
    Bad input ends with exit code 2 and one message; ``TRACEBACK=1`` shows the traceback too.
    """
    from jsonargparse import ArgumentParser  # noqa: PLC0415 - where a command line is parsed

    # Not auto_cli: it keeps the name `config`, which is a model's description here, to itself.
    parser = ArgumentParser(description=inspect.getdoc(stage))
    parser.add_function_arguments(stage, as_group=False, as_positional=False)
    words = list(sys.argv[1:] if arguments is None else arguments)
    parsed = parser.parse_args(_join_lists(stage, words))
    try:
        stage(**parser.instantiate(parsed))  # options may refuse their own values
    except InputError as error:
        if os.environ.get("TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None


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
