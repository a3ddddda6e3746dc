"""power: how many seeds a study takes to see a difference of a given size."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gptexp.cli.options import NumberRange, json_option, print_json, runs_dir_option
from gptexp.errors import GptexpError
from gptexp.tracking.advice import spell_training

if TYPE_CHECKING:
    from gptexp.comparisons.power import Power
    from gptexp.runs.study_runs import StudyRuns


@click.command("power")
@click.argument("name", metavar="STUDY")
@click.option(
    "--detect",
    type=NumberRange(min=0, min_open=True, max=100),
    required=True,
    metavar="NATS",
    help="The difference in final val loss that is to be seen, in nats per token.",
)
@click.option("--scale", metavar="quick|char|laptop|lesson", default=None, help="Only the runs of this scale.")
@runs_dir_option
@json_option
def power_command(name: str, detect: float, scale: str | None, runs_dir: Path, as_json: bool) -> None:
    """Say how many paired seeds it takes to see a difference, from how much the recorded runs scatter.

    A paired t-test at 5% then finds a difference of that size with 80% chance. Few pairs tell little about their
    scatter: the second count takes it as large as it may well be (80% confidence). The last is the mean number of
    seeds of `gptexp run STUDY --until-decided`, which looks after every seed.

    \b
    Examples:
      gptexp power lr-ablation --detect 0.02
      gptexp power scaled-rates --scale char --detect 0.005 --json
    """
    from gptexp.comparisons.power import plan_seeds
    from gptexp.runs.frames import load_frames
    from gptexp.runs.study_runs import select_studies
    from gptexp.studies.scales import find_scale
    from gptexp.studies.study import load_study

    scales = [find_scale(scale).name] if scale else None
    asked = load_study(name)
    studies = select_studies(load_frames(runs_dir), [asked.name], scales)
    made = [(study, plan_seeds(study, detect)) for study in studies]
    if not any(rows for _, rows in made):
        if len(asked.arms) == 1:
            raise GptexpError(f"study {asked.name} has a single arm, so there is nothing to compare it with")
        named = f" --scale {scale}" if scale else ""
        raise GptexpError(
            f"no two arms of {asked.name} have two paired seeds in {runs_dir}, so nothing is known of their scatter; "
            f"first: {spell_training(f'gptexp run {asked.name}{named} --seeds 3', runs_dir)}"
        )
    if as_json:
        print_json(
            "gptexp.power/1",
            [{"study": study.key, "detect": detect, **dataclasses.asdict(row)} for study, rows in made for row in rows],
        )
        return
    for study, rows in made:
        print_power(study, rows, detect)


def print_power(study: StudyRuns, rows: Sequence[Power], detect: float) -> None:
    """One line per comparison of a study, and what all of them together take."""
    from rich.text import Text

    from gptexp.cli.cells import one_line
    from gptexp.cli.console import WIDE, make_console, make_table
    from gptexp.comparisons.power import MOST_SEEDS_ASKED

    if not rows:
        return
    most = f"over {MOST_SEEDS_ASKED:,}"
    console = make_console(piped_width=WIDE)
    console.print(Text.assemble("\n", (study.key, "bold"), f": seeds to see a difference of {detect:g} nats per token"))
    table = make_table(console)
    table.add_column("final val loss of", overflow="fold")
    table.add_column("minus that of", overflow="fold")
    for heading in ("pairs", "scatter", "seeds", "if scatter is larger", "looking after every seed"):
        table.add_column(heading, justify="right")
    for row in rows:
        counts = [most if count is None else f"{count:,}" for count in (row.seeds, row.seeds_at_bound)]
        looking = most if row.seeds_until_decided is None else f"{row.seeds_until_decided:,.1f}"
        table.add_row(
            one_line(row.what), one_line(row.against), f"{row.n_pairs}", f"{row.deviation:.4f}", *counts, looking
        )
    console.print(table)
    known = [row.seeds for row in rows if row.seeds is not None]
    together = f"{max(known):,}" if len(known) == len(rows) else most
    console.print(Text(f"All of them: {together} seeds an arm. Scatter: standard deviation of the paired difference."))
