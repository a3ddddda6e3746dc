"""gptexp without what Windows lacks, as far as Linux can show it. It was run on neither Windows nor macOS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.studies.tiny import SMALLEST
from tests.systems.sitecustomize import LACKING

ROOT = Path(__file__).parents[2]
IMPORT_ALL = """
import importlib, pkgutil, gptexp, gptexp.files.walk
assert not hasattr(gptexp.files.walk.os, "O_NOFOLLOW")
assert not gptexp.files.walk.WALKS_BY_DESCRIPTOR
for module in pkgutil.walk_packages(gptexp.__path__, "gptexp."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
CALL_ALL = """
import json, sys
from gptexp.cli.main import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["gptexp", *words]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            sys.exit(f"gptexp {' '.join(words)}: status {ended.code}")
"""
"""Several commands in one process: most of their time is that of starting."""
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs Python with what Windows lacks taken away, in an environment whose texts are no UTF-8; gives its stdout."""

    def run_python(*words: str, cwd: Path = tmp_path) -> str:
        path = os.pathsep.join([str(Path(__file__).parent), str(ROOT)])
        texts = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "cp1252"}
        environment = os.environ | texts | {"PYTHONPATH": path, LACKING: "yes"}
        ended = subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stdout.decode("cp1252") + ended.stderr.decode("cp1252")
        return ended.stdout.decode("cp1252")

    return run_python


def test_every_module_is_imported(run: Run) -> None:
    """No module needs what is missing at its import."""
    run("-c", IMPORT_ALL)


def test_the_first_five_minutes(run: Run, tmp_path: Path) -> None:
    """List, plan, train, look, report, delete: with files that Windows could name, and texts in UTF-8."""
    corpus = tmp_path / "text.txt"
    corpus.write_text("".join(f"Käthe zählt {n} Hügel – “schön”.\n" for n in range(400)), encoding="utf-8")
    options = ("--scale", "quick", "--corpus", "text.txt")
    words = [f"{name}={value}" for name, value in {**SMALLEST, "max_steps": 3, "tokenizer": "char"}.items()]
    commands = [
        ("studies",),
        ("plan", "lr-ablation", *options, *(f"--set={word}" for word in words)),
        ("train", *options, "--wandb", "disabled", *words),
        ("runs", "verify"),
        ("report",),
        # The second page takes the place of the first.
        ("report",),
    ]
    said = run("-c", CALL_ALL, json.dumps(commands))
    for text in ("lr-ablation", "to train", "completed", "1 of 1 runs are sound"):
        assert text in said
    assert "text.txt" in (tmp_path / "reports/out/study/index.html").read_text(encoding="utf-8")
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if (path / "result.json").exists())
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert set("äü–“”") <= set(config["tokenizer"]["vocabulary"])
    run("-c", CALL_ALL, json.dumps([("runs", "rm", folder.name)]))
    assert not folder.exists()


def test_links_are_refused_all_the_same(run: Run) -> None:
    """What gptexp.files promises of links, pipes and names holds where folders can't be opened."""
    options = ("-q", "-p", "no:cacheprovider", "-k", "not permission")
    assert " passed" in run("-m", "pytest", *options, "tests/files/test_files.py", cwd=ROOT)
