"""What can happen to a file: disks, tools and strangers change digits, cut, swap and replace."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1e308, -1e-308, "NaN", "Infinity", "", "../../x", "/dev/zero", "\x1b[31m\u202e\x00",
    "\ud800", "x" * 100_000, [], {}, [[]], {"a": {"b": []}}, [1, "2", None],
)  # fmt: skip


def flip_digit(data: bytes, draw: random.Random) -> bytes:
    """Another digit in the place of one."""
    places = [place for place, byte in enumerate(data) if byte in b"0123456789"]
    return replace_byte(data, draw.choice(places), draw.choice(b"0123456789")) if places else data


def flip_bit(data: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(data)) if data else 0
    return replace_byte(data, place, data[place] ^ 1 << draw.randrange(8)) if data else data


def replace_byte(data: bytes, place: int, byte: int) -> bytes:
    return data[:place] + bytes([byte]) + data[place + 1 :]


def cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))] if data else data


def fill_with_nul(data: bytes, draw: random.Random) -> bytes:
    """What file systems leave at the end, or in the middle, after a power cut."""
    start = draw.randrange(len(data)) if data else 0
    end = len(data) if draw.random() < 0.5 else draw.randint(start, len(data))
    return data[:start] + bytes(end - start) + data[end:]


def double_line(data: bytes, draw: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    place = draw.randrange(len(lines)) if lines else 0
    return b"".join([*lines[:place], *lines[place : place + 1], *lines[place:]])


def swap_lines(data: bytes, draw: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if len(lines) > 1:
        one, other = draw.sample(range(len(lines)), 2)
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def drop_line(data: bytes, draw: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        del lines[draw.randrange(len(lines))]
    return b"".join(lines)


def spoil_value(data: bytes, draw: random.Random) -> bytes:
    """A hostile value in some field of one of its JSON objects; bytes of chance in what isn't JSON."""
    lines = data.split(b"\n")
    whole = data.lstrip()[:1] in (b"{", b"[") and len(lines) > 1 and lines[0].strip() in (b"{", b"[")
    place = 0 if whole else draw.randrange(len(lines))
    try:
        content = json.loads(data if whole else lines[place])
        spoil_somewhere(content, draw)
    except (ValueError, TypeError, RecursionError):
        return cut(data, draw) + draw.randbytes(20)
    # The writers of ours sort keys; so does this, that nothing but the value is another.
    text = json.dumps(content, indent=2 if whole else None, sort_keys=True).encode()
    return text + b"\n" if whole else b"\n".join([*lines[:place], text, *lines[place + 1 :]])


def spoil_somewhere(content: Any, draw: random.Random) -> None:
    """Change one value, at any depth, in place.

    Raises:
        TypeError: there is none.
    """
    keys: list[Any] = list(content) if isinstance(content, dict) else list(range(len(content)))
    if not keys:
        raise TypeError
    key = draw.choice(keys)
    if isinstance(content[key], dict | list) and content[key] and draw.random() < 0.7:
        spoil_somewhere(content[key], draw)
    else:
        content[key] = draw.choice(HOSTILE)


CONTENT: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "flipped digit": flip_digit,
    "flipped bit": flip_bit,
    "cut": cut,
    "filled with NUL": fill_with_nul,
    "doubled line": double_line,
    "swapped lines": swap_lines,
    "dropped line": drop_line,
    "hostile value": spoil_value,
    "emptied": lambda data, draw: b"",
    "deep nesting": lambda data, draw: b"[" * 200_000,
}
"""Changes of what a file holds."""


def put_huge(path: Path) -> None:
    """A sparse file of a terabyte, which takes no place."""
    with path.open("wb") as file:
        file.truncate(2**40)


def put_device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        path.symlink_to("/dev/zero")


PLACE: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: None,
    "pipe": os.mkfifo,
    "device": put_device,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to the environment": lambda path: path.symlink_to("/proc/self/environ"),
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "folder": Path.mkdir,
    "huge": put_huge,
}
"""What stands in the place of a file."""
EXCHANGED = "swapped with another's"
KINDS = (*CONTENT, *PLACE, EXCHANGED)


def mutate(path: Path, kind: str, draw: random.Random, donor: Path | None) -> bool:
    """Do that to a file; False where it changes nothing.

    Args:
        donor: the same file of another run, or another file of the same folder.
    """
    if kind in PLACE:
        path.unlink()
        PLACE[kind](path)
        return True
    before = path.read_bytes()
    if kind == EXCHANGED:
        if donor is None or donor.read_bytes() == before:
            return False
        path.unlink()
        shutil.copyfile(donor, path)
        return True
    after = CONTENT[kind](before, draw)
    path.write_bytes(after)
    return after != before
