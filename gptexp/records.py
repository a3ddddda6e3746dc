"""The records that a run leaves, one JSON object a line, in the order in which they happened.

Losses are nats per token. `step` counts optimizer updates: step *s* is the s-th update, and its `train_loss` and
`grad_norm` were measured on its batch before that update; an evaluation or sample at step *s* sees the weights after
it, so step 0 is the untrained model.

The `record_format` in a run's config.json says how its lines are written, 1 where there is none. What this promises:

- A field keeps its name, unit and meaning, and none is taken away.
- A new metric needs no new format: `metrics` takes any name that `METRIC_NAME` describes.
- A new field has a default; a new kind of record is one more class here. Either raises FORMAT. A field is left out of
  a line while it has its default, and whoever reads the line fills it in: older lines stay what they are.
- In a run of a newer format than ours, fields and kinds that we don't know are passed over. In any other run they are
  damage: nobody wrote them, so a letter of a name was altered.

1: the first. 2: `metrics`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, ClassVar

FORMAT = 2
FIRST_FORMAT = 1
"""Of runs that don't say which."""
METRICS = "metrics"
"""The field of a record that takes them, and the frame."""
METRIC_NAME = re.compile(r"(?=.{3,200}\Z)[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+")
"""What is measured, a slash, and where: `update_ratio/blocks.3.ffn`. The slash tells metrics from fields."""


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
    metrics: dict[str, float] = field(default_factory=dict)
    """What else was measured at this step, by name. The names are open (`METRIC_NAME`)."""


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
    metrics: dict[str, float] = field(default_factory=dict)
    """As in StepRecord."""


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


FIELDS_OF_KIND: dict[str, dict[str, str]] = {
    kind: {"kind": "str", **{field.name: str(field.type) for field in dataclasses.fields(cls)}}
    for kind, cls in RECORD_TYPES.items()
}
"""The fields of each kind and the types that they declare."""
DEFAULTS: dict[str, dict[str, Any]] = {
    kind: {
        field.name: field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        for field in dataclasses.fields(cls)
        if field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    }
    for kind, cls in RECORD_TYPES.items()
}
"""Those of them that a line may leave out, and what they are then."""
TEXT_FIELDS = frozenset(name for fields in FIELDS_OF_KIND.values() for name in fields if fields[name] == "str")
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
    return encode_fields({name: getattr(record, name) for name in FIELDS_OF_KIND[record.kind]})


def encode_fields(fields: dict[str, Any]) -> str:
    """The line of a record, from all its fields as `decode_record` gives them."""
    kind, defaults = fields["kind"], DEFAULTS[fields["kind"]]
    told = {
        name: fields[name] for name in FIELDS_OF_KIND[kind] if name not in defaults or fields[name] != defaults[name]
    }
    return json.dumps(encode_floats(told), allow_nan=False, ensure_ascii=False)


def decode_record(line: str, record_format: int = FORMAT) -> dict[str, Any] | None:
    """All fields of one line, `kind` among them; None for one of a kind that only a newer gptexp knows.

    Args:
        record_format: that the run declares. What a newer one has besides is left out.

    Raises:
        ValueError: not a record (a torn or damaged line).
    """
    try:
        fields = json.loads(line)
        if record_format > FORMAT and isinstance(kind := fields.get("kind"), str):
            if kind not in RECORD_TYPES:
                return None
            fields = {name: value for name, value in fields.items() if name in FIELDS_OF_KIND[kind]}
        return complete_record(decode_floats(fields, text=TEXT_FIELDS))
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"not a record: {line[:80]!r}") from None


def complete_record(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a decoded line with the defaults of those that it leaves out.

    Raises:
        ValueError: it is no record; or TypeError or AttributeError: it is not even an object.
    """
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind not in RECORD_TYPES or type(fields.get("step")) is not int:
        raise ValueError("no kind of record, or no step")
    whole = {**DEFAULTS[kind], **fields}
    if whole.keys() != FIELDS_OF_KIND[kind].keys():
        raise ValueError("other fields than a record has")
    if METRICS in whole:
        whole[METRICS] = check_metrics(whole[METRICS])
    return whole


def check_metrics(metrics: Any) -> dict[str, float]:
    """Metrics with their numbers as floats.

    Raises:
        ValueError: a name is none (`METRIC_NAME`), or a value is no number.
    """
    if not isinstance(metrics, dict):
        raise ValueError("metrics are numbers by name")
    for name, value in metrics.items():
        if METRIC_NAME.fullmatch(name) is None:
            raise ValueError(
                f"{name[:80]!r} can't be the name of a metric; expected one such as grad_norm/blocks.0.attn"
            )
        if type(value) not in (int, float):
            raise ValueError(f"metric {name} is {str(value)[:40]}, expected a number")
    try:
        return {name: float(value) for name, value in metrics.items()}
    except OverflowError:
        raise ValueError("a metric is too large for a float") from None
