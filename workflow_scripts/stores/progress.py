"""Progress for people: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class PlainProgress:
    """Print a line with the time left, at most once every `every_s` seconds."""

    def __init__(self, description: str, total: int | None, done: int = 0, every_s: float = 10.0):
        self.description, self.total, self.every_s = description, total, every_s
        self.done = self._first = done
        self._start = self._last = time.monotonic()

    def advance(self, note: str = "") -> None:
        """Count one item."""
        self.done += 1
        now = time.monotonic()
        if now - self._last < self.every_s and self.done != self.total:
            return
        self._last = now
        parts = [f"{self.description}: {self.done}"]
        if self.total:
            left_s = (now - self._start) / (self.done - self._first) * (self.total - self.done)
            parts = [f"{parts[0]}/{self.total}", f"{left_s:.0f} s left"]
        print(", ".join([*parts, *([note] if note else [])]), flush=True)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate with progress: a rich bar on a terminal, plain lines in a log."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    if sys.stdout.isatty():
        from rich.progress import track as rich_track  # noqa: PLC0415 - only on a terminal

        yield from rich_track(items, description, total)
        return
    progress = PlainProgress(description, total)
    for item in items:
        yield item
        progress.advance()
