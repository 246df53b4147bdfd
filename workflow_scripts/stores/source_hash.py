"""A hash of a stage's code: its script and every project module that it imports.

A script in another language that a module embeds stands beside it under its name and counts too.

Snakemake's own `code` trigger sees only the rule; this one follows the imports, and does not see
comments, formatting or docstrings.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = __name__.partition(".")[0]
PACKAGE_ROOT = Path(__file__).resolve().parents[1]


def source_hash(stage: str, package_root: Path = PACKAGE_ROOT) -> str:
    """Hash the code that a stage runs.

    Parameters
    ----------
    stage : str
        Module name relative to the package, e.g. ``"train_tdann"``.
    package_root : Path
        Folder of the package.

    Returns
    -------
    str
        16 hexadecimal digits, equal for sources with equal syntax trees (docstrings left out).
    """
    digest = hashlib.sha256()
    for module in sorted(project_modules(stage, package_root)):
        file = _module_file(module, package_root)
        digest.update(f"{module}\0{_tree_dump(file)}\0".encode())
        embedded = file.with_suffix(".js")
        if embedded.exists():
            digest.update(embedded.read_bytes())
    return digest.hexdigest()[:16]


def project_modules(stage: str, package_root: Path = PACKAGE_ROOT) -> set[str]:
    """Name the project modules that a stage imports, itself included, transitively."""
    found: set[str] = set()
    waiting = [stage]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(_imports(_module_file(module, package_root), package_root))
    return found


def _module_file(module: str, package_root: Path) -> Path:
    path = package_root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imports(file: Path, package_root: Path) -> Iterator[str]:
    for node in ast.walk(_parse(file, file.stat().st_mtime_ns)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            module = name.removeprefix(f"{PACKAGE}.")
            if module != name and _module_file(module, package_root).exists():
                yield module


@cache
def _parse(file: Path, modified_ns: int) -> ast.Module:  # noqa: ARG001 - part of the cache key
    return ast.parse(file.read_text(), filename=str(file))


def _tree_dump(file: Path) -> str:
    tree = ast.parse(file.read_text(), filename=str(file))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return ast.dump(tree)
