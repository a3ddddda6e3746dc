"""Writes run folders as the engine leaves them, with made-up curves, so that reports are tested without training."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptexp.config import RunConfig, build_config
from gptexp.records import EvalRecord, EventRecord, Record, SampleRecord, StepRecord, encode_floats, encode_record
from gptexp.training.flags import find_flags

TINY = {
    "n_layer": 2,
    "n_head": 2,
    "n_embd": 32,
    "block_size": 16,
    "batch_size": 4,
    "max_steps": 20,
    "eval_interval": 10,
}
RESOLVED = {"device": "cpu", "precision": "fp32"}
CORPUS = {
    "name": "tinyshakespeare",
    "checksum": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    "source": "a test",
    "train_tokens": 6_000,
    "val_tokens": 700,
    "val_bytes": 2_400,
    "fallback": False,
}


@dataclass
class Run:
    """One made-up run. `floor` is where its loss tends to, `rate` the steps in which it gets near."""

    arm: str
    label: str = ""
    seed: int = 1
    config: dict[str, Any] = field(default_factory=dict)
    floor: float = 3.0
    rate: float = 60.0
    diverge_at: int | None = None
    stop_at: int | None = None
    """The last recorded step of an unfinished run, or of one that was stopped."""
    is_stopped: bool = False
    """Whether it was asked for up to there only, and has a record that says so."""
    evals: bool = True
    samples: Sequence[SampleRecord] = ()
    study: str = "lr-ablation"
    scale: str = "quick"
    variant: dict[str, Any] = field(default_factory=dict)
    definition: str = "d1"
    asked_at: str = "2025-01-01T00:00:00Z"
    question: str = "Which schedule ends lowest?"
    hypothesis: str = ""
    corpus: dict[str, Any] = field(default_factory=lambda: dict(CORPUS))

    @property
    def run_id(self) -> str:
        identity = [self.config, self.seed, self.floor, self.rate, self.diverge_at, self.stop_at, self.study, self.arm]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def write_runs(runs_dir: Path, runs: Sequence[Run]) -> list[str]:
    """Write every run's folder; returns the run ids."""
    return [write_run(runs_dir, run) for run in runs]


def write_run(runs_dir: Path, run: Run) -> str:
    """Write one run folder as the contract of the run directory has it; returns its run id."""
    folder = runs_dir / run.run_id
    folder.mkdir(parents=True, exist_ok=True)
    config = build_config({**TINY, **RESOLVED, "vocab_size": 50257, "seed": run.seed, **run.config})
    records = make_records(run, config)
    write_json(
        folder / "config.json",
        {
            "run_id": run.run_id,
            "engine_version": 1,
            "config": config.model_dump(mode="json"),
            "corpus": run.corpus,
            "tokenizer": {"name": "gpt2", "checksum": "306cd27f", "vocab_size": 50257, "vocabulary": None},
            "n_params": 1_640_000,
        },
    )
    append_line(folder / "provenance.jsonl", make_provenance(run))
    append_member(folder, run)
    (folder / "records.jsonl").write_text(
        "".join(encode_record(record) + "\n" for record in records), encoding="utf-8", errors="backslashreplace"
    )
    if run.stop_at is None or run.is_stopped:
        write_json(folder / "result.json", make_result(run, config, records))
    return run.run_id


def append_member(folder: Path, run: Run) -> None:
    """Add the line that says which study's arm this run answers."""
    keys = ("study", "arm", "scale", "seed", "variant", "definition", "question", "hypothesis", "asked_at")
    append_line(folder / "members.jsonl", {**{key: getattr(run, key) for key in keys}, "label": run.label or run.arm})


def make_records(run: Run, config: RunConfig) -> list[Record]:
    """Records of a loss that falls exponentially from its start to `floor`, with noise that depends on the seed."""
    noise = random.Random(f"{run.arm}/{run.seed}")
    start = math.log(config.vocab_size or 1) + (config.n_embd * 0.0002 if config.init == "gpt2" else 31.5)
    last = run.stop_at if run.stop_at is not None else config.max_steps
    records: list[Record] = []
    if run.evals:
        records.append(EvalRecord(0, start, start / 2.4, 640, config.max_steps == 0))
    for step in range(1, last + 1):
        loss = run.floor + (start - run.floor) * math.exp(-step / run.rate) + noise.gauss(0, 0.06)
        norm = 0.4 + 3 * math.exp(-step / 25) + abs(noise.gauss(0, 0.15))
        if step == config.outlier_step:
            records.append(EventRecord(step, "outlier-batch", "one rare token repeated"))
            loss, norm = loss + 4, 60.0
        broken = step == run.diverge_at
        if broken:
            loss, norm = math.nan, math.inf
            records.append(EventRecord(step, "diverged", "the train loss is not finite"))
        clipped = config.grad_clip is not None and norm > config.grad_clip
        tokens = step * config.tokens_per_step
        records.append(StepRecord(step, loss, scheduled_lr(step, config), norm, clipped, tokens, 0.02, 3200.0))
        if broken:
            break
        is_end = step == last and not run.is_stopped
        if run.evals and (step % config.eval_interval == 0 or is_end):
            val = run.floor + 0.1 + (start - run.floor) * math.exp(-step / run.rate) + noise.gauss(0, 0.01)
            records.append(EvalRecord(step, val, val / 2.4, 640, whole=False))
            if is_end:
                records.append(EvalRecord(step, val + 0.02, (val + 0.02) / 2.4, 700, whole=True))
    records.extend(run.samples)
    return records


def scheduled_lr(step: int, config: RunConfig) -> float:
    """Linear warmup, then cosine to min_lr; or the constant."""
    if config.schedule == "constant":
        return config.lr
    if step <= config.resolved_warmup_steps:
        return config.lr * step / config.resolved_warmup_steps
    done = (step - config.resolved_warmup_steps) / (config.max_steps - config.resolved_warmup_steps)
    return config.resolved_min_lr + (config.lr - config.resolved_min_lr) * (1 + math.cos(math.pi * done)) / 2


def make_result(run: Run, config: RunConfig, records: Sequence[Record]) -> dict[str, Any]:
    """result.json from the records, as the engine would sum them up."""
    steps = [record for record in records if isinstance(record, StepRecord)]
    evals = [record for record in records if isinstance(record, EvalRecord)]
    diverged = run.diverge_at is not None
    watched = [record for record in evals if not record.whole] or evals
    best = min(watched, key=lambda record: record.val_loss, default=None)
    final = evals[-1] if evals and not diverged else None
    return {
        "run_id": run.run_id,
        "outcome": "diverged" if diverged else "stopped" if run.is_stopped else "completed",
        "outcome_detail": f"the train loss is not finite at step {run.diverge_at}" if diverged else "",
        "last_step": steps[-1].step if steps else 0,
        "final_train_loss": encode_floats(sum(s.train_loss for s in steps[-10:]) / 10) if steps else None,
        "final_val_loss": final.val_loss if final else None,
        "final_val_bpb": final.val_bpb if final else None,
        "best_val_loss": best.val_loss if best else None,
        "best_val_step": best.step if best else None,
        "initial_val_loss": evals[0].val_loss if evals else None,
        "diverged_step": run.diverge_at,
        "diverged_where": "train_loss" if diverged else None,
        "clipped_fraction": sum(s.clipped for s in steps) / len(steps) if steps else None,
        "max_grad_norm": encode_floats(max(s.grad_norm for s in steps)) if steps else None,
        "tokens_seen": steps[-1].tokens_seen if steps else 0,
        "duration_s": 0.02 * len(steps),
        "peak_memory_mib": 123.0,
        "finished_at": "2025-01-01T00:01:00Z",
        "flags": encode_floats(find_flags(records, ended=diverged or not run.is_stopped)),
    }


def make_provenance(run: Run) -> dict[str, Any]:
    return {
        "started_at": "2025-01-01T00:00:01Z",
        "command": f"gptexp run {run.study} --scale {run.scale}",
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "git_dirty": False,
        "python": "3.11.9",
        "torch": "2.9.0",
        "gptexp": "0.1.0",
        "cpu": "A Test CPU",
        "gpu": None,
        "cores": 2,
        "host_os": "Linux",
        "from_step": 0,
    }


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, allow_nan=False), encoding="utf-8")


def append_line(path: Path, value: Any) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")


def lr_ablation(seeds: int = 1, max_steps: int = 120, **common: Any) -> list[Run]:
    """The three constant arms and the scheduled one; the lowest rate is slow, the highest diverges on `diverge_at`."""
    config = {"max_steps": max_steps, "eval_interval": max_steps // 6, "warmup_steps": max_steps // 10}
    arms = [
        ("constant-6e-4", "constant 6e-4", {"schedule": "constant", "lr": 6e-4, "min_lr": 6e-4}, 3.2, 30.0),
        ("constant-3e-4", "constant 3e-4", {"schedule": "constant", "lr": 3e-4, "min_lr": 3e-4}, 3.3, 36.0),
        ("constant-1e-5", "constant 1e-5", {"schedule": "constant", "lr": 1e-5, "min_lr": 1e-5}, 7.5, 90.0),
        ("warmup-cosine", "warmup + cosine", {"schedule": "warmup-cosine", "lr": 6e-4, "min_lr": 6e-5}, 3.0, 32.0),
    ]
    return [
        Run(arm, label, seed, {**config, **extra}, floor + 0.02 * seed, rate, **common)
        for seed in range(1, seeds + 1)
        for arm, label, extra, floor, rate in arms
    ]


def initial_loss(seeds: int = 3) -> list[Run]:
    """Untrained models by init and vocabulary."""
    arms = [
        ("gpt2", "GPT-2 init", {}),
        ("pytorch", "PyTorch default init", {"init": "pytorch-default"}),
        ("padded", "padded vocabulary", {"vocab_size": 50304}),
    ]
    return [
        Run(arm, label, seed, {"max_steps": 0, **extra}, study="initial-loss", question="Where does the loss start?")
        for seed in range(1, seeds + 1)
        for arm, label, extra in arms
    ]


def warmup_by_decay(seeds: int = 3, max_steps: int = 120) -> list[Run]:
    """A warmup or none, three decays: the warmup and the decay each do something, and something together."""
    config = {"max_steps": max_steps, "eval_interval": max_steps // 6}
    return [
        Run(
            f"{'warm' if warmup else 'cold'}-{kind}",
            f"{'warmup' if warmup else 'no warmup'}, {kind}",
            seed,
            {**config, "schedule": _name_schedule(kind, warmup), "warmup_steps": warmup, **_name_end(kind)},
            3.0 + 0.021 * seed + 0.03 * place + (0.011 * place * seed - 0.05 if warmup else 0.0),
            study="warmup-by-decay",
            question="Which part of the schedule does the work?",
        )
        for seed in range(1, seeds + 1)
        for place, kind in enumerate(("constant", "cosine", "linear"))
        for warmup in (0, 12)
    ]


def _name_schedule(kind: str, warmup: int) -> str:
    return "constant" if kind == "constant" and not warmup else f"warmup-{kind}"


def _name_end(kind: str) -> dict[str, float]:
    return {"lr": 6e-4, "min_lr": 6e-4 if kind == "constant" else 6e-5}
