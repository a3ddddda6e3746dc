"""The claim ledger as tables of a page: verdicts, what they stand on, and how far conclusions transfer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from gptexp.claims.describe import describe, describe_transfer, sort_by_verdict
from gptexp.claims.judge import VERDICTS, Judgement
from gptexp.claims.measurements import Measurement
from gptexp.claims.words import (
    count_verdicts,
    say_plainly,
    write_direction,
    write_effect,
    write_expected,
    write_runs,
    write_truth,
    write_value,
    write_verdict,
    write_ways,
)
from gptexp.report.tables import Cell, Column, Table
from gptexp.studies.scales import SCALES
from gptexp.wording import ABSENT


def tabulate_claims(judgements: Sequence[Judgement]) -> Table:
    """The ledger as a table of the page."""
    columns = (
        Column("the lesson says", numeric=False),
        Column("verdict", numeric=False),
        Column("expected", numeric=False),
        Column("measured", numeric=False),
        Column("difference", "95% interval, seeds", numeric=False),
        Column("scale", numeric=False),
        Column("what may be said", numeric=False),
    )
    ordered = sort_by_verdict(judgements)
    caption = (
        f"{count_verdicts(judgements)}. A claim about the lesson's model is judged by runs of that model only, trained "
        f"as the lesson or nanoGPT does; what other runs say stands beside it as a direction. gptexp claims NAME shows "
        f"a claim with its place, its predicate and its runs."
    )
    data = pd.DataFrame([_flatten(describe(judgement)) for judgement in ordered])
    rows = tuple(_make_row(judgement) for judgement in ordered)
    return Table("claims", "The lesson's claims", caption, columns, rows, data, _name_runs(ordered))


def _make_row(judgement: Judgement) -> tuple[Cell, ...]:
    claim, one = judgement.claim, judgement.measured
    effect = write_effect(claim, one) if one and one.n and one.happened is None else ABSENT
    truth = write_truth(judgement)
    said = f"True instead: {truth}" if truth else write_direction(judgement)
    if claim.is_computed and not truth:
        said = f"{said}. {claim.why}"
    if ways := write_ways(judgement):
        said = f"{said.rstrip('.')}. {ways[0].upper()}{ways[1:]}."
    if runs := write_runs(judgement):
        said = f"{said.rstrip('.')}. {runs}"
    return (
        Cell(say_plainly(claim.says), claim.name),
        Cell(
            write_verdict(judgement),
            VERDICTS.index(judgement.verdict),
            "diverged" if judgement.verdict == "refuted" else "",
        ),
        Cell(write_expected(claim), claim.stated),
        Cell(write_value(judgement), one.value if one else judgement.computed),
        Cell(effect, one.effect.interval.mean if one and one.effect else None),
        Cell(one.source.scale if one else ("any" if claim.is_computed else ABSENT), one.source.scale if one else ""),
        Cell(f"{said[0].upper()}{say_plainly(said[1:])}", said),
    )


def tabulate_transfer(judgements: Sequence[Judgement]) -> Table | None:
    """Sign and size of every conclusion at every scale that was run; None where there is one scale only."""
    shown = [judgement for judgement in judgements if any(one.n for one in judgement.every)]
    scales = list(
        dict.fromkeys(
            place for _, place in sorted({(_rank(one), _name(one)) for j in shown for one in j.every if one.n})
        )
    )
    if len(scales) < 2:
        return None
    columns = (
        Column("conclusion", numeric=False),
        *(Column(scale, numeric=False) for scale in scales),
        Column("does it transfer?", numeric=False),
    )
    rows, records = [], []
    for judgement in shown:
        at = {_name(one): one for one in judgement.every if one.n}
        effects = [write_effect(judgement.claim, at[scale]) if scale in at else ABSENT for scale in scales]
        answer = say_transfer(judgement.every)
        rows.append(
            (Cell(say_plainly(judgement.claim.says), judgement.claim.name), *map(Cell, effects), Cell(answer, answer))
        )
        records += [describe_transfer(judgement, one) for one in at.values()]
    caption = (
        "Value minus what the claim holds it against (another arm, seed by seed, or the stated number) with its 95% "
        "interval; events as seeds in which they happened. A loss per character can't be held against a number per "
        "GPT-2 token. Two columns of one scale are the same model with other settings, or for other numbers of steps."
    )
    ids = tuple(dict.fromkeys(run_id for j in shown for one in j.every for run_id in one.source.run_ids))
    data = pd.DataFrame(records)
    return Table("transfer", "Does the conclusion transfer?", caption, columns, tuple(rows), data, ids)


def say_transfer(every: Sequence[Measurement]) -> str:
    """Whether the direction is the same wherever it was measured."""
    found = {_name(one): one.holds for one in every if one.holds is not None}
    if len(found) < 2:
        return "one scale only" if found else "nothing to compare"
    if all(found.values()):
        return "as stated at each"
    if not any(found.values()):
        return "against the lesson at each"
    return f"it turns: as stated at {', '.join(name for name, holds in found.items() if holds)}"


def _name(one: Measurement) -> str:
    """`quick`, or `quick max_steps=100` of a study with overrides."""
    _, _, changes = one.source.study_key.partition("@")
    return changes


def _rank(one: Measurement) -> int:
    return list(SCALES).index(one.source.scale) if one.source.scale in SCALES else -1


def _flatten(row: dict[str, Any]) -> dict[str, Any]:
    """A row for the CSV: no lists of objects."""
    flat = {name: value for name, value in row.items() if name not in ("places", "transfer", "ways")}
    return flat | {name: " ".join(row[name]) for name in ("differs", "run_ids")}


def _name_runs(judgements: Sequence[Judgement]) -> tuple[str, ...]:
    ids = [run_id for judgement in judgements if judgement.measured for run_id in judgement.measured.source.run_ids]
    return tuple(dict.fromkeys(ids))
