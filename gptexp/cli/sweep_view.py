"""What a sweep shows: its plan, a line per trial, and the ranking."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from gptexp.cli.console import WIDE, break_name, fits, make_console, make_table
from gptexp.cli.format import format_duration, format_loss
from gptexp.cli.plan_table import print_corpora, seconds_left
from gptexp.studies.events import Notice, StepEvent
from gptexp.studies.plan import PlannedRun
from gptexp.studies.scales import find_scale
from gptexp.studies.sweep.journal import TrialRow
from gptexp.studies.sweep.points import write_settings
from gptexp.studies.sweep.ranking import RANKED, Importance
from gptexp.studies.sweep.space import write_value
from gptexp.studies.sweep.trial import Sweep
from gptexp.studies.sweep.worker import TrialEnd, TrialNews, TrialStart
from gptexp.text import visible

SECONDS_BETWEEN_LINES = 5.0
"""Of the same trial's progress."""
SHOWN_DAMAGE = 5
"""Damaged lines of the journal that are named."""


class SweepView:
    """Shows one sweep in plain lines, which a terminal and a log file take alike."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._console = make_console(piped_width=WIDE)
        self._shown: dict[int, float] = {}

    def say(self, text: str) -> None:
        """One line, as it is."""
        self._console.print(text, soft_wrap=True)

    def print_plan(self, planned: Sequence[PlannedRun], workers: int, *, scale_named: bool) -> None:
        """What is searched, on what, at which cost."""
        sweep, file = self._sweep, self._sweep.file
        known = sweep.points()
        of = f" of {len(known):,} points" if known is not None else ""
        self.say(
            f"Sweep {file.name}: {file.method} over {sweep.describe_search()}, {sweep.n_trials:,} trials{of}, "
            f"{file.metric.goal} {file.metric.name}."
        )
        for parameter in file.parameters:
            self.say(f"  {parameter.name}: {parameter}")
        if file.settings:
            self.say(f"  fixed: {write_settings(file.settings, ', ')}")
        if file.method == "bayes":
            self.say("bayes is Optuna's TPE here, where W&B has a Gaussian process.")
        if (early := file.early_stop) is not None:
            bands = ", ".join(str(band) for band in early.bands[:4]) + (", ..." if len(early.bands) > 4 else "")
            self.say(f"Hyperband: at evaluation {bands} a trial goes on if it is among the best 1/{early.eta} so far.")
        for note in file.notes:
            self.say(f"Note: {note}.")
        if "scale" not in {parameter.name for parameter in file.parameters}:
            why = "" if scale_named else " (--scale left out: lesson where there is a CUDA GPU, else quick)"
            self.say(f"Scale {sweep.scale}{why}: {find_scale(sweep.scale).description}.")
        print_corpora(self._console, planned)
        longest = max(seconds_left(item) for item in planned)
        cost = f", about {format_duration(longest)} a trial" if longest else ""
        self.say(f"{workers} at once{cost}.")

    def print_points(self, planned: Sequence[PlannedRun]) -> None:
        """The trials that are known beforehand, and which of them are done."""
        if self._sweep.file.method != "grid":
            self.say("Which values are tried follows from the search.")
            return
        for place, item in enumerate(planned, start=1):
            self.say(f"  {place}. {item.arm.label}, seed {item.seed}: run {item.run.run_id}, {item.status}")
        if self._sweep.n_trials > len(planned):
            self.say(f"  ... and {self._sweep.n_trials - len(planned):,} more")

    def print_state(self, rows: Sequence[TrialRow]) -> None:
        """How far the sweep was when this process came."""
        if not rows:
            return
        counts = {state: sum(row.state == state for row in rows) for state in dict.fromkeys(row.state for row in rows)}
        told = ", ".join(f"{number} {state}" for state, number in counts.items())
        self.say(f"Going on with {len(rows)} of {self._sweep.n_trials} trials: {told}.")

    def print_damage(self, damage: Sequence[str]) -> None:
        """What of the journal can't be read, and what that means."""
        if not damage:
            return
        for sentence in damage[:SHOWN_DAMAGE]:
            self.say(f"Left out: {sentence}.")
        if len(damage) > SHOWN_DAMAGE:
            self.say(f"Left out: {len(damage) - SHOWN_DAMAGE:,} more lines.")
        self.say("Trials that lack a line are taken up again; a run that is done is answered from its record.")

    def on_event(self, event: TrialStart | TrialNews | TrialEnd) -> None:
        """One line for a trial that starts, moves or ends."""
        claim = event.claim
        name = f"trial {claim.place}"
        match event:
            case TrialStart():
                again = "" if claim.why == "new" else f" ({claim.why})"
                told = write_settings(claim.settings, ", ")
                self.say(f"{name} of {self._sweep.n_trials}{again}: {told}")
            case TrialNews(event=Notice(message=message)):
                self.say(f"{name}: {message}")
            case TrialNews(event=StepEvent(is_eval=True) as progress) if progress.step and self._is_due(claim.place):
                self.say(f"{name}: step {progress.step:,}, val loss {format_loss(progress.val_loss)}")
            case TrialEnd(state="completed", value=value, about=about):
                took = format_duration(about["duration_s"])
                self.say(f"{name}: completed, {self._sweep.file.metric.name} {format_loss(value)}, {took}")
            case TrialEnd(state=state, about=about):
                self.say(f"{name}: {state}, {about['detail']}")

    def print_ranking(self, rows: Sequence[TrialRow], importance: Importance, out: Path, figure: Path | None) -> None:
        """The end of a sweep, for people."""
        table = self._rank(rows, [parameter.name for parameter in self._sweep.file.parameters])
        self._console.print()
        self._console.print(table if fits(self._console, table) else self._rank(rows, []))
        self._print_points(rows)
        shares = ", ".join(f"{name} {share:.0%}" for name, share in importance.shares.items())
        self.say(f"Importance: {shares} ({importance.note})." if shares else f"Importance: {importance.note}.")
        if others := sum(row.state == "running" for row in rows):
            self.say(f"{others} more at work in another process; the same command shows them when they are done.")
        self.say(f"Figure: {figure}" if figure else "No figure of the loss against lr: needs lr searched and a result.")
        self.say(f"Tables: {out}")
        if best := self.best_command(rows):
            self.say(f"The best again: {best}")

    def _rank(self, rows: Sequence[TrialRow], names: Sequence[str]) -> Table:
        """A row per trial, with a column for each of these parameters; with none, one column has all settings."""
        table = make_table(self._console)
        for name in ("rank", "trial", *names, self._sweep.file.metric.name, "time"):
            table.add_column(break_name(self._console, name), justify="right", no_wrap=True)
        table.add_column("run", no_wrap=True)
        table.add_column("outcome", overflow="fold")
        if not names:
            table.add_column("settings", overflow="fold")
        for rank, row in enumerate(rows, start=1):
            table.add_row(
                str(rank) if row.state in RANKED else "–",
                str(row.place),
                *(visible(show_value(row.settings.get(name))) for name in names),
                format_loss(row.value) if row.state in ("completed", "pruned") else "–",
                format_duration(row.about.get("duration_s")),
                row.about.get("run_id") or "–",
                visible(describe_state(row)),
                *([] if names else [visible(write_settings(row.settings, " "))]),
            )
        return table

    def _print_points(self, rows: Sequence[TrialRow]) -> None:
        """Where the trials are seeds of points: the points, and which can't be told from the best."""
        from gptexp.report.sweep_points import RULE, list_points, rank_sweep

        self._console.print()
        points = list_points(rank_sweep(self._sweep, rows))
        if not points:
            return
        table = make_table(self._console)
        for name in ("rank", f"mean {self._sweep.file.metric.name}", "95% interval", "seeds", "lost"):
            table.add_column(break_name(self._console, name), justify="right")
        table.add_column("point", overflow="fold")
        table.add_column("against the best", overflow="fold")
        for row in points:
            interval = "–" if row["low"] is None else f"[{format_loss(row['low'])}, {format_loss(row['high'])}]"
            place, numbers = row["rank"], (f"{row['seeds']}", f"{row['lost']}")
            mean = format_loss(row["mean"])
            table.add_row(str(place or "–"), mean, interval, *numbers, visible(row["point"]), row["against_best"])
        self._console.print(table)
        self.say(RULE)
        self._console.print()

    def describe_plan(self, planned: Sequence[PlannedRun], workers: int) -> dict[str, Any]:
        """The plan of a sweep, for `--json`."""
        sweep, known = self._sweep, self._sweep.points()
        is_grid = sweep.file.method == "grid"
        return {
            "sweep": sweep.file.name,
            "method": sweep.file.method,
            "metric": sweep.file.metric.name,
            "goal": sweep.file.metric.goal,
            "scale": sweep.scale,
            "n_trials": sweep.n_trials,
            "n_points": None if known is None else len(known),
            "parameters": {parameter.name: str(parameter) for parameter in sweep.file.parameters},
            "fixed": dict(sweep.file.settings),
            "notes": list(sweep.file.notes),
            "workers": workers,
            "seconds_a_trial": max(seconds_left(item) for item in planned),
            "trials": [
                {"label": item.arm.label, "seed": item.seed, "run_id": item.run.run_id, "status": item.status}
                for item in (planned if is_grid else ())
            ],
        }

    def make_summary(
        self, rows: Sequence[TrialRow], importance: Importance, figure: Path | None, damage: Sequence[str] = ()
    ) -> dict[str, Any]:
        """The end of a sweep, for `--json`."""
        from gptexp.report.sweep_points import list_points, rank_sweep

        file = self._sweep.file
        return {
            "sweep": file.name,
            "method": file.method,
            "metric": file.metric.name,
            "goal": file.metric.goal,
            "n_trials": self._sweep.n_trials,
            "trials": [
                {
                    "rank": rank if row.state in RANKED else None,
                    "trial": row.place,
                    "outcome": row.state,
                    "value": row.value,
                    "settings": row.settings,
                    "run_id": row.about.get("run_id"),
                    "detail": row.about.get("detail"),
                    "last_step": row.about.get("last_step"),
                    "duration_s": row.about.get("duration_s"),
                }
                for rank, row in enumerate(rows, start=1)
            ],
            "points": list_points(rank_sweep(self._sweep, rows)) or None,
            "importance": importance.shares or None,
            "importance_note": importance.note,
            "left_out": list(damage),
            "figure": str(figure) if figure else None,
            "best_command": self.best_command(rows),
        }

    def best_command(self, rows: Sequence[TrialRow]) -> str | None:
        """What repeats the best trial, as it can be typed; None where none completed."""
        if not rows or rows[0].state != "completed":
            return None
        words = self._sweep.command(rows[0].settings)
        return shlex.join(words if self._sweep.runs_dir == "runs" else [*words, "--runs-dir", self._sweep.runs_dir])

    def _is_due(self, place: int) -> bool:
        now = time.monotonic()
        if now - self._shown.get(place, 0.0) < SECONDS_BETWEEN_LINES:
            return False
        self._shown[place] = now
        return True


def show_value(value: Any) -> str:
    """A setting in a table: four digits of a float are enough to tell trials apart."""
    return f"{value:.4g}" if isinstance(value, float) else write_value(value)


def describe_state(row: TrialRow) -> str:
    """`completed`, or what happened."""
    if row.state in ("completed", "running"):
        return row.state
    detail = str(row.about.get("detail") or "")
    if row.state == "stopped":
        return "stopped; the same command goes on"
    return detail if detail.startswith(row.state) else f"{row.state}: {detail}"
