"""An image from a debootstrapped Debian, and a Debian with Apptainer to run it."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("debootstrap", "podman", "unshare", "pivot_root")
# What podman needs inside a container or a small virtual machine; a mirror's certificate, too.
ENGINE_FLAGS = os.environ.get("ENGINE_FLAGS", "--network=host")


def run(*command: str | Path, **options: object) -> None:
    subprocess.run([str(word) for word in command], check=True, **options)  # type: ignore[call-overload]


def this_python() -> list[Path]:
    """What the Python of this environment consists of, but for libraries of the system."""
    if sys.base_prefix != "/usr":
        return [Path(sys.base_prefix)]
    # All of the host's /usr would hide Apptainer.
    python = Path("/usr/bin/python3")  # where the links of the environment lead
    return [python, python.resolve(), Path(sysconfig.get_path("stdlib"))]


class Apptainer:
    """Commands in a Debian that has Apptainer and sees the project and this Python."""

    def __init__(self, root: Path, image: Path, *folders: Path) -> None:
        self.root, self.image = root, image
        self.folders = [ROOT, Path(sys.prefix), *this_python(), image.parent, *folders]

    def run(self, *command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        mounted = dict.fromkeys(str(folder) for folder in self.folders)
        words = [str(word) for word in command]
        inside = ["env", "-C", str(cwd), *words]
        return subprocess.run(
            [str(Path(__file__).parent / "enter.sh"), str(self.root), *mounted, "--", *inside],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip


@pytest.fixture(scope="session")
def apptainer(tmp_path_factory: pytest.TempPathFactory) -> Apptainer:
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: apt-get install debootstrap podman runc")
    if os.geteuid() != 0:
        pytest.skip("debootstrap and mounts need root")
    folder = tmp_path_factory.mktemp("containers")
    base, tools = folder / "bookworm", folder / "sid"
    packages = "python3,python3-venv,ca-certificates"
    run("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", base)
    with subprocess.Popen(["tar", "-C", base, "-c", "."], stdout=subprocess.PIPE) as archive:
        run("podman", "import", "-", "localhost/debian-python", stdin=archive.stdout)
    shutil.rmtree(base)
    environment = {**os.environ, "BASE": "localhost/debian-python", "ENGINE_FLAGS": ENGINE_FLAGS}
    run(ROOT / "envs/build_image.sh", env=environment)
    archive = (ROOT / "envs/image.tar").rename(folder / "image.tar")
    # Apptainer is in Debian's unstable release only, whose mirror may be out of date; its Python's
    # standard library brings the libraries that the Python of this environment needs.
    run("debootstrap", "--variant=minbase", "sid", tools)
    install = (
        "apt-get -o Acquire::Check-Valid-Until=false update && "
        "apt-get install --yes --no-install-recommends apptainer libpython3-stdlib libexpat1"
    )
    run("chroot", tools, "sh", "-c", install)
    for name in ("hosts", "resolv.conf"):  # Apptainer copies them into its containers
        shutil.copy(Path("/etc") / name, tools / "etc" / name)
    made = Apptainer(tools, folder / "image.sif")
    # Gigabytes that are used once: not compressed, and not unpacked into memory.
    done = made.run(
        "env", f"APPTAINER_TMPDIR={folder}", "apptainer", "build",
        "--mksquashfs-args", "-no-compression", made.image, f"docker-archive:{archive}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    archive.unlink()
    return made
