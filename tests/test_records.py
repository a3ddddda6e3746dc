"""Lines of records can grow, and a damaged one is still noticed."""

from __future__ import annotations

import json
import math

import pytest

from gptexp.records import FORMAT, EvalRecord, StepRecord, decode_record, encode_record

PLAIN = (
    '{"kind": "step", "step": 1, "train_loss": 1.5, "lr": 0.001, "grad_norm": 0.5, "clipped": false, '
    '"tokens_seen": 64, "step_time_s": 0.1, "tokens_per_sec": 640.0}'
)
"""A line of format 1."""
MEASURED = {"grad_norm/blocks.0.attn": 0.25, "update_ratio/ln_final": math.inf}


def step_record(metrics: dict[str, float]) -> StepRecord:
    return StepRecord(1, 1.5, 1e-3, 0.5, False, 64, 0.1, 640.0, metrics)


def alter(line: str, **changes: object) -> str:
    """The line with fields changed or added; None takes one away."""
    fields = {**json.loads(line), **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def test_without_metrics_a_line_has_the_bytes_of_the_first_format() -> None:
    """A field at its default is left out, and filled in where an older line lacks it."""
    assert encode_record(step_record({})) == PLAIN
    fields = decode_record(PLAIN)
    assert fields is not None
    assert fields["metrics"] == {}
    assert "metrics" not in encode_record(EvalRecord(1, 1.0, 1.0, 9, whole=True))


def test_metrics_come_back() -> None:
    """Under their names, as floats, with infinities."""
    fields = decode_record(encode_record(step_record(MEASURED)))
    assert fields is not None
    assert fields["metrics"] == MEASURED
    whole = decode_record(alter(PLAIN, metrics={"a/b": 3}))
    assert whole is not None
    assert type(whole["metrics"]["a/b"]) is float


@pytest.mark.parametrize(
    "line",
    [
        alter(PLAIN, netrics={"a/b": 1.0}),
        alter(PLAIN, update_ratio=0.1),
        alter(PLAIN, lr=None),
        alter(PLAIN, kind="gradient"),
        alter(PLAIN, metrics={"no slash": 1.0}),
        alter(PLAIN, metrics={"a/b": True}),
        alter(PLAIN, metrics={"a/b": "high"}),
        alter(PLAIN, metrics={"a/b": 10**400}),
        alter(PLAIN, metrics=[1.0]),
        PLAIN[:40],
        "[]",
        '"text"',
    ],
)
def test_what_nobody_of_this_format_wrote_is_damage(line: str) -> None:
    """Unknown fields and kinds, missing ones, and metrics that are none: as a flipped letter makes them."""
    with pytest.raises(ValueError, match="not a record"):
        decode_record(line)


def test_a_newer_format_is_read_as_far_as_it_is_known() -> None:
    """Its own fields are left out and its own kinds passed over; what we know must be there, and whole."""
    newer = FORMAT + 1
    assert decode_record(alter(PLAIN, sharpness=2.0, notes={"a": [1]}), newer) == decode_record(PLAIN)
    assert decode_record('{"kind": "gradient", "step": 1, "values": [1, 2]}', newer) is None
    for line in (alter(PLAIN, lr=None), alter(PLAIN, metrics={"x": 1.0}), '{"kind": "gradi', '{"step": 1}'):
        with pytest.raises(ValueError, match="not a record"):
            decode_record(line, newer)
