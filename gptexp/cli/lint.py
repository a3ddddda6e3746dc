"""lint: an author's text against the claims and the records."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gptexp.cli.options import UserPath, json_option, print_json, runs_dir_option
from gptexp.cli.terminal import say

if TYPE_CHECKING:
    from gptexp.claims.judge import Judgement
    from gptexp.claims.ledger import Ledger
    from gptexp.lint.check import Finding
    from gptexp.runs.study_runs import StudyRuns

STYLES = {
    "refuted": "bold red",
    "stale": "bold red",
    "unknown claim": "bold red",
    "underpowered": "yellow",
    "not measured": "dim",
    "unknown": "yellow",
    "confirmed": "green",
}
SHOWN = 90
"""Characters of a sentence in the table."""


@click.command("lint")
@click.argument("text", type=UserPath(), metavar="TEXT")
@runs_dir_option
@click.option("--ledger", default="pretraining", show_default=True, help="A file in reports/ledger/.")
@click.option(
    "--bundle",
    type=UserPath(file_okay=False),
    default=None,
    metavar="DIR",
    help="A report (gptexp report lesson); numbers that stand in it are confirmed.",
)
@click.option("--fix", is_flag=True, help="Write the measured number into bound sentences that are stale.")
@click.option("--strict", is_flag=True, help="Exit 1 for sentences that are not bound, too.")
@json_option
@click.pass_context
def lint_command(
    context: click.Context,
    text: Path,
    runs_dir: Path,
    ledger: str,
    bundle: Path | None,
    fix: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Check the sentences of your own TEXT (.md, .mdx, .tsx, .html) against the claims and the recorded runs.

    A sentence that states a claim of the ledger is confirmed, refuted (with what is true instead), stale (the records
    have another number), underpowered or not measured. A number of a measured quantity that no claim is about is
    unknown. Bind a sentence to a claim for good, with <Claim id="initial-loss">…</Claim>, or with the comments
    <!-- claim: initial-loss -->…<!-- /claim -->: the exit status is 1 as long as a bound sentence doesn't hold. One
    that denies a claim says so: <Claim id="constant-6e-4-explodes" verdict="refuted">.

    \b
    Examples:
      gptexp lint lesson.mdx
      gptexp lint lesson.mdx --bundle reports/out/lesson --fix
      gptexp lint page.tsx --json
    """
    from gptexp.claims.ledger import load_ledger
    from gptexp.errors import GptexpError
    from gptexp.files import explain, read_user_file, write_user_file
    from gptexp.lint.bundle import read_bundle
    from gptexp.lint.check import FAILURES, apply_fixes, check_sentences
    from gptexp.lint.prose import read_sentences

    try:
        content = read_user_file(text).decode()
    except OSError as error:
        raise GptexpError(f"{text} can't be read: {explain(error)}") from None
    except UnicodeDecodeError:
        raise GptexpError(f"{text} is no UTF-8 text") from None
    claims = load_ledger(ledger)
    numbers = read_bundle(bundle) if bundle else []
    sentences = read_sentences(content, text.suffix)
    findings = check_sentences(sentences, claims, make_judge(claims, runs_dir), numbers)
    fixed, applied = apply_fixes(content, findings) if fix else (content, [])
    if fixed != content:
        write_user_file(text, fixed)
    if as_json:
        print_json("gptexp.lint/1", [describe(finding) for finding in findings])
    else:
        print_findings(findings, len(sentences), fixed=fixed != content)
        if fix and (left := sum(finding.fix is not None and finding not in applied for finding in findings)):
            say(f"{left} not written: the number stands more than once in its passage. Change it by hand.")
    unfixed = [finding for finding in findings if finding not in applied]
    if any(finding.fails or (strict and finding.status in FAILURES) for finding in unfixed):
        context.exit(1)


def make_judge(ledger: Ledger, runs_dir: Path) -> Callable[[str], Judgement]:
    """Name of a claim -> its judgement by the recorded runs, which are read at the first question."""
    from gptexp.claims.judge import judge_claim
    from gptexp.cli.claims import load_studies_of

    @functools.cache
    def load() -> list[StudyRuns]:
        return load_studies_of(ledger.claims, runs_dir)

    @functools.cache
    def judge(name: str) -> Judgement:
        claim = ledger.find(name)
        return judge_claim(claim, [] if claim.is_computed else load())

    return judge


def describe(finding: Finding) -> dict[str, Any]:
    """A finding as JSON."""
    return {
        "line": finding.sentence.line,
        "sentence": finding.sentence.text,
        "status": finding.status,
        "claim": finding.claim,
        "bound": finding.sentence.claim is not None,
        "says": finding.says,
        "fix": finding.fix.text if finding.fix else None,
    }


def print_findings(findings: list[Finding], n_sentences: int, *, fixed: bool) -> None:
    """One row per finding in the order of the text, and the counts."""
    from rich.text import Text

    from gptexp.cli.console import make_console, make_table
    from gptexp.lint.check import STATUSES
    from gptexp.text import cut_text, visible
    from gptexp.wording import count_things

    console = make_console()
    table = make_table(console)
    for title, ratio in (("line", None), ("", None), ("sentence", 3), ("what the records say", 4)):
        table.add_column(title, ratio=ratio, overflow="fold", justify="right" if title == "line" else "left")
    for finding in findings:
        sentence = visible(cut_text(finding.sentence.text, SHOWN))
        says = f"{finding.claim}: {finding.says}" if finding.claim else finding.says
        status = Text(finding.status, style=STYLES[finding.status])
        table.add_row(str(finding.sentence.line), status, Text(sentence), Text(visible(says)))
    if findings:
        console.print(table)
    counts = [f"{sum(one.status == status for one in findings)} {status}" for status in STATUSES]
    shown = [text for text in counts if not text.startswith("0 ")]
    bound = sum(finding.sentence.claim is not None for finding in findings)
    say(f"{count_things(n_sentences, 'sentence')}, {bound} bound. {', '.join(shown) or 'Nothing to check'}.")
    if fixed:
        say("The measured numbers were written into the file.")
