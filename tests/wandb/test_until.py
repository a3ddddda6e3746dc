"""A run that was stopped on its way, online: its mirror goes on, too."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from gptexp.mirrors.wandb import WandbTracker
from gptexp.studies.execute import execute
from tests.loopback.server import LoopbackServer
from tests.studies.tiny import make_job
from tests.wandb.runs import assert_complete


def test_the_mirror_of_a_stopped_run_goes_on(wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path) -> None:
    """Neither finished nor crashed while it waits, without the table of texts; then one history without a hole."""
    job = make_job(tmp_path / "runs", tiny_corpus)
    warnings: list[str] = []
    for until in (5, 7, None):
        tracker = WandbTracker("online", warn=warnings.append)
        execute(dataclasses.replace(job, until_step=until), [tracker], lambda: False, warnings.append)
        (run,) = wandb_server.store.runs.values()
        if until is not None:
            assert run.state == "preempted"
            assert (run.summary["outcome"], run.summary["last_step"]) == ("stopped", until)
            assert_complete(run, Path(job.run_dir))
            assert not [name for name in run.summary if name.startswith("final_")]
            assert not any("samples" in row for row in run.rows)
    assert warnings == []
    assert (run.state, run.summary["outcome"]) == ("finished", "completed")
    assert_complete(run, Path(job.run_dir))
