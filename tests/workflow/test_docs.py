"""The documentation: builds without a warning, opens offline, and names what is there."""

import ast
import os
import re
import subprocess
import sys
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from workflow_scripts.workflow.stage_options import STAGES

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "workflow_scripts"
FOLDERS = [path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()]
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [*PAGES, *sorted(ROOT.glob("*.md")), *sorted((ROOT / "resources").rglob("*.md"))]
LOADED = {("script", "src"), ("link", "href"), ("img", "src"), ("source", "src"), ("video", "src")}


class Page(HTMLParser):
    """Targets of a page's links, what it loads, and its anchors."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links, self.loads, self.anchors = [], [], {""}
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors.add(given.get("id"))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        self.loads += [given[name] for kind, name in LOADED if kind == tag and given.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs") / "site"
    # Material says on every build that it ends in May 2027; see mkdocs.yml.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return {path: Page(path) for path in folder.glob("*.html")}, folder


def test_every_page_is_built_and_every_link_leads_somewhere(site):
    pages, folder = site
    assert {path.stem for path in pages} == {path.stem for path in PAGES} | {"404"}
    broken = defaultdict(list)
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or path.stem == "404":  # that page is for a server, its links absolute
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            # Links to the repository's files lead out of the site as they lead out of docs/.
            inside = target if target.is_relative_to(folder) else _in_repository(target, folder)
            exists = inside.exists()
            if not exists or (inside in pages and parts.fragment not in pages[inside].anchors):
                broken[path.name].append(link)
    assert not broken


def _in_repository(target: Path, folder: Path) -> Path:
    return ROOT / target.relative_to(folder.parent)


def test_no_page_loads_anything_from_a_server(site):
    pages, _ = site
    assert not [load for page in pages.values() for load in page.loads if urlsplit(load).netloc]


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_texts_lead_to_files(text):
    prose = re.sub(r"```.*?```", "", text.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(<?([^)\s>]+)", prose)
    files = [unquote(link.partition("#")[0]) for link in links if "://" not in link]
    assert [file for file in files if not (text.parent / file).exists()] == []


@pytest.mark.parametrize("text", PAGES, ids=lambda path: path.name)
def test_modules_that_a_page_names_exist(text):
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})\.[\w.]+)`", text.read_text(encoding="utf-8"))
    # Sections of the config and figures are called as folders are.
    fields = (ROOT / "docs/config.md").read_text(encoding="utf-8")
    modules = [name for name in named if name not in fields and not name.endswith(".png")]
    assert [name for name in modules if not _is_defined(*name.split("."))] == []


def _is_defined(folder: str, module: str, *names: str) -> bool:
    file = PACKAGE / folder / f"{module}.py"
    if not names:
        return file.exists() or (PACKAGE / folder / module).is_dir()
    return file.exists() and names[0] in {
        name
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for name in (getattr(node, "name", None), getattr(node, "id", None))
    }


def test_every_figure_and_its_stage_is_explained():
    explained = (ROOT / "docs/figures.md").read_text(encoding="utf-8")
    drawn = {stage for stage in STAGES if stage.startswith("plot_")}
    assert {stage for stage in drawn if f"`{stage}`" not in explained} == set()


def test_every_target_that_is_named_can_be_made():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for text in TEXTS:
        code = re.findall(
            r"`make ([a-z0-9-]+)|^    make ([a-z0-9-]+)", text.read_text(), re.MULTILINE
        )
        assert {name for pair in code for name in pair if name} <= targets, text
