"""What a lesson shows besides studies: code from its source, one sentence traced, one thing measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gptexp.data.tokenizer import load_gpt2_tokenizer
from gptexp.data.trace import trace_text
from gptexp.errors import GptexpError, did_you_mean
from gptexp.report.code import compare_functions
from gptexp.report.declare import Exhibit
from gptexp.report.loaders import NotMeasured, draw_estimates, measure_loaders
from gptexp.report.parts import Part
from gptexp.report.tables import Cell, Column, Table
from gptexp.runs.study_runs import StudyRuns

SENTENCE = "The cat sat on the mat"


@dataclass(frozen=True)
class Shown:
    """The parts of an exhibit, and what the reader should know is missing."""

    parts: tuple[Part, ...]
    note: str = ""
    study_key: str = ""
    """The key of the study instance that was measured."""


def make_exhibit(exhibit: Exhibit, studies: Mapping[str, StudyRuns], runs_dir: Path | None) -> Shown:
    """The parts of an exhibit.

    Raises:
        GptexpError: a name that no exhibit has.
    """
    if exhibit.name not in EXHIBITS:
        raise GptexpError(f"{exhibit.name!r} is no exhibit of a report{did_you_mean(exhibit.name, EXHIBITS)}")
    return EXHIBITS[exhibit.name](exhibit, studies, runs_dir)


def _show_loops(exhibit: Exhibit, _: Mapping[str, StudyRuns], __: Path | None) -> Shown:
    sides = (
        ("The loop you know", "lesson/mnist_loop.py", "train_classifier"),
        ("The GPT loop", "lesson/gpt_loop.py", "train_gpt"),
    )
    return Shown((compare_functions("loops", exhibit.title, exhibit.text, sides, align=True),))


def _show_schedules(exhibit: Exhibit, _: Mapping[str, StudyRuns], __: Path | None) -> Shown:
    sides = (
        ("By hand", "training/schedule.py", "learning_rate"),
        ("With torch.optim.lr_scheduler", "training/torch_scheduler.py", "torch_scheduler"),
    )
    return Shown((compare_functions("schedules-in-code", exhibit.title, exhibit.text, sides, align=False),))


def _show_trace(exhibit: Exhibit, _: Mapping[str, StudyRuns], __: Path | None) -> Shown:
    trace = trace_text(SENTENCE, load_gpt2_tokenizer())
    shown = [token.replace(" ", "·") for token in trace.tokens]
    rows, records = [], []
    for position, (context, target) in enumerate(trace.pairs, 1):
        given, wanted = "".join(shown[:position]), shown[position]
        rows.append((Cell(str(position), position), Cell(given, given), Cell(wanted, wanted)))
        records.append([position, "".join(context), target, trace.ids[position - 1], trace.ids[position]])
    columns = (
        Column("position"),
        Column("the model has seen", numeric=False),
        Column("and must predict", numeric=False),
    )
    data = pd.DataFrame(records, columns=["position", "context", "target", "input_id", "target_id"])
    caption = (
        f"“{SENTENCE}” is {len(trace.ids)} tokens and {len(trace.pairs)} predictions, all trained in one forward pass. "
        "The input is every token but the last, the target every token but the first; · is a space, which belongs to "
        f"the token behind it. {exhibit.text}"
    )
    return Shown((Table("trace", exhibit.title, caption.strip(), columns, tuple(rows), data, ()),))


def _show_loaders(exhibit: Exhibit, studies: Mapping[str, StudyRuns], runs_dir: Path | None) -> Shown:
    sides = (
        ("Wrong: a new iterator for every batch", "lesson/val_loss.py", "estimate_wrong"),
        ("Right: one iterator, batch after batch", "lesson/val_loss.py", "estimate_right"),
    )
    code = compare_functions("val-loss-loops", exhibit.title, exhibit.text, sides, align=True)
    study = studies.get(exhibit.study)
    if study is None:
        return Shown((code,), f"What the two report is measured from a run of `{exhibit.study}`, and there is none.")
    try:
        estimates = measure_loaders(study, runs_dir)
    except NotMeasured as reason:
        return Shown((code,), f"What the two report could not be measured: {reason}.")
    return Shown((code, draw_estimates(study, estimates)), study_key=study.key)


EXHIBITS: dict[str, Callable[[Exhibit, Mapping[str, StudyRuns], Path | None], Shown]] = {
    "loops": _show_loops,
    "trace": _show_trace,
    "schedules": _show_schedules,
    "loaders": _show_loaders,
}
"""The exhibits that a report file can name."""
