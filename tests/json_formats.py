"""What commands print with --json, held against docs/json.schema.json."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "json.schema.json").read_text(encoding="utf-8"))
FORMATS: dict[str, dict[str, Any]] = SCHEMA["formats"]


def check_document(value: Any) -> Any:
    """Fail where a document is not what its format says, or has fields that the format doesn't know.

    Returns:
        The document, unchanged.
    """
    for row in value if isinstance(value, list) else [value]:
        assert row.get("format") in FORMATS, f"the document names no known format: {str(row)[:200]}"
        about = FORMATS[row["format"]]
        assert isinstance(value, list) == (about["shape"] == "list"), row["format"]
        assert next(iter(row)) == "format"
        find_validator(row["format"]).validate(row)
    return value


@functools.cache
def find_validator(name: str) -> jsonschema.Draft202012Validator:
    """For one object of a format."""
    return jsonschema.Draft202012Validator({**FORMATS[name]["schema"], "$defs": close(SCHEMA["$defs"])})


def close(value: Any) -> Any:
    """The schema with objects that hold no other fields than those it lists, unless it says that they may."""
    if isinstance(value, dict):
        closed = {key: close(content) for key, content in value.items()}
        return {"additionalProperties": False, **closed} if "properties" in value and "type" in value else closed
    return [close(content) for content in value] if isinstance(value, list) else value
