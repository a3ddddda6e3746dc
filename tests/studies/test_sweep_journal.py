"""The journal of a sweep, damaged in every way: what can be read counts, for the trial that it is about."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from gptexp.errors import GptexpError
from gptexp.studies.sweep.journal import JOURNAL, SweepJournal, hold_session
from gptexp.studies.sweep.trial import Sweep
from tests.studies.sweeps import make_sweep

RATES = [1e-4, 1e-3, 1e-2]


@pytest.fixture
def sweep(tmp_path: Path, tiny_corpus: Path) -> Sweep:
    """Three trials, one for each learning rate."""
    return make_sweep(tmp_path, tiny_corpus, parameters={"lr": {"values": RATES}})


def work(sweep: Sweep, most: int = 99) -> list[str]:
    """A session that does every trial there is; the metric of a trial is its learning rate, as if its run answered.

    Returns:
        What the journal left out.
    """
    with hold_session(sweep.folder) as session:
        journal = SweepJournal(sweep, session)
        claims = []
        while len(claims) < most and (claim := journal.claim()) is not None:
            claims.append(claim)
        # All at once, so that results don't stand behind the lines that made their trials.
        for claim in claims:
            journal.should_prune(claim, [9.0])
            journal.finish(claim, "completed", claim.settings["lr"], {"run_id": "0" * 12, "detail": ""})
        return journal.damage


def read_values(sweep: Sweep) -> dict[int, float | None]:
    """Place -> metric of the trials that have ended."""
    with hold_session(sweep.folder) as session:
        return {row.place: row.value for row in SweepJournal(sweep, session).rows() if row.state == "completed"}


def as_before(line: bytes) -> bytes:
    """A line as earlier versions wrote it: no checksum, and trials by their number only."""
    log = json.loads(line)
    return json.dumps({key: log[key] for key in log if key not in ("sum", "trial", "sweep")}).encode() + b"\n"


Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "half a line": lambda line: line[: len(line) // 2] + b"\n",
    "half a line and the next": lambda line: line[: len(line) // 2],
    "zero bytes": lambda line: b"\0" * (len(line) - 1) + b"\n",
    "an empty line": lambda line: b"\n",
    "no line": lambda line: b"",
    "the line twice": lambda line: line * 2,
    "a list": lambda line: b"[1]\n",
    "no text": lambda line: b"\xff\xfe" + line,
    "deep nesting": lambda line: b'{"op_code":' + b"[" * 100_000 + b"\n",
    "another operation": lambda line: line.replace(b'"op_code":', b'"op_code":9', 1),
    "a text as the operation": lambda line: b'{"op_code":"4","worker_id":"x","trial_id":[]}\n',
    "wrong types": lambda line: line.replace(b'"worker_id":"', b'"worker_id":7,"x":"', 1),
    "missing keys": lambda line: line[: line.index(b",")] + b"}\n",
    "a trial that can't be": lambda line: line.replace(b'"place":', b'"place":-', 1),
    "another value": lambda line: line.replace(b'"values":[', b'"values":[7', 1).replace(b'"lr":', b'"lr":7', 1),
}


@pytest.mark.parametrize("earlier", [False, True], ids=["this version", "an earlier one"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_one_damaged_line_takes_nothing_else(damage: Damage, earlier: bool, sweep: Sweep) -> None:
    """At every place: no result is lost for good or comes to another trial, and the sweep ends with all of them."""
    work(sweep)
    path = sweep.folder / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    if earlier:
        lines = [as_before(line).replace(b": ", b":") for line in lines]
    truth = dict(enumerate(RATES, start=1))
    for number, line in enumerate(lines):
        changed = damage(line)
        # Without checksums and names nobody can tell another value, or that a whole line is gone.
        if changed == line or (earlier and b'"values":[7' in changed) or (earlier and not changed):
            continue
        path.write_bytes(b"".join([*lines[:number], changed, *lines[number + 1 :]]))
        assert read_values(sweep).items() <= truth.items()
        left_out = work(sweep)
        if damage not in (DAMAGES["no line"], DAMAGES["the line twice"]) and (changed + b"\n").count(b"\n") > 1:
            assert f"{path}, line {number + 1}, " in left_out[0]
        assert read_values(sweep) == truth


def test_a_journal_of_an_earlier_version_is_read_as_it_was(sweep: Sweep) -> None:
    """Its lines have no checksums, and it goes on with those of this version behind them."""
    work(sweep, most=2)
    path = sweep.folder / JOURNAL
    before = b"".join(map(as_before, path.read_bytes().splitlines()))
    path.write_bytes(before)
    assert read_values(sweep) == {1: RATES[0], 2: RATES[1]}
    assert work(sweep) == []
    assert path.read_bytes().startswith(before)
    assert read_values(sweep) == dict(enumerate(RATES, start=1))


def test_flipped_bytes_are_noticed_or_harmless(sweep: Sweep) -> None:
    """Of random bytes of the journal, changed one at a time, none changes a result."""
    work(sweep)
    path = sweep.folder / JOURNAL
    whole, chance = path.read_bytes(), random.Random(15)
    truth = dict(enumerate(RATES, start=1))
    for _ in range(60):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(data))
        assert read_values(sweep).items() <= truth.items()


def test_two_sessions_go_on_around_a_half_line(sweep: Sweep) -> None:
    """A third one was cut off in the middle of a line: both of the others go on, and see each other's trials."""
    with hold_session(sweep.folder) as one, hold_session(sweep.folder) as two:
        journals = [SweepJournal(sweep, one), SweepJournal(sweep, two)]
        places = []
        for turn in range(3):
            claim = journals[turn % 2].claim()
            assert claim is not None
            places.append(claim.place)
            with (sweep.folder / JOURNAL).open("ab") as file:
                file.write(b'{"op_code":4,"wor')
            journals[turn % 2].finish(claim, "completed", claim.settings["lr"], {})
        assert journals[0].rows() == journals[1].rows()
        assert journals[0].claim() is journals[1].claim() is None
        assert [journal.damage for journal in journals] == [[], []]
    assert places == [1, 2, 3]


def test_damage_while_others_work_is_read_around(sweep: Sweep) -> None:
    """A whole line of rubbish comes between: both sessions leave it out, and name it."""
    with hold_session(sweep.folder) as one, hold_session(sweep.folder) as two:
        journals = [SweepJournal(sweep, one), SweepJournal(sweep, two)]
        first = journals[0].claim()
        with (sweep.folder / JOURNAL).open("ab") as file:
            file.write(b'{"op_code":4,"wor{"op_code":6}\n')
        second = journals[1].claim()
        assert first is not None
        assert second is not None
        for journal, claim in zip(journals, (first, second), strict=True):
            assert journal.finish(claim, "completed", claim.settings["lr"], {})
        assert [row.value for row in journals[0].rows()] == [row.value for row in journals[1].rows()] == RATES[:2]
        assert journals[0].damage == journals[1].damage
        assert "line 3, is cut off or overwritten" in journals[0].damage[0]


def test_a_trial_of_another_sweep_stays_there(tmp_path: Path, tiny_corpus: Path, sweep: Sweep) -> None:
    """Two sweeps share a file, the line that made the first is lost: nothing of one comes to the other."""
    work(sweep)
    other = make_sweep(tmp_path, tiny_corpus, parameters={"lr": {"values": [5e-4, 6e-4]}})
    assert other.folder == sweep.folder
    work(other)
    path = sweep.folder / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([b"{}\n", *lines[1:]]))
    assert read_values(other) == {1: 5e-4, 2: 6e-4}
    assert read_values(sweep) == dict(enumerate(RATES, start=1))


def test_a_journal_that_became_shorter_is_an_error(sweep: Sweep) -> None:
    """Somebody emptied it while a session was at work: one sentence, not trials that are mixed up."""
    with hold_session(sweep.folder) as session:
        journal = SweepJournal(sweep, session)
        journal.claim()
        (sweep.folder / JOURNAL).write_bytes(b"")
        with pytest.raises(GptexpError, match="has become shorter"):
            journal.rows()


@pytest.mark.parametrize("place", [1, 3])
def test_a_line_that_is_gone_is_noticed_where_a_trial_ended(place: int, sweep: Sweep) -> None:
    """Without the note a diverged trial passes for a completed one, and nobody knows which run it was."""
    assert work(sweep) == []
    path = sweep.folder / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    notes = [number for number, line in enumerate(lines) if b'"end":' in line]
    del lines[notes[place - 1]]
    path.write_bytes(b"".join(lines))
    assert [text for text in work(sweep) if f"how trial {place} ended" in text]
    assert len(work(sweep)) == 1
