"""Made-up runs of the lesson's four studies, as the real ones would leave them."""

from __future__ import annotations

from typing import Any

from gptexp.records import SampleRecord
from tests.report.synthetic import Run, initial_loss, lr_ablation

HOSTILE = (
    "\nKING:\n<script>alert('x')</script> ]]> &amp; {1+1} \x1b[31mred\x1b[0m \u202ereversed\u202c \x00 \ud800 </pre>"
)
LONG = "\n" + "word " * 2000
INITIAL_NAMES = {"gpt2": "gpt2-init", "pytorch": "pytorch-default", "padded": "padded-vocabulary"}


def clipping(seeds: int = 1, max_steps: int = 100) -> list[Run]:
    """With and without clipping, with and without an outlier batch."""
    common: dict[str, Any] = {"max_steps": max_steps, "eval_interval": max_steps // 4, "schedule": "constant"}
    arms = [
        ("clip", "clip at 1.0", {"grad_clip": 1.0}, 3.0),
        ("no-clip", "no clipping", {"grad_clip": None}, 3.05),
        ("clip-outlier", "clip at 1.0, outlier batch", {"grad_clip": 1.0, "outlier_at": 0.6}, 3.02),
        ("no-clip-outlier", "no clipping, outlier batch", {"grad_clip": None, "outlier_at": 0.6}, 3.2),
    ]
    return [
        Run(arm, label, seed, {**common, **extra}, floor + 0.01 * seed, 30.0, study="clipping", question="Clip?")
        for seed in range(1, seeds + 1)
        for arm, label, extra, floor in arms
    ]


def text_milestones(seeds: int = 1, max_steps: int = 160) -> list[Run]:
    """One scheduled arm that writes at its milestones; hostile and endless texts among them."""
    texts = [
        SampleRecord(0, "initial", None, None, "\n", "\nqJMo'GN-uZZ GLLry"),
        SampleRecord(30, "loss", 6.0, 5.93, "\n", HOSTILE),
        SampleRecord(70, "loss", 4.0, 3.91, "\n", LONG),
        SampleRecord(max_steps, "final", None, 2.91, "\n", "\nARTHUR:\nWhat nought"),
    ]
    config = {"max_steps": max_steps, "eval_interval": max_steps // 8, "schedule": "warmup-cosine", "min_lr": 6e-5}
    return [
        Run(
            "scheduled",
            "warmup + cosine",
            seed,
            {**config, "lr": 6e-4, "warmup_steps": 16},
            2.8 + 0.01 * seed,
            35.0,
            samples=texts,
            study="text-milestones",
            question="What does the model write at each loss?",
        )
        for seed in range(1, seeds + 1)
    ]


def untrained(seeds: int = 3) -> list[Run]:
    """`initial_loss` under the arms' own names."""
    runs = initial_loss(seeds)
    for run in runs:
        run.label = run.label or run.arm
        run.arm = INITIAL_NAMES[run.arm]
    return runs


def lesson_runs(seeds: int = 1) -> list[Run]:
    """All four studies."""
    return [*lr_ablation(seeds), *clipping(seeds), *untrained(), *text_milestones(seeds)]
