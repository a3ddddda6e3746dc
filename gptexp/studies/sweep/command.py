"""The `command` of a sweep file: the settings that it gives to every `gptexp train`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from gptexp.config import parse_assignment
from gptexp.errors import GptexpError

ELSEWHERE = ("--runs-dir", "--wandb")
"""Options of train that `gptexp sweep` takes from its own command line."""
FLAGS = ("--dry-run", "--json")


@dataclass(frozen=True)
class TrainCommand:
    """What a command says besides calling `gptexp train` with the sweep's own values."""

    settings: dict[str, Any] = field(default_factory=dict)
    scale: str | None = None
    notes: tuple[str, ...] = ()


def read_command(command: Any, program: Any) -> TrainCommand:
    """Read a sweep file's `command` (a list or a line) and `program`.

    Raises:
        GptexpError: it calls `gptexp train` with an option or a field that there isn't.
    """
    if command is None:
        words = [] if program is None else [str(program)]
    elif isinstance(command, str):
        words = shlex.split(command)
    elif isinstance(command, list):
        words = [str(word) for word in command]
    else:
        raise GptexpError(f"command: expected a list of words, found {command!r}")
    words = [str(program) if word == "${program}" and program is not None else word for word in words]
    if command is None and program is None:
        return TrainCommand()
    after = _find_arguments(words)
    if after is None:
        shown = shlex.join(words) if words else str(program)
        return TrainCommand(notes=(f"`{shown}` doesn't call `gptexp train` and is not used: every trial is a run",))
    return _read_arguments(after)


def _find_arguments(words: list[str]) -> list[str] | None:
    """The words behind `gptexp train`, or None."""
    for place, word in enumerate(words):
        if word == "train" and any(PurePath(before).name in ("gptexp", "gptexp.exe") for before in words[:place]):
            return words[place + 1 :]
    return None


def _read_arguments(words: list[str]) -> TrainCommand:
    settings: dict[str, Any] = {}
    scale, notes, rest = None, [], list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        takes_next = word.startswith("--") and not equals and bool(rest)
        if "${" in word or word in FLAGS:
            continue
        if takes_next and "${" in rest[0]:
            # An option that takes the sweep's own values, such as a file of them.
            rest.pop(0)
        elif option in (*ELSEWHERE, "--scale", "--corpus"):
            value = value if equals or not rest else rest.pop(0)
            if option == "--scale":
                scale = value
            elif option == "--corpus":
                settings["corpus"] = value
            else:
                notes.append(f"{option} of the command is not used; give it to `gptexp sweep`")
        elif equals:
            name, setting = parse_assignment(word)
            settings[name] = setting
        else:
            raise GptexpError(f"command: {word!r} is no option of `gptexp train` and no key=value; leave it out")
    return TrainCommand(settings, scale, tuple(notes))
