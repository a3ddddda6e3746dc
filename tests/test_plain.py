"""JSON from strangers: what gptexp never writes is refused, everything else is read."""

from __future__ import annotations

import json

import pytest

from gptexp.plain import DEEPEST, LARGEST, parse_json

REFUSED = [
    b"NaN",
    b"[-Infinity]",
    b'{"a": 1e999}',
    b"[-1e400]",
    str(LARGEST + 1).encode(),
    b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1),
    b'{"a": ' * 5000 + b"1" + b"}" * 5000,
    b"\xff",
    b"{",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_gptexp_never_writes_is_refused(text: bytes) -> None:
    """Numbers that aren't finite or don't fit 64 bits, deep nesting, and what is no JSON."""
    with pytest.raises(ValueError, match=r"beyond 64 bits|JSON number|nested|codec|Expecting"):
        parse_json(text)


@pytest.mark.parametrize(
    "value", [LARGEST, -LARGEST, 1e308, "[" * 100, [[[{}]]] * 40, {"e": "5e999", "n": "9" * 40}, "\u20ac\n"]
)
def test_everything_else_is_read(value: object) -> None:
    """The largest numbers, brackets and digits inside texts, and many objects beside each other."""
    assert parse_json(json.dumps(value)) == parse_json(json.dumps(value).encode()) == value
