"""runs sync: what W&B lacks of the recorded runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from gptexp.cli.console import make_console
from gptexp.cli.options import json_option, print_json, runs_dir_option
from gptexp.cli.terminal import say
from gptexp.errors import GptexpError

PATIENCE_S = 600.0
"""How long the sending of one run may take."""


def name_hindrances() -> list[str]:
    """What to do before runs can be sent: whatever of it is missing."""
    import os

    from gptexp.mirrors.wandb_server import is_logged_in

    login = [] if is_logged_in() else ["run `wandb login`"]
    mode = os.environ.get("WANDB_MODE")
    return [*login, *(["run `unset WANDB_MODE`"] if mode and mode != "online" else [])]


@click.command("sync")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--again", is_flag=True, help="Also runs that W&B has whole, as far as is known here.")
@runs_dir_option
@json_option
def sync_command(ids: tuple[str, ...], again: bool, runs_dir: Path, as_json: bool) -> int:
    """Send W&B what it lacks: runs recorded offline, or while the server was away. Exit status 1 if a run is left out.

    A run's W&B run is gone on with where it ends: rows that are there stay, the others come from the record, none
    twice. (`wandb sync` does the same for runs that were offline from their first step to their last.)

    \b
    Examples:
      gptexp runs sync
      gptexp runs sync 4f95ca
    """
    from rich.progress import MofNCompleteColumn, Progress, TextColumn

    from gptexp.mirrors.wandb_sync import list_ended, send_run
    from gptexp.tracking.run_dir import find_run

    if hindrances := name_hindrances():
        raise GptexpError(f"runs are sent with an account, and W&B is not online here: {' and '.join(hindrances)}")
    run_dirs = [find_run(runs_dir, run_id) for run_id in ids] or list_ended(runs_dir)
    done = []
    columns = (TextColumn("{task.description}"), MofNCompleteColumn())
    with Progress(*columns, console=make_console(stderr=True), transient=True) as bar:
        task = bar.add_task("sending", total=len(run_dirs))
        for run_dir in run_dirs:
            bar.update(task, description=f"sending {run_dir.path.name}")
            done.append(send_run(run_dir, again=again, patience_s=PATIENCE_S))
            bar.advance(task)
    if as_json:
        print_json("gptexp.sync/1", [dataclasses.asdict(sent) for sent in done])
    else:
        for sent in done:
            if sent.state != "nothing new":
                say(f"{sent.run_id}: {sent.state}" + (f", {sent.reason}" if sent.reason else f": {sent.url}"))
        say(f"{sum(sent.state == 'sent' for sent in done)} of {len(done)} runs sent.")
    return 1 if any(sent.state == "left out" for sent in done) else 0
