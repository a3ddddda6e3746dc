"""`gptexp power`: seeds for a difference, from recorded runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gptexp.comparisons.power import count_seeds
from tests.cli.conftest import Call
from tests.report.synthetic import lr_ablation, write_runs


def test_scatter_and_seeds_are_those_of_the_records(call: Call, tmp_path: Path) -> None:
    """The standard deviation of the paired differences of final val losses, and the seeds that it takes."""
    write_runs(tmp_path, lr_ablation(4))
    runs = call("runs", "list", "--runs-dir", str(tmp_path), "--json").json()
    losses = {(run["label"], run["seed"]): run["final_val_loss"] for run in runs}
    rows = call("power", "lr-ablation", "--detect", "0.02", "--runs-dir", str(tmp_path), "--json").json()
    assert len(rows) == 3
    for row in rows:
        pairs = [
            losses[row["what"], seed] - losses[row["against"], seed] for seed in sorted({run["seed"] for run in runs})
        ]
        assert row["n_pairs"] == 4
        assert row["deviation"] == pytest.approx(np.std(pairs, ddof=1))
        assert row["seeds"] == count_seeds(row["deviation"], 0.02)
        assert row["seeds_at_bound"] >= row["seeds"]
    text = call("power", "lr-ablation", "--detect", "0.02", "--runs-dir", str(tmp_path)).out
    assert f"All of them: {max(row['seeds'] for row in rows)} seeds an arm." in text


def test_without_pairs_the_first_command_is_named(call: Call, tmp_path: Path) -> None:
    """One seed says nothing about scatter: a sentence, and what to type first."""
    write_runs(tmp_path, lr_ablation(1))
    reply = call("power", "lr-ablation", "--detect", "0.02", "--runs-dir", str(tmp_path))
    assert reply.status == 2
    assert "gptexp run lr-ablation --seeds 3" in reply.err
    assert call("power", "lr-ablatoin", "--detect", "0.02").status == 2
    assert call("power", "lr-ablation", "--detect", "0").status == 2
    assert call("power", "lr-ablation", "--detect", "nan").status == 2


def test_a_single_arm_has_nothing_to_be_compared_with(call: Call, tmp_path: Path) -> None:
    """No number of seeds would help."""
    single = next(one["name"] for one in call("studies", "--json").json() if len(one["arms"]) == 1)
    reply = call("power", single, "--detect", "0.02", "--runs-dir", str(tmp_path))
    assert (reply.status, len(reply.sentences())) == (2, 1)
    assert "has a single arm, so there is nothing to compare it with" in reply.err
