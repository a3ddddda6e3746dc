"""Sentences that state what a study found, in numbers taken from its frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from gptexp.comparisons.cautions import find_cautions
from gptexp.comparisons.differences import NOT_TOLD_APART, judge_all, read_losses
from gptexp.comparisons.read import read_so_far
from gptexp.comparisons.stats import compare_paired
from gptexp.comparisons.summary import SharedMeans, average_shared, find_common_step, summarize_arms
from gptexp.comparisons.texts import group_by_tokens, name_tokens
from gptexp.comparisons.validity import find_limits
from gptexp.measures.catalog import MEASURES
from gptexp.report.effects import note_differences
from gptexp.report.facts import name_model
from gptexp.report.figures.initial_loss import tabulate_initial_losses
from gptexp.report.units import find_unit
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.training.flags import ABOVE_BIGRAM, FLAG_RULES, LEARNED_LITTLE, OVERFIT_RISE
from gptexp.wording import count_things, join_words, write_count, write_gap, write_loss

TOLD_BY_THEMSELVES = ("overfit", ABOVE_BIGRAM)
"""Flags that have a sentence of their own."""
MOST_NAMED = 6
"""Arms that the headline names; of more it names the lowest."""


@dataclass(frozen=True)
class Finding:
    """One sentence, and how loudly to say it."""

    text: str
    kind: Literal["limit", "warning", "headline", "note"]


def state_findings(study: StudyRuns, beside: Sequence[StudyRuns] = ()) -> list[Finding]:
    """What the page says over an instance: what it can't show, then warnings, then the headline, then notes.

    Args:
        beside: the other instances that the page may show.
    """
    summary = summarize_arms(study)
    headline = _compare_initial(study) if study.is_untrained else _compare_ends(study, summary)
    notes = [*_note_training(study, summary), *note_differences(study), *_note_seeds(study)]
    return [
        *(Finding(text, "limit") for text in find_limits(study)),
        *(Finding(text, "warning") for text in [*_warn(study, summary), *find_cautions(study, beside)]),
        *([Finding(name_model(study) + headline, "headline")] if headline else []),
        *(Finding(text, "note") for text in notes),
    ]


def _warn(study: StudyRuns, summary: pd.DataFrame) -> list[str]:
    """What makes the study say less than it seems to."""
    texts = []
    runs = study.runs
    if runs["corpus_fallback"].any():
        names = join_words(sorted({str(name) for name in runs.loc[runs["corpus_fallback"], "corpus_name"]}))
        texts.append(
            f"These runs trained on {names}, the stand-in for a corpus that could not be had: their losses can't be "
            "compared with those on TinyShakespeare."
        )
    if study.waiting:
        texts.append(f"{count_things(len(study.waiting), 'run')} not begun: {'; '.join(study.waiting)}.")
    stopped = int(summary["stopped"].sum())
    if stopped:
        places = join_words(sorted({place for place in summary["stopped_steps"] if place}))
        all_runs = count_things(int(summary["n_runs"].sum()), "run")
        texts.append(f"{stopped} of {all_runs} stopped as asked, at step {places}: how they end is not known yet.")
    for outcome, word in (("unfinished", "not finished"), ("interrupted", "interrupted"), ("failed", "failed")):
        count = int(summary[outcome].sum())
        if count:
            total = int(summary["n_runs"].sum())
            texts.append(f"{count} of {count_things(total, 'run')} {word}: the comparison is not complete.")
    return texts


def _compare_ends(study: StudyRuns, summary: pd.DataFrame) -> str:
    """`warmup + cosine ends lowest, at val loss 6.085. Behind it: constant 6e-4 at 6.118 (+0.033, not told apart).`

    Of arms on different texts each text has its own lowest: `On a.txt, warmup + cosine ends lowest, ...`.
    """
    column, name = "final_val_loss", "val loss"
    if not summary["final_val_loss_mean"].notna().any():
        column, name = "final_train_loss", "train loss"
    groups = group_by_tokens(study.arms)
    parts = [] if summary["completed"].any() else _compare_on_the_way(study)
    for group in groups:
        ends = average_shared(group, column)
        ranked = summary[summary["arm"].isin(ends.means)]
        ranked = ranked.assign(end=ranked["arm"].map(ends.means))
        found = _rank(study, ranked.sort_values("end", kind="stable"), name, _name_seeds(ends))
        place = f"on {name_tokens(group, study)}, " if len(groups) > 1 else ""
        parts += [place + text for text in found]
        unknown = [arm.label for arm in group if arm.name not in set(ranked["arm"]) and not _all_diverged(arm)]
        if found and unknown:
            parts.append(f"{join_words(unknown)} {'has' if len(unknown) == 1 else 'have'} no final {name}")
    for _, row in summary[summary["diverged"] > 0].iterrows():
        where = f" at step {row['diverged_steps']}" if row["diverged_steps"] else ""
        count = f" in {row['diverged']} of {count_things(row['n_runs'], 'run')}" if row["n_runs"] > 1 else ""
        parts.append(f"{row['label']} diverged{where}{count}")
    text = "; ".join(parts)
    return f"{text[0].upper() if len(groups) > 1 else text[0]}{text[1:]}." if parts else ""


def _name_seeds(ends: SharedMeans) -> str:
    """` (over the 3 seeds that all have)`; empty where every arm has the same seeds."""
    if not ends.has_others:
        return ""
    return f" (over the {count_things(ends.n_seeds, 'seed')} that all have)" if ends.n_seeds else " (over other seeds)"


def _all_diverged(arm: ArmRuns) -> bool:
    return arm.count_outcome("diverged") == len(arm.run_ids)


def _compare_on_the_way(study: StudyRuns) -> list[str]:
    """`At step 600, the last that all runs got to, constant 6e-4 has train loss 5.5 and ...`: of runs that were stopped
    before their ends, on the same text; nothing where none was.
    """
    step = find_common_step(study)
    if step is None or len(group_by_tokens(study.arms)) > 1:
        return []
    losses = []
    for arm in study.arms:
        found = read_so_far(study, arm, MEASURES["train_loss"], step).values()
        finite = [loss for loss in found if math.isfinite(loss)]
        if finite:
            losses.append((sum(finite) / len(finite), arm.label))
    if not losses:
        return []
    named = [f"{label} at {write_loss(loss)}" for loss, label in sorted(losses)[:MOST_NAMED]]
    rest = f", {len(losses) - MOST_NAMED} others above" if len(losses) > MOST_NAMED else ""
    every = "the last that all runs got to, " if len(study.run_ids) > 1 else ""
    return [f"At step {write_count(step)}, {every}the train loss is: {', '.join(named)}{rest}"]


def _rank(study: StudyRuns, ranked: pd.DataFrame, name: str, seeds: str) -> list[str]:
    """The lowest of these arms and how far the others end above it; nothing where there is none.

    Args:
        ranked: rows of the summary, with the number that they are ranked by in `end`.
        seeds: which seeds that number is over, if it has to be said.
    """
    if ranked.empty:
        return []
    best = ranked.iloc[0]
    if len(ranked) == 1:
        return [f"{best['label']} ends at {name} {write_loss(best['end'])} after {_steps(best)}"]
    leads = _write_leads(study, ranked)
    named = ranked.iloc[1 : MOST_NAMED if len(ranked) > MOST_NAMED else None]
    rest = [f"{row['label']} at {write_loss(row['end'])} ({leads[row['arm']]})" for _, row in named.iterrows()]
    if len(ranked) > MOST_NAMED:
        highest = write_loss(ranked.iloc[-1]["end"])
        rest.append(f"the other {len(ranked) - MOST_NAMED} above that, up to {highest}")
    return [f"{best['label']} ends lowest, at {name} {write_loss(best['end'])}{seeds}. Behind it: {'; '.join(rest)}"]


def _write_leads(study: StudyRuns, ranked: pd.DataFrame) -> dict[str, str]:
    """Arm -> how far it ends above the lowest; of several seeds also whether their pairs tell the two apart."""
    best, others = ranked.iloc[0], ranked.iloc[1:]
    losses = {arm.name: read_losses(arm) for arm in study.arms}
    pairs = [compare_paired(losses[name], losses[best["arm"]]) for name in others["arm"]]
    found = {}
    for (_, row), paired, (word, _) in zip(others.iterrows(), pairs, judge_all(pairs), strict=True):
        gap = write_gap(row["end"] - best["end"])
        several = paired is not None and paired.interval.n > 1
        found[str(row["arm"])] = f"{gap}, {NOT_TOLD_APART}" if several and word == NOT_TOLD_APART else gap
    return found


def _compare_initial(study: StudyRuns) -> str:
    """`GPT-2 init starts at 10.903 (predicted 10.902); ...`"""
    data = tabulate_initial_losses(study)
    parts = []
    for arm in study.arms:
        rows = data[(data["arm"] == arm.name) & data["initial_val_loss"].notna()]
        if rows.empty:
            continue
        predicted = rows["predicted"].iloc[0]
        text = f"{arm.label} starts at {write_loss(rows['initial_val_loss'].mean())}"
        parts.append(text + ("" if math.isnan(predicted) else f" (predicted {write_loss(predicted)})"))
    return f"{'; '.join(parts)} {find_unit(study.runs, 'val').nats}." if parts else ""


def _note_training(study: StudyRuns, summary: pd.DataFrame) -> list[str]:
    if study.is_untrained:
        return []
    texts = []
    total = int(summary["n_runs"].sum())
    if not summary["diverged"].any() and total and summary["completed"].sum() == total:
        texts.append("The run did not diverge." if total == 1 else f"None of the {total} runs diverged.")
    for _, row in summary.iterrows():
        if row["rise"] > OVERFIT_RISE * row["best_val_loss_mean"]:
            first, last = (write_count(row[f"best_val_step_{end}"]) for end in ("min", "max"))
            place = f"step {first}" if first == last else f"steps {first} to {last}, by seed,"
            lowest = write_loss(row["best_val_loss_mean"])
            texts.append(
                f"{row['label']}: val loss was lowest, {lowest}, at {place} and then rose by {write_loss(row['rise'])}."
            )
    epochs = summary["epochs"].dropna()
    if len(epochs) and epochs.max() >= 1:
        low, high = (MEASURES["epochs"].write(value) for value in (epochs.min(), epochs.max()))
        times = f"{high} times" if low == high else f"{low} to {high} times, by arm,"
        texts.append(f"Every training token was seen {times} on average.")
    return texts + _note_flags(study) + _note_milestones(study)


def _note_flags(study: StudyRuns) -> list[str]:
    """Spikes, plateaus and rises: in words for a single run, counted for several."""
    texts = []
    for arm in study.arms:
        notes = str(arm.runs["flag_notes"].iloc[0]).split(", ")
        notes = [note for note in notes if not note.startswith(("overfit", LEARNED_LITTLE))]
        if len(arm.run_ids) > 1:
            counts = {flag: sum(flag in str(flags).split(",") for flags in arm.runs["flags"]) for flag in FLAG_RULES}
            told = {flag: count for flag, count in counts.items() if count and flag not in TOLD_BY_THEMSELVES}
            notes = [f"{flag} in {count} of {len(arm.run_ids)} runs" for flag, count in told.items()]
        if any(notes):
            texts.append(f"{arm.label} {join_words(notes)}")
    return [f"{'; '.join(texts)}."] if texts else []


def _note_milestones(study: StudyRuns) -> list[str]:
    """When the train loss first fell under each threshold, for arms that kept samples there."""
    texts = []
    for arm in study.arms:
        rows = study.samples[(study.samples["arm"] == arm.name) & (study.samples["trigger"] == "loss")]
        rows = rows[rows["seed"] == rows["seed"].min()].sort_values("step", kind="stable")
        if len(rows):
            unit = find_unit(arm.runs, "train")
            falls = [
                f"{row['threshold']:g}{unit.write_lesson_loss(row['threshold'])} at step {write_count(row['step'])}"
                for _, row in rows.iterrows()
            ]
            said = f", in {unit.nats}," if unit.noun == "character" else ""
            texts.append(f"{arm.label}: train loss{said} first under {join_words(falls)}.")
    return texts


def _note_seeds(study: StudyRuns) -> list[str]:
    seeds = study.seeds
    if len(seeds) == 1:
        return []
    if study.is_untrained:
        return [f"{count_things(len(seeds), 'seed')}: ranges go from the lowest to the highest seed."]
    return [f"{count_things(len(seeds), 'seed')}, paired: intervals are those of the mean over seeds, at 95%."]


def _steps(row: pd.Series) -> str:
    return count_things(int(row["last_step"]), "step") if math.isfinite(row["last_step"]) else "its last step"
