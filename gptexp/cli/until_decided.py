"""run --until-decided: paired seeds are added until each comparison of a study is decided."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gptexp.cli.carry_out import describe_command, sum_up, watch_over
from gptexp.cli.options import Decorator, NumberRange, print_json
from gptexp.cli.terminal import say
from gptexp.errors import GptexpError, InterruptedCommand
from gptexp.studies.checks import FEWEST_SEEDS, MOST_SEEDS

if TYPE_CHECKING:
    from rich.console import Console

    from gptexp.comparisons.decisions import Standing
    from gptexp.mirrors.protocol import TrackerSettings
    from gptexp.studies.launchers import Launcher
    from gptexp.studies.plan import PlannedRun
    from gptexp.studies.request import StudyRequest
    from gptexp.tracking.result import Result

MOST_ADDED = 12

until_decided_options: list[Decorator] = [
    click.option(
        "--until-decided",
        is_flag=True,
        help="Add paired seeds until each arm is told apart from its reference or shown to be close.",
    ),
    click.option(
        "--detect",
        type=NumberRange(min=0, min_open=True, max=100),
        default=None,
        metavar="NATS",
        help="With --until-decided: a difference in final val loss under this is none.",
    ),
    click.option(
        "--max-seeds",
        type=click.IntRange(FEWEST_SEEDS, MOST_SEEDS),
        default=None,
        help=f"With --until-decided: seeds per arm at most  [default: {MOST_ADDED}]",
    ),
]


def read_limits(
    requests: Sequence[StudyRequest],
    seeds: int | None,
    until_step: int | None,
    until_decided: bool,
    detect: float | None,
    max_seeds: int | None,
) -> list[StudyRequest]:
    """The requests with as many seeds as may be trained; unchanged without --until-decided.

    Raises:
        GptexpError: options that don't go together.
    """
    if not until_decided:
        if detect is not None or max_seeds is not None:
            raise GptexpError("--detect and --max-seeds belong to --until-decided; add that, or leave them out")
        return list(requests)
    if detect is None:
        raise GptexpError(
            "--until-decided needs the difference that matters to you: add --detect 0.02, in nats per token"
        )
    if until_step is not None:
        raise GptexpError("--until-decided compares final val losses, which --until-step leaves out; name one of them")
    most = max_seeds or MOST_ADDED
    if seeds is not None and not FEWEST_SEEDS <= seeds <= most:
        raise GptexpError(
            f"--seeds {seeds}: with --until-decided these are the seeds before the first look, {FEWEST_SEEDS} to {most}"
        )
    if alone := [request.study.name for request in requests if len(request.arms) < 2]:
        raise GptexpError(f"study {alone[0]} has one arm to train, and nothing to be decided; use --seeds N")
    if untrained := [request.study.name for request in requests if not trains_steps(request)]:
        raise GptexpError(
            f"study {untrained[0]} trains no step, and nothing is to be decided; leave --until-decided out"
        )
    return [dataclasses.replace(request, seeds=most, detect=detect) for request in requests]


def trains_steps(request: StudyRequest) -> bool:
    """Whether a request trains anything: a study of models before their first step doesn't."""
    return any(request.configs[arm.name].max_steps for arm in request.arms)


def run_until_decided(
    requests: Sequence[StudyRequest],
    runs_dir: Path,
    jobs: int | None,
    *,
    first_seeds: int | None,
    trackers: Sequence[TrackerSettings],
    launcher: Callable[[int], Launcher],
    scale_named: bool,
    dry_run: bool,
    with_report: bool,
    as_json: bool,
) -> int:
    """Train seed after seed; after each, say where every comparison stands.

    Returns:
        The exit status: 1 where a run failed, or a study has no comparison to be decided.

    What is recorded decides which seeds are trained, so the command goes on where it was interrupted.

    Args:
        requests: with the most seeds, and the difference to be seen (`read_limits`).
    """
    from gptexp.cli.console import WIDE, make_console
    from gptexp.cli.plan_table import plan_rows, print_plan
    from gptexp.studies.plan import count_workers, plan_runs

    console = make_console(piped_width=WIDE)
    planned = plan_runs(requests, runs_dir, None, jobs)
    say_most(requests)
    is_elsewhere = getattr(launcher, "is_elsewhere", False)
    print_plan(planned, count_workers(planned, jobs, launcher), scale_named=scale_named, is_elsewhere=is_elsewhere)
    if dry_run:
        if as_json:
            print_json("gptexp.plan/1", plan_rows(planned))
        return 0
    rounds = Rounds(planned, runs_dir, jobs, trackers, launcher, console)
    for number in range(min(first_seeds or FEWEST_SEEDS, requests[0].seeds), requests[0].seeds + 1):
        rounds.train(number)
        standings = rounds.find_standings()
        show_standings(standings, number, requests, console, as_json=as_json)
        if rounds.is_decided(standings):
            break
    sum_up(rounds.asked, rounds.results, runs_dir, with_summary=True, with_report=with_report)
    has_failed = any(result and result.outcome == "failed" for result in rounds.results.values())
    return 1 if say_incomparable(standings) or has_failed else 0


def say_most(requests: Sequence[StudyRequest]) -> None:
    """What the plan of --until-decided is: the most that it can come to."""
    say(
        f"Until decided: the plan below is the most that this can cost, {requests[0].seeds} seeds an arm. Training "
        f"stops earlier where each arm is told apart from its reference, or shown to be closer than "
        f"{requests[0].detect:g}."
    )


class Rounds:
    """The seeds of some studies, one after the other; an arm whose comparison is decided gets no more."""

    def __init__(
        self,
        planned: Sequence[PlannedRun],
        runs_dir: Path,
        jobs: int | None,
        trackers: Sequence[TrackerSettings],
        launcher: Callable[[int], Launcher],
        console: Console,
    ) -> None:
        self.asked: list[PlannedRun] = []
        """Runs that were needed so far."""
        self.results: dict[str, Result | None] = {}
        self._planned, self._runs_dir, self._jobs = planned, runs_dir, jobs
        self._trackers, self._launcher, self._console = trackers, launcher, console
        self._decided: set[tuple[str, str]] = set()
        """(study, arm)."""

    def train(self, n_seeds: int) -> None:
        """Train what the first `n_seeds` seeds of each undecided arm lack.

        Raises:
            InterruptedCommand: somebody stopped it before they were all trained.
        """
        from gptexp.studies.plan import count_workers
        from gptexp.studies.runner import run_plan

        known = {id(item) for item in self.asked}
        new = [item for item in self._planned if self._is_needed(item, n_seeds) and id(item) not in known]
        self.asked += new
        if not new:
            return
        workforce = self._launcher(count_workers(new, self._jobs, self._launcher))
        with watch_over(new, workforce, self._console) as view:
            self.results |= run_plan(new, workforce, view, command=describe_command(), trackers=self._trackers)
        if any(result is None or result.outcome == "interrupted" for result in self.results.values()):
            raise InterruptedCommand("interrupted; the same command goes on where it stopped")

    def _is_needed(self, item: PlannedRun, n_seeds: int) -> bool:
        name = item.request.study.name
        place = item.seed - item.request.configs[item.arm.name].seed
        return place < n_seeds and (name, item.arm.name) not in self._decided

    def find_standings(self) -> dict[str, list[Standing]]:
        """Study -> where its comparisons stand."""
        from gptexp.cli.summary_view import select_planned
        from gptexp.comparisons.decisions import find_standings
        from gptexp.runs.frames import load_frames

        frames = load_frames(self._runs_dir, {item.run.run_id for item in self.asked})
        detect = self.asked[0].request.detect or 0.0
        return {study.name: find_standings(study, detect) for study in select_planned(frames, self.asked)}

    def is_decided(self, standings: Mapping[str, Sequence[Standing]]) -> bool:
        """Whether nothing is left to decide. Arms that no undecided comparison needs get no more seeds."""
        for study, rows in standings.items():
            waiting = {name for row in rows if not row.is_decided for name in (row.arm, row.reference)}
            compared = {name for row in rows for name in (row.arm, row.reference)}
            arms = compared or {item.arm.name for item in self.asked if item.request.study.name == study}
            self._decided |= {(study, arm) for arm in arms - waiting}
        return all(row.is_decided for rows in standings.values() for row in rows)


def say_incomparable(standings: Mapping[str, Sequence[Standing]]) -> bool:
    """Say which studies have no comparison, so that no number of seeds decides them. Returns whether there are any."""
    names = [study for study, rows in standings.items() if not rows]
    for name in names:
        say(
            f"gptexp: nothing is decided of study {name}: no two of its arms learn from the same texts in the same "
            f"tokens, so their losses can't be compared",
            err=True,
        )
    return bool(names)


def show_standings(
    standings: Mapping[str, Sequence[Standing]],
    n_seeds: int,
    requests: Sequence[StudyRequest],
    console: Console,
    *,
    as_json: bool,
) -> None:
    """After a round: a table, or one line of JSON."""
    from gptexp.cli.console import make_table
    from gptexp.comparisons.decisions import UNDECIDED
    from gptexp.wording import ABSENT, write_bounds, write_change

    detect, most = requests[0].detect, requests[0].seeds
    if as_json:
        rows = [{"study": study, **dataclasses.asdict(row)} for study, found in standings.items() for row in found]
        about: dict[str, Any] = {"seeds": n_seeds, "max_seeds": most, "detect": detect, "comparisons": rows}
        print_json("gptexp.decisions/1", about, on_one_line=True)
        return
    for study, found in standings.items():
        if not found:
            continue
        table = make_table(console)
        for name in ("final val loss of", "minus that of", "mean", "interval at any look", "pairs", "decision"):
            table.add_column(name, overflow="fold")
        for row in found:
            interval = write_bounds(row.low, row.high, write_change)
            word = row.word if row.word != UNDECIDED or n_seeds < most else f"{UNDECIDED} with {most} seeds"
            mean = ABSENT if row.mean is None else write_change(row.mean)
            table.add_row(row.what, row.against, mean, interval, str(row.n_pairs), word)
        console.print(f"\n{study} after {n_seeds} of at most {most} seeds, detect {detect:g}:")
        console.print(table)
