"""The lowest versions that pyproject.toml allows, in an environment of their own: they install, and all of it runs.

    .venv/bin/python .ci/lowest.py FOLDER

torch is large and isn't looked for again: its own packages are linked from the environment that runs this. Without a
package index there is nothing to install from: that is said, and the exit status is 0.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = "torch"
TOOLS = {"pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "requests", "pillow", "jsonschema"}
"""Of the dev extra, what the selected tests need."""
TESTS = (
    *("tests/test_packaging.py", "tests/comparisons/test_stats.py", "tests/runs/test_frames.py"),
    *("tests/data", "tests/tracking/test_run_log.py", "tests/mirrors/test_wandb.py", "tests/training"),
    *("tests/studies/test_sweep_file.py", "tests/studies/test_sweep.py", "tests/report/test_svg.py"),
    *("tests/report/test_figures.py", "tests/report/test_lesson.py", "tests/report/test_check.py"),
    *("tests/cli/test_claims.py", "tests/cli/test_help.py", "tests/cli/test_runs.py"),
)
TINY = {
    "n_layer": 1,
    "n_head": 2,
    "n_embd": 16,
    "block_size": 16,
    "batch_size": 2,
    "max_steps": 20,
    "eval_steps": 1,
    "final_eval": "subset",
    "sample_tokens": 3,
    "tokenizer": "char",
}


def read_lowest() -> list[str]:
    """`pandas==2.2.2` of `pandas>=2.2.2`, for everything that is imported but torch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tools = [text for text in project["optional-dependencies"]["dev"] if read_name(text) in TOOLS]
    wanted = [text for text in project["dependencies"] if read_name(text) != SHARED] + tools
    return [re.sub(r">=\s*([\w.]+).*", r"==\1", text) for text in wanted]


def read_name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found, requirement
    return found[0].lower()


def needs_of(name: str, pinned: set[str]) -> set[str]:
    """A distribution and what it needs, on and on, but for what is pinned."""
    found, todo = set(), [name]
    while todo:
        here = todo.pop()
        if here in found | pinned:
            continue
        try:
            requirements = importlib.metadata.requires(here) or []
        except importlib.metadata.PackageNotFoundError:
            # For another system, or an extra.
            continue
        found.add(here)
        todo += [read_name(text) for text in requirements if "extra ==" not in text]
    return found


def link_shared(folder: Path, pinned: set[str]) -> None:
    """Links in `folder` to every top-level file of torch and of its own needs."""
    folder.mkdir()
    for name in needs_of(SHARED, pinned):
        files = importlib.metadata.files(name) or []
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            place = Path(str(importlib.metadata.distribution(name).locate_file(top)))
            if place.exists() and not (folder / top).exists():
                (folder / top).symlink_to(place)


def install(python: Path, requirements: list[str]) -> bool:
    """Whether there was an index to install from.

    Raises:
        subprocess.CalledProcessError: the versions can't be installed beside each other.
    """
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # It resolves and installs in seconds, and whether it can be had tells whether an index answers.
    if subprocess.run([*pip, "uv"], capture_output=True, check=False).returncode:
        return False
    uv = [python.with_name("uv"), "pip", "install", "--quiet", "--python", python]
    subprocess.run([*uv, *requirements], check=True)
    subprocess.run([*uv, "--no-deps", "--editable", ROOT], check=True)
    return True


def try_commands(python: Path) -> None:
    """run, report, claims and sweep at a tiny size, in an empty folder."""
    gptexp = [python, "-P", "-m", "gptexp"]
    settings = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sweep.yaml").write_text(
            "method: grid\nmetric: {name: val_loss, goal: minimize}\nparameters:\n  lr: {values: [0.001, 0.01]}\n"
            + "".join(f"  {name}: {{value: {value}}}\n" for name, value in TINY.items())
        )
        options = ["--corpus", "python-docs", "--wandb", "disabled"]
        for words in (
            ["run", "lr-ablation", "--scale", "quick", *settings, *options],
            ["report", "lesson"],
            ["claims"],
            ["sweep", "sweep.yaml", "--scale", "quick", *options],
            ["doctor"],
        ):
            print("gptexp", *words[:2], flush=True)
            subprocess.run([*gptexp, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    requirements = read_lowest()
    venv.create(folder, with_pip=True, clear=True, symlinks=True)
    python = folder / "bin" / "python"
    link_shared(folder / "shared", {read_name(text) for text in requirements})
    (found,) = folder.glob("lib/python*/site-packages")
    (found / "shared.pth").write_text(f"{folder / 'shared'}\n")
    if not install(python, requirements):
        print("no package index: the lowest versions are not tried")
        return
    print(*requirements, flush=True)
    environment = {**os.environ, "GPTEXP_CACHE_DIR": str(folder / "cache"), "WANDB_MODE": "disabled"}
    os.environ.update(environment)
    try_commands(python)
    # How long imports take is asked of the usual versions.
    words = ["-q", "--numprocesses", "2", "--dist", "loadfile", "-m", "not slow", "-k", "not answer_at_once"]
    subprocess.run([python, "-m", "pytest", *words, *TESTS], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
