"""Rows, records and the cache, without the client."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from gptexp.errors import GptexpError
from gptexp.mirrors.wandb_rows import make_row, read_row, read_rows
from gptexp.records import (
    EvalRecord,
    EventRecord,
    Record,
    SampleRecord,
    StepRecord,
    decode_record,
    encode_floats,
    encode_record,
)
from gptexp.runs.wandb_api import PASSING
from gptexp.runs.wandb_cache import MirrorState, RunCache
from gptexp.runs.wandb_source import WandbQuery, parse_place

STATE = MirrorState("trial1", "2025-01-01", "2025-01-02", 5, 4)
FILES = {"config": "{}", "members": "", "provenance": ""}


def no_rows(first: int, expected: int) -> list[dict[str, Any]]:
    """What `RunCache.update` asks of a run whose history is empty."""
    return []


def step(number: int, loss: float = 1.0) -> StepRecord:
    return StepRecord(number, loss, 3e-4, 0.5, False, number * 64, 0.02, 3200.0)


def rows_of(*records: Record) -> list[dict[str, Any]]:
    """Rows as they come from W&B: non-finite numbers are strings, and whole ones lose their point."""
    return json.loads(json.dumps([encode_floats(make_row(record)) for record in records]).replace(".0,", ","))


@pytest.mark.parametrize(
    "record",
    [
        step(1),
        StepRecord(2, float("nan"), 0.0, float("inf"), True, 128, 0.1, 1e-7),
        EvalRecord(0, 10.8, 4.5, 640, False),
        EvalRecord(9, float("-inf"), float("nan"), 36059, True),
        SampleRecord(0, "initial", None, None, "NaN", "Infinity"),
        SampleRecord(7, "loss", 4.0, 3.9, "\n", "\nO Romeo, Romeo\u2026 \x00"),
        EventRecord(3, "outlier-batch", "NaN"),
    ],
    ids=lambda record: record.kind,
)
def test_a_record_survives_the_way_there_and_back(record: Record) -> None:
    """Every field, None and what is not finite among them, and texts that look like numbers stay texts."""
    (row,) = rows_of(record)
    # As text, since NaN is not equal to itself; floats lost their point on the way and are equal all the same.
    assert str(read_row(row)).replace(".0", "") == str(read_row(make_row(record))).replace(".0", "")
    assert sorted(map(str, read_row(make_row(record)).items())) == sorted(
        map(str, decode_record(encode_record(record)).items())
    )


@pytest.mark.parametrize("row", [{}, {"step": 3}, {"step": "3", "train_loss": 1.0}, {"step": True, "val_loss": 1.0}])
def test_rows_of_other_origin_are_no_records(row: dict[str, Any]) -> None:
    """The table of samples, somebody's own metrics, a step that is none."""
    assert read_row(row) is None


def test_a_resumed_run_counts_once() -> None:
    """Killed after step 4, resumed from the checkpoint at step 2: rows 3 and 4 are the second process's."""
    first = [EvalRecord(0, 9.0, 3.0, 64, False), step(1), step(2), EvalRecord(2, 8.0, 3.0, 64, False)]
    lost = [EventRecord(3, "outlier-batch", ""), step(3, 1.5), step(4, 1.5), EvalRecord(4, 1.5, 3.0, 64, False)]
    again = [EventRecord(3, "outlier-batch", ""), step(3), step(4), EvalRecord(4, 7.0, 3.0, 64, False)]
    wanted = [read_row(make_row(record)) for record in [*first, *again]]
    assert read_rows(rows_of(*first, *lost, *again)) == wanted
    assert read_rows(rows_of(*again), read_rows(rows_of(*first, *lost))) == wanted


def test_what_a_second_start_did_not_reach_is_gone() -> None:
    """A resumed run that was stopped before the killed one's last step ends there, as its folder does."""
    records = read_rows(rows_of(step(1), step(2), step(3), step(4), step(2), step(3)))
    assert [record["step"] for record in records] == [1, 2, 3]


def test_a_run_that_began_anew_counts_once() -> None:
    """Killed before its first checkpoint: everything comes again, the samples of step 0 too."""
    begin: list[Record] = [EvalRecord(0, 9.0, 3.0, 64, False), SampleRecord(0, "initial", None, None, "", "a"), step(1)]
    records = read_rows(rows_of(*begin, step(2), *begin))
    assert [(record["kind"], record["step"]) for record in records] == [("eval", 0), ("sample", 0), ("step", 1)]


def test_the_end_of_a_run_may_come_twice() -> None:
    """Killed after the last evaluation, before the result: the last step stays, what follows it is there once."""
    end: list[Record] = [EvalRecord(2, 9.0, 3.0, 64, True), SampleRecord(2, "final", None, 1.0, "", "a")]
    subset = EvalRecord(2, 9.1, 3.0, 64, False)
    assert len(read_rows(rows_of(step(1), step(2), subset, *end, *end))) == 5


def test_the_cache_writes_only_below_run_ids(tmp_path: Path) -> None:
    """A name that is no run id can't become a folder."""
    cache = RunCache(tmp_path / "cache")
    for name in ("../escape", "..", "/etc", "", "0123456789AB", "0123456789ab/x"):
        with pytest.raises(ValueError, match="no run id"):
            cache.update(name, FILES, None, STATE, None, no_rows)
    assert list(tmp_path.iterdir()) == []


def test_a_torn_cache_entry_counts_as_none(tmp_path: Path) -> None:
    """Half a mirror.json, or one of another version, means that the run is fetched anew."""
    cache, run_id = RunCache(tmp_path), "0123456789ab"
    cache.update(run_id, FILES, "{}", STATE, None, lambda first, expected: rows_of(step(1)))
    assert cache.read_state(run_id) == STATE
    assert len((tmp_path / run_id / "records.jsonl").read_text().splitlines()) == 1
    for text in ("{", "[]", '{"name": 1}', json.dumps({**dataclasses.asdict(STATE), "format": 0})):
        (tmp_path / run_id / "mirror.json").write_text(text)
        assert cache.read_state(run_id) is None


def test_a_result_that_is_gone_in_wandb_is_gone_here(tmp_path: Path) -> None:
    """The cache follows: a run that was begun anew has no result until it has one."""
    cache, run_id = RunCache(tmp_path), "0123456789ab"
    cache.update(run_id, FILES, "{}", STATE, None, no_rows)
    cache.update(run_id, FILES, None, STATE, None, no_rows)
    assert not (tmp_path / run_id / "result.json").exists()
    assert (tmp_path / run_id / "records.jsonl").exists()


def test_a_cached_run_is_asked_only_for_what_is_new(tmp_path: Path) -> None:
    """A run that grew is read from its last cached row on; one that was begun anew in W&B is read from the start."""
    cache, run_id = RunCache(tmp_path), "0123456789ab"
    asked: list[tuple[int, int]] = []

    def scan(first: int, expected: int) -> list[dict[str, Any]]:
        asked.append((first, expected))
        rows = rows_of(*(step(number) for number in range(first, first + expected)))
        return [{**row, "_step": first + place} for place, row in enumerate(rows)]

    grown = dataclasses.replace(STATE, lines=8, last_step=7, heartbeat_at="2025-01-03")
    anew = dataclasses.replace(STATE, name="trial2")
    for state, known in [(STATE, 5), (STATE, 5), (grown, 8), (anew, 5)]:
        cache.update(run_id, FILES, None, state, None, scan)
        assert cache.read_state(run_id) == state
        assert len((tmp_path / run_id / "records.jsonl").read_text().splitlines()) == known
    assert asked == [(0, 5), (5, 3), (0, 5)]


@pytest.mark.parametrize(
    ("text", "place"),
    [("wandb:me/gptexp", ("me", "gptexp")), ("wandb:gptexp", (None, "gptexp")), ("wandb:a-b/c.d_e", ("a-b", "c.d_e"))],
)
def test_places(text: str, place: tuple[str | None, str]) -> None:
    """An entity is optional: without one the account's own is meant."""
    assert parse_place(text) == place


@pytest.mark.parametrize("text", ["me/gptexp", "wandb:", "wandb:a/b/c", "wandb:../x", "wandb:a/..", "wandb:a/b c"])
def test_what_is_no_place_is_refused(text: str) -> None:
    """The message shows how a place is written."""
    with pytest.raises(GptexpError, match="wandb:ENTITY/PROJECT"):
        parse_place(text)


@pytest.mark.parametrize(
    ("message", "passes"),
    [
        ("POST https://api.wandb.ai/graphql giving up after 3 attempt(s)\nwhile retrying: HTTP 429: slow down", True),
        ("HTTP 503: Service Unavailable", True),
        ('Post "https://api.wandb.ai/graphql": net/http: request canceled (Client.Timeout exceeded)', True),
        ("dial tcp 127.0.0.1:80: connect: connection refused", True),
        ("read tcp: connection reset by peer", True),
        ("HTTP 404: not found", False),
        ("Could not find project gptexp", False),
        ("Failed to verify credentials with https://api.wandb.ai: HTTP 401: invalid key", False),
    ],
)
def test_what_may_pass_is_tried_again(message: str, passes: bool) -> None:
    """Rate limits, failures of the server and of the network; not what stays as it is."""
    assert bool(PASSING.search(message)) is passes


def test_filters_for_the_server() -> None:
    """Group and tag go to the server; a study is in the memberships, which only we can read."""
    assert WandbQuery("me", "p", studies=("a",)).filters == {}
    asked = WandbQuery("me", "p", groups=("g",), tags=("t", "u"))
    assert asked.filters == {"group": {"$in": ["g"]}, "tags": {"$in": ["t", "u"]}}
    assert asked.describe() == "group g and tag t or u"
