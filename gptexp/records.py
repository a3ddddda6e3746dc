"""The records that a run leaves, one JSON object a line, in the order in which they happened.

Losses are nats per token. `step` counts optimizer updates: step *s* is the s-th update, and its `train_loss` and
`grad_norm` were measured on its batch before that update; an evaluation or sample at step *s* sees the weights after
it, so step 0 is the untrained model.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One optimizer step."""

    kind: ClassVar[str] = "step"
    step: int
    train_loss: float
    lr: float
    grad_norm: float
    """Global L2 norm of the gradient before clipping."""
    clipped: bool
    tokens_seen: int
    step_time_s: float
    tokens_per_sec: float


@dataclass(frozen=True, slots=True)
class EvalRecord:
    """One evaluation on fixed val windows."""

    kind: ClassVar[str] = "eval"
    step: int
    val_loss: float
    val_bpb: float
    """Bits per byte of val text."""
    val_tokens: int
    """Predicted tokens."""
    whole: bool
    """Whether every token of the val split was predicted, exactly once, or only the fixed subset."""


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """A text that the model wrote from the prompt."""

    kind: ClassVar[str] = "sample"
    step: int
    trigger: str
    """interval, loss (the smoothed train loss first fell under `threshold`) or final."""
    threshold: float | None
    train_loss: float | None
    """Mean of the last 10 train losses when the sample was drawn; None at step 0."""
    prompt: str
    text: str
    """Prompt and continuation."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Anything else worth knowing: outlier-batch, diverged."""

    kind: ClassVar[str] = "event"
    step: int
    name: str
    detail: str


Record = StepRecord | EvalRecord | SampleRecord | EventRecord
RECORD_TYPES: dict[str, type[Record]] = {cls.kind: cls for cls in (StepRecord, EvalRecord, SampleRecord, EventRecord)}


def encode_float(value: Any) -> Any:
    """Non-finite floats as the strings NaN, Infinity and -Infinity, which strict JSON can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def decode_float(value: Any) -> Any:
    """The inverse of `encode_float`; anything else passes through."""
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def encode_record(record: Record) -> str:
    """One line of strict JSON, without the line feed."""
    fields = {name: encode_float(value) for name, value in dataclasses.asdict(record).items()}
    return json.dumps({"kind": record.kind, **fields}, allow_nan=False, ensure_ascii=False)


def decode_record(line: str) -> dict[str, Any]:
    """The fields of one line, `kind` among them.

    Raises:
        ValueError: not a record (a torn or damaged line).
    """
    fields = json.loads(line)
    if not isinstance(fields, dict) or fields.get("kind") not in RECORD_TYPES:
        raise ValueError(f"not a record: {line[:80]!r}")
    text = {"text", "prompt", "detail", "name", "trigger", "kind"}
    return {name: value if name in text else decode_float(value) for name, value in fields.items()}
