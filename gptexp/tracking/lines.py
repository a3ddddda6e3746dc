"""JSON files with one object, and JSON lines files with one object per line; each object has its own checksum."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptexp.checksums import SEAL, BrokenSeal, seal, unseal
from gptexp.files import CUT_OFF, append_bytes, explain, read_bytes
from gptexp.plain import parse_json
from gptexp.text import clean_value, is_clean_json


def append_line(path: Path, row: dict[str, Any], within: Path | None = None) -> None:
    """Append one JSON object and its checksum as a line, in a single write.

    Raises:
        DiskError: the line could not be written.
    """
    append_bytes(path, (json.dumps(seal(row, path.parent.name), sort_keys=True) + "\n").encode(), within)


def read_lines(path: Path, within: Path | None = None) -> list[dict[str, Any]]:
    """The objects of a JSON lines file. Damaged lines are skipped; a missing file gives an empty list."""
    return scan_lines(path, within).rows


@dataclass
class Lines:
    """The content of a JSON lines file."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """One clause per damaged line. A killed process leaves an incomplete last line, which counts as cut off."""
    unsealed: int = 0
    """Number of lines without a checksum, written by older versions."""


def scan_lines(path: Path, within: Path | None = None) -> Lines:
    """The objects of a JSON lines file and its problems; a missing file has neither."""
    return parse_lines(lambda: read_bytes(path, within), path.name, path.parent.name)


def parse_lines(read: Callable[[], bytes], name: str, owner: str) -> Lines:
    """`scan_lines` of what `read` returns: the content of the file `name` of the run `owner`."""
    found = Lines()
    try:
        data = read()
    except FileNotFoundError:
        return found
    except OSError as error:
        return Lines(problems=[f"{name} can't be read ({explain(error)})"])
    lines, is_clean = data.split(b"\n"), is_clean_json(data)
    seen: set[bytes] = set()
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line)
            if not isinstance(row, dict):
                raise ValueError
            if SEAL in row and line in seen:
                # Every line carries its time to the microsecond, so equal lines are copies.
                found.problems.append(f"line {number} of {name} is there twice")
                continue
            seen.add(line)
            inside = unseal(row, owner)
            found.rows.append(inside if is_clean else clean_value(inside))
            found.unsealed += SEAL not in row
        except (ValueError, RecursionError) as error:
            if line.strip() and not line.endswith(CUT_OFF):
                reason = "it is not a JSON object" if number < len(lines) else "it was cut off"
                reason = str(error) if isinstance(error, BrokenSeal) else reason
                found.problems.append(f"line {number} of {name} is damaged: {reason}")
    return found


def read_object(path: Path, within: Path | None = None) -> dict[str, Any]:
    """The JSON object that a file holds.

    Raises:
        ValueError: the file holds something else or can't be read; FileNotFoundError: it is missing.
    """
    return parse_object(lambda: read_bytes(path, within), path.name)


def parse_object(read: Callable[[], bytes], name: str) -> dict[str, Any]:
    """`read_object` of what `read` returns: the content of the file `name`."""
    try:
        value = parse_json(read())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{name} can't be read ({explain(error)})") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{name} is damaged: not JSON") from None
    if not isinstance(value, dict):
        raise ValueError(f"{name} is damaged: not a JSON object")
    return value
