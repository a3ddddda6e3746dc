"""What is installed: everything that the code imports is declared, and a wheel carries all that a run needs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL = {"sklearn"}
"""Imported where it is needed, by what only a lesson's author or a test calls; it belongs to the dev extra."""


def declared(requirements: list[str]) -> set[str]:
    """Names of distributions, as PEP 503 has them: `pandas` of `pandas>=2.2`."""
    names = [re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements]
    return {normalise(name[0]) for name in names if name}


def normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


EXTRAS = declared([one for extra in ("trackio", "notebook") for one in PROJECT["optional-dependencies"][extra]])
"""Imported by what a person asks for by its name, with a sentence where it isn't installed."""
DEPENDENCIES = declared(PROJECT["dependencies"])
DEV = declared(PROJECT["optional-dependencies"]["dev"])


def third_party_imports(folder: str) -> dict[str, list[str]]:
    """Top-level module -> the files below `folder` that import it."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                modules = [node.module]
            for name in {module.split(".")[0] for module in modules} - {"gptexp", "tests"} - sys.stdlib_module_names:
                found.setdefault(name, []).append(str(path.relative_to(ROOT)))
    return found


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ("gptexp", DEPENDENCIES | EXTRAS),
        ("experiments", DEPENDENCIES),
        ("reports", DEPENDENCIES),
        ("tests", DEPENDENCIES | DEV | EXTRAS),
    ],
)
def test_what_is_imported_is_declared(folder: str, allowed: set[str]) -> None:
    """Nothing rests on a package that is only there because another one asked for it."""
    owners = packages_distributions()
    undeclared = {
        f"{name} ({files[0]})"
        for name, files in third_party_imports(folder).items()
        if not {normalise(owner) for owner in owners.get(name, [name])} & allowed
        and not (name in OPTIONAL and normalise(owners.get(name, ["scikit-learn"])[0]) in DEV)
    }
    assert undeclared == set()


def test_what_is_declared_is_imported() -> None:
    """And nothing is installed for its own sake."""
    owners = packages_distributions()
    imported = {normalise(owner) for name in third_party_imports("gptexp") for owner in owners.get(name, [])}
    assert DEPENDENCIES - imported == set()


def test_a_wheel_carries_types_tables_and_studies(tmp_path: Path) -> None:
    """py.typed, GPT-2's merge ranks, templates, studies and reports travel in it; tests and runs don't."""
    pytest.importorskip("hatchling", reason="hatchling is not installed (pip install -e '.[dev]')")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())
    package = ROOT / "gptexp"
    held = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held - carried == set()
    assert "gptexp/py.typed" in carried
    assert any(name.endswith(".tiktoken") for name in carried)
    studies = {f"gptexp/builtin/experiments/{path.name}" for path in (ROOT / "experiments").glob("*.py")}
    reports = {f"gptexp/builtin/reports/{path.name}" for path in (ROOT / "reports").glob("*.py")}
    assert studies
    notebooks = {f"gptexp/builtin/reports/notebook/{path.name}" for path in (ROOT / "reports/notebook").glob("*.*")}
    assert notebooks
    assert (studies | reports | notebooks) - carried == set()
    assert not [name for name in carried if name.startswith(("tests/", "runs/", "reports/"))]
