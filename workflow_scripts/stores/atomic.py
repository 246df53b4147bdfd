"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def fsync_path(path: Path) -> None:
    """Flush a file or a folder entry to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_tree(root: Path) -> None:
    for path in root.rglob("*"):
        if path.is_file():
            fsync_path(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that replaces it when the block ends without an error.

    The sibling may be written as a file or as a folder; it is flushed to disk before the rename,
    so that after a crash `path` holds the old content, the new content or nothing, never a part.
    What a killed writer of the same path left behind is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left_behind in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        _remove(left_behind)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield temporary
        if temporary.is_dir():
            _fsync_tree(temporary)
            if path.exists():  # a folder cannot be renamed over a folder that holds files
                _remove(path)
        else:
            fsync_path(temporary)
        temporary.replace(path)
        fsync_path(path.parent)
    finally:
        _remove(temporary)
