"""Texts that models wrote, beside the loss at which they wrote them: chosen, and made safe to show."""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from dataclasses import dataclass

import pandas as pd

from gptexp.measures.curves import perplexity
from gptexp.report.units import Unit, find_unit
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.text import cut_text
from gptexp.wording import count_things, write_count, write_loss, write_number

MOST_SAMPLES = 12
"""Boxes per arm; the CSV holds all."""
MOST_SHOWN = 4_000
"""Characters of a text in its box."""
MOST_KEPT = 20_000
"""Characters of a text in the CSV; `gptexp runs export` has all."""
MOST_OF_PROMPT = 200
"""Characters of a prompt where a sentence names it."""


@dataclass(frozen=True)
class Sample:
    """One text in its box."""

    prompt: str
    """The start of the text that was given, made visible."""
    text: str
    """What the model wrote, made visible."""
    loss: str
    """The train loss at that moment."""
    step: str
    reason: str
    """Why this sample was kept."""
    perplexity: str = ""
    """e^loss, where there is a loss."""
    lesson_loss: str = ""
    """The loss per GPT-2 token, where the run's tokens are others."""
    gauge: int | None = None
    """The loss in percent of the highest of its row."""
    label: str = ""
    """The arm, where the samples of several stand side by side."""
    index: int | None = None


@dataclass(frozen=True)
class SampleRow:
    """The samples of one arm."""

    label: str
    index: int | None
    """Place of the arm; None for a sample that all arms share."""
    samples: tuple[Sample, ...]
    note: str


@dataclass(frozen=True)
class SampleGrid:
    """All samples of an instance that the page shows, and all there are as data."""

    name: str
    title: str
    caption: str
    rows: tuple[SampleRow, ...]
    """What is seen at once: of several arms the last sample of each, of one arm all."""
    earlier: tuple[SampleRow, ...]
    """What is seen on demand."""
    data: pd.DataFrame
    run_ids: tuple[str, ...]


def collect_samples(study: StudyRuns) -> SampleGrid | None:
    """Samples of each arm's first seed that wrote some, by step; None where there are none."""
    if study.samples.empty:
        return None
    rows = [row for arm in study.arms if (row := _collect_arm(arm, study.samples)).samples]
    shown, earlier = (_put_ends_first(rows), tuple(_share_first(rows))) if len(rows) > 1 else (tuple(rows), ())
    prompts = sorted({make_visible(cut_text(str(text), MOST_OF_PROMPT)) for text in study.samples["prompt"].unique()})
    prompt = f"after the prompt “{prompts[0].strip() or '↵'}”" if len(prompts) == 1 else "after its prompt"
    longest = max(len(str(text)) for text in study.samples["text"])
    cut = " Of a very long text the start is shown, and how much more there is; gptexp runs export has all."
    return SampleGrid(
        name="samples",
        title="What the models write",
        caption=f"Each text is what a model wrote {prompt}, with the mean train loss "
        f"({find_unit(study.runs, 'train').nats}) of the 10 steps before. "
        "Characters that would be invisible or steer a terminal are spelled out."
        + (cut if longest > MOST_SHOWN else ""),
        rows=shown,
        earlier=earlier,
        data=study.samples.drop(columns=["prompt", "text"]).assign(
            prompt=[make_visible(cut_text(str(text), MOST_KEPT)) for text in study.samples["prompt"]],
            text=[make_visible(cut_text(str(text), MOST_KEPT)) for text in study.samples["text"]],
        ),
        run_ids=tuple(dict.fromkeys(study.samples["run_id"])),
    )


def make_visible(text: str) -> str:
    """`text` without any character that is invisible, steers a terminal or turns the direction of writing.

    Control characters become their pictures (ESC: ␛), all others of these kinds their code point, `[U+202E]`. Line
    feeds and ordinary spaces stay; a carriage return becomes ␍ and a tab ␉ with a tab behind it.
    """
    return "".join(_show(character) for character in text)


def _show(character: str) -> str:
    code = ord(character)
    if character in "\n ":
        return character
    if character == "\t":
        return "␉\t"
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        return f"[U+{code:04X}]"
    return character


def _collect_arm(arm: ArmRuns, samples: pd.DataFrame) -> SampleRow:
    """The samples of the arm's first seed that wrote some."""
    own = samples[samples["arm"] == arm.name]
    rows = own[own["seed"] == own["seed"].min()].sort_values("step", kind="stable")
    chosen = choose_rows(rows)
    left_out = len(rows) - len(chosen)
    highest = float(chosen["train_loss"].max()) if len(chosen) else math.nan
    return SampleRow(
        label=arm.label,
        index=arm.index,
        samples=tuple(_make_sample(row, highest, find_unit(arm.runs, "train")) for _, row in chosen.iterrows()),
        note=f"{count_things(left_out, 'more sample')} in the CSV." if left_out else "",
    )


def _put_ends_first(rows: list[SampleRow]) -> tuple[SampleRow, ...]:
    """One row with the last sample of every arm."""
    ends = [dataclasses.replace(row.samples[-1], label=row.label, index=row.index) for row in rows]
    return (SampleRow("", None, tuple(ends), ""),)


def _share_first(rows: list[SampleRow]) -> list[SampleRow]:
    """Arms start from the same weights: where all first samples are the same one, it is shown once for all arms."""
    first = {row.samples[0] for row in rows}
    if len(rows) < 2 or len(first) > 1 or any(len(row.samples) < 2 for row in rows):
        return rows
    return [
        SampleRow("every arm, before training", None, (first.pop(),), ""),
        *(dataclasses.replace(row, samples=row.samples[1:]) for row in rows),
    ]


def choose_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """All samples up to `MOST_SAMPLES`; of more, those at milestones first, then spread evenly over the run."""
    if len(rows) <= MOST_SAMPLES:
        return rows
    milestones = [place for place, trigger in enumerate(rows["trigger"]) if trigger in ("loss", "final")]
    chosen = set(milestones[-MOST_SAMPLES:])
    others = [place for place in range(len(rows)) if place not in chosen]
    wanted = MOST_SAMPLES - len(chosen)
    chosen |= {others[round(k * (len(others) - 1) / max(wanted - 1, 1))] for k in range(wanted)}
    return rows.iloc[sorted(chosen)]


def measure_gauge(loss: float, highest: float) -> int | None:
    """A loss in percent of the highest; None where one of them isn't known, or no loss is above 0, as in a text of one
    letter."""
    return round(100 * loss / highest) if highest > 0 and math.isfinite(loss / highest) else None


def _make_sample(row: pd.Series, highest: float, unit: Unit) -> Sample:
    prompt, text = str(row["prompt"]), str(row["text"])
    has_prompt = bool(prompt) and text.startswith(prompt)
    reasons = {"final": "at the end", "interval": "", "initial": ""}
    reason = reasons.get(str(row["trigger"]), str(row["trigger"]))
    if row["trigger"] == "loss":
        reason = "milestone"
        if math.isfinite(row["threshold"]):
            reason = f"first under {row['threshold']:g}{' per character' if unit.noun == 'character' else ''}"
    untrained = math.isnan(row["train_loss"]) and row["step"] == 0
    return Sample(
        prompt=make_visible(cut_text(prompt, MOST_SHOWN)) if has_prompt and prompt.strip() else "",
        text=make_visible(cut_text(text.removeprefix(prompt) if has_prompt else text, MOST_SHOWN)),
        loss="untrained" if untrained else f"loss {write_loss(row['train_loss'])}",
        step=f"step {write_count(row['step'])}",
        perplexity=write_number(perplexity(row["train_loss"])) if math.isfinite(row["train_loss"]) else "",
        lesson_loss=unit.write_lesson_loss(float(row["train_loss"])).strip(" ()"),
        gauge=measure_gauge(float(row["train_loss"]), highest),
        reason=reason,
    )
