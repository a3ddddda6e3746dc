"""The command claims: the claims of the lesson and their verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from gptexp.cli.console import WIDE, make_console, make_table
from gptexp.cli.options import json_option, print_json, runs_dir_option
from gptexp.cli.terminal import say
from gptexp.text import visible
from gptexp.tracking.advice import spell_training

if TYPE_CHECKING:
    from gptexp.claims.judge import Judgement
    from gptexp.claims.ledger import Claim
    from gptexp.claims.measurements import Measurement
    from gptexp.runs.study_runs import StudyRuns

STYLES = {"refuted": "bold red", "confirmed": "green", "underpowered": "yellow", "not measured": "dim"}
NOT_MEASURABLE = "not measurable"
"""The heading of claims that need human readers."""


@click.command("claims")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@runs_dir_option
@click.option("--ledger", default="pretraining", show_default=True, help="A file in reports/ledger/.")
@json_option
def claims_command(names: tuple[str, ...], runs_dir: Path, ledger: str, as_json: bool) -> None:
    """Show the lesson's claims and their verdicts by the recorded runs.

    Verdicts are confirmed, refuted, underpowered and not measured. Claims about the lesson's 124M model are judged only
    by runs of that model; for smaller models the direction is shown. NAME shows a claim in full: its quotes, predicate,
    tolerance with reason, runs, the result at every scale, and the command that measures it.

    \b
    Examples:
      gptexp claims
      gptexp claims constant-6e-4-explodes
      gptexp claims --runs-dir somewhere/runs --json
    """
    from gptexp.claims.describe import describe, sort_by_verdict
    from gptexp.claims.judge import judge_claims
    from gptexp.claims.ledger import load_ledger

    known = load_ledger(ledger)
    chosen = [known.find(name) for name in names] or known.claims
    judged = judge_claims(chosen, load_studies_of(chosen, runs_dir))
    rows = [describe(judgement) for judgement in judged]
    rows = [{**row, "command": row["command"] and spell_training(row["command"], runs_dir)} for row in rows]
    if as_json:
        print_json("gptexp.claims/1", rows)
    elif names:
        for row, judgement in zip(rows, judged, strict=True):
            print_claim(row, judgement)
    else:
        print_ledger(sort_by_verdict(judged), runs_dir)


def load_studies_of(claims: Sequence[Claim], runs_dir: Path) -> list[StudyRuns]:
    """The recorded runs of all studies that may judge the claims."""
    from gptexp.runs.frames import load_frames
    from gptexp.runs.study_runs import select_studies

    studies = sorted({study for claim in claims for study in claim.studies})
    return select_studies(load_frames(runs_dir), studies)


def print_ledger(judged: Sequence[Judgement], runs_dir: Path) -> None:
    """Print all claims grouped by verdict, or through a pipe a line for each, then the counts."""
    from gptexp.claims.words import count_verdicts

    console = make_console(piped_width=WIDE)
    if console.is_terminal:
        print_groups(console, judged)
    else:
        print_lines(judged)
        console.print()
    print_transfer(console, judged)
    console.print(Text(f"{count_verdicts(judged)}; runs in {visible(str(runs_dir))}"), soft_wrap=True)
    console.print(Text("gptexp claims NAME shows one in full."))


def print_groups(console: Console, judged: Sequence[Judgement]) -> None:
    """The claims under their verdicts, as people read them."""
    groups: dict[str, list[Judgement]] = {heading: [] for heading in (*STYLES, NOT_MEASURABLE)}
    for one in judged:
        groups[one.verdict if one.claim.is_measurable else NOT_MEASURABLE].append(one)
    for heading, rows in groups.items():
        if not rows:
            continue
        console.print(Text(f"{heading} ({len(rows)})", style=STYLES.get(heading, STYLES["not measured"])))
        table = make_table(console, headings=False)
        table.add_column("claim", ratio=3, overflow="fold")
        table.add_column("what the records say", ratio=4)
        for judgement in rows:
            table.add_row(Text(judgement.claim.name), Text(say_shortly(judgement)))
        console.print(table)
        console.print()


def say_shortly(judgement: Judgement) -> str:
    """What the records say of a claim, on one line."""
    from gptexp.claims.words import say_plainly, write_direction, write_truth, write_value, write_ways

    said = write_truth(judgement) or write_direction(judgement)
    value = write_value(judgement) if judgement.claim.quantity else ""
    return "; ".join(filter(None, (value.strip("–"), say_plainly(visible(said)), write_ways(judgement))))


def print_lines(judged: Sequence[Judgement]) -> None:
    """A line for each claim, its verdict first: what is piped is searched."""
    verdicts, names = max(map(len, STYLES)), max((len(one.claim.name) for one in judged), default=0)
    for one in judged:
        say(f"{one.verdict:<{verdicts}}  {one.claim.name:<{names}}  {say_shortly(one)}".rstrip())


def print_transfer(console: Console, judged: Sequence[Judgement]) -> None:
    """Sign and size of each conclusion at every scale, where there is more than one."""
    from gptexp.report.claim_tables import tabulate_transfer
    from gptexp.wording import ABSENT

    found = tabulate_transfer(judged)
    if found is None:
        return
    console.print(Text("Does the conclusion transfer?", style="bold"))
    table = make_table(console)
    table.add_column("claim", overflow="fold", ratio=3)
    table.add_column("difference at each scale", ratio=4)
    table.add_column("does it transfer?", ratio=2)
    scales = [column.heading for column in found.columns[1:-1]]
    for row in found.rows:
        effects = zip(scales, row[1:-1], strict=True)
        said = [f"{scale}: {cell.text}" for scale, cell in effects if cell.text != ABSENT]
        table.add_row(Text(str(row[0].order)), Text(visible("\n".join(said))), Text(visible(row[-1].text)))
    console.print(table)
    console.print()


def print_claim(row: dict[str, Any], judgement: Judgement) -> None:
    """Print one claim with all its details."""
    from gptexp.claims.words import write_effect, write_value, write_ways

    console = make_console()
    console.print(Text(row["name"], style="bold"), Text(row["verdict"], style=STYLES[row["verdict"]]))
    table = make_table(console, headings=False)
    # The name of a study with many overrides is long, and what it says is to have room beside it.
    table.add_column("what", max_width=26, overflow="fold")
    table.add_column("value", overflow="fold")
    places = [f"“{place['quote']}” ({place['section']})" for place in row["places"]]
    needs = [f"scale {row['needs_scale']}"] if row["needs_scale"] else ["any scale" if row["quantity"] else ""]
    needs += [f"max_steps={row['needs_max_steps']}"] if row["needs_max_steps"] else []
    lines = [
        ("says", row["says"]),
        *(("quoted from" if not number else "", place) for number, place in enumerate(places)),
        ("predicate", write_predicate(row)),
        ("why", row["why"]),
        ("needs", ", ".join(filter(None, [row["study"] and f"study {row['study']}", *needs]))),
        ("measured", write_value(judgement) if row["quantity"] else ""),
        ("that is", row["direction"] if row["quantity"] else ""),
        ("true instead", row["true_sentence"]),
        ("in each way", write_ways(judgement)),
        ("runs", " ".join(row["run_ids"])),
        ("trained with", row["trained"] or ""),
        ("differs in", ", ".join(row["differs"])),
        *(
            (one.source.study_key, f"{write_effect(judgement.claim, one)}{write_batch(one)}")
            for one in judgement.every
            if one.n
        ),
        ("to measure it", row["command"]),
    ]
    if row["needs_scale"]:
        lines += list_needs(judgement.claim)
    for name, value in lines:
        if value:
            table.add_row(Text(visible(name)), Text(visible(value)))
    console.print(table)
    console.print()


def write_batch(one: Measurement) -> str:
    """` (only a direction: 256 tokens a step)` for runs of the lesson's network that may not judge; else empty."""
    differences = one.source.differences
    return (
        ""
        if differences.network or not differences.training
        else f" (only a direction: {', '.join(one.source.differs)})"
    )


def list_needs(claim: Claim) -> list[tuple[str, str]]:
    """The requirements on a run that judges a claim about the lesson's model, with reasons."""
    from gptexp.claims.lesson_model import NETWORK, list_training

    own = claim.arms.get(claim.study, {})
    arms = claim.named_arms
    settings = {arm: ", ".join(f"{name}={value}" for name, value in own.get(arm, {}).items()) for arm in arms}
    named = [f"{arm}: {text}" for arm, text in settings.items() if text]
    model = [f"{one} ({one.why})" for one in (*NETWORK, *list_training(to_a_step=claim.is_of_a_step))]
    groups = (("its arms are", named), ("all else is", model))
    return [("" if place else name, line) for name, lines in groups for place, line in enumerate(lines)]


def write_predicate(row: dict[str, Any]) -> str:
    """`lr-ablation: warmup-cosine:final_val_loss below constant-6e-4:final_val_loss`."""
    if not row["quantity"]:
        return "none"
    stated = "" if row["stated"] is None else f" {row['stated']:g}"
    if row["relation"] == "about":
        held = f"about{stated}, ± {row['tolerance']:g}"
    elif row["relation"] in ("above", "below"):
        least = f" by more than {row['tolerance']:g}" if row["tolerance"] else ""
        held = f"{row['relation']} {row['compared_with'] or stated.strip()}{least}"
    else:
        held = "happens in every seed" if row["relation"] == "happens" else "happens in no seed"
    return f"{row['study'] or 'computed'}: {row['quantity']} {held}"
