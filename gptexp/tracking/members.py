"""Memberships: which study asked for a run, and as which arm, scale and seed."""

from __future__ import annotations

from typing import Any

from gptexp.plain import fits

MEMBER_TEXT = ("study", "arm", "scale", "definition", "asked_at")
"""Keys of a membership line whose values must be text."""


def is_member(row: dict[str, Any]) -> bool:
    """Whether a line of members.jsonl is a membership: every key that sorts and groups runs has the right type.

    Keys that are only displayed (label, question, hypothesis, predictions) may be missing.
    """
    seed, variant = row.get("seed"), row.get("variant") or {}
    shown = (row.get(key) for key in ("label", "question", "hypothesis", "predictions"))
    return (
        fits(seed, int)
        and fits(variant, dict[str, Any | list[Any]])
        and all(isinstance(row.get(key), str) for key in MEMBER_TEXT)
        and all(text is None or isinstance(text, str) for text in shown)
    )
