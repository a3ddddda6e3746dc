"""Options that mean the same wherever they appear."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gptexp.paths import read_path

if TYPE_CHECKING:
    from gptexp.mirrors.protocol import TrackerSettings

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class UserPath(click.Path):
    """A path whose `~` is the home folder: what stands in a variable, or behind `--out=`, no shell has expanded."""

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(read_path(value), param, ctx)


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
launcher_option: Decorator = click.option(
    "--launcher",
    default="local",
    metavar="NAME",
    show_default=True,
    help="What carries out the runs: local (processes on this machine), or one of another package.",
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
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


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


def print_json(value: Any) -> None:
    """Strict JSON in ASCII: numbers that are not finite as the strings NaN, Infinity, -Infinity."""
    from gptexp.records import encode_floats
    from gptexp.text import clean_value

    click.echo(json.dumps(clean_value(encode_floats(value)), indent=2, allow_nan=False))
