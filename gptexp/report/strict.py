"""What a published page asserts although the ledger that came with it refutes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptexp.files import exists, read_bytes

CLAIMS = "claims.json"


@dataclass(frozen=True)
class Contradiction:
    """A sentence that stands on the page and that runs refute."""

    claim: str
    chapters: tuple[str, ...]
    sentence: str
    measured_by: str
    """The study instance that refutes it; empty where it was computed."""
    truth: str
    """What would be true instead."""


def find_contradictions(out: Path) -> list[Contradiction]:
    """Every refuted claim that the text of the page in `out` asserts; none where the report has no ledger."""
    return [
        Contradiction(
            row["name"], tuple(row["asserted_in"]), row["sentence"], row["instance"] or "", row["true_sentence"]
        )
        for row in read_claims(out)
        if row["verdict"] == "refuted" and row["asserted_in"]
    ]


def count_asserted(out: Path) -> str:
    """How the sentences that the page asserts or quotes stand, and how many refuted claims it leaves out."""
    rows = read_claims(out)
    if not rows:
        return "this report has no claim ledger"
    asserted = [row["verdict"] for row in rows if row["asserted_in"]]
    counts = ", ".join(f"{asserted.count(verdict)} {verdict}" for verdict in dict.fromkeys(asserted))
    silent = sum(row["verdict"] == "refuted" and not row["asserted_in"] for row in rows)
    return f"of {len(asserted)} claims that it asserts: {counts}; {silent} refuted ones it doesn't assert"


def read_claims(out: Path) -> list[dict[str, Any]]:
    """The claims of the page in `out`; none where the report has no ledger."""
    path = out / CLAIMS
    claims: list[dict[str, Any]] = json.loads(read_bytes(path, out))["claims"] if exists(path, out) else []
    return claims
