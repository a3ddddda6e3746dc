"""Checksums in the files of a run folder, so that a digit flipped on the disk is not taken for a measurement.

A *seal* is the checksum of one JSON object, stored inside it. A `FileSum` is the checksum of one file, stored in
another. Files of older versions have neither; they can't be checked, and `gptexp runs verify` says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SEAL = "seal"
SEAL_DIGITS = 16
"""Hex digits of SHA-256: enough against accidents. No checksum stored beside its data protects against people."""


class BrokenSeal(ValueError):
    """An object has changed since it was written."""


def seal(fields: Mapping[str, Any], owner: str = "") -> dict[str, Any]:
    """`fields` with their checksum added under the key `SEAL`.

    Args:
        owner: the run id that they belong to. It is part of the checksum, so a copy in another run's folder is refused.
    """
    return {**fields, SEAL: _digest(fields, owner)}


def unseal(fields: Mapping[str, Any], owner: str = "") -> dict[str, Any]:
    """Check the checksum of `fields` and remove it. Fields without a checksum are accepted.

    Raises:
        BrokenSeal: the checksum doesn't match.
    """
    inside = {key: value for key, value in fields.items() if key != SEAL}
    try:
        intact = SEAL not in fields or fields[SEAL] == _digest(inside, owner)
    except (ValueError, RecursionError):
        intact = False
    if not intact:
        whose = " or is another run's" if owner else ""
        raise BrokenSeal(f"its checksum doesn't match: something in it was altered{whose}")
    return inside


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def _digest(fields: Mapping[str, Any], owner: str) -> str:
    text = owner + _CANONICAL.encode(fields)
    return hashlib.sha256(text.encode()).hexdigest()[:SEAL_DIGITS]


@dataclass(frozen=True)
class FileSum:
    """Size and checksum of a file, stored in another file that depends on it."""

    n_bytes: int
    sha256: str
    """Hex."""

    @classmethod
    def of(cls, data: bytes) -> FileSum:
        """The `FileSum` of a file's content."""
        return cls(len(data), hashlib.sha256(data).hexdigest())

    @classmethod
    def parse(cls, value: object) -> FileSum:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        if isinstance(value, dict) and value.keys() == {"n_bytes", "sha256"}:
            n_bytes, sha256 = value["n_bytes"], value["sha256"]
            if type(n_bytes) is int and n_bytes >= 0 and isinstance(sha256, str):
                return cls(n_bytes, sha256)
        raise ValueError(f"{str(value)[:80]!r} is no checksum of a file")

    def to_json(self) -> dict[str, Any]:
        """The form that is stored in a file."""
        return dict(vars(self))

    def why_not_begun(self, data: bytes) -> str | None:
        """`why_other` for a file to which data may have been appended since."""
        return self.why_other(data[: self.n_bytes])

    def why_other(self, data: bytes) -> str | None:
        """A clause that says how `data` differs from the checksummed content; None if it doesn't."""
        if len(data) != self.n_bytes:
            return f"it has {len(data):,} bytes and had {self.n_bytes:,}"
        return None if self == FileSum.of(data) else "something in it was altered"
