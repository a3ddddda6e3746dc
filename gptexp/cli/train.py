"""train: one run from config fields, what a person types and what a sweep's agent calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gptexp.cli.assignments import divide, make_request, read_arguments, read_request
from gptexp.cli.options import (
    UserPath,
    corpus_option,
    is_given,
    json_option,
    log_checkpoint_option,
    read_trackers,
    runs_dir_option,
    scale_option,
    tracker_option,
    until_step_option,
    wandb_option,
)
from gptexp.errors import GptexpError
from gptexp.studies.sweep.command import TrainCommand

if TYPE_CHECKING:
    from gptexp.studies.request import StudyRequest
    from gptexp.studies.scales import Scale


class TrainWords(click.Command):
    """A command whose options stand among assignments, which may look like options too (`--n_layer 4`)."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        takes_value = {name: not option.is_flag for option in options for name in option.opts}
        own, assignments = divide(args, takes_value)
        return super().parse_args(ctx, [*own, "--", *assignments])


@click.command("train", cls=TrainWords)
@click.argument("assignments", nargs=-1, type=click.UNPROCESSED, metavar="[KEY=VALUE|FILE.json]...")
@click.option(
    "--params",
    type=UserPath(),
    multiple=True,
    metavar="FILE",
    help="Config fields from a JSON or YAML file; repeatable, the command line wins.",
)
@scale_option
@corpus_option
@runs_dir_option
@tracker_option
@wandb_option
@log_checkpoint_option
@until_step_option
@json_option
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
def train_command(
    assignments: tuple[str, ...],
    params: tuple[Path, ...],
    scale: str | None,
    corpus: str | None,
    runs_dir: Path,
    trackers: tuple[str, ...],
    wandb_mode: str | None,
    log_checkpoint: bool,
    until_step: int | None,
    as_json: bool,
    dry_run: bool,
) -> int:
    """One run: a scale's config with the fields given as key=value, --key=value or --key value.

    What a W&B sweep's agent calls: every macro of its command that stands for parameters is understood, and the sweep's
    values win. A switch may stand alone (--compile).

    init_from=DIR starts from the weights of a GPT-2 on this disk, as transformers or `gptexp export` wrote them. Its
    layers, width, context, vocabulary and tokenizer are then the folder's, whatever the scale says.

    \b
    Examples:
      gptexp train lr=1e-3 max_steps=100
      gptexp train --scale char --n_layer=2 --grad_clip=None --seed=7
      gptexp train --params best.json max_steps=400
      gptexp train --scale laptop lr=1e-3 --until-step 200
      gptexp train init_from=my-model lr=1e-4 max_steps=200
      torchrun --nproc_per_node=2 -m gptexp train --scale laptop lr=1e-3
    """
    from gptexp.cli.carry_out import run_planned
    from gptexp.config import build_config
    from gptexp.mirrors.wandb_server import inside_sweep
    from gptexp.studies.follower import follow_torchrun
    from gptexp.studies.launchers import LocalLauncher
    from gptexp.studies.plan import plan_runs
    from gptexp.studies.request import choose_scale
    from gptexp.studies.together import is_under_torchrun, lead_torchrun, read_torchrun

    if until_step is not None and inside_sweep():
        raise GptexpError(NOT_IN_A_SWEEP)
    asked = read_request(assignments, params, scale=scale, corpus=corpus)
    overrides = asked.overrides
    if is_under_torchrun():
        rank, overrides["world_size"] = read_torchrun()
        if rank:
            follow_torchrun(rank, overrides["world_size"])
            return 0
    seed = build_config({"seed": overrides.pop("seed", 1337)}).seed
    request = request_run(choose_scale(asked.scale), seed, overrides, asked.corpus)
    with lead_torchrun():
        return run_planned(
            plan_runs([request], runs_dir, until_step),
            runs_dir,
            None,
            trackers=read_trackers(trackers, wandb_mode, log_checkpoint),
            launcher=LocalLauncher,
            scale_named=asked.scale is not None,
            dry_run=dry_run,
            with_report=False,
            with_summary=False,
            as_json=as_json,
        )


def request_run(scale: Scale, seed: int, overrides: Mapping[str, Any], corpus: str | None) -> StudyRequest:
    """A run of the study `train`, or, where an agent of a W&B sweep asks for it, of the study of that sweep."""
    from gptexp.mirrors.wandb_server import sweep_id
    from gptexp.studies.request import StudyRequest
    from gptexp.studies.study import Arm, Study
    from gptexp.studies.sweep.points import request_agent_trial

    if sweep := sweep_id():
        return request_agent_trial(sweep, overrides, seed, scale, corpus)
    study = Study(
        name="train",
        question="One run, as asked for on the command line.",
        hypothesis="",
        source="",
        arms=(Arm("train", "train"),),
        first_seed=seed,
    )
    return StudyRequest(study, scale, 1, overrides, corpus)


NOT_IN_A_SWEEP = (
    "--until-step has no place in a sweep: a trial that stops on its way has no result to be ranked by; leave it out, "
    "or sweep shorter runs with max_steps=N"
)

ELSEWHERE = {
    "runs_dir": "--runs-dir of the command is not used; give it to `gptexp sweep`",
    "trackers": "--tracker of the command is not used; give it to `gptexp sweep`",
    "wandb_mode": "--wandb of the command is not used; give it to `gptexp sweep`",
    "dry_run": "--dry-run of the command is not used; give it to `gptexp sweep`",
    "as_json": "--json of the command is not used; give it to `gptexp sweep`",
    "log_checkpoint": "--log-checkpoint of the command is not used: `gptexp sweep` stores no weights in W&B",
}
"""Options that decide nothing about the run, but where it is recorded and who hears of it."""


def read_train_words(words: Sequence[str]) -> TrainCommand:
    """What `gptexp train WORDS` asks for, read by the command itself.

    Raises:
        GptexpError: the sentence with which the command refuses them.
    """
    try:
        # Help has no place in a sweep: without its names, --help is refused like any word that is no field.
        context = train_command.make_context("gptexp train", list(words), help_option_names=[])
    except click.ClickException as error:
        raise GptexpError(" ".join(error.format_message().split()).rstrip(".")) from None
    given: dict[str, Any] = context.params
    if is_given(context, "until_step"):
        raise GptexpError(NOT_IN_A_SWEEP)
    notes = [text for name, text in ELSEWHERE.items() if is_given(context, name)]
    options = {name: given[name] for name in ("scale", "corpus")}
    asked = make_request(read_arguments(given["assignments"], given["params"], **options))
    settings = asked.overrides if asked.corpus is None else {**asked.overrides, "corpus": asked.corpus}
    return TrainCommand(settings, asked.scale, tuple(notes))
