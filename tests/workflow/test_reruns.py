"""What runs again after an edit: exactly the jobs that depend on it."""

from pathlib import Path

import pytest

FIGURES = {
    "plot_training": 1, "plot_direction_map": 1, "plot_tuning_curves": 1, "plot_selectivity": 1,
    "plot_smoothness": 1, "plot_dots": 1, "explore_maps": 1,
}  # fmt: skip
COMPARISON = {"compare_in_vivo": 1, "plot_in_vivo": 1}
# Whatever is made anew: the record and its two tables. The summary has four; a comparison in vivo
# stands in one more.
RECORD = {"record_provenance": 1, "tabulate": 2, "all": 1}
SUMMARY = {"summarise": 1, **RECORD, "tabulate": 6}
SUMMARY_AND_COMPARISON = {**COMPARISON, **SUMMARY, "tabulate": 7}
# As shipped: three variants × three seeds, their nine maps and the six controls of those with
# positions of their own; one network of each variant and the cascade see the physiology battery.
AFTER_STIMULATION = {
    "measure_tuning": 9, "measure_map": 15, "plot_physiology": 1,
    **FIGURES, **SUMMARY_AND_COMPARISON,
}  # fmt: skip
AFTER_TRAINING = {"stimulate": 21, "measure_physiology": 3, **AFTER_STIMULATION}
ALL_RESPONSES = {"stimulate": 22, "measure_physiology": 4}
NETWORKS = {"train_tdann": 9, "place_units": 6, **AFTER_TRAINING}
# Natural clips are among the stimuli, the cascade's too.
AFTER_CLIPS = {**NETWORKS, **ALL_RESPONSES, "plot_stimuli": 1}
FULL_NETWORKS = {
    "train_tdann": 3, "stimulate": 7, "measure_physiology": 1, "plot_physiology": 1,
    "measure_tuning": 3, "measure_map": 3, **FIGURES, **SUMMARY_AND_COMPARISON,
}  # fmt: skip


def edit_module(root: Path, module: str, text: str) -> None:
    path = root / "workflow_scripts" / module
    path.write_text(path.read_text() + text)


def test_a_second_run_does_nothing(finished_once):
    assert finished_once.planned() == {}


def test_swapping_a_flag_and_its_opposite_reruns_training_and_what_follows(finished):
    def swap(config):
        spatial, views = (config["tdann"]["network"][key] for key in ("spatial", "augmentation"))
        assert (spatial["mask_same_channel"], views["independent_flips"]) == (True, False)
        spatial["mask_same_channel"], views["independent_flips"] = False, True

    finished.edit_config(swap)
    assert finished.planned() == NETWORKS


def test_swapping_two_values_reruns_what_uses_them(finished):
    def swap(config):
        frames = config["videos"]["frames"]
        frames["height_px"], frames["width_px"] = frames["width_px"], frames["height_px"]

    finished.edit_config(swap)
    assert finished.planned() == {
        "ingest_videos": 2, "index_clips": 1, "plot_clips": 1, **AFTER_CLIPS,
    }  # fmt: skip


def test_reordering_the_config_reruns_nothing(finished):
    def reorder(config):
        network = config["tdann"]["network"]
        config["tdann"]["network"] = dict(reversed(network.items()))

    finished.edit_config(reorder)
    assert finished.planned() == {}


def test_the_spatial_loss_concerns_only_networks_that_have_one(finished):
    finished.edit_config(
        lambda config: config["tdann"]["network"]["spatial"].update(neighbourhoods_per_step=5)
    )
    assert finished.planned() == FULL_NETWORKS


def test_editing_a_used_function_reruns_its_stages(finished):
    edit_module(finished.root, "in_silico/responses.py", "\nEDITED = 1\n")
    expected = {**ALL_RESPONSES, **AFTER_STIMULATION}
    del expected["plot_training"]
    assert finished.planned() == expected


def test_editing_an_analysis_leaves_the_networks_alone(finished):
    edit_module(finished.root, "measure_map.py", "\nEDITED = 1\n")
    drawn = ("plot_direction_map", "plot_smoothness", "explore_maps")
    assert finished.planned() == {
        "measure_map": 15, **dict.fromkeys(drawn, 1), **SUMMARY,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("in_silico/responses.py", "\n# a comment\n"),
        ("workflow/document_config.py", "\nEDITED = 1\n"),
    ],
)
def test_comments_and_modules_that_no_stage_uses_rerun_nothing(finished, module, text):
    edit_module(finished.root, module, text)
    assert finished.planned() == {}


def test_a_new_video_reruns_its_batch_and_what_depends_on_all_clips(finished):
    (finished.root / "videos/d.mp4").touch()
    assert finished.planned() == {
        "ingest_videos": 1, "index_clips": 1, "plot_clips": 1, **AFTER_CLIPS,
    }  # fmt: skip


def test_a_changed_video_reruns_its_batch(finished):
    (finished.root / "videos/a.mp4").write_text("other content")
    assert finished.planned()["ingest_videos"] == 1


def test_one_more_variant_adds_its_own_jobs(finished):
    finished.edit_config(
        lambda config: config["tdann"].update(run_variants=["alpha0", "full", "no_ego_motion"])
    )
    assert finished.planned() == {
        "train_tdann": 3, "stimulate": 6, "measure_tuning": 3, "measure_map": 3,
        "plot_physiology": 1,  # whose colours are those of all figures
        **FIGURES, **SUMMARY_AND_COMPARISON,
    }  # fmt: skip


def test_one_figure_builds_only_what_it_needs(repository):
    assert repository.planned("results/figures/clips.png") == {
        "ingest_videos": 2, "index_clips": 1, "plot_clips": 1,
    }  # fmt: skip
    planned = repository.planned("results/figures/direction_map.png")
    assert {rule for rule in planned if rule.startswith("plot_")} == {"plot_direction_map"}
