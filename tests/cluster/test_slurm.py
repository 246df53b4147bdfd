"""The small study through a real SLURM of one node, and what happens to its jobs."""

import json
import os
import re
import signal
import time

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(7200)]

CLUSTER = (
    "--workflow-profile", "profiles/slurm", "--latency-wait", "10",
    # There is no accounting here, and one machine needs no long waits.
    "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "5",
    "--resources", "mem_mb=16000",
)  # fmt: skip
NETWORK = "results/tdann/alpha0_s0"
MODEL = f"{NETWORK}/model.safetensors"


@pytest.fixture
def on_slurm(slurm, small_study, tmp_path):
    assert slurm
    return lambda *arguments: small_study(tmp_path / "run", *CLUSTER, *arguments)


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """An overlay with a training long enough to be interrupted, which saves after every step."""
    overlay = tmp_path_factory.mktemp("overlay") / "longer.yaml"
    training = {"steps": 40, "save_every_s": 0}
    overlay.write_text(json.dumps({"tdann": {"network": {"training": training}}}))
    return ("--configfile", "profiles/test/study.yaml", str(overlay))


@pytest.fixture(scope="module")
def uninterrupted(small_study, tmp_path_factory, longer):
    study = small_study(tmp_path_factory.mktemp("whole"), *longer, "--cores", "1")
    study.run(MODEL)
    return (study.folder / MODEL).read_bytes()


def test_the_small_study_ends_with_the_hashes_of_a_local_run(on_slurm, finished_study):
    study = on_slurm()
    said = study.run()
    assert "SLURM jobid" in said
    assert study.hashes() == finished_study.hashes()


def wait_for_state(study, slurm, snakemake):
    """Wait until the training has saved a state and name its SLURM job."""
    while not list((study.folder / NETWORK).glob("state/*/state.safetensors")):
        assert snakemake.poll() is None, snakemake.communicate()[0]
        time.sleep(0.2)
    return slurm.ask("squeue", "--noheader", "--states=RUNNING", "--format=%A").split()[-1]


def test_a_job_whose_node_is_drained_is_requeued_and_resumes(
    on_slurm, slurm, longer, uninterrupted
):
    study = on_slurm(*longer)
    snakemake = study.start(MODEL)
    job = wait_for_state(study, slurm, snakemake)
    slurm.ask("scontrol", "update", "NodeName=localhost", "State=DRAIN", "Reason=test")
    slurm.ask("scontrol", "requeue", job)
    slurm.wait_for("PD", "squeue", "--noheader", "--jobs", job, "--format=%t")
    assert not (study.folder / MODEL).exists()
    slurm.wait_for("drained", "sinfo", "--noheader", "--format=%T")
    slurm.ask("scontrol", "update", "NodeName=localhost", "State=RESUME")
    said, _ = snakemake.communicate()
    assert snakemake.returncode == 0, said
    assert (study.folder / MODEL).read_bytes() == uninterrupted
    log = (study.folder / "results/logs/train_tdann/alpha0_s0.log").read_text()
    assert "step 40/40" in log


def test_a_job_that_is_killed_is_tried_again_and_resumes(on_slurm, slurm, longer, uninterrupted):
    study = on_slurm(*longer)
    snakemake = study.start(MODEL)
    job = wait_for_state(study, slurm, snakemake)
    slurm.ask("scancel", "--signal=KILL", job)
    resumes(study, snakemake, uninterrupted)


def test_a_job_out_of_time_is_given_more_and_resumes(on_slurm, slurm, longer, uninterrupted):
    study = on_slurm(*longer, "--set-resources", "train_tdann:runtime=attempt ** 6")
    snakemake = study.start(MODEL)
    job = wait_for_state(study, slurm, snakemake)
    lock = next((study.folder / NETWORK).glob("state/*/lock"))
    os.kill(int(lock.read_text()), signal.SIGSTOP)  # it will not end within its minute
    slurm.wait_for("TIMEOUT", "scontrol", "show", "job", job)
    resumes(study, snakemake, uninterrupted)


def resumes(study, snakemake, uninterrupted):
    said, _ = snakemake.communicate()
    assert snakemake.returncode == 0, said
    assert "Trying to restart job" in said
    assert (study.folder / MODEL).read_bytes() == uninterrupted


@pytest.mark.parametrize(
    ("asked", "count"),
    [("gpu=1", 1), ("gpu=2", 2), ("gres='gpu:fake:1'", 1)],
    ids=["gpu", "two gpus", "gres"],
)
def test_a_job_is_given_the_gpus_that_it_asks_for(on_slurm, slurm, asked, count):
    study = on_slurm("--set-resources", f"make_battery:{asked}")
    snakemake = study.start("results/in_silico/gratings.parquet")
    said, _ = snakemake.communicate()
    assert snakemake.returncode == 0, said
    job = re.findall(r"SLURM jobid ['\"]?(\d+)", said)[-1]
    told = slurm.ask("scontrol", "show", "job", job)
    assert re.search(rf"TresPer(Job|Node)=gres[:/]gpu(:fake)?:{count}$", told, re.MULTILINE), told


def test_slurm_names_the_gpus_of_a_job(slurm):
    told = slurm.ask("srun", "--gres=gpu:2", "printenv", "CUDA_VISIBLE_DEVICES")
    assert told == "0,1"
