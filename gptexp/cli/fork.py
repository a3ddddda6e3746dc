"""fork: a recorded run goes on from one of its steps with something changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gptexp.cli.options import (
    TO_GO_ON,
    corpus_option,
    json_option,
    log_checkpoint_option,
    read_trackers,
    runs_dir_option,
    tracker_option,
    until_step_option,
    wandb_option,
)
from gptexp.errors import GptexpError

if TYPE_CHECKING:
    from gptexp.studies.fork import Parent

AFTER_SPIKE = 50
"""Steps behind a spike at which its fork stops, unless --until-step names another step."""


@click.command("fork")
@click.argument("run", metavar="RUN")
@click.option(
    "--at-step",
    "steps",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="S",
    help="The last step that the fork shares with RUN; repeatable.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="What the fork changes; repeatable.")
@click.option(
    "--cooldown",
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    help="End with N steps of falling learning rate (schedule=wsd, or the one that --set names).",
)
@click.option("--around-spikes", is_flag=True, help="Fork before each natural gradient spike of RUN.")
@corpus_option
@runs_dir_option
@until_step_option
@tracker_option
@wandb_option
@log_checkpoint_option
@json_option
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--report/--no-report", "with_report", default=True, help="Write the page at the end.  [default: report]")
def fork_command(
    run: str,
    steps: tuple[int, ...],
    settings: tuple[str, ...],
    cooldown: int | None,
    around_spikes: bool,
    corpus: str | None,
    runs_dir: Path,
    until_step: int | None,
    trackers: tuple[str, ...],
    wandb_mode: str | None,
    log_checkpoint: bool,
    as_json: bool,
    dry_run: bool,
    with_report: bool,
) -> int:
    """Go on from a step of a recorded run, over the same batches, with some config fields changed.

    RUN keeps its record; each fork is a run of its own, whose id is that of RUN, the step and a hash. It begins from
    the newest checkpoint that RUN kept at or before the step; what lies between is trained again and must have the
    numbers of RUN. Nothing changed, the fork is RUN to the bit.

    \b
    Examples:
      gptexp fork 3f2a1b --at-step 100 --set grad_clip=None
      gptexp fork 3f2a1b --around-spikes --set grad_clip=None
      gptexp fork 3f2a1b --at-step 200 --at-step 300 --cooldown 60
    """
    from gptexp.cli.carry_out import run_planned
    from gptexp.studies.fork import cool_down, plan_forks, read_changes, read_parent
    from gptexp.studies.launchers import LocalLauncher
    from gptexp.tracking.packs import check_takes_runs
    from gptexp.tracking.run_dir import find_run

    if around_spikes == bool(steps):
        raise GptexpError("name the step with --at-step S, or give --around-spikes: one of the two")
    check_takes_runs(runs_dir)
    parent = read_parent(find_run(runs_dir, run))
    changes = read_changes(settings)
    until = dict.fromkeys(steps, until_step) if until_step else {}
    if around_spikes:
        until = {step: until_step or step + 1 + AFTER_SPIKE for step in list_spike_forks(parent)}
        steps = tuple(until)
    at: dict[int, dict[str, Any]] = {
        step: {**(cool_down(step, cooldown) if cooldown else {}), **changes} for step in steps
    }
    shared = {**({"schedule": "wsd", "decay_steps": cooldown} if cooldown else {}), **changes}
    planned = plan_forks(parent, at, runs_dir, corpus, shared=shared, until=until)
    say_checkpoints(parent)
    return run_planned(
        planned,
        runs_dir,
        None,
        trackers=read_trackers(trackers, wandb_mode, log_checkpoint),
        launcher=LocalLauncher,
        scale_named=True,
        dry_run=dry_run,
        with_report=with_report,
        with_summary=False,
        as_json=as_json,
        # Without --until-step it stops behind each spike.
        to_go_on="with a later --until-step" if around_spikes else TO_GO_ON,
    )


def list_spike_forks(parent: Parent) -> list[int]:
    """The steps before the natural spikes of a run, by the rule of `gptexp.measures.spikes`.

    Raises:
        GptexpError: it has none.
    """
    from gptexp.measures.spikes import RULE, find_spikes
    from gptexp.records import StepRecord
    from gptexp.tracking.run_log import read_typed_records

    records = read_typed_records(parent.run_dir.records)
    norms = [record.grad_norm for record in records if isinstance(record, StepRecord)]
    outlier = parent.config.outlier_step
    spikes = find_spikes(norms, () if outlier is None else (outlier,))
    found = [spike.step - 1 for spike in spikes if 2 <= spike.step <= parent.last_step]
    if not found:
        raise GptexpError(f"run {parent.run_id} has no natural spike. {RULE} Name a step with --at-step")
    return found


def say_checkpoints(parent: Parent) -> None:
    """Say from which steps of the parent the forks can begin without training steps of it again."""
    from gptexp.cli.terminal import say
    from gptexp.studies.trunk import list_usable

    names = ", ".join(f"step {state.step:,}" for _, state in list_usable(parent.run_dir)) or "none"
    say(f"Checkpoints of run {parent.run_id} to go on from: {names}. Steps behind them are trained again.")
