"""Every stage, killed while it writes, leaves nothing that counts as done, and then runs again."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

# One output of each stage, as the small study has them.
OUTPUTS = {
    "ingest_videos": "videos/batch_000.zarr",
    "index_clips": "videos/clips.parquet",
    "simulate_mouse": "sessions/v1_mouse0/mouse.zip",
    "simulate_retina": "sessions/simulated_retina_movie1/session.zarr",
    "infer_onsets": "sessions/retina_movie1/onsets.zarr",
    "read_session": "sessions/park_30_fov1/session.zarr",
    "measure_session_tuning": "sessions/park_30_fov1/tuning.parquet",
    "train_tdann": "tdann/alpha0_s0/model.safetensors",
    "place_units": "positions/optimised_s0.zarr",
    "make_battery": "in_silico/gratings.parquet",
    "stimulate": "in_silico/alpha0_s0/gratings.zarr",
    "measure_tuning": "tuning/alpha0_s0.parquet",
    "measure_map": "maps/alpha0_s0_on_optimised_s0/map.zarr",
    "summarise": "summary.json",
    "plot_session": "figures/session/park_30_fov1.png",
    "plot_direction_map": "figures/direction_map.png",
}


def worker(stage: str, folder: Path) -> int | None:
    """The process that runs a stage in a folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if (
                f"workflow_scripts.{stage}".encode() in words
                and (process / "cwd").readlink() == folder
            ):
                return int(process.name)
        except OSError:
            continue  # it has ended meanwhile
    return None


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize("stage", OUTPUTS)
def test_a_killed_stage(stage, finished_study, small_study, tmp_path):
    folder = Path(shutil.copytree(finished_study.folder, tmp_path / "run"))
    study = small_study(folder, *finished_study.arguments)
    before = study.hashes()
    output = folder / "results" / OUTPUTS[stage]
    shutil.rmtree(output) if output.is_dir() else output.unlink()
    shutil.rmtree(output.parent / "state", ignore_errors=True)  # or a training would be done
    target = f"results/{OUTPUTS[stage]}"

    snakemake = study.start(target)
    while (pid := worker(stage, folder)) is None:
        assert snakemake.poll() is None, snakemake.communicate()[0]
        time.sleep(0.02)
    while not (output.exists() or list(output.parent.glob(f".{output.name}.*.part"))):
        assert Path(f"/proc/{pid}").exists(), "ended without writing"
    os.kill(pid, signal.SIGKILL)
    said, _ = snakemake.communicate()
    assert snakemake.returncode != 0, said
    assert not output.exists()

    study.run(target)
    assert study.hashes() == before
    assert not list(output.parent.glob(".*.part"))
