"""The guide quotes messages that are really printed."""

import ast
import errno
import os
import re
from pathlib import Path

import pytest
import snakemake

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/troubleshooting.md").read_text()
MESSAGES = [
    message
    for row in re.findall(r"^\| (`.*?) \|", GUIDE, re.MULTILINE)
    for message in re.findall(r"`(.+?)`", row.partition(" in `make")[0])
]


def texts(file: Path) -> list[str]:
    """Every text of a Python file, … for what is put into it."""

    def text(node: ast.AST) -> str:
        if isinstance(node, ast.JoinedStr):
            return "".join(map(text, node.values))
        return node.value if isinstance(node, ast.Constant) else "…"

    kinds = (ast.JoinedStr, ast.Constant)
    found = (text(n) for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, kinds))
    return [one for one in found if isinstance(one, str)]


@pytest.fixture(scope="module")
def printed():
    package = Path(snakemake.__file__).parent
    files = [
        *(ROOT / "workflow_scripts").rglob("*.py"), package / "exceptions.py",
        package / "workflow.py", package / "common/__init__.py",
    ]  # fmt: skip
    makefile = (ROOT / "Makefile").read_text()
    makefile = re.sub(r'" \\\n\s*"', " ", re.sub(r"\$\$?(\(\w+\)|\([^)]*\))", "…", makefile))
    of_the_system = map(os.strerror, (errno.ENOSPC, errno.EROFS))
    return [*(text for file in files for text in texts(file)), makefile, *of_the_system]


def test_the_guide_holds_messages():
    assert len(MESSAGES) > 30


@pytest.mark.parametrize("message", MESSAGES)
def test_a_quoted_message_stands_in_the_code(message, printed):
    # What is put into a message may be text that another place holds: compare what is between.
    parts = [re.escape(part) for part in message.split("…")]
    pattern = re.compile(".*?".join(parts), re.DOTALL)
    assert any(pattern.search(text) for text in printed)
