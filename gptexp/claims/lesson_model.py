"""What a run has to be to judge a claim about the lesson's model: its network and its training, in full.

The document fixes some of it. For the rest it says "use known-good hyperparameters from Karpathy's nanoGPT", and names
no batch, no weight decay, no betas and no dropout: what nanoGPT and PyTorch have there counts as the lesson's. A run
that is anything else gives a direction, and no verdict.

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
class Asked:
    """What a field of a run's config has to be."""

    field: str
    """A config field, corpus_checksum, `tokens` (a step trains on) or `warmup` (share of the steps)."""
    values: tuple[Any, ...] = ()
    """What it may be; empty where any number from `low` to `high` does."""
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

NETWORK = (
    Asked("n_layer", (12,), why="GPT-2 124M"),
    Asked("n_head", (12,), why="GPT-2 124M"),
    Asked("n_embd", (768,), why="the document: a matrix of 50K x 768"),
    Asked("block_size", (256,), why="the document: block_size (e.g., 256 tokens)"),
    Asked("vocab_size", (50257,), why="the document: 50,257 tokens"),
    Asked("bias", (True,), why="GPT-2 has biases; without them it isn't 124.4 million parameters"),
    Asked("tokenizer", ("gpt2",), why="the document: 50,257 tokens"),
    Asked("norm", ("pre",), why="GPT-2 is pre-LN"),
    Asked("init", ("gpt2",), why="the document: sigma 0.02, residual projections by 1/sqrt(2N)"),
    Asked("corpus_checksum", (TINYSHAKESPEARE_SHA256,), why="the document: TinyShakespeare"),
    Asked(
        "precision",
        ("fp32", "bf16"),
        why="the document trains in float32; bf16 products over float32 weights have its range, so that nothing "
        "overflows sooner, and their losses stay within the spread of seeds",
    ),
)
"""Of every run."""
TRAINING = (
    Asked("dropout", (0.0,), why="nanoGPT's train.py: 0 is good for pretraining; the document has none"),
    Asked("optimizer", ("adamw",), why="the document: AdamW"),
    Asked("weight_decay", (0.1, 0.01), why="nanoGPT's train.py 0.1; PyTorch's AdamW 0.01"),
    Asked("beta1", (0.9,), why="nanoGPT and PyTorch alike"),
    Asked("beta2", low=0.95, high=0.999, why="nanoGPT's 0.95 and 0.99; PyTorch's 0.999"),
    Asked("eps", (1e-8,), why="PyTorch's AdamW"),
    Asked("grad_clip", (1.0,), why="the document: max_norm=1.0"),
    Asked("outlier_at", (None,), why="natural data"),
    Asked(
        "tokens",
        low=768,
        high=16_384,
        why="the document names no batch. nanoGPT trains on Shakespeare from scratch with 12 windows of 64 tokens on a "
        "CPU and 64 of 256 on a GPU. A smaller batch has noisier gradients",
    ),
    Asked("warmup", low=0.05, high=0.1, why="the document: first ~5-10% of training"),
)
"""Of runs that take a step; an untrained model has neither batch nor optimizer."""
TO_A_STEP = Asked(
    "tokens",
    low=3072,
    high=16_384,
    why="how low a loss is by a step depends on the text that was seen by then: 12 to 64 windows, as nanoGPT has them, "
    "of the lesson's own 256 tokens",
)
"""In place of the other batch, where a claim states a loss at a step."""
IN_WORDS = {"corpus_checksum": "another corpus", "tokenizer": "another tokenizer"}

ASIDE = {"seed", "sample_losses", "sample_prompt"}
"""Config fields that decide nothing of what is asked for here."""

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Differences:
    """In what runs are not those that a claim speaks of, as words: `n_layer=4`, `256 tokens a step`."""

    network: tuple[str, ...] = ()
    training: tuple[str, ...] = ()

    @property
    def every(self) -> tuple[str, ...]:
        return self.network + self.training


def find_differences(
    arms: Sequence[tuple[pd.DataFrame, Settings]], max_steps: int | None, *, to_a_step: bool = False
) -> Differences:
    """In what the runs of some arms differ from the lesson's.

    Args:
        arms: the runs of each arm (rows of `Frames.runs`), and what the claim says that this arm is: settings that
            have to be so, in place of the lesson's. Where the claim is about runs without clipping, clipping differs.
        max_steps: the length of training that the claim speaks of, or None.
        to_a_step: whether it states a loss at a step.
    """
    network: dict[str, set[str]] = {}
    training: dict[str, set[str]] = {}
    for runs, settings in arms:
        for run in _list_configs(runs):
            trains = (read_field(run, "max_steps") or 0) > 0
            _compare(run, NETWORK, settings, network)
            own = [Asked(name, (value,)) for name, value in settings.items() if not _is_among(name, NETWORK)]
            own += [Asked("max_steps", (max_steps,))] if max_steps is not None else []
            usual = [one for one in list_training(to_a_step=to_a_step) if one.field in _list_questions(settings)]
            _compare(run, [*own, *usual] if trains else own, settings, training)
    return Differences(_join(network), _join(training))


def list_training(*, to_a_step: bool) -> tuple[Asked, ...]:
    """TRAINING, with the batch that a claim about a loss at a step asks for."""
    return tuple(TO_A_STEP if to_a_step and one.field == TO_A_STEP.field else one for one in TRAINING)


def describe_training(runs: pd.DataFrame) -> str:
    """`4,096 tokens a step in bf16`, for words beside a verdict; empty where nothing is trained."""
    trained = [run for run in _list_configs(runs) if read_field(run, "max_steps")]
    batches = sorted({int(read_field(run, "tokens") or 0) for run in trained})
    precisions = sorted({str(read_field(run, "precision")) for run in trained})
    words = " or ".join(f"{tokens:,}" for tokens in batches)
    return f"{words} tokens a step in {' or '.join(precisions)}" if words else ""


def _list_configs(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """The configs of runs, seeds and what watches them aside; the same one once, since most arms have only one."""
    fields = [name for name in (*RunConfig.model_fields, "corpus_checksum") if name in runs and name not in ASIDE]
    rows = runs[fields].to_dict("records")
    return list({repr(row): {str(name): value for name, value in row.items()} for row in rows}.values())


def read_field(run: Mapping[str, Any], name: str) -> Any:
    """What a run's config has there; a run that is older than a field was made as its default has it."""
    if name == "tokens":
        sizes = [read_field(run, field) for field in ("batch_size", "grad_accum_steps", "block_size")]
        return None if None in sizes else math.prod(sizes)
    if name == "warmup":
        warmup, steps = read_field(run, "warmup_steps"), read_field(run, "max_steps")
        return warmup / steps if warmup is not None and steps else None
    value = run.get(name)
    value = None if isinstance(value, float) and math.isnan(value) else value
    return RunConfig.model_fields[name].default if value is None and name in CAME_LATER else value


def _list_questions(settings: Settings) -> set[str]:
    """The fields of TRAINING that an arm's own settings don't settle."""
    names = {one.field for one in TRAINING} - settings.keys()
    if "batch_size" in settings:
        names.discard("tokens")
    if "warmup_steps" in settings or not str(settings.get("schedule", "")).startswith("warmup"):
        names.discard("warmup")
    return names


def _compare(run: Mapping[str, Any], asked: Sequence[Asked], settings: Settings, found: dict[str, set[str]]) -> None:
    for one in asked:
        wanted = Asked(one.field, (settings[one.field],)) if one.field in settings else one
        value = read_field(run, one.field)
        if not wanted.allows(value):
            found.setdefault(one.field, set()).add(f"{value:,}" if one.field == "tokens" and value else _write(value))


def _is_among(name: str, asked: Sequence[Asked]) -> bool:
    return any(one.field == name for one in asked)


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
