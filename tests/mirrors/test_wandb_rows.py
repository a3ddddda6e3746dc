"""Properties of the rows of a mirror: whatever was recorded, and however often a run was resumed, it is read back."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptexp.mirrors.wandb_rows import make_row, read_row, read_rows
from gptexp.records import (
    METRIC_NAME,
    EvalRecord,
    EventRecord,
    Record,
    SampleRecord,
    StepRecord,
    decode_record,
    encode_record,
)

few = settings(derandomize=True, max_examples=80, deadline=None)

FLOATS = st.floats() | st.sampled_from([3.0, -0.0, 1e308, 5e-324, math.nan, math.inf, -math.inf])
WHOLE = st.integers(0, 2**53)
STEPS = st.integers(0, 2**31)
TEXTS = st.text() | st.sampled_from(["NaN", "Infinity", "-Infinity", "", "null", "\u2028", "\x00", "a\r\nb"])
FINITE = st.floats(allow_nan=False, allow_infinity=False)
METRICS = st.dictionaries(st.from_regex(METRIC_NAME, fullmatch=True), FLOATS, max_size=3)
RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(StepRecord, STEPS, FLOATS, FINITE, FLOATS, st.booleans(), WHOLE, FLOATS, FLOATS, METRICS),
    st.builds(EvalRecord, STEPS, FLOATS, FLOATS, WHOLE, st.booleans(), METRICS),
    st.builds(SampleRecord, STEPS, TEXTS, FLOATS | st.none(), FLOATS | st.none(), TEXTS, TEXTS),
    st.builds(EventRecord, STEPS, TEXTS, TEXTS),
)


@pytest.fixture(autouse=True)
def subnormal_floats() -> None:
    """A training in the same process has set the processor to treat subnormal numbers as zero."""
    torch.set_flush_denormal(False)


def send(record: Record, place: int, shuffle: random.Random) -> dict[str, Any]:
    """A record's row as the server gives it back: numbers as Go writes them, keys in any order, W&B's own beside."""
    row = {key: to_go(value) for key, value in make_row(record).items()}
    row |= {"_step": place, "_timestamp": 1.5, "_runtime": 0}
    keys = list(row)
    shuffle.shuffle(keys)
    return dict(json.loads(json.dumps({key: row[key] for key in keys}, allow_nan=False)))


def to_go(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    return int(value) if value.is_integer() else value


def comparable(fields: dict[str, Any]) -> str:
    """A record as text, in which 3 and 3.0 are the same, NaN is NaN, and the word NaN is a word."""
    values = {key: {"text": value} if isinstance(value, str) else to_go(value) for key, value in sorted(fields.items())}
    metrics = {name: to_go(value) for name, value in sorted(fields.get("metrics", {}).items())}
    return json.dumps({**values, "metrics": metrics})


def recorded(records: list[Record]) -> list[str]:
    """What the run folder says of them."""
    return [comparable(decode_record(encode_record(record))) for record in records]


@few
@given(record=RECORDS, shuffle=st.randoms(use_true_random=False))
def test_a_row_is_its_record(record: Record, shuffle: random.Random) -> None:
    """NaN and infinities in every number, any text in every text, and what is None: read back as it was recorded."""
    row = read_row(send(record, 0, shuffle))
    assert row is not None
    assert [comparable(row)] == recorded([record])


@few
@given(st.dictionaries(st.text() | st.sampled_from(["step", "lr", "val_tokens", "sample_trigger"]), st.none() | FLOATS))
def test_rows_of_others_are_no_error(row: dict[str, Any]) -> None:
    """Whatever somebody else logged is a record or None."""
    assert read_row(row) is None or isinstance(row["step"], int)


class Shape:
    """Which records a run leaves, in their order, as the training loop writes them."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.max_steps = draw(st.sampled_from([0, 1, 2, 3, 4, 6]))
        self.eval_interval = draw(st.integers(1, 4))
        self.sample_interval = draw(st.integers(0, 3))
        self.outlier_step = draw(st.integers(0, 4))
        self.threshold_step = draw(st.integers(0, 4))
        self.diverges_at = draw(st.sampled_from([0, 0, 0, 1, 3]))
        self.whole = draw(st.booleans())
        self.checkpoints = [0]
        """Index k: how many records there are when the checkpoint of step k is written."""

    def write(self, pick: random.Random) -> list[Record]:
        """All records of the run, with numbers of their own."""

        def number() -> float:
            return pick.choice([math.nan, math.inf, 3.0, pick.random(), pick.random() * 1e6])

        def sample(step: int, trigger: str) -> SampleRecord:
            return SampleRecord(step, trigger, 2.5 if trigger == "loss" else None, number(), "\n", f"NaN {number()}")

        records: list[Record] = [EvalRecord(0, number(), number(), 9, whole=False)]
        records += [sample(0, "initial")] if self.sample_interval else []
        self.checkpoints = [0]
        for step in range(1, self.max_steps + 1):
            records += [EventRecord(step, "outlier-batch", "x")] if step == self.outlier_step else []
            records.append(StepRecord(step, number(), 1e-3, number(), True, step, number(), number()))
            if step == self.diverges_at:
                return [*records, EventRecord(step, "diverged", "the loss")]
            is_last = step == self.max_steps
            if is_last or step % self.eval_interval == 0:
                records.append(EvalRecord(step, number(), number(), 9, whole=False))
            if self.sample_interval and step % self.sample_interval == 0 and not is_last:
                records.append(sample(step, "interval"))
            records += [sample(step, "loss")] if step == self.threshold_step else []
            self.checkpoints.append(len(records))
        records += [EvalRecord(self.max_steps, number(), number(), 99, whole=True)] if self.whole else []
        records += [sample(self.max_steps, "final")] if self.max_steps else []
        return records


@st.composite
def resumed(draw: st.DrawFn) -> tuple[list[Record], list[Record]]:
    """What the run folder holds in the end, and all that was ever recorded, in the order of time."""
    shape, pick = Shape(draw), draw(st.randoms(use_true_random=False))
    log: list[Record] = []
    sent: list[Record] = []
    for _ in range(draw(st.integers(1, 4))):
        records = shape.write(pick)
        # It goes on from a checkpoint that the log reaches, and is killed anywhere after its first record.
        reached = [place for place in shape.checkpoints if place <= len(log) and place < len(records)]
        start = draw(st.sampled_from(reached))
        end = draw(st.just(len(records)) | st.integers(start + 1, len(records)))
        log = [*log[:start], *records[start:end]]
        sent += records[start:end]
    return log, sent


@few
@given(history=resumed(), cut=st.integers(0, 60), shuffle=st.randoms(use_true_random=False))
def test_resumed_tails(history: tuple[list[Record], list[Record]], cut: int, shuffle: random.Random) -> None:
    """A run that was killed and resumed anywhere, any number of times, is read as its folder has it.

    Read at once, and in two readings of which the second gets the new rows only.
    """
    log, sent = history
    rows = [send(record, place, shuffle) for place, record in enumerate(sent)]
    assert [comparable(record) for record in read_rows(rows)] == recorded(log)
    first = read_rows(rows[:cut])
    assert [comparable(record) for record in read_rows(rows[cut:], first)] == recorded(log)
