"""Options that mean the same wherever they appear."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from gptexp.paths import read_path
from gptexp.text import visible

if TYPE_CHECKING:
    from gptexp.mirrors.protocol import TrackerSettings

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class UserPath(click.Path):
    """A path whose `~` is the home folder: what stands in a variable, or behind `--out=`, no shell has expanded."""

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(read_path(value), param, ctx)


class NumberRange(click.FloatRange):
    """A finite number within bounds. NaN, which is in no order with any bound, is refused too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number.", param, ctx)
        if math.isinf(number):
            self.fail(f"{value!r} is not finite.", param, ctx)
        return number


def is_given(context: click.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    return context.get_parameter_source(name) == ParameterSource.COMMANDLINE


runs_dir_option: Decorator = click.option(
    "--runs-dir",
    type=UserPath(file_okay=False),
    default=Path("runs"),
    envvar="GPTEXP_RUNS_DIR",
    show_default=True,
    help="Folder of run records.",
)
wandb_option: Decorator = click.option(
    "--wandb",
    "wandb_mode",
    type=click.Choice(["online", "offline", "disabled"]),
    default=None,
    help="Where the W&B mirror goes  [default: online when logged in, else offline]",
)
tracker_option: Decorator = click.option(
    "--tracker",
    "trackers",
    multiple=True,
    metavar="NAME",
    help="Where runs are mirrored: wandb, trackio, or one of another package; repeatable  [default: wandb]",
)
log_checkpoint_option: Decorator = click.option(
    "--log-checkpoint", is_flag=True, help="Also store the final weights in W&B, as an artifact."
)
until_step_option: Decorator = click.option(
    "--until-step",
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    help="Stop each run after step N and leave it resumable  [default: train it whole]",
)
TO_GO_ON = "without --until-step, or with a later one,"
"""How the same command goes on with runs that were stopped where it was asked to."""
STDOUT = "gptexp.stdout"
"""Where a command called with --json finds the standard output: everything else that it prints goes to stderr."""


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`: the result as JSON on stdout, all else on stderr. docs/json.md has the formats."""

    @functools.wraps(function)
    def answer(*args: Any, as_json: bool, **given: Any) -> Any:
        if not as_json:
            return function(*args, as_json=False, **given)
        click.get_current_context().meta[STDOUT] = sys.stdout
        with contextlib.redirect_stdout(sys.stderr):
            return function(*args, as_json=True, **given)

    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text; docs/json.md says which.")(
        answer
    )


def launcher_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--launcher NAME` and the settings of launchers; the command gets a `LauncherChoice` as `launcher`."""

    @functools.wraps(function)
    def choose(*args: Any, launcher: str, **given: Any) -> Any:
        from gptexp.studies.choice import choose_launcher

        settings = {name: given.pop(name) for name in LAUNCHER_SETTINGS}
        named = {name: value for name, value in settings.items() if value is not None}
        return function(*args, launcher=choose_launcher(launcher, named), **given)

    collected: Callable[..., Any] = choose
    for name, (of, option) in reversed(LAUNCHER_SETTINGS.items()):
        words = f"--{name.replace('_', '-')}"
        collected = click.option(words, name, default=None, **{**option, "help": f"{of}: {option['help']}"})(collected)
    return click.option(
        "--launcher",
        default="local",
        metavar="NAME",
        show_default=True,
        help="What carries out the runs: local (processes on this machine), slurm (a job array), ray (a Ray cluster), "
        "or one of another package.",
    )(collected)


LAUNCHER_SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpus_per_run": (
        "local, slurm, ray",
        {"type": NumberRange(min=0, min_open=True), "metavar": "X", "help": "GPUs of each run, or a share of one"},
    ),
    "address": ("ray", {"metavar": "HOST:PORT", "help": "An existing cluster  [default: one of this machine]"}),
    "partition": ("slurm", {"metavar": "NAME", "help": "Where to submit  [default: Slurm's]"}),
    "time_limit": (
        "slurm",
        {
            "type": click.IntRange(min=1),
            "metavar": "MINUTES",
            "help": "After which a job is queued again  [default: 60]",
        },
    ),
    "executor": (
        "slurm",
        {"type": click.Choice(["slurm", "local", "debug"]), "help": "submitit's: local and debug need no Slurm"},
    ),
}
"""Name -> which launchers take it, and the rest of the option."""


def corpus_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--corpus NAME|FILE`."""
    return click.option(
        "--corpus",
        metavar="NAME|FILE",
        default=None,
        help="tinyshakespeare, python-docs, a text file or a folder of text  [default: tinyshakespeare]",
    )(function)


def scale_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--scale S`."""
    return click.option(
        "--scale",
        metavar="quick|char|laptop|lesson",
        default=None,
        help="Size of the study  [default: lesson with a CUDA GPU, else quick]",
    )(function)


def read_trackers(
    names: Sequence[str], wandb_mode: str | None, log_checkpoint: bool = False
) -> tuple[TrackerSettings, ...]:
    """The trackers that `--tracker`, `--wandb` and `--log-checkpoint` ask for.

    Raises:
        GptexpError: an unknown name, a setting of W&B without W&B, or a tracker that can't work.
    """
    from gptexp.errors import GptexpError
    from gptexp.mirrors.registry import choose_trackers

    if names and "wandb" not in names and (wandb_mode or log_checkpoint):
        option = f"--wandb {wandb_mode}" if wandb_mode else "--log-checkpoint"
        raise GptexpError(f"{option} is a setting of W&B, which is not among the trackers; add --tracker wandb")
    return choose_trackers(names, {"wandb_mode": wandb_mode, "log_checkpoint": log_checkpoint})


def print_json(name: str, value: Any, *, on_one_line: bool = False) -> None:
    """Strict JSON in ASCII: numbers that are not finite as the strings NaN, Infinity, -Infinity.

    Args:
        name: of the format, such as "gptexp.runs/1": the first field of the object, or of each object in a list.
        value: a dict, or a list of dicts.
        on_one_line: one of several documents, each a line.
    """
    from gptexp.records import encode_floats
    from gptexp.text import clean_value

    named = [{"format": name, **row} for row in value] if isinstance(value, list) else {"format": name, **value}
    text = json.dumps(clean_value(encode_floats(named)), indent=None if on_one_line else 2, allow_nan=False)
    click.echo(text, file=click.get_current_context().meta[STDOUT])
    if on_one_line:
        click.get_current_context().meta[STDOUT].flush()


def print_error_json(sentence: str, exit_status: int) -> None:
    """What `--json` prints where a command fails: one object on one line."""
    about = {"format": "gptexp.error/1", "error": visible(sentence), "exit_status": exit_status}
    click.echo(json.dumps(about))
