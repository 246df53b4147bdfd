"""What people see of a stage's progress: lines in a log, a bar on a terminal."""

import os
import pty
import subprocess
import sys

import pytest

from workflow_scripts.stores import progress
from workflow_scripts.stores.progress import duration, track

COUNT = "from workflow_scripts.stores.progress import track; list(track(range(3), 'frames'))"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (99, "99 s"), (100, "2 min"), (3540, "59 min"), (7500, "2 h 05 min")],
)
def test_durations_as_people_write_them(seconds, text):
    assert duration(seconds) == text


def test_a_log_gets_the_count_and_the_time_left(capsys, monkeypatch):
    now = iter(range(0, 1000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    assert list(track(range(4), "videos")) == [0, 1, 2, 3]
    assert capsys.readouterr().out.splitlines() == [
        "videos 1/4, 60 s left", "videos 2/4, 40 s left", "videos 3/4, 20 s left",
        "videos 4/4, 0 s left",
    ]  # fmt: skip


def test_a_long_log_gets_a_line_every_ten_seconds(capsys, monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    list(track(iter(range(25)), "videos"))
    assert capsys.readouterr().out.splitlines() == ["videos 10", "videos 20"]


def test_a_terminal_gets_a_bar():
    ours, theirs = pty.openpty()
    done = subprocess.run([sys.executable, "-c", COUNT], stdout=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    assert done.returncode == 0
    assert "frames" in shown
    assert "3/3" in shown
