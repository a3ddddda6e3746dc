"""The records that a run leaves, one JSON object a line, in the order in which they happened.

Losses are nats per token. `step` counts optimizer updates: step *s* is the s-th update, and its `train_loss` and
`grad_norm` were measured on its batch before that update; an evaluation or sample at step *s* sees the weights after
it, so step 0 is the untrained model.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection
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


TEXT_FIELDS = frozenset({"text", "prompt", "detail", "name", "trigger", "kind"})
"""Fields of records that hold words: a text that reads NaN is a text."""


def encode_floats(value: Any) -> Any:
    """`value` with its non-finite floats as the strings NaN, Infinity and -Infinity, which strict JSON can hold."""
    if isinstance(value, dict):
        return {key: encode_floats(content) for key, content in value.items()}
    if isinstance(value, list | tuple):
        return [encode_floats(content) for content in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def decode_floats(value: Any, *, text: Collection[str] = ()) -> Any:
    """The inverse of `encode_floats`; entries under the keys `text` hold words and pass through."""
    if isinstance(value, dict):
        return {key: content if key in text else decode_floats(content) for key, content in value.items()}
    if isinstance(value, list):
        return [decode_floats(content) for content in value]
    return float(value) if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity") else value


def encode_record(record: Record) -> str:
    """One line of strict JSON, without the line feed."""
    fields = encode_floats(dataclasses.asdict(record))
    return json.dumps({"kind": record.kind, **fields}, allow_nan=False, ensure_ascii=False)


def decode_record(line: str) -> dict[str, Any]:
    """The fields of one line, `kind` among them.

    Raises:
        ValueError: not a record (a torn or damaged line).
    """
    try:
        fields = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply for a record") from None
    kind = fields.get("kind") if isinstance(fields, dict) else None
    known = FIELDS_OF_KIND.get(kind) if isinstance(kind, str) else None
    if known is None or fields.keys() != known or type(fields["step"]) is not int:
        raise ValueError(f"not a record: {line[:80]!r}")
    return {**decode_floats(fields, text=TEXT_FIELDS)}


FIELDS_OF_KIND = {
    kind: {"kind", *(field.name for field in dataclasses.fields(cls))} for kind, cls in RECORD_TYPES.items()
}
"""What a line of each kind holds, no more and no less."""
