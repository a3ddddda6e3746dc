"""Reads the `command` of a sweep file: the settings that it passes to every `gptexp train`.

W&B's macros are filled in as W&B's agent does it, and the words after `gptexp train` are parsed by that command itself.
So a sweep file accepts exactly what the command line accepts.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from gptexp.errors import GptexpError, did_you_mean

DEFAULT = ("${env}", "${interpreter}", "${program}", "${args}")
"""W&B's default command for a sweep file that has only a program."""
ENVIRONMENT = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")


@dataclass(frozen=True)
class TrainCommand:
    """The settings that a command passes to `gptexp train` in addition to the searched parameters."""

    settings: dict[str, Any] = field(default_factory=dict)
    scale: str | None = None
    notes: tuple[str, ...] = ()


ReadWords = Callable[[Sequence[str]], TrainCommand]
"""Reads the words behind `gptexp train` as the command line does."""


def read_command(command: Any, program: Any, trial: Mapping[str, Any], read_words: ReadWords) -> TrainCommand:
    """Read a sweep file's `command` (a list or a line) and `program`.

    Args:
        trial: an example value for every parameter of the sweep, to fill in the macros. Parameters are left out of the
            returned settings.

    Raises:
        GptexpError: `gptexp train` refuses its words, or it uses an unknown macro.
    """
    if not command and program is None:
        return TrainCommand()
    words, notes = read_environment(list_words(command))
    with write_trial(trial) as path:
        filled = fill_in(words, program, trial, path)
        after = find_arguments(filled)
        if after is None:
            shown = shlex.join(words) if command else str(program)
            note = f"`{shown}` doesn't call `gptexp train` and is not used: every trial is a run"
            return TrainCommand(notes=(*notes, note))
        try:
            asked = read_words(after)
        except GptexpError as error:
            raise GptexpError(f"command: {error}") from None
    settings = {name: value for name, value in asked.settings.items() if name not in trial}
    scale = None if "scale" in trial else asked.scale
    return TrainCommand(settings, scale, (*notes, *asked.notes))


def list_words(command: Any) -> list[str]:
    """The words of a command, which a file gives as a list or as one line.

    Raises:
        GptexpError: it is neither a list of words nor a line.
    """
    if not command:
        return list(DEFAULT)
    if isinstance(command, str):
        try:
            return shlex.split(command)
        except ValueError as error:
            raise GptexpError(f"command: {command!r} can't be split into words ({error}); write a list") from None
    if not isinstance(command, list):
        raise GptexpError(f"command: expected a list of words, found {command!r}")
    for word in command:
        if not isinstance(word, str | int | float):
            raise GptexpError(f"command: expected words, found {word!r}; quote it if it is meant as a word")
    return [str(word) for word in command]


def read_environment(words: list[str]) -> tuple[list[str], list[str]]:
    """Fill in `${envvar:NAME}`. Returns the words, and a note per unset variable, whose name W&B inserts instead."""
    names = dict.fromkeys(name for word in words for name in ENVIRONMENT.findall(word))
    notes = [
        f"the environment has no {name}; as W&B does it, ${{envvar:{name}}} becomes the word {name}"
        for name in names
        if name not in os.environ
    ]
    return [ENVIRONMENT.sub(lambda found: os.environ.get(found[1], found[1]), word) for word in words], notes


@contextlib.contextmanager
def write_trial(trial: Mapping[str, Any]) -> Iterator[Path]:
    """A temporary JSON file of a trial's parameters, like the one that W&B's agent passes to a command."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(dict(trial)))
        yield path


def fill_in(words: list[str], program: Any, trial: Mapping[str, Any], path: Path) -> list[str]:
    """Fill in the macros of W&B's agent for a trial.

    Raises:
        GptexpError: W&B has no such macro, or it is only part of a word, where W&B doesn't fill it in.
    """
    macros = {
        **expand_parameters(trial),
        "env": ["/usr/bin/env"],
        "interpreter": ["python"],
        "program": [] if program is None else [str(program)],
        "args_json_file": [str(path)],
    }
    filled: list[str] = []
    for word in words:
        name = word[2:-1]
        if word.startswith("${") and word.endswith("}"):
            if name not in macros:
                raise GptexpError(f"command: W&B has no macro {word}{did_you_mean(name, macros)}")
            filled += macros[name]
            continue
        for inside in re.findall(r"\$\{(\w+)\}", word):
            if inside in macros:
                raise GptexpError(f"command: W&B fills in ${{{inside}}} only as a word of its own, not in {word!r}")
        filled.append(word)
    return filled


def expand_parameters(trial: Mapping[str, Any]) -> dict[str, list[str]]:
    """Macro -> the words that it is replaced by, for all macros about parameters.

    Source: W&B's client, wandb/sdk/launch/sweeps/utils.py, create_sweep_command_args.
    """
    pairs = {name: f"{name}={value}" for name, value in trial.items()}
    return {
        "args": [f"--{pair}" for pair in pairs.values()],
        "args_no_hyphens": list(pairs.values()),
        "args_no_equals": [word for name, value in trial.items() for word in (f"--{name}", str(value))],
        "args_no_boolean_flags": [
            f"--{name}" if value is True else f"--{pairs[name]}" for name, value in trial.items() if value is not False
        ],
        "args_append_hydra": [f"+{pair}" for pair in pairs.values()],
        "args_override_hydra": [f"++{pair}" for pair in pairs.values()],
        "args_json": [json.dumps(dict(trial))],
        "args_dict": list(trial),
    }


def find_arguments(words: list[str]) -> list[str] | None:
    """The words after `gptexp train`; None if the command doesn't call it."""
    for place, word in enumerate(words):
        if word == "train" and any(PurePath(before).name in ("gptexp", "gptexp.exe") for before in words[:place]):
            return words[place + 1 :]
    return None
