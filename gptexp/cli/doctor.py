"""The command doctor: checks whether this machine is ready and says what gptexp would do on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from gptexp.cli import doctor_machine as machine
from gptexp.cli import doctor_setup as setup
from gptexp.cli.doctor_machine import Check
from gptexp.cli.options import json_option, print_json, runs_dir_option
from gptexp.errors import GptexpError
from gptexp.text import visible

STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


@click.command("doctor")
@runs_dir_option
@click.option("--online", is_flag=True, help=f"Also ask the W&B server, for at most {setup.SERVER_TIMEOUT_S} seconds.")
@json_option
def doctor_command(runs_dir: Path, online: bool, as_json: bool) -> int:
    """Check this machine: device, data, disk, W&B. Exits with 1 if there is a problem.

    Nothing is downloaded and no network is used, except with --online.

    \b
    Examples:
      gptexp doctor
      gptexp doctor --online
      gptexp doctor --json
    """
    checks = examine(runs_dir, online=online)
    if as_json:
        print_json("gptexp.doctor/1", [asdict(check) for check in checks])
    else:
        print_checks(checks)
    return 1 if any(check.status == "problem" for check in checks) else 0


def examine(runs_dir: Path, *, online: bool) -> list[Check]:
    """Run all checks in order. A check that raises an error is reported as a problem, and the others still run."""
    examiners: dict[str, Callable[[], Check]] = {
        "python": machine.check_python,
        "torch": machine.check_torch,
        "device": machine.check_device,
        "precision": machine.check_precision,
        "cores": machine.check_cores,
        "memory": machine.check_memory,
        "tokenizer": setup.check_tokenizer,
        "corpus": setup.check_corpus,
        "cache": machine.check_cache,
        "disk": partial(machine.check_disk, runs_dir),
        "wandb": setup.check_wandb,
        **({"wandb server": setup.check_server} if online else {}),
        "studies": setup.check_studies,
        "git": setup.check_git,
    }
    checks = []
    for name, examiner in examiners.items():
        try:
            checks.append(examiner())
        except GptexpError as error:
            checks.append(Check(name, "problem", str(error)))
        except Exception as error:
            detail = f"can't be checked: {type(error).__name__}: {error}"
            checks.append(Check(name, "problem", detail, "Reinstall gptexp, or report this."))
    return checks


def print_checks(checks: list[Check]) -> None:
    """Print one row per check, with its advice below it."""
    from rich.table import Table
    from rich.text import Text

    from gptexp.cli.console import make_console

    console = make_console()
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        table.add_row(Text(check.status, style=STYLES[check.status]), Text(check.check), Text(visible(check.detail)))
        if check.advice:
            table.add_row("", "", Text(f"→ {visible(check.advice)}", style="bold"))
    console.print(table)
    problems = sum(check.status == "problem" for check in checks)
    console.print(f"\n{problems or 'No'} problem{'s' * (problems != 1)}.")
