"""What a run came to, from its progress: the content of its result.json."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

import torch

from gptexp.files import DiskError
from gptexp.studies.job import Job
from gptexp.tracking.provenance import now
from gptexp.tracking.run_dir import Result, RunDir
from gptexp.tracking.run_log import read_typed_records
from gptexp.training.progress import Progress, fold


def summarize(run_id: str, outcome: str, detail: str, progress: Progress, duration_s: float) -> Result:
    """The result of a run from its progress."""
    last, best, diverged = progress.last_eval, progress.best_eval, progress.diverged
    return Result(
        run_id=run_id,
        outcome=outcome,
        outcome_detail=detail,
        last_step=progress.step,
        final_train_loss=progress.train_loss,
        final_val_loss=last.val_loss if last else None,
        final_val_bpb=last.val_bpb if last else None,
        best_val_loss=best.val_loss if best else None,
        best_val_step=best.step if best else None,
        initial_val_loss=progress.initial_val_loss,
        diverged_step=diverged.step if diverged else None,
        diverged_where=diverged.detail if diverged else None,
        last_finite_train_loss=progress.last_finite_train_loss,
        clipped_fraction=progress.clipped_steps / progress.step if progress.step else None,
        max_grad_norm=progress.max_grad_norm,
        tokens_seen=progress.tokens_seen,
        duration_s=duration_s,
        peak_memory_mib=peak_memory_mib(),
        finished_at=now(),
    )


def report_failure(job: Job, reason: str) -> Result:
    """Leave `failed` and the reason as the run's result; its records stay, and another start retries it."""
    run_dir = RunDir(Path(job.run_dir))
    progress = fold(read_typed_records(run_dir.records))
    result = summarize(job.run_id, "failed", reason, progress, earlier_seconds(run_dir))
    with contextlib.suppress(DiskError):
        run_dir.write_result(result)
    return result


def earlier_seconds(run_dir: RunDir) -> float:
    """Seconds that earlier, interrupted processes worked on the run."""
    with contextlib.suppress(ValueError):
        earlier = run_dir.read_result()
        return earlier.duration_s if earlier else 0.0
    return 0.0


def peak_memory_mib() -> float:
    """Most memory that this process held: on the GPU where there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
