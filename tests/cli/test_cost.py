"""What a plan says of device hours and money."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.studies.tiny import SMALLEST

WORDS = ["plan", "lr-ablation", "--scale", "quick", "--set", "tokenizer=char", "--set", "threads=1"]
WORDS += [word for key, value in SMALLEST.items() for word in ("--set", f"{key}={value}")]


def test_a_plan_names_device_hours_and_money(call: Call, tiny_corpus: Path, tmp_path: Path) -> None:
    """Hours of all cores or GPUs of a run, and their price where one is given; in --json for each run."""
    words = [*WORDS, "--corpus", str(tiny_corpus), "--runs-dir", str(tmp_path / "runs")]
    told = call(*words, "--launcher", "ray", "--price-per-hour", "1000").out
    assert "4 to train, at most 4 at once" in told
    assert "core hours, on devices as fast as this machine's; at 1000 an hour that is " in " ".join(told.split())
    assert "Device hours" not in call(*words).out
    alone = call(*words, "--json", "--price-per-hour", "1000").json()
    for row in alone:
        assert row["device_hours"] == pytest.approx(row["seconds"] / 3600)
        assert row["price"] == pytest.approx(1000 * row["device_hours"])
    shared = call(*words, "--json", "--processes-per-run", "2").json()
    for row in shared:
        assert row["device_hours"] == pytest.approx(2 * row["seconds"] / 3600)
        assert row["price"] is None
    assert {row["run_id"] for row in alone}.isdisjoint(row["run_id"] for row in shared)


def test_a_price_is_a_finite_number(call: Call) -> None:
    """JSON has no other."""
    for price in ("nan", "inf", "-1"):
        assert call("plan", "lr-ablation", "--price-per-hour", price).status == 2
