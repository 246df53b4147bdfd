"""The small study, from videos to report, as a user runs it."""

import json

import pytest

from workflow_scripts.stores.zarr_store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SESSIONS = (
    "retina_images", "retina_movie1", "park_30_fov1", "v1_mouse0", "simulated_retina_movie1",
    "simulated_movie",
)  # fmt: skip
FIGURES = (
    *(f"session/{session}" for session in SESSIONS),
    "onsets/retina_movie1", "session_tuning/park_30_fov1", "movie/simulated_movie",
    "vist_correlation", "vist_rates/simulated_within_1", "vist_filters",
    "clips", "training", "direction_map", "tuning_curves", "selectivity", "smoothness", "dots",
    "encoders", "encoder_predictions", "attention", "twins", "cross_validated",
    "stimuli", "physiology", "in_vivo", "tradeoff",
    *(f"dina_{figure}/{alignment}_s0" for figure in ("decoding", "images", "interpretation")
      for alignment in ("mice", "retina")),
)  # fmt: skip
TABLES = (
    "training", "verdicts", "maps", "tuning", "in_vivo", "encoders", "cross_validated", "vist",
    "decoding", "performance", "provenance",
)  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def study(pristine, tmp_path_factory, repository_root):
    """The study of profiles/test, run once, in a working directory of its own."""
    folder = tmp_path_factory.mktemp("study")
    run = ("--profile", "profiles/test", "--directory", str(folder))
    pristine.snakemake(*run, "--cores", "2", "all", "sweep", cwd=repository_root)
    return folder, run


def test_every_stage_ran(study, repository_root):
    folder, _ = study
    ran = {path.stem for path in (folder / "results/benchmarks").iterdir()}
    stages = {path.stem for path in (repository_root / "workflow_scripts").glob("[a-z]*.py")}
    # `make check` is no stage; the films have a test of their own.
    assert stages - ran == {"check_inputs", "film_gratings", "film_training"}


def test_every_figure_is_drawn_and_described(study):
    folder, _ = study
    for name in FIGURES:
        assert (folder / f"results/figures/{name}.png").read_bytes().startswith(PNG)
        caption = (folder / f"results/figures/{name}.rst").read_text()
        assert len(caption.split()) > 20


def test_the_summary_holds_every_network_and_map(study):
    folder, _ = study
    summary = json.loads((folder / "results/summary.json").read_text())
    assert set(summary["networks"]) == {
        f"{kind}_s{seed}" for kind in ("alpha0", "full", "untrained") for seed in (0, 1)
    }
    assert len(summary["maps"]) == 10


def test_the_explorer_holds_every_map(study):
    folder, _ = study
    page = (folder / "results/explorer.html").read_text()
    for shown in ("seed 1 on optimised_s1", "seed 0 on optimised_s1", "seed 0 on random_s0"):
        assert shown in page
    assert len(page) < 15e6


def test_stores_say_how_they_were_made(study):
    folder, _ = study
    attributes = open_store(folder / "results/in_silico/full_s0/gratings.zarr").attrs
    assert attributes["stage"] == "stimulate"
    assert "results/tdann/full_s0/model.safetensors" in attributes["inputs"]


def test_sessions_say_what_was_inferred_and_what_simulated(study):
    folder, _ = study
    captions = {
        session: (folder / f"results/figures/session/{session}.rst").read_text()
        for session in SESSIONS
    }
    assert {name for name, text in captions.items() if "SIMULATED" in text} == {
        "v1_mouse0", "simulated_retina_movie1",
    }  # fmt: skip
    assert {name for name, text in captions.items() if "ONSETS INFERRED" in text} == {
        "retina_movie1"
    }


def test_the_record_knows_inputs_times_and_whom_to_cite(study):
    folder, _ = study
    record = json.loads((folder / "results/provenance.json").read_text())
    assert any(path.endswith("Movie1Exp1.mat") for path in record["inputs"])
    assert not any(path.startswith("results/") for path in record["inputs"])
    assert record["seeds"]["tdann.seeds"] == [0, 1]
    jobs = record["provenance"]["jobs"]
    assert jobs["train_tdann"]["n"] == 6
    assert jobs["train_tdann"]["max_mb"] > 0
    cited = (folder / "results/CITATIONS.md").read_text()
    assert "10.5061/dryad.4ch10" in cited
    assert "Suite2p" not in cited


def test_a_second_run_does_nothing(study, pristine, repository_root):
    _, run = study
    assert pristine.planned(*run, cwd=repository_root) == {}


def test_the_report_is_one_file_with_every_caption(study, pristine, repository_root):
    folder, run = study
    report = folder / "report.html"
    pristine.snakemake(*run, "--report", str(report), "all", "sweep", cwd=repository_root)
    text = report.read_text()
    for name in FIGURES:
        assert f"results/figures/{name}.png" in text
    for name in TABLES:
        assert f"results/tables/{name}.html" in text
        assert len((folder / f"results/tables/{name}.rst").read_text().split()) > 5
    assert "results/explorer.html" in text
    assert "System Message" not in text
    assert 'src="http' not in text
