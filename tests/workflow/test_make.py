"""`make setup` says what is missing before it installs anything."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON_3_8 = """
[ "$1" = --version ] && echo "Python 3.8.10"
exit 1
"""
PYTHON_WITHOUT_VENV = """
case "$2" in *ensurepip*) exit 1;; esac
exit 0
"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (PYTHON_3_8, "Python 3.11 is needed, {python} is Python 3.8.10"),
        (PYTHON_WITHOUT_VENV, "{python} lacks venv or ensurepip"),
    ],
)
def test_an_unfit_python_is_refused_with_a_remedy(tmp_path, script, expected):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}")
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "setup", f"PYTHON={python}", f"VENV={tmp_path}/venv"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert expected.format(python=python) in done.stderr
    assert not (tmp_path / "venv").exists()
