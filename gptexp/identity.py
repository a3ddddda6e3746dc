"""Hashes that identify runs and study definitions, and the JSON text that they are taken of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from gptexp.version import DECIDE_NOTHING, LATER_FIELDS

NOT_IN_IDENTITY = {"corpus", *DECIDE_NOTHING}
"""Fields that don't enter a run id; the corpus is told by its checksum."""


def identity_hash(config: Mapping[str, Any], engine_version: int, corpus_checksum: str, tokenizer_checksum: str) -> str:
    """The run id: a hash of everything that decides a run's numbers.

    Args:
        config: every field of the resolved RunConfig, as JSON.
    """
    return short_hash(
        {
            "engine_version": engine_version,
            "config": {name: value for name, value in drop_later(config).items() if name not in NOT_IN_IDENTITY},
            "corpus": corpus_checksum,
            "tokenizer": tokenizer_checksum,
        }
    )


def drop_later(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A config's fields without those that came later and have the value that all runs had before: what named them by
    a hash then does so still."""
    return {name: value for name, value in fields.items() if name not in LATER_FIELDS or value != LATER_FIELDS[name]}


def short_hash(value: Any, length: int = 12) -> str:
    """The first `length` hex digits of the SHA-256 of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
