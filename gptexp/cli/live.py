"""The view of a study while it trains: one row per run, or plain lines where the output is no terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gptexp.cli.console import ROOMY, make_table
from gptexp.cli.format import format_duration, format_loss, format_lr
from gptexp.measures.ends import list_unsaid
from gptexp.studies.events import Notice, StepEvent
from gptexp.studies.plan import PlannedRun
from gptexp.text import visible
from gptexp.tracking.result import STOPPED, Result

BAR, NARROW_BAR = 16, 8
"""Columns of a progress bar."""


@dataclass
class RunRow:
    """What the view knows of one run."""

    label: str
    last_step: int
    """The step that it is to get to now."""
    max_steps: int
    """Of the whole run."""
    state: str = "waiting"
    step: int = 0
    first_step: int = 0
    started: float | None = None
    event: StepEvent | None = None

    @property
    def steps_asked(self) -> str:
        """`10,000`, or `600 (whole: 10,000)` where it is to stop on its way."""
        whole = "" if self.last_step == self.max_steps else f" (whole: {self.max_steps:,})"
        return f"{self.last_step:,}{whole}"

    def seconds_left(self) -> float | None:
        """From the pace so far, evaluations included; None before there is one."""
        if self.started is None or self.state != "running" or self.step <= self.first_step:
            return None
        pace = (time.monotonic() - self.started) / (self.step - self.first_step)
        return pace * (self.last_step - self.step)


class StudyView:
    """Shows all runs of a plan. Use as a context manager around the running."""

    def __init__(self, planned: Sequence[PlannedRun], console: Console) -> None:
        self._console = console
        several = len({item.request.study.name for item in planned}) > 1
        seeds = len({item.seed for item in planned}) > 1
        self._rows: dict[str, RunRow] = {}
        self._labels: dict[str, str] = {}
        for item in planned:
            if item.run.run_id in self._labels:
                continue
            label = f"{item.request.study.name} · {item.arm.label}" if several else item.arm.label
            label += f" · seed {item.seed}" if seeds else ""
            # What is redrawn doesn't pass the console's own speller.
            label = visible(label)
            self._labels[item.run.run_id] = label
            if item.is_over:
                continue
            whole = item.run.config.max_steps
            self._rows[item.run.run_id] = RunRow(label, item.last_step, whole, first_step=item.from_step)
        self._bar = BAR if console.width >= ROOMY else NARROW_BAR
        # A heading without a row would be all that is shown of runs that are done already.
        is_live = console.is_interactive and bool(self._rows)
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._table) if is_live else None

    def __enter__(self) -> StudyView:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def on_event(self, run_id: str, event: StepEvent | Notice) -> None:
        if isinstance(event, Notice):
            self._warn(run_id, event.message)
            return
        row = self._rows[run_id]
        if row.started is None:
            row.started, row.state, row.first_step = time.monotonic(), "running", event.step
        row.step, row.event = event.step, event
        if event.is_eval and not self._live:
            self._console.print(self._line(row), soft_wrap=True)

    def on_end(self, run_id: str, result: Result | None, error: str | None) -> None:
        row = self._rows[run_id]
        row.state = "failed" if error else (result.outcome if result else "stopped")
        if error:
            self._console.print(f"{row.label} failed: {error}", style="red", soft_wrap=True)
        elif result and not self._live:
            self._console.print(
                f"{row.label}: {_describe_end(row, result)}, {format_duration(result.duration_s)}",
                soft_wrap=True,
            )

    def on_mirrored(self, run_id: str, error: str | None) -> None:
        if error:
            self._warn(run_id, f"its mirror is left out: {error}")
        else:
            self._console.print(f"{self._labels[run_id]}: mirrored from its record", soft_wrap=True)

    def _warn(self, run_id: str, message: str) -> None:
        self._console.print(f"{self._labels[run_id]}: {message}", style="yellow")

    def _line(self, row: RunRow) -> str:
        event = row.event
        assert event is not None
        parts = [f"{row.label}: step {row.step:,} of {row.steps_asked}"]
        if event.train_loss is not None:
            parts.append(f"loss {format_loss(event.train_loss)}")
        parts.append(f"val loss {format_loss(event.val_loss)}")
        if event.tokens_per_sec is not None:
            parts.append(f"{event.tokens_per_sec:,.0f} tokens/s")
        if row.step < row.last_step and (left := row.seconds_left()) is not None:
            parts.append(f"{format_duration(left)} left")
        return ", ".join(parts)

    def _table(self) -> Table:
        table = make_table(self._console)
        # The only column that gives way: the cells' texts are cut, and numbers are not.
        table.add_column("arm")
        table.add_column("progress", width=self._bar, no_wrap=True)
        for name in ("step", "loss", "val loss", "lr", "tokens/s", "left"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in self._rows.values():
            table.add_row(*self._cells(row))
        return table

    def _cells(self, row: RunRow) -> list[Any]:
        event = row.event
        bar = ProgressBar(
            total=max(1, row.last_step),
            completed=row.step if row.last_step else int(row.state != "waiting"),
            width=self._bar,
        )
        finishing = row.state == "running" and 0 < row.max_steps <= row.step
        left = "evaluating" if finishing else row.state
        if row.state == "running" and not finishing:
            left = format_duration(row.seconds_left())
        label = Text(row.label, no_wrap=True, overflow="ellipsis")
        if event is None:
            return [label, bar, row.steps_asked, "", "", "", "", left]
        speed = f"{event.tokens_per_sec:,.0f}" if event.tokens_per_sec is not None else "–"
        return [
            label,
            bar,
            f"{row.step:,}/{row.steps_asked}",
            format_loss(event.train_loss),
            format_loss(event.val_loss),
            format_lr(event.lr),
            speed,
            left,
        ]


def _describe_end(row: RunRow, result: Result) -> str:
    """How a run ended and at which loss; one that did not complete has no final val loss."""
    said = f"stopped {result.outcome_detail}" if result.outcome == STOPPED else f"{row.state}, {result.outcome_detail}"
    if "final_val_loss" in list_unsaid(result.outcome, result.last_step, row.max_steps):
        return f"{said}, train loss {format_loss(result.final_train_loss)}"
    return f"{said}, val loss {format_loss(result.final_val_loss)}"
