"""Nothing that a user is given can run code or write outside of results/."""

import ast
import os
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from workflow_scripts.models.backbones import build_backbone, load_backbone
from workflow_scripts.models.files import save_model
from workflow_scripts.recordings.video import FrameFormat, VideoFile, read_frames
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import open_store
from workflow_scripts.training.state import load_state, save_state

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [*sorted((ROOT / "workflow_scripts").rglob("*.py")), *sorted((ROOT / "rules").iterdir())]
RUNS_CODE = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
CALLS = {
    "eval", "exec", "os.system", "os.popen", "torch.load", "yaml.load", "yaml.unsafe_load",
    "pd.read_pickle", "pandas.read_pickle", "torch.hub.load",
}  # fmt: skip


class Attack:
    """Pickles to a call that makes a folder."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def unsafe(text):
    """Name what of a module could run the code of a file that it reads."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
            yield from (module for module in modules if module.split(".")[0] in RUNS_CODE)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called in CALLS or given.get("shell") == "True":
                yield called
            if called in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
                yield called
            if given.get("allow_pickle", "False") != "False":
                yield called


@pytest.mark.parametrize("source", [s for s in SOURCES if s.suffix == ".py"], ids=lambda s: s.stem)
def test_no_module_can_run_what_it_reads(source):
    assert list(unsafe(source.read_text())) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from joblib import load", "torch.load(path)", "np.load(path)",
        "np.load(path, allow_pickle=True)", "yaml.load(text)", "eval(text)",
        "subprocess.run(text, shell=True)", "read_array(file, allow_pickle=allowed)",
    ],
)  # fmt: skip
def test_the_scan_finds(text):
    assert list(unsafe(text))


# Paths of the results are made of names that match [a-z0-9_]; all else comes from a user.
NAMED = r"wildcards\.\w+|output\.\w+|log|threads|params\.options:q|resources\.launcher"
OWN = rf"\{{({NAMED})\}}|\{{input\.\w+:q\}}"


@pytest.mark.parametrize("rules", [s for s in SOURCES if s.suffix == ".smk"], ids=lambda s: s.stem)
def test_what_a_user_names_is_quoted_in_commands(rules):
    for block in re.split(r"^rule ", rules.read_text(), flags=re.MULTILINE)[1:]:
        inputs = dict(re.findall(r"^        (\w+)=(.+)$", block.split("output:")[0], re.MULTILINE))
        command = block[block.index("shell:") :]
        for field in re.findall(r"\{[\w.:]+\}", re.sub(OWN, "", command)):
            made_here = re.match(r"\{input\.(\w+)\}", field)
            assert made_here, f"{block.split(':')[0]}: {field} is not quoted"
            assert "session_file" not in inputs[made_here[1]], f"{field} is a user's path"


def test_yaml_of_a_user_is_data(repository):
    overlay = repository.root / "evil.yaml"
    overlay.write_text('figures: {dpi: !!python/object/apply:os.mkdir ["pwned"]}\n')
    done = repository.try_snakemake("--dry-run", "--configfile", str(overlay))
    assert done.returncode != 0
    assert not (repository.root / "pwned").exists()


EVIL = [
    "a;mkdir pwned", "$(mkdir pwned)", "`mkdir pwned`", "a b", "it's", '"', "é", "{x}", "../x",
    "/x", "-x", "",
]  # fmt: skip


def test_names_that_could_leave_results_or_reach_the_shell_are_refused(repository):
    sheet = repository.root / "sessions.tsv"
    (repository.root / "data.mat").touch()
    rows = [f'"{name.replace(chr(34), 2 * chr(34))}"\tpark\tdata.mat' for name in EVIL]
    sheet.write_text("\n".join(["session_id\tformat\tpath", *rows]) + "\n")
    repository.edit_config(lambda config: config["sessions"].update(source="sessions.tsv"))
    repository.edit_config(lambda c: c["tdann"]["variants"].update({"../evil": {}}))
    done = repository.try_snakemake("--dry-run")
    assert done.returncode != 0
    assert "tdann.variants" in done.stdout
    repository.edit_config(lambda c: c["tdann"]["variants"].pop("../evil"))
    done = repository.try_snakemake("--dry-run")
    assert done.returncode != 0
    for line in range(2, 2 + len(EVIL)):
        assert f"line {line}: session_id" in done.stdout


@pytest.mark.parametrize(
    "target",
    ["results/tuning/../../evil_s0.parquet", "results/tuning/$(mkdir pwned)_s0.parquet"],
)
def test_no_rule_makes_a_file_elsewhere(pristine, target):
    done = pristine.try_snakemake("--dry-run", target)
    assert done.returncode != 0
    assert "MissingRuleException" in done.stdout
    assert not (pristine.root / "pwned").exists()


def test_a_video_may_have_any_name(repository, repository_root):
    """A real job: the name passes the plan, the shell, the command line and the store."""
    name = '$(mkdir pwned); `mkdir pwned` it\'s "ü" & > x'
    for video in (repository.root / "videos").iterdir():
        video.unlink()
    shutil.copy(
        repository_root / "resources/natural_video/mdn_flower.mp4",
        repository.root / f"videos/{name}.mp4",
    )
    repository.edit_config(
        lambda config: config["videos"].update(
            frames={"height_px": 16, "width_px": 16, "channels": 1}
        )
    )
    repository.snakemake("--cores", "1", "results/videos/batch_000.zarr")
    store = open_store(repository.root / "results/videos/batch_000.zarr")
    assert list(store["video_id"].to_numpy()) == [f"{name}.mp4"]
    assert not list(repository.root.rglob("pwned"))


def test_an_object_array_is_no_video(tmp_path):
    np.save(tmp_path / "v.npy", np.array([Attack(tmp_path / "pwned")], dtype=object))
    with pytest.raises(InputError):
        next(read_frames(VideoFile("v", tmp_path / "v.npy", 30.0), FrameFormat(8, 8)))
    assert not (tmp_path / "pwned").exists()


def test_a_checkpoint_that_pickles_an_attack_is_refused(tmp_path):
    attack = pickle.dumps(Attack(tmp_path / "pwned"))
    network = build_backbone("resnet3d", 4, 1)
    save_model(
        network, tmp_path / "m.safetensors", tmp_path / "m.json",
        {"backbone": {"name": "resnet3d", "width": 4, "in_channels": 1}}, {},
    )  # fmt: skip
    (tmp_path / "m.safetensors").write_bytes(attack)
    with pytest.raises(InputError, match=r"m\.safetensors: no readable weights"):
        load_backbone(tmp_path / "m.safetensors", tmp_path / "m.json")
    (tmp_path / "state.safetensors").write_bytes(attack)
    with pytest.raises(InputError, match=r"state\.safetensors: no readable weights"):
        load_state(tmp_path, network, torch.optim.AdamW(network.parameters()))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("position", [0.02, 0.5, 0.98])
def test_a_flipped_bit_of_weights_or_state_is_noticed(tmp_path, position):
    network = torch.nn.Linear(64, 64)
    optimizer = torch.optim.AdamW(network.parameters())
    save_state(tmp_path, 3, network, optimizer, {}, {})
    assert load_state(tmp_path, network, optimizer).step == 3
    file = tmp_path / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[int(position * len(content))] ^= 4
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"state\.safetensors: .* delete and rerun"):
        load_state(tmp_path, network, optimizer)
