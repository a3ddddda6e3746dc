"""Checksums inside the files of a run folder: a digit that flipped on the disk must not pass for a measurement.

A *seal* is the checksum of one JSON object, kept inside it. `FileSum` is what one file says of another. What was
written before there were either is not checked, and `gptexp runs verify` says so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SEAL = "seal"
SEAL_DIGITS = 16
"""Of SHA-256, in hex: enough against accidents. Against people no checksum helps that lies beside its data."""


class BrokenSeal(ValueError):
    """An object that is not as it was written."""


def seal(fields: Mapping[str, Any], owner: str = "") -> dict[str, Any]:
    """`fields` with their checksum beside them.

    Args:
        owner: the run that they belong to; as those of another run they don't pass.
    """
    return {**fields, SEAL: _digest(fields, owner)}


def unseal(fields: Mapping[str, Any], owner: str = "") -> dict[str, Any]:
    """`fields` without their checksum; those that never had one pass.

    Raises:
        BrokenSeal: something in them was altered since.
    """
    inside = {key: value for key, value in fields.items() if key != SEAL}
    try:
        intact = SEAL not in fields or fields[SEAL] == _digest(inside, owner)
    except (ValueError, RecursionError):
        intact = False
    if not intact:
        whose = " or is another run's" if owner else ""
        raise BrokenSeal(f"its checksum is another: something in it was altered{whose}")
    return inside


def _digest(fields: Mapping[str, Any], owner: str) -> str:
    text = owner + json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:SEAL_DIGITS]


@dataclass(frozen=True)
class FileSum:
    """How a file was when another one was written that builds on it."""

    n_bytes: int
    sha256: str
    """Hex."""

    @classmethod
    def of(cls, data: bytes) -> FileSum:
        """That of a content."""
        return cls(len(data), hashlib.sha256(data).hexdigest())

    @classmethod
    def parse(cls, value: object) -> FileSum:
        """Raises:
        ValueError: it is none.
        """
        if isinstance(value, dict) and value.keys() == {"n_bytes", "sha256"}:
            n_bytes, sha256 = value["n_bytes"], value["sha256"]
            if type(n_bytes) is int and n_bytes >= 0 and isinstance(sha256, str):
                return cls(n_bytes, sha256)
        raise ValueError(f"{str(value)[:80]!r} is no checksum of a file")

    def to_json(self) -> dict[str, Any]:
        """As it stands in a file."""
        return dataclasses.asdict(self)

    def why_not_begun(self, data: bytes) -> str | None:
        """`why_other` of a file to which more may have been added since."""
        return self.why_other(data[: self.n_bytes])

    def why_other(self, data: bytes) -> str | None:
        """In what `data` differs from the file that was summed up, as the end of a sentence; None where it doesn't."""
        if len(data) != self.n_bytes:
            return f"it has {len(data):,} bytes and had {self.n_bytes:,}"
        return None if self == FileSum.of(data) else "something in it was altered"
