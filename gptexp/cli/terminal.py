"""How commands print a line. `gptexp.cli.console` has what prints tables; rich takes a while to import."""

from __future__ import annotations

import click

from gptexp.text import visible


def say(text: object, *, err: bool = False, end: str = "\n") -> None:
    """Print `text` with everything spelled out in it that could steer a terminal.

    Args:
        err: to stderr.
    """
    click.echo(f"{visible(str(text))}{end}", nl=False, err=err)
