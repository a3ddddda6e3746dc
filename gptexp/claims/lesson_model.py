"""The requirements on a run that judges a claim about the lesson's model: its network and its training.

The document states some of them. For the rest it says "use known-good hyperparameters from Karpathy's nanoGPT", and
gives no batch size, weight decay, betas or dropout: there the values of nanoGPT and PyTorch count as the lesson's. A
run that differs gives a direction, but no verdict.

Source: karpathy/nanoGPT, train.py and config/train_shakespeare_char.py; PyTorch's AdamW; the document that the ledger
covers.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gptexp.config import CAME_LATER, RunConfig
from gptexp.data.corpus import TINYSHAKESPEARE_SHA256


@dataclass(frozen=True)
class Requirement:
    """The values that a field of a run's config may have."""

    field: str
    """A config field, corpus_checksum, `tokens` (tokens per step) or `warmup` (warmup steps / all steps)."""
    values: tuple[Any, ...] = ()
    """The allowed values; if empty, any number from `low` to `high` is allowed."""
    low: float = -math.inf
    high: float = math.inf
    why: str = ""

    def allows(self, value: Any) -> bool:
        if self.values:
            return any(_is_same(value, each) for each in self.values)
        low, high = self.low * (1 - ROUNDING), self.high * (1 + ROUNDING)
        return isinstance(value, numbers.Real) and low <= float(value) <= high

    def __str__(self) -> str:
        if self.field == "corpus_checksum":
            return "corpus=tinyshakespeare, by its checksum"
        span = " or ".join(_write(value) for value in self.values) or f"{_write(self.low)} to {_write(self.high)}"
        return f"{self.field}={span}"


ROUNDING = 1e-9
"""Relative difference up to which two numbers count as equal."""

NETWORK = (
    Requirement("n_layer", (12,), why="GPT-2 124M"),
    Requirement("n_head", (12,), why="GPT-2 124M"),
    Requirement("n_embd", (768,), why="the document: a matrix of 50K x 768"),
    Requirement("block_size", (256,), why="the document: block_size (e.g., 256 tokens)"),
    Requirement("vocab_size", (50257,), why="the document: 50,257 tokens"),
    Requirement("bias", (True,), why="GPT-2 has biases; without them it isn't 124.4 million parameters"),
    Requirement("tokenizer", ("gpt2",), why="the document: 50,257 tokens"),
    Requirement("norm", ("pre",), why="GPT-2 is pre-LN"),
    Requirement("init", ("gpt2",), why="the document: sigma 0.02, residual projections by 1/sqrt(2N)"),
    Requirement("init_from", (None,), why="the document: the weights are drawn at random"),
    Requirement("corpus_checksum", (TINYSHAKESPEARE_SHA256,), why="the document: TinyShakespeare"),
    Requirement(
        "precision",
        ("fp32", "bf16"),
        why="the document trains in float32; bf16 products over float32 weights have its range, so that nothing "
        "overflows sooner, and their losses stay within the spread of seeds",
    ),
)
"""Requirements on every run."""
TRAINING = (
    Requirement("dropout", (0.0,), why="nanoGPT's train.py: 0 is good for pretraining; the document has none"),
    Requirement("optimizer", ("adamw",), why="the document: AdamW"),
    Requirement("weight_decay", (0.1, 0.01), why="nanoGPT's train.py 0.1; PyTorch's AdamW 0.01"),
    Requirement("beta1", (0.9,), why="nanoGPT and PyTorch alike"),
    Requirement("beta2", low=0.95, high=0.999, why="nanoGPT's 0.95 and 0.99; PyTorch's 0.999"),
    Requirement("eps", (1e-8,), why="PyTorch's AdamW"),
    Requirement("grad_clip", (1.0,), why="the document: max_norm=1.0"),
    Requirement("outlier_at", (None,), why="natural data"),
    Requirement(
        "tokens",
        low=768,
        high=16_384,
        why="the document names no batch. nanoGPT trains on Shakespeare from scratch with 12 windows of 64 tokens on a "
        "CPU and 64 of 256 on a GPU. A smaller batch has noisier gradients",
    ),
    Requirement("warmup", low=0.05, high=0.1, why="the document: first ~5-10% of training"),
)
"""Requirements on runs with at least one step; an untrained model has neither batch nor optimizer."""
TO_A_STEP = Requirement(
    "tokens",
    low=3072,
    high=16_384,
    why="how low a loss is by a step depends on the text that was seen by then: 12 to 64 windows, as nanoGPT has them, "
    "of the lesson's own 256 tokens",
)
"""Replaces the requirement on `tokens` if a claim states a loss at a step."""
IN_WORDS = {
    "corpus_checksum": "another corpus",
    "tokenizer": "another tokenizer",
    "init_from": "weights that were trained before",
}
"""Field -> how a difference in it is written."""

IGNORED_FIELDS = {"seed", "sample_losses", "sample_prompt"}
"""Config fields on which no requirement depends."""

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Differences:
    """How runs differ from those that a claim is about, in words: `n_layer=4`, `256 tokens a step`."""

    network: tuple[str, ...] = ()
    training: tuple[str, ...] = ()

    @property
    def every(self) -> tuple[str, ...]:
        return self.network + self.training


def find_differences(
    arms: Sequence[tuple[pd.DataFrame, Settings]], max_steps: int | None, *, to_a_step: bool = False
) -> Differences:
    """How the runs of some arms differ from the runs that a claim is about.

    Args:
        arms: the runs of each arm (rows of `Frames.runs`), and the settings that the claim assumes for this arm. They
            replace the lesson's: an arm without clipping must not clip.
        max_steps: the length of training that the claim is about, in steps, or None.
        to_a_step: whether the claim states a loss at a step.
    """
    network: dict[str, set[str]] = {}
    training: dict[str, set[str]] = {}
    for runs, settings in arms:
        for run in _list_configs(runs):
            trains = (read_field(run, "max_steps") or 0) > 0
            _compare(run, NETWORK, settings, network)
            own = [Requirement(name, (value,)) for name, value in settings.items() if not _is_among(name, NETWORK)]
            own += [Requirement("max_steps", (max_steps,))] if max_steps is not None else []
            usual = [one for one in list_training(to_a_step=to_a_step) if one.field in _list_open_fields(settings)]
            _compare(run, [*own, *usual] if trains else own, settings, training)
    return Differences(_join(network), _join(training))


def list_training(*, to_a_step: bool) -> tuple[Requirement, ...]:
    """TRAINING; for a claim about a loss at a step with the stricter requirement on `tokens`."""
    return tuple(TO_A_STEP if to_a_step and one.field == TO_A_STEP.field else one for one in TRAINING)


def describe_training(runs: pd.DataFrame) -> str:
    """Batch and precision of the runs, shown beside a verdict: `4,096 tokens a step in bf16`; empty if untrained."""
    trained = [run for run in _list_configs(runs) if read_field(run, "max_steps")]
    batches = sorted({int(read_field(run, "tokens") or 0) for run in trained})
    precisions = sorted({str(read_field(run, "precision")) for run in trained})
    words = " or ".join(f"{tokens:,}" for tokens in batches)
    return f"{words} tokens a step in {' or '.join(precisions)}" if words else ""


def _list_configs(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """The distinct configs of runs, without `IGNORED_FIELDS`. Most arms have only one."""
    names = (*RunConfig.model_fields, "corpus_checksum")
    fields = [name for name in names if name in runs and name not in IGNORED_FIELDS]
    # A column at a time: rows of a frame take five times as long, and a report asks some hundred times.
    rows = [
        dict(zip(fields, values, strict=True)) for values in zip(*(runs[name].tolist() for name in fields), strict=True)
    ]
    return list({repr(row): row for row in rows}.values())


def read_field(run: Mapping[str, Any], name: str) -> Any:
    """The value of a config field, of `tokens` or of `warmup`. Runs older than the field have its default value."""
    if name == "tokens":
        sizes = [read_field(run, field) for field in ("batch_size", "grad_accum_steps", "block_size")]
        return None if None in sizes else math.prod(sizes)
    if name == "warmup":
        warmup, steps = read_field(run, "warmup_steps"), read_field(run, "max_steps")
        return warmup / steps if warmup is not None and steps else None
    value = run.get(name)
    value = None if isinstance(value, float) and math.isnan(value) else value
    return RunConfig.model_fields[name].default if value is None and name in CAME_LATER else value


def _list_open_fields(settings: Settings) -> set[str]:
    """The fields of TRAINING that an arm's own settings leave open."""
    names = {one.field for one in TRAINING} - settings.keys()
    if "batch_size" in settings:
        names.discard("tokens")
    if "warmup_steps" in settings or not str(settings.get("schedule", "")).startswith("warmup"):
        names.discard("warmup")
    return names


def _compare(
    run: Mapping[str, Any], required: Sequence[Requirement], settings: Settings, found: dict[str, set[str]]
) -> None:
    for one in required:
        wanted = Requirement(one.field, (settings[one.field],)) if one.field in settings else one
        value = read_field(run, one.field)
        if not wanted.allows(value):
            found.setdefault(one.field, set()).add(f"{value:,}" if one.field == "tokens" and value else _write(value))


def _is_among(name: str, required: Sequence[Requirement]) -> bool:
    return any(one.field == name for one in required)


def _join(found: Mapping[str, set[str]]) -> tuple[str, ...]:
    return tuple(_name_difference(name, "/".join(sorted(values))) for name, values in found.items())


def _name_difference(name: str, values: str) -> str:
    if name == "tokens":
        return f"{values} tokens a step"
    return IN_WORDS.get(name) or f"{name}={values}"


def _is_same(value: Any, other: Any) -> bool:
    if isinstance(value, numbers.Real) and isinstance(other, numbers.Real):
        return math.isclose(value, other, rel_tol=ROUNDING)
    return bool(value == other)


def _write(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, numbers.Real) and not isinstance(value, bool) else str(value)
