import json
from pathlib import Path

import pytest

from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.sessions import Session, read_sessions
from workflow_scripts.workflow.stage_options import stage_options
from workflow_scripts.workflow.study import Study
from workflow_scripts.workflow.vist_study import Fit, VistStudy

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sessions():
    return read_sessions("resources/sessions.tsv", ROOT)


def test_every_encoder_of_a_task_is_trained_with_every_seed(config, sessions):
    config["vist"] |= {"seeds": [0, 4], "run_tasks": ["retina_1_to_2"]}
    config["vist"]["tasks"]["retina_1_to_2"]["variants"] = ["ln", "vist"]
    fits = VistStudy(config["vist"], sessions).fits("vist")
    assert [(fit.task, fit.run) for fit in fits] == [
        ("retina_1_to_2", run) for run in ("ln_s0", "ln_s4", "vist_s0", "vist_s4")
    ]


def test_a_long_study_is_every_variant_on_every_task_and_nothing_twice(config, sessions):
    config["vist"]["long"] = [
        {"seeds": [0, 1], "tasks": ["retina_1_to_2"], "variants": ["ln"]},
        {"seeds": [0], "tasks": ["retina_1_to_2", "retina_2_to_1"], "variants": ["ln", "cnn"]},
    ]
    assert [fit.folder for fit in VistStudy(config["vist"], sessions).fits("vist_long")] == [
        "retina_1_to_2/ln_s0", "retina_1_to_2/ln_s1", "retina_1_to_2/cnn_s0",
        "retina_2_to_1/ln_s0", "retina_2_to_1/cnn_s0",
    ]  # fmt: skip


def test_a_transfer_trains_on_no_store_of_the_movie_that_judges(config, sessions):
    study = VistStudy(config["vist"], sessions)
    for task in config["vist"]["tasks"]:
        if not study.within(task):
            fit = Fit(task, "vist", 0)
            used = [*study.task(task)["train"], *study.features(fit, "train")]
            assert not any(study.task(task)["test"] in name.split("/") for name in used)


def test_within_a_movie_the_test_split_is_hidden_and_alone_judged(config, sessions):
    study = Study(config, {}, sessions)
    for task, within in (("simulated_within_1", True), ("simulated_1_to_2", False)):
        wildcards = {"task": task, "run": "vist_s0"}
        train, judge = (
            json.loads(stage_options(study, stage)(wildcards))
            for stage in ("train_vist", "evaluate_vist")
        )
        assert train["hide_test"] is judge["only_test"] is within


def test_pretraining_starts_from_the_task_of_the_same_movie(config, sessions):
    study = VistStudy(config["vist"], sessions)
    started = study.start(Fit("retina_2_to_1", "pretrained", 3))
    assert started == ["results/vist/simulated_2_to_1/vist_s3/model.safetensors"]
    assert study.start(Fit("simulated_1_to_2", "pretrained", 3)) == []
    assert study.start(Fit("retina_2_to_1", "vist", 3)) == []


def test_another_retina_is_a_row_of_the_sheet(config, sessions):
    sessions = {**sessions, "other": Session("other", {}, {"format": "onken_movie"})}
    config["vist"]["tasks"]["other_to_2"] = {
        "train": ["other"], "test": "retina_movie2", "variants": ["vist"]
    }  # fmt: skip
    config["vist"]["run_tasks"] = ["other_to_2"]
    study = VistStudy(config["vist"], sessions)
    assert study.features(study.fits("vist")[0], "train") == [
        "results/sessions/other/features/pixels.zarr"
    ]


def test_without_recordings_there_is_nothing_to_do(config):
    assert VistStudy(config["vist"], {}).fits("vist") == []


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda v: v.update(run_tasks=["nothing"]), "no task 'nothing'"),
        (lambda v: v["tasks"]["retina_1_to_2"].update(test="nowhere"), "has no 'nowhere'"),
        (lambda v: v["tasks"]["retina_1_to_2"].update(variants=["lm"]), "no such name 'lm'"),
        (lambda v: v["network"].update(prior="pixel"), "no such name 'pixel'"),
        (lambda v: v["long"][1].update(variants=["visst"]), "vist.long.1.variants"),
    ],
)
def test_mistakes_are_named(config, sessions, edit, said):
    edit(config["vist"])
    with pytest.raises(InputError, match=said):
        VistStudy(config["vist"], sessions)
