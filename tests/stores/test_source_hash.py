import pytest

from workflow_scripts.stores.source_hash import PACKAGE, project_modules, source_hash


@pytest.fixture
def package(tmp_path):
    """A stage that uses `tools.used` through `tools.middle`, beside a module it does not use."""
    (tmp_path / "tools").mkdir()
    sources = {
        "__init__.py": "",
        "tools/__init__.py": "",
        "stage.py": f"import numpy\nfrom {PACKAGE}.tools.middle import f\n",
        "tools/middle.py": f"def f():\n    from {PACKAGE}.tools import used\n    return used.g()\n",
        "tools/used.py": "def g():\n    return 1\n",
        "tools/unused.py": "def h():\n    return 1\n",
    }
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_imports_are_followed_also_within_functions(package):
    assert project_modules("stage", package) >= {"stage", "tools.middle", "tools.used"}
    assert "tools.unused" not in project_modules("stage", package)


def test_hash_follows_used_code_only(package):
    before = source_hash("stage", package)
    (package / "tools" / "unused.py").write_text("def h():\n    return 2\n")
    assert source_hash("stage", package) == before
    (package / "tools" / "used.py").write_text("def g():\n    return 2\n")
    assert source_hash("stage", package) != before


def test_a_script_beside_a_module_counts_with_it(package):
    before = source_hash("stage", package)
    (package / "tools" / "unused.js").write_text("draw()")
    assert source_hash("stage", package) == before
    (package / "tools" / "used.js").write_text("draw()")
    with_script = source_hash("stage", package)
    assert with_script != before
    (package / "tools" / "used.js").write_text("draw(1)")
    assert source_hash("stage", package) != with_script


def test_comments_docstrings_and_layout_do_not_count(package):
    before = source_hash("stage", package)
    text = '"""Doc."""\n\n\n# a reason\ndef g():\n    """Doc."""\n    return (1)\n'
    (package / "tools" / "used.py").write_text(text)
    assert source_hash("stage", package) == before


def test_every_stage_hashes():
    assert source_hash("train_tdann") != source_hash("place_units")
    assert "models.moco" in project_modules("train_tdann")
    assert "analysis.tuning" not in project_modules("train_tdann")
