"""The entry point: finds the command, and turns errors into one sentence and an exit status."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import traceback
from typing import Any

import click

from gptexp.cli.options import print_error_json
from gptexp.cli.terminal import say
from gptexp.errors import GptexpError, InterruptedCommand
from gptexp.streams import finish_streams, guard_streams
from gptexp.version import __version__

COMMANDS = {
    "run": ("gptexp.cli.run:run_command", "Train the arms of named studies side by side."),
    "plan": ("gptexp.cli.run:plan_command", "Show what a run would do: runs, their state, time and memory."),
    "power": ("gptexp.cli.power:power_command", "Say how many seeds it takes to see a difference."),
    "train": ("gptexp.cli.train:train_command", "One run from config fields: what a sweep agent calls."),
    "fork": ("gptexp.cli.fork:fork_command", "Go on from a step of a recorded run with something changed."),
    "sweep": ("gptexp.cli.sweep:sweep_command", "Search a sweep file without an account: the one wandb sweep takes."),
    "report": ("gptexp.cli.report:report_command", "Turn the recorded runs into a page with figures and tables."),
    "watch": ("gptexp.cli.watch:watch_command", "Show the page in a browser while runs are going."),
    "claims": ("gptexp.cli.claims:claims_command", "Show the lesson's claims and their verdicts by the runs."),
    "lint": ("gptexp.cli.lint:lint_command", "Check your own text against the claims and the runs."),
    "studies": ("gptexp.cli.studies:studies_command", "List the named studies and their questions."),
    "runs": ("gptexp.cli.runs:runs_group", "List, show, compare, export, pack, check, sync and clean recorded runs."),
    "sample": ("gptexp.cli.sample:sample_command", "Let a trained run continue a text."),
    "evaluate": ("gptexp.cli.evaluate:evaluate_command", "Measure a trained model's loss on held-out text."),
    "export": ("gptexp.cli.export:export_command", "Write a run's model for transformers or nanoGPT."),
    "trace": ("gptexp.cli.trace:trace_command", "Show the tokens of a text and every prediction it trains."),
    "notebook": ("gptexp.cli.notebook:notebook_command", "Write the lesson's notebook, for students and solved."),
    "bench": ("gptexp.cli.bench:bench_command", "Time the training step, compared with a plain loop."),
    "doctor": ("gptexp.cli.doctor:doctor_command", "Check this machine: device, data, disk, W&B."),
}
"""Name -> (module and function of the command, its line in the help). Listed here so that help imports no command."""


class LazyGroup(click.Group):
    """A group that imports a command only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from gptexp.errors import did_you_mean

            raise GptexpError(f"there is no command {args[0]!r}{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        check_folder()
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # click would take it for a closed stdout and exit silently. (gptexp.streams handles a closed stdout.)
            raise RuntimeError(f"{type(error).__name__}: {error}") from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="gptexp")
def cli() -> None:
    """Named studies of GPT pretraining, turned into evidence.

    \b
    gptexp run lr-ablation        train four learning rates side by side
    gptexp report                 the page that compares them
    gptexp trace "The cat sat"    what one sentence trains
    """


def main() -> None:
    """Run the command line and exit: 0 done, 1 a run failed, 2 a wrong request, 130 interrupted."""
    guard_streams()
    status = call_command()
    if unwritten := finish_streams():
        say(f"gptexp: {unwritten}", err=True)
        status = status or 1
    sys.exit(status)


def call_command() -> int:
    """Run the command and print its error, if any; returns the exit status."""
    try:
        status = cli.main(standalone_mode=False)
    except GptexpError as error:
        return refuse(str(error), error.exit_status)
    except click.exceptions.NoArgsIsHelpError as error:
        say(error.format_message())
        status = 0
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (`{context.command_path} --help` shows how it is used)" if context else ""
        return refuse(" ".join(error.format_message().split()).rstrip(".") + hint, 2)
    except (click.Abort, KeyboardInterrupt):
        return refuse("interrupted", InterruptedCommand.exit_status)
    except Exception as error:
        if os.environ.get("GPTEXP_TRACEBACK"):
            say(traceback.format_exc(), err=True)
        where = "".join(f", {note}" for note in getattr(error, "__notes__", ()))
        sentence = f"internal error{where}, {type(error).__name__}: {error}; GPTEXP_TRACEBACK=1 shows where"
        return refuse(sentence, 1)
    return status if isinstance(status, int) else 0


def refuse(sentence: str, status: int) -> int:
    """Say why a command ends without a result: on stderr, and with --json on stdout too. Returns the exit status."""
    say(f"gptexp: {sentence}", err=True)
    if "--json" in itertools.takewhile(lambda word: word != "--", sys.argv[1:]):
        print_error_json(sentence, status)
    return status


def check_folder() -> None:
    """Check that the working directory still exists, because relative paths need it.

    Raises:
        GptexpError: it was deleted.
    """
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        raise GptexpError("the current folder no longer exists; change to another one (cd)") from None
