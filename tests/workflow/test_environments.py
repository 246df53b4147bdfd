"""One lock for every environment: .venv, conda and the image."""

import re
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
ENVS = ROOT / "envs"


def pinned(lock):
    pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==(\S+)", lock.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


def test_the_lock_holds_what_is_asked_for():
    for asked in ("requirements", "requirements-dev"):
        lines = (ENVS / f"{asked}.in").read_text().splitlines()
        wanted = [Requirement(line) for line in lines if line and line[0] not in "#-"]
        pins = pinned(ENVS / f"{asked}.txt")
        for requirement in wanted:
            version = pins[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), requirement
    shared = pinned(ENVS / "requirements.txt")
    development = pinned(ENVS / "requirements-dev.txt")
    assert all(development.get(name, version) == version for name, version in shared.items())


def test_conda_installs_the_lock_and_its_python():
    listed = yaml.safe_load((ENVS / "environment.yaml").read_text())["dependencies"]
    python = re.search(r"--python-version (\S+)", (ROOT / "Makefile").read_text())
    assert python
    assert f"python={python[1]}" in listed
    assert [one for one in listed if isinstance(one, dict)] == [
        {"pip": ["--require-hashes", "-r requirements.txt"]}
    ]


def test_images_install_the_lock_in_one_way():
    install = (ENVS / "install.sh").read_text()
    version = re.search(r"UV_VERSION := (\S+)", (ROOT / "Makefile").read_text())
    assert version
    assert f"uv=={version[1]}" in install
    assert "--require-hashes -r requirements.txt" in " ".join(install.split())
    environments = []
    for recipe in ("Containerfile", "image.def"):
        text = (ENVS / recipe).read_text()
        assert "sh /opt/recipe/install.sh" in text
        environments.append(re.search(r"PATH=\S+ PYTHONNOUSERSITE=1", text)[0])
    assert environments[0] == environments[1]
