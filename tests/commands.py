"""The commands that the documents name: collected, and read by click."""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

import click

from gptexp.cli.main import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "llms.txt",
    *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md")),
)
PROGRAMS = ("gptexp", "make", "pip", "python", "torchrun", "wandb", "trackio", "jupyter", "source", "uvx", "pipx", "hf")
"""Words at which a piece of inline code is taken for a command."""
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@dataclass(frozen=True)
class Named:
    """A command, as a document has it."""

    document: str
    line: str
    """Without its comment."""


def collect(document: str) -> list[Named]:
    """Every command of a document: the lines of its shell blocks, and inline code that begins with a program."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:sh|bash|shell|console)\n(.*?)```", text, re.S)
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    lines = [cut_comment(line) for block in blocks for line in block.splitlines()]
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]
    lines += [code for code in inline if " " in code and code.split()[0] in PROGRAMS]
    return [Named(document, line) for line in dict.fromkeys(filter(None, lines))]


def cut_comment(line: str) -> str:
    """A line of a shell block without what stands behind `#`."""
    return re.split(r"(?:^|\s)#", line)[0].strip()


def split_words(line: str) -> list[str]:
    """The words of a command, without the dots that stand for more of them."""
    return [word for word in shlex.split(line) if word != "..."]


def is_only_a_name(words: list[str]) -> bool:
    """Whether a text names a command that can't be called without more words: `gptexp plan`, `gptexp runs pack`."""
    path = words[1:3] if words[1:2] == ["runs"] else words[1:2]
    names_one = words[0] == "gptexp" and words[1:] == path and words[1] in COMMANDS
    return names_one and "Missing" in str(find_mistake(words))


def read_by_click(words: list[str]) -> click.Context:
    """The context in which `gptexp WORDS` would be called: every option and argument read and converted.

    Raises:
        click.ClickException: click refuses it.
    """
    rest = words[1:]
    context = cli.make_context("gptexp", list(rest))
    command: click.Command = cli
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        context, command = found.make_context(name, list(rest), parent=context), found
    return context


def find_mistake(words: list[str]) -> str | None:
    """Why a command would be refused before it does anything; None where nothing speaks against it."""
    program, *rest = words
    if program == "gptexp":
        try:
            read_by_click(words)
        except click.ClickException as error:
            return error.format_message()
    if program == "make":
        missing = [target for target in rest if not re.search(rf"^{target}:", MAKEFILE, re.M)]
        return f"the Makefile has no {missing[0]}" if missing else None
    if program == "pip":
        asked = set(re.findall(r"\[(.*?)\]", " ".join(rest))) - set(PROJECT["optional-dependencies"])
        return f"pyproject.toml has no extra {asked.pop()}" if asked else None
    return None
