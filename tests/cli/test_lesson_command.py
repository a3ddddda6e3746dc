"""The one command that trains all that the lesson's claims need on a GPU, at a tiny size, the same way through."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gptexp.studies.locate import find_files
from tests.cli.conftest import Call

TINY = {
    "n_layer": 1,
    "n_head": 2,
    "n_embd": 16,
    "block_size": 16,
    "batch_size": 2,
    "max_steps": 4,
    "eval_steps": 1,
    "final_eval": "subset",
    "sample_tokens": 3,
    "threads": 1,
}


def read_command() -> list[str]:
    """The command as the study's header gives it, without `gptexp`."""
    header = find_files("experiments")["high_rate_precision"].read_text(encoding="utf-8")
    found = re.search(r"Command     gptexp (.+)", header)
    assert found is not None
    return found[1].split()


@pytest.mark.slow
def test_the_command_for_a_gpu_runs_whole_and_its_claims_are_read(
    call: Call, tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every arm of the five studies in one call, runs that two of them share once; then the ledger over all of it."""
    monkeypatch.chdir(tmp_path)
    changes = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]
    folder = ["--runs-dir", str(tmp_path / "runs")]
    command = read_command()
    reply = call(*command, *changes, *folder, "--corpus", str(tiny_corpus), "--wandb", "disabled", "--jobs", "1")
    assert reply.status == 0, reply.err
    configs = [json.loads(path.read_text())["config"] for path in (tmp_path / "runs").glob("*/config.json")]
    results = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/result.json")]
    assert {result["outcome"] for result in results} == {"completed"}
    assert {config["precision"] for config in configs} == {"fp32", "bf16"}
    # Three seeds of three untrained models, four rates, three more of clipping, the milestones, another precision.
    assert len(configs) == len(results) == 3 * 3 + 4 + 3 + 1 + 2
    judged = {row["name"]: row for row in call("claims", *folder, "--json").json()}
    for name in ("constant-6e-4-explodes", "constant-3e-4-trains", "loss-at-step-500", "initial-loss"):
        assert judged[name]["instance"], name
        assert "n_layer=1" in judged[name]["differs"], name
