"""Every profile plans its study, from wherever it is called, and mistakes are told plainly."""

import json
import os
import re
import shutil

import pytest
import yaml

from workflow_scripts.workflow.configuration import merge

# Appended to the Snakefile: prints what each rule asks for when it is tried for the nth time.
PROBE = """
for one in workflow.rules:
    if one.shellcmd:
        asked = [
            [one.resources[name].evaluate(None, attempt=attempt).value for attempt in (1, 2, 3)]
            for name in ("mem_mb", "runtime")
        ]
        print("asked", one.name, asked)
"""


@pytest.fixture(scope="module")
def asked(pristine, tmp_path_factory):
    """Memory and time of the first three attempts, by rule."""
    repository = pristine.copy(tmp_path_factory.mktemp("probed") / "repository")
    with (repository.root / "Snakefile").open("a") as snakefile:
        snakefile.write(PROBE)
    said = repository.snakemake("--list-rules")
    return {
        rule: json.loads(values)
        for rule, values in re.findall(r"^asked (\w+) (.+)$", said, re.MULTILINE)
    }


def test_a_job_that_is_tried_again_gets_more_memory_and_time(asked, repository_root):
    rules = "".join(path.read_text() for path in (repository_root / "rules").iterdir())
    assert set(asked) == set(re.findall(r"^rule (\w+)", rules, re.MULTILINE))
    for rule, resources in asked.items():
        for first, second, third in resources:
            assert first < second < third, rule


def test_slurm_runs_all_drawing_of_figures_in_groups(asked, repository_root):
    profile = yaml.safe_load((repository_root / "profiles/slurm/profile.yaml").read_text())
    drawn = {rule for rule in asked if rule.startswith("plot_")}
    assert drawn <= set(profile["groups"]) <= set(asked)
    assert set(profile["groups"].values()) == set(profile["group-components"])


@pytest.mark.parametrize(
    ("arguments", "n_networks"),
    [
        (("--profile", "profiles/test"), 6),
        (("--profile", "profiles/own"), 4),
        (("--profile", "profiles/full"), 9),
        (("--workflow-profile", "profiles/gpu", "--profile", "profiles/full"), 9),
        (("--workflow-profile", "profiles/slurm"), 9),
        (("--workflow-profile", "profiles/slurm", "--profile", "profiles/full"), 9),
    ],
)
def test_profiles_plan_their_study(pristine, arguments, n_networks):
    source = "videos={source: videos}"
    planned = pristine.planned(*arguments, "--config", source)
    assert planned["train_tdann"] == n_networks


def test_the_long_study_of_encoders_adds_mice_to_cores_that_did_not_see_them(pristine):
    planned = pristine.planned("--profile", "profiles/v1t_long", "encoders")
    assert planned["add_mouse"] == 4
    assert planned["train_encoder"] == 19 + 4
    assert planned["cross_validate_encoder"] == 7
    assert "train_tdann" not in planned


def test_five_published_mice_are_trained_once_their_folders_are_there(repository):
    sheet = (repository.root / "profiles/full/sensorium2022.tsv").read_text().splitlines()
    folder = sheet[0].split("\t").index("path")
    for row in sheet[1:]:
        (repository.root / "profiles/full" / row.split("\t")[folder]).mkdir(parents=True)
    files = [f"profiles/full/{name}.yaml" for name in ("study", "sensorium2022")]
    planned = repository.planned("--configfile", *files, "--", "encoders")
    assert planned["read_session"] == 5
    assert planned["train_encoder"] == 4
    assert "simulate_mouse" not in planned


def test_overlays_name_only_what_differs(repository_root):
    shipped = yaml.safe_load((repository_root / "config.yaml").read_text())
    for scale in ("full", "own", "test", "v1t_long"):
        overlay = yaml.safe_load((repository_root / f"profiles/{scale}/study.yaml").read_text())
        assert merge(shipped, overlay) != shipped
        assert not list(_idle(shipped, overlay)), f"profiles/{scale}/study.yaml repeats config.yaml"


def _idle(shipped, overlay, at=""):
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(shipped.get(key), dict):
            yield from _idle(shipped[key], value, f"{at}.{key}")
        elif key in shipped and shipped[key] == value:
            yield f"{at}.{key}"


def test_a_job_runs_in_another_directory_without_an_active_environment(repository, monkeypatch):
    root = shutil.move(repository.root, repository.root.with_name('it\'s a "clone"'))
    repository.root = root
    elsewhere = root.parent / "else where"
    monkeypatch.setenv("PATH", os.defpath)
    repository.snakemake(
        "--directory", str(elsewhere), "--cores", "1", "results/in_silico/gratings.parquet"
    )
    assert (elsewhere / "results/in_silico/gratings.parquet").is_file()
    assert not (root / "results").exists()


def test_a_plan_from_another_directory_finds_config_and_videos(pristine, tmp_path):
    planned = pristine.planned("--directory", str(tmp_path), "--profile", "profiles/full")
    assert planned["train_tdann"] == 9


def test_mistakes_are_told_at_once_and_without_a_traceback(repository, tmp_path):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("tdann: {network: {widht: 8, training: {steps: -1}}}\n")
    done = repository.try_snakemake("--dry-run", "--configfile", str(overlay))
    assert done.returncode != 0
    assert f"{overlay}: tdann.network.widht: unknown field; did you mean 'width'?" in done.stdout
    assert f"{overlay}: tdann.network.training.steps: value -1: give at least 0" in done.stdout
    assert "Traceback" not in done.stdout


def test_jobs_take_turns_on_the_one_gpu_of_a_workstation(repository):
    batteries = [f"results/in_silico/{name}.parquet" for name in ("gratings", "dots")]
    machine = ("--workflow-profile", "profiles/gpu", "--cores", "2")
    said = repository.snakemake(*batteries, *machine, "--set-resources", "make_battery:gpu=1")
    events = re.findall(r"List the stimuli|Finished jobid", said)
    assert events == ["List the stimuli", "Finished jobid"] * 2
