"""What is said at the end of a run."""

import os

import pytest

from workflow_scripts.workflow.outcome import drawn, reasons

JOB = """[Fri Nov 20 15:00:00 2026]
Error in rule {rule}:
    message: Do it
    jobid: 3
    input: a, b
    output: results/c
    log: {log} (check log file(s) for error details)
    shell:
        python -m workflow_scripts.{rule} --options '{{}}'
        (command exited with non-zero exit code)
"""
GROUP = """Error in group figures:
    log: {slurm} (check log file(s) for error details)
    jobs:
        rule plot_a:
            jobid: 1
            output: results/a.png
            log: {first} (check log file(s) for error details)
        rule plot_b:
            jobid: 2
            log: {second} (check log file(s) for error details)
"""


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_each_failed_job_is_told_once_with_its_reason(write):
    refused = write("a.log", "step 1/2\nerror: a.zarr: 2 videos\n  one\n  two\n")
    fault = write("b.log", "Traceback (most recent call last):\n  File\nKeyError: 'x'\n")
    killed = write("c.log", "step 10/20, 5 s left\n")
    jobs = [("train", refused), ("train", refused), ("place", fault), ("show", killed)]
    said = reasons([write("run.log", "".join(JOB.format(rule=r, log=log) for r, log in jobs))])
    assert said.count("train: a.zarr: 2 videos\n  one\n  two\n") == 1
    assert "3 job(s) failed" in said
    assert "place: KeyError: 'x'\n  not foreseen" in said
    assert "show: ended without a message: killed" in said
    assert f"log: {killed}" in said


def test_jobs_of_a_group_are_told_apart(write):
    logs = {name: write(name, f"error: {name} is bad\n") for name in ("first", "second", "slurm")}
    said = reasons([write("run.log", GROUP.format(**logs))])
    assert "plot_a: first is bad" in said
    assert "plot_b: second is bad" in said
    assert "2 job(s) failed" in said


def test_only_what_this_run_has_drawn_is_listed(tmp_path):
    for name in ("old.png", "clips.png", "session/a.png", "session/b.png", "clips.rst"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
        os.utime(file, (100, 100) if name == "old.png" else (200, 200))
    lines = drawn(tmp_path, 150).splitlines()
    assert lines[1].startswith(f"3 figure(s) drawn in {tmp_path}; beside each its caption")
    assert lines[2:] == ["  clips.png", "  session/ a.png, b.png"]
    assert drawn(tmp_path, 300) == ""
