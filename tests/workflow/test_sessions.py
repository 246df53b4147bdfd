"""The sheet of sessions: what it plans, what an edit reruns, and how its mistakes are told."""

import csv
import json
import re
import shutil
import typing
from pathlib import Path

import pytest
import yaml

from workflow_scripts.read_session import Format
from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.sessions import MOVIE_FORMATS, any_of, none_of, read_sessions
from workflow_scripts.workflow.stage_options import stage_options
from workflow_scripts.workflow.study import Study
from workflow_scripts.workflow.validation import schema_problems

ROOT = Path(__file__).resolve().parents[2]
SHEET = "resources/sessions.tsv"
# Whatever is made anew: the record and its two tables.
RECORD = {"record_provenance": 1, "tabulate": 2, "all": 1}
# A session whose tuning is measured, from its recording to its figures.
TUNED_SESSION = {
    "read_session": 1, "plot_session": 1, "measure_session_tuning": 1, "plot_session_tuning": 1,
    "compare_in_vivo": 1, "plot_in_vivo": 1, **RECORD, "tabulate": 3,
}  # fmt: skip

# What follows from the simulated mice.
ENCODERS = {
    "train_encoder": 4, "evaluate_encoder": 4, "stimulate_encoder": 1, "measure_encoder": 1,
    "measure_attention": 1, "plot_encoders": 1, "plot_encoder_predictions": 1, "plot_attention": 1,
    "plot_twins": 1,
}  # fmt: skip

# What follows from the simulated mice.
ALIGNMENT = {
    "train_dina": 1, "decode_dina": 1, "interpret_dina": 1, "plot_dina_decoding": 1,
    "plot_dina_images": 1, "plot_dina_interpretation": 1,
}  # fmt: skip


def edit_sheet(root, edit):
    with (root / SHEET).open(newline="") as lines:
        reader = csv.DictReader(lines, delimiter="\t")
        rows = {row["session_id"]: row for row in reader}
    edit(rows)
    with (root / SHEET).open("w", newline="") as lines:
        writer = csv.DictWriter(lines, reader.fieldnames, delimiter="\t")
        writer.writeheader()
        writer.writerows(rows.values())


class TestReruns:
    def test_a_new_row_runs_its_own_jobs_and_no_other(self, finished):
        def add(rows):
            rows["mine"] = rows["park_28_fov4"] | {"session_id": "mine"}

        edit_sheet(finished.root, add)
        assert finished.planned() == TUNED_SESSION

    def test_a_new_movie_runs_its_own_chain_and_no_other(self, finished):
        movie = finished.root / "resources/mine.tif"
        movie.touch()

        def add(rows):
            row = {"session_id": "mine", "path": "mine.tif", "sampling_rate_hz": "30"}
            rows["mine"] = {**dict.fromkeys(rows["park_28_fov4"], ""), **row}
            rows["mine"]["format"] = "two_photon_tiff"

        edit_sheet(finished.root, add)
        assert finished.planned() == {
            "register_movie": 1, "extract_rois": 1, "extract_traces": 1, "plot_movie": 1,
            "read_session": 1, "plot_session": 1, **RECORD,
        }  # fmt: skip

    def test_what_counts_as_a_cell_leaves_the_registration_alone(self, finished):
        finished.edit_config(
            lambda config: config["sessions"]["movies"]["cells"].update(threshold=5.0)
        )
        assert finished.planned() == {
            "extract_rois": 1, "extract_traces": 1, "plot_movie": 1, "read_session": 1,
            "plot_session": 1, **RECORD,
        }  # fmt: skip

    def test_a_changed_cell_reruns_its_session(self, finished):
        edit_sheet(finished.root, lambda rows: rows["park_28_fov4"].update(window_stop_s="1.5"))
        encoders = {"cross_validate_encoder": 2, "plot_cross_validated": 1}
        assert finished.planned() == TUNED_SESSION | encoders | {"tabulate": 4}

    def test_deleting_and_moving_rows_changes_the_record_alone(self, finished):
        def move(rows):
            del rows["v1_two_channel"]
            rows["retina_images"] = rows.pop("retina_images")

        edit_sheet(finished.root, move)
        assert finished.planned() == RECORD

    def test_a_changed_recording_reruns_what_reads_it(self, finished):
        recording = finished.root / "resources/retina_onken2017/spikes/Movie1Exp1.mat"
        recording.write_text("other content")
        assert finished.planned() == {
            "infer_onsets": 1, "plot_onsets": 1, "read_session": 1, "plot_session": 1,
            # Movie 1 trains two encoders and judges, besides, those of movie 2.
            "train_vist": 2, "evaluate_vist": 4, "plot_vist_correlation": 1, "plot_vist_rates": 2,
            **RECORD, "tabulate": 3,
        }  # fmt: skip

    def test_the_size_of_simulated_mice_concerns_only_them(self, finished):
        finished.edit_config(
            lambda config: config["sessions"]["simulated_mouse"].update(n_neurons=7)
        )
        assert finished.planned() == {
            "simulate_mouse": 5, "read_session": 5, "plot_session": 5, **ENCODERS,
            **ALIGNMENT, **RECORD, "tabulate": 4,
        }  # fmt: skip


def test_a_study_may_do_without_recordings(repository):
    repository.edit_config(lambda config: config["sessions"].update(source=None))
    planned = set(repository.planned())
    assert (
        not {"read_session", "plot_session", "train_encoder", "plot_encoders", "train_dina"}
        & planned
    )


def test_one_session_builds_only_what_it_needs(pristine):
    assert pristine.planned("results/figures/session/retina_movie1.png") == {
        "infer_onsets": 1, "read_session": 1, "plot_session": 1,
    }  # fmt: skip


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT / "resources/schemas", tmp_path / "resources/schemas")
    (tmp_path / "data").touch()
    return tmp_path


def make_sheet(root, *rows):
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (root / "sheet.tsv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, columns, delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    return read_sessions("sheet.tsv", root)


PARK = {"session_id": "a", "format": "park", "path": "data"}


def test_numbers_are_read_and_empty_cells_left_to_the_defaults(root):
    sessions = make_sheet(root, PARK | {"bin_s": "5e-2", "split_fold": "2", "species": ""})
    assert sessions["a"].fields == {"format": "park", "bin_s": 0.05, "split_fold": 2}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"session_id": "My Session"}, 'line 2: session_id: value "My Session": write lower-case'),
        ({"format": "parc"}, 'line 2: format: value "parc": choose one of'),
        ({"path": "gone"}, "line 2: path: nothing at"),
        ({"path": ""}, "line 2: path: missing; add it"),
        ({"format": "phy"}, "line 2: trials: missing; add it"),
        ({"format": "onken_flashes"}, "line 2: outlines: missing; add it"),
        ({"format": "onken_movie", "onsets": "published"}, "line 2: onsets: value"),
        ({"format": "simulated_mouse"}, "line 2: seed: missing; add it"),
        ({"format": "two_photon_tiff"}, "line 2: sampling_rate_hz: missing; add it"),
        ({"bin_s": "30 ms"}, 'line 2: bin_s: value "30 ms": give a number'),
        ({"split_gap": "-1"}, "line 2: split_gap: value -1.0: give at least 0"),
        ({"specie": "mouse"}, "line 2: specie: unknown field; did you mean 'species'?"),
    ],
)
def test_mistakes_in_a_row_are_told_with_line_column_value_and_remedy(root, change, expected):
    with pytest.raises(InputError) as caught:
        make_sheet(root, PARK | change)
    assert expected in str(caught.value)


def test_every_problem_of_a_sheet_is_named_at_once(root):
    with pytest.raises(InputError) as caught:
        make_sheet(root, PARK, PARK | {"path": "gone"}, {**PARK, "session_id": "b", "bin_s": "x"})
    message = str(caught.value)
    assert "sheet.tsv: 3 problem(s)" in message
    assert "session_id 'a' stands 2 times" in message


def test_tabs_and_encodings_of_spreadsheets(root):
    sheet, text = root / "sheet.tsv", "session_id\tformat\tpath\tspecies\na\tpark\tdata\tMäuse"
    sheet.write_text(text, encoding="utf-8-sig")
    assert read_sessions("sheet.tsv", root)["a"].fields["species"] == "Mäuse"
    sheet.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"sheet\.tsv: not in UTF-8 .* save it as tab-separated"):
        read_sessions("sheet.tsv", root)
    sheet.write_text(text + "\tV1\t2\n")
    with pytest.raises(
        InputError, match=r"line 2: cells \['V1', '2'\] have no column; check the t"
    ):
        read_sessions("sheet.tsv", root)


def test_a_session_that_the_sheet_lacks_is_told_with_what_it_has(root):
    sessions = make_sheet(root, PARK | {"session_id": "park_28"})
    with pytest.raises(InputError, match=r"no 'park_82'; did you mean 'park_28'\?"):
        sessions["park_82"]
    with pytest.raises(InputError, match=r"no 'park_82'; sessions\.source is null"):
        read_sessions(None, root)["park_82"]


@pytest.mark.parametrize(
    "target",
    [
        "results/sessions/park_28_fov5/session.zarr",
        "results/figures/session/park_28_fov5.png",
        "results/figures/movie/park_28_fov5.png",
    ],
)
def test_a_target_of_a_session_that_the_sheet_lacks_is_refused_by_name(pristine, target):
    done = pristine.try_snakemake("--dry-run", target)
    assert done.returncode != 0
    assert (
        "the sheet of sessions has no 'park_28_fov5'; did you mean 'park_28_fov4'?" in done.stdout
    )


def test_an_alignment_of_a_session_that_the_sheet_lacks_is_refused():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["dina"]["variants"]["mice"] = {"sessions": ["v1_mouse9"]}
    study = Study(config, batches={}, sessions=read_sessions(SHEET, ROOT))
    (problem,) = study.missing_sessions()
    assert problem.startswith("dina.variants.mice: the sheet of sessions has no 'v1_mouse9'")


def test_a_sheet_that_is_not_there_is_named(root):
    with pytest.raises(InputError, match=r"sessions.source: nothing at .*nowhere.tsv"):
        read_sessions("nowhere.tsv", root)


@pytest.fixture(scope="module")
def schema():
    return yaml.safe_load((ROOT / "resources/schemas/sessions.schema.yaml").read_text())


def test_the_shipped_sheet_has_every_column_for_a_row_to_be_added(schema):
    header = (ROOT / SHEET).read_text().splitlines()[0].split("\t")
    assert header == list(schema["properties"])


def test_the_guide_describes_every_format_and_what_it_needs(schema):
    guide = (ROOT / "docs/recordings.md").read_text()
    rows = [line.strip("|").split("|") for line in guide.splitlines() if line.startswith("| `")]
    needs = {
        row[0].strip(" `"): set(re.findall(r"`(\w+)`", row[2])) for row in rows if len(row) == 4
    }
    del needs["format"]  # the head
    assert list(needs) == schema["properties"]["format"]["enum"]
    for name, needed in needs.items():
        row = {"session_id": "a", "format": name, "path": "a"}
        missing = {field for (field,), problem in schema_problems(row, schema) if "miss" in problem}
        assert missing <= needed


def test_the_sheet_knows_every_format_that_is_read(schema):
    formats = set(schema["properties"]["format"]["enum"])
    read = {name for name in formats if not name.startswith("simulated_")} - set(MOVIE_FORMATS)
    assert read <= set(typing.get_args(Format))
    assert set(typing.get_args(Format)) - read <= {"traces"}


def test_a_simulated_session_is_read_as_what_it_imitates():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    study = Study(config, batches={}, sessions=read_sessions(SHEET, ROOT))
    read = json.loads(stage_options(study, "read_session")({"session": "v1_two_channel"}))
    made = json.loads(stage_options(study, "simulate_mouse")({"session": "v1_two_channel"}))
    assert read["format"] == "sensorium2022"
    assert read["split"] == {"rule": "published"}
    assert made["image_shape"][0] == 2


def test_every_method_and_format_of_the_shipped_study_has_someone_to_cite():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    study = Study(config, batches={}, sessions=read_sessions(SHEET, ROOT))
    used = set(json.loads(stage_options(study, "record_provenance")({}))["uses"])
    lines = (ROOT / "resources/citations.tsv").read_text(encoding="utf-8").splitlines()
    assert {"tdann", "v1t", "vist", "dina", "park"} <= used
    cited = {name for line in lines[1:] for name in line.split("\t")[0].split()}
    assert used - cited == {"simulated_two_photon"}  # drawn by the workflow, of nobody's data


def test_a_simulated_movie_is_read_at_its_own_rate_and_size():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    study = Study(config, batches={}, sessions=read_sessions(SHEET, ROOT))
    wildcards = {"session": "simulated_movie"}
    registered, traced, read = (
        json.loads(stage_options(study, stage)(wildcards))
        for stage in ("register_movie", "extract_traces", "read_session")
    )
    assert registered["source"] == traced["source"]
    assert registered["source"]["sampling_rate_hz"] == 15
    assert read["format"] == "traces"
    assert "sampling_rate_hz" not in read


def test_no_name_matches_nothing():
    assert any_of(["b", "a"]) == "a|b"
    assert any_of([]) == "(?!)"


def test_any_other_name_matches_up_to_its_slash():
    assert re.fullmatch(none_of(["mouse", "retina"]) + "/a", "mouse2/a")
    assert not re.fullmatch(none_of(["mouse", "retina"]) + "/a", "mouse/a")
    assert re.fullmatch(none_of([]) + "/a", "mouse/a")
