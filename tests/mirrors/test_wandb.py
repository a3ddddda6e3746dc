"""The W&B mirror, through the real client in offline mode."""

from __future__ import annotations

import dataclasses
import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gptexp.errors import GptexpError
from gptexp.mirrors.wandb import WandbTracker, choose_mode
from gptexp.studies.execute import execute
from gptexp.tracking.run_dir import RunDir
from tests.studies.tiny import make_job, read_untimed


def test_the_mirror_says_nothing_of_the_machine(
    tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the home folder with corpus and runs in it, nor its owner, nor the machine's name is in W&B's file."""
    home = tmp_path / "people" / "ottokar"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(socket, "gethostname", lambda: "desk-of-ottokar")
    corpus = home / "my texts" / tiny_corpus.name
    corpus.parent.mkdir()
    corpus.write_bytes(tiny_corpus.read_bytes())
    job = make_job(home / "runs", corpus)
    place = {"study": "s", "arm": "a", "scale": "quick", "seed": 1, "variant": {"corpus": str(corpus)}}
    asked = {"definition": "d", "asked_at": "2025", "label": f"on {corpus}", "question": f"What does {corpus} teach?"}
    member: dict[str, Any] = {**place, **asked}
    Path(job.run_dir).mkdir(parents=True)
    RunDir(Path(job.run_dir)).append_member(member)
    job = dataclasses.replace(job, command=f"gptexp run s --corpus '{corpus}'", member=member)
    execute(job, [WandbTracker("offline")], lambda: False, lambda _: None)
    (file,) = Path(job.run_dir).glob("wandb/offline-run-*/*.wandb")
    # Where the client keeps an artifact until it is sent; that it doesn't send.
    stored = re.sub(rb"\S*/wandb/artifacts/staging/", b"", file.read_bytes())
    assert tiny_corpus.name.encode() in stored
    for told in ("ottokar", str(tmp_path)):
        assert told.encode() not in stored, told


def test_an_offline_run_mirrors_every_record(tmp_path: Path, tiny_corpus: Path) -> None:
    """Read back with W&B's own reader: config, every step and evaluation on our axis, samples, outcome."""
    job = make_job(tmp_path, tiny_corpus)
    warnings: list[str] = []
    execute(job, [WandbTracker("offline")], lambda: False, warnings.append)
    assert warnings == []
    (file,) = Path(job.run_dir).glob("wandb/offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    text = printed.replace(" ", "")
    for record in read_untimed(Path(job.run_dir)):
        if record["kind"] == "step":
            assert f'"train_loss":{json.dumps(record["train_loss"])}' in text
        if record["kind"] == "eval":
            assert f'"val_loss":{json.dumps(record["val_loss"])}' in text
    assert '"outcome":"completed"' in text
    assert job.run_id in text


@pytest.mark.parametrize(
    ("asked", "environment", "key", "expected"),
    [
        (None, None, None, "offline"),
        (None, None, "k" * 40, "online"),
        (None, "disabled", "k" * 40, "disabled"),
        ("offline", "disabled", None, "offline"),
    ],
)
def test_the_mode_never_asks(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    asked: str | None,
    environment: str | None,
    key: str | None,
    expected: str,
) -> None:
    """An option wins over WANDB_MODE; without either, an account decides; nobody logged in means offline."""
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name, value in (("WANDB_MODE", environment), ("WANDB_API_KEY", key)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert choose_mode(asked) == expected


def test_online_without_an_account_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`--wandb online` for somebody who isn't logged in is one sentence with the way out, not a prompt."""
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(GptexpError, match="wandb login"):
        choose_mode("online")
