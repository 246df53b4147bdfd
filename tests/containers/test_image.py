"""Stages inside the image, with a real Apptainer and nothing of the host's packages."""

import sys

import pytest

pytestmark = [pytest.mark.containers, pytest.mark.timeout(7200)]


def inside(apptainer, *command):
    return apptainer.run("apptainer", "exec", "--no-privs", "--cleanenv", apptainer.image, *command)


def test_the_image_holds_the_lock(apptainer):
    done = inside(
        apptainer, "python", "-c", "import torch, sys; print(torch.__version__, sys.prefix)"
    )
    assert done.returncode == 0, done.stdout
    assert "2.15" in done.stdout
    assert "/opt/env" in done.stdout


def test_a_package_of_the_host_cannot_be_imported(apptainer):
    # pytest is what runs this test, and no stage needs it.
    done = inside(apptainer, "python", "-c", "import pytest")
    assert done.returncode != 0
    assert "No module named 'pytest'" in done.stdout


def test_the_small_study_runs_inside(apptainer, small_study, tmp_path):
    study = small_study(tmp_path / "run", "--cores", "2", "--sdm", "apptainer")
    apptainer.folders += [study.folder]
    binds = f"--bind {study.folder} --bind {apptainer.image.parent}"
    arguments = [
        "--config", f"runtime={{container: {apptainer.image}}}",
        "--apptainer-args", f" --no-privs --cleanenv {binds}",
    ]  # fmt: skip
    done = apptainer.run(sys.executable, *study.command()[1:], *arguments)
    assert done.returncode == 0, done.stdout
    assert "Activating singularity image" in done.stdout
    assert (study.folder / "results/summary.json").is_file()
