"""What the recorded runs say to the lesson's claims: measured values and their direction, no statistics."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gptexp.analysis.instances import Instance
from gptexp.report.declare import Claim
from gptexp.report.quotes import Quote, find_quote
from gptexp.report.tables import Cell, Column, Table
from gptexp.report.wording import ABSENT, write_count, write_gap, write_loss

LESSON_SCALE = "lesson"
LESSON_TOKENIZER = "gpt2"


@dataclass(frozen=True)
class Measured:
    """A claim with what the records hold of it."""

    claim: Claim
    verdict: str
    scale: str
    """Of the runs; empty where there are none."""
    value: Quote | None
    other: Quote | None
    direction: str
    """What the value says, in words."""
    agrees: bool | None
    """Whether the direction is the lesson's; None where nothing was measured."""
    run_ids: tuple[str, ...]


def measure_claims(claims: Sequence[Claim], instances: Mapping[str, Instance]) -> list[Measured]:
    """Every claim with its value, from the study instances by the name of their study."""
    return [_measure(claim, instances.get(claim.study)) for claim in claims]


def _measure(claim: Claim, instance: Instance | None) -> Measured:
    value, other = _find(instance, claim.quantity), _find(instance, claim.other) if claim.other else None
    if claim.relation == "diverges" and instance is not None:
        return _measure_divergence(claim, instance, value)
    if instance is None or value is None or (claim.other and other is None):
        return Measured(claim, "not measured", instance.scale if instance else "", value, other, "", None, ())
    run_ids = tuple(dict.fromkeys([*value.run_ids, *(other.run_ids if other else ())]))
    if claim.relation == "about" and not instance.runs["tokenizer"].eq(LESSON_TOKENIZER).all():
        # A loss per character against a loss per GPT-2 token says nothing.
        direction = "per another kind of token than the lesson's: not comparable"
        return Measured(claim, "not measured", instance.scale, value, other, direction, None, run_ids)
    direction, agrees = _compare(claim, value, other)
    return Measured(claim, _judge(instance), instance.scale, value, other, direction, agrees, run_ids)


def _find(instance: Instance | None, quantity: str) -> Quote | None:
    arm, _, field = quantity.partition(":")
    return find_quote(instance, arm, field)


def _judge(instance: Instance) -> str:
    return "not judged yet" if instance.scale == LESSON_SCALE else "not at the lesson's scale"


def _compare(claim: Claim, value: Quote, other: Quote | None) -> tuple[str, bool]:
    """The direction in words, and whether it is the lesson's."""
    target = other.value if other else float(claim.stated or 0.0)
    gap = value.value - target
    size = write_loss(abs(gap)) if abs(gap) >= 0.0005 else write_gap(abs(gap)).lstrip("+")
    where = "lower" if gap < 0 else "higher"
    if claim.relation == "about":
        near = abs(gap) <= claim.tolerance
        return f"{size} {where} than stated{', which is near' if near else ''}", near
    agrees = gap < 0 if claim.relation == "below" else gap > 0
    return f"{size} {where}: {'as stated' if agrees else 'the other way round'}", agrees


def _measure_divergence(claim: Claim, instance: Instance, value: Quote | None) -> Measured:
    name = claim.quantity.partition(":")[0]
    arm = next((arm for arm in instance.arms if arm.name == name), None)
    if arm is None or not arm.runs["outcome"].isin(["completed", "diverged"]).any():
        return Measured(claim, "not measured", instance.scale, None, None, "", None, ())
    diverged, last_step = arm.count_outcome("diverged"), int(arm.runs["last_step"].max())
    verdict, agrees = _judge(instance), diverged > 0
    if diverged:
        direction = f"{diverged} of {len(arm.run_ids)} diverged, at step {value.text if value else ABSENT}: as stated"
    elif claim.stated is not None and last_step < claim.stated:
        direction = f"none diverged, but the runs end at step {write_count(last_step)} already"
        return Measured(claim, "not measured", instance.scale, None, None, direction, None, tuple(arm.run_ids))
    else:
        direction = f"none diverged in {write_count(last_step)} steps: the other way round"
    return Measured(claim, verdict, instance.scale, value, None, direction, agrees, tuple(arm.run_ids))


def tabulate_claims(measured: Sequence[Measured]) -> Table:
    """The claims as a table of the page."""
    columns = (
        Column("the lesson says", numeric=False),
        Column("stated"),
        Column("measured"),
        Column("compared with"),
        Column("direction", numeric=False),
        Column("scale", numeric=False),
        Column("verdict", numeric=False),
    )
    rows = []
    for row in measured:
        stated = ABSENT if row.claim.stated is None else f"{row.claim.stated:,g}"
        cells = [Cell(row.claim.sentence, row.claim.sentence), Cell(stated, row.claim.stated)]
        cells += [Cell(quote.text, quote.value) if quote else Cell(ABSENT) for quote in (row.value, row.other)]
        cells += [Cell(text or ABSENT, text) for text in (row.direction, row.scale, row.verdict)]
        rows.append(tuple(cells))
    caption = (
        "A direction from these runs, no test: a claim about the lesson's model is judged at the lesson's scale, over "
        "several seeds."
    )
    data = pd.DataFrame([_describe(row) | {"run_ids": " ".join(row.run_ids)} for row in measured])
    run_ids = tuple(dict.fromkeys(run_id for row in measured for run_id in row.run_ids))
    return Table("claims", "The lesson's claims", caption, columns, tuple(rows), data, run_ids)


def write_claims(measured: Sequence[Measured]) -> str:
    """claims.json."""
    rows = [_describe(row) | {"run_ids": list(row.run_ids)} for row in measured]
    return json.dumps({"claims": rows}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _describe(row: Measured) -> dict[str, Any]:
    claim = row.claim
    return {
        "name": claim.name,
        "sentence": claim.sentence,
        "source": claim.source,
        "study": claim.study,
        "quantity": claim.quantity,
        "relation": claim.relation,
        "stated": claim.stated,
        "value": _finite(row.value),
        "compared_with": claim.other or None,
        "other_value": _finite(row.other),
        "direction": row.direction or None,
        "as_stated": row.agrees,
        "scale": row.scale or None,
        "verdict": row.verdict,
    }


def _finite(quote: Quote | None) -> float | None:
    return quote.value if quote and math.isfinite(quote.value) else None
