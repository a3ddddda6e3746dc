"""`gptexp report --to-wandb`: the bundle as a W&B run of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.loopback.server import LoopbackServer
from tests.report.synthetic import lr_ablation, write_runs
from tests.wandb.runs import command, sync


def publish(folder: Path, *more: str, status: int = 0) -> str:
    """Build the page of the runs in `folder` and log it; returns what was printed."""
    words = command("report", "--runs-dir", str(folder / "runs"), "--out", str(folder / "page"), *more)
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_a_report_is_logged_once(wandb_server: LoopbackServer, tmp_path: Path) -> None:
    """Figures with their alt texts, tables, every file as an artifact, the run ids; again, nothing comes twice."""
    run_ids = write_runs(tmp_path / "runs", lr_ablation())
    for _ in range(2):
        assert f"{wandb_server.url}/" in publish(tmp_path, "--to-wandb")
    (run,) = wandb_server.store.runs.values()
    assert (run.job_type, run.state, run.tags) == ("report", "finished", ["report", "study"])
    assert run.settings()["gptexp_report"]["run_ids"] == sorted(run_ids)
    (row,) = run.rows
    figures = sorted((tmp_path / "page" / "figures").glob("*.png"))
    assert len(figures) > 2
    for figure in figures:
        assert row[f"figures/{figure.stem}"]["caption"] == figure.with_suffix(".txt").read_text().strip()
        assert figure.read_bytes() in run.files.values()
    assert {f"tables/{table.stem}" for table in (tmp_path / "page" / "tables").glob("*.csv")} < set(row)
    (artifact,) = [item for item in wandb_server.store.artifacts.values() if item.type == "report"]
    files = {path.relative_to(tmp_path / "page").as_posix() for path in (tmp_path / "page").rglob("*.*")}
    assert artifact.state == "COMMITTED"
    assert set(artifact.manifest["contents"]) == files


def test_a_report_kept_offline_is_sent_later(wandb_server: LoopbackServer, tmp_path: Path) -> None:
    """With --wandb offline nothing is asked of the server; the command that is printed sends it."""
    write_runs(tmp_path / "runs", lr_ablation())
    assert "wandb sync" in publish(tmp_path, "--to-wandb", "--wandb", "offline")
    assert wandb_server.store.calls == []
    sync(*(tmp_path / "page-wandb" / "wandb").glob("offline-run-*"))
    (run,) = wandb_server.store.runs.values()
    assert run.job_type == "report"
    assert any(key.startswith("figures/") for key in run.rows[0])


def test_a_report_without_a_server(wandb_server: LoopbackServer, tmp_path: Path) -> None:
    """Out of reach: the page is written, one sentence says what to do, exit status 2."""
    write_runs(tmp_path / "runs", lr_ablation())
    wandb_server.stop_answering()
    assert "out of reach" in publish(tmp_path, "--to-wandb", status=2)
    assert (tmp_path / "page" / "index.html").is_file()


@pytest.mark.parametrize("more", [["--wandb", "disabled", "--to-wandb"], ["--wandb", "offline"]])
def test_requests_that_make_no_sense(tmp_path: Path, more: list[str]) -> None:
    """A disabled W&B takes no report, and --wandb alone says nothing."""
    write_runs(tmp_path / "runs", lr_ablation())
    assert "--to-wandb" in publish(tmp_path, *more, status=2)
