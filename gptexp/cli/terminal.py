"""Prints single lines without rich, which is slow to import. For tables see `gptexp.cli.console`."""

from __future__ import annotations

import click

from gptexp.text import visible


def say(text: object, *, err: bool = False, end: str = "\n") -> None:
    """Print `text` with all characters escaped that could control a terminal.

    Args:
        err: print to stderr instead of stdout.
    """
    click.echo(f"{visible(str(text))}{end}", nl=False, err=err)
