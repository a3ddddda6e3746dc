"""A run that was stopped on its way, online: its mirror goes on, too."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gptexp.mirrors.wandb import Mode, WandbTracker
from gptexp.mirrors.wandb_settings import find_unsent
from gptexp.mirrors.wandb_sync import send_run
from gptexp.studies.execute import execute
from gptexp.tracking.run_dir import RunDir
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


@pytest.mark.parametrize("rest", [None, "offline"])
def test_what_was_trained_elsewhere_is_sent_later(
    wandb_server: LoopbackServer, tmp_path: Path, tiny_corpus: Path, rest: Mode | None
) -> None:
    """Online up to a step, then without W&B or offline: W&B is known to lack the rest, and gets it once."""
    job = make_job(tmp_path / "runs", tiny_corpus)
    run_dir = RunDir(Path(job.run_dir))
    execute(dataclasses.replace(job, until_step=5), [WandbTracker("online")], lambda: False, pytest.fail)
    assert send_run(run_dir, again=False, patience_s=60).state == "nothing new"
    result = execute(job, [WandbTracker(rest)] if rest else [], lambda: False, pytest.fail)
    assert find_unsent({job.run_id: (run_dir, result)}, "online") == {job.run_id}
    assert [send_run(run_dir, again=False, patience_s=60).state for _ in range(2)] == ["sent", "nothing new"]
    assert find_unsent({job.run_id: (run_dir, result)}, "online") == frozenset()
    (run,) = wandb_server.store.runs.values()
    assert run.summary["outcome"] == "completed"
    assert_complete(run, run_dir.path)
