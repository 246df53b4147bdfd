"""Progress for people: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")
PLAIN_LINE_EVERY_S = 10.0


def duration(seconds: float) -> str:
    """Write a duration as people do: ``40 s``, ``12 min``, ``3 h 05 min``."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


class Progress(Protocol):
    """Counts finished items."""

    def advance(self, items: int = 1, note: str = "") -> None:
        """Count `items` more; `note` is shown beside the count."""
        ...


class _Silent:
    def advance(self, items: int = 1, note: str = "") -> None:
        pass


class PlainProgress:
    """Print a line with the time left, at most once every `PLAIN_LINE_EVERY_S` seconds."""

    def __init__(self, description: str, total: int | None, done: int = 0) -> None:
        self.description, self.total = description, total
        self.done = self._first = done
        self._start = self._last = time.monotonic()

    def advance(self, items: int = 1, note: str = "") -> None:
        """Count `items` more."""
        self.done += items
        now = time.monotonic()
        if now - self._last < PLAIN_LINE_EVERY_S and self.done != self.total:
            return
        self._last = now
        parts = [f"{self.description} {self.done}"]
        if self.total:
            left_s = (now - self._start) / (self.done - self._first) * (self.total - self.done)
            parts = [f"{parts[0]}/{self.total}", f"{duration(left_s)} left"]
        print(", ".join([*parts, *([note] if note else [])]), flush=True)


class _RichProgress:
    def __init__(self, bar: object, task: object) -> None:
        self._bar, self._task = bar, task

    def advance(self, items: int = 1, note: str = "") -> None:
        shown = {"note": note} if note else {}  # a step without a note leaves the last one
        self._bar.update(self._task, advance=items, **shown)  # type: ignore[attr-defined]


@contextmanager
def progress(
    description: str, total: int | None, done: int = 0, silent: bool = False
) -> Iterator[Progress]:
    """Show progress while the block runs: a rich bar on a terminal, plain lines in a log.

    Parameters
    ----------
    description : str
        What is counted.
    total : int or None
        Items in all, where known.
    done : int
        Items that were finished before, by an interrupted run.
    silent : bool
        Show nothing: another process does.
    """
    if silent:
        yield _Silent()
        return
    if not sys.stdout.isatty():
        yield PlainProgress(description, total, done)
        return
    from rich import progress as rich  # noqa: PLC0415 - only on a terminal

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[note]}"),
    )
    with rich.Progress(*columns) as bar:
        yield _RichProgress(bar, bar.add_task(description, total=total, completed=done, note=""))


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate over `items` with progress."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    with progress(description, total) as shown:
        for item in items:
            yield item
            shown.advance()
