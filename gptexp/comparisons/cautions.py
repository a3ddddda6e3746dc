"""What a reader has to keep in mind about a study that does show something: how it was trained, and with how little."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gptexp.comparisons.factors import count_warmup, read_config
from gptexp.measures.catalog import MEASURES
from gptexp.measures.from_log import fit_late_fall
from gptexp.runs.run_records import RunRecords, list_runs_of
from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.wording import ONE_SEED, count_things, join_words, write_loss, write_number, write_percent

NEARLY_ALWAYS = 0.5
"""Share of steps from which on clipping is part of every step rather than a guard against rare ones."""
STILL_FALLING = 0.02
"""A loss still falls where another tenth of the steps would take it down by more nats than this, about what arms differ
by."""


def find_cautions(study: StudyRuns, beside: Sequence[StudyRuns] = ()) -> list[str]:
    """One sentence for each: one seed, less than one pass over the text, trainings that failed, a loss that still falls
    at the end, clipping that fires nearly always, and clipping of every run that has no warmup.

    Args:
        beside: the other studies of the page, which may share what can't be told apart here.
    """
    found = [_one_seed(study)]
    if not study.is_untrained:
        found += [
            _under_one_pass(study),
            *_ended_above_bigram(study),
            _still_falling(study),
            _clipped_nearly_always(study),
            _clipped_where_cold(study, beside),
        ]
    return [sentence for sentence in found if sentence is not None]


def _one_seed(study: StudyRuns) -> str | None:
    return ONE_SEED if len(study.seeds) == 1 else None


def _under_one_pass(study: StudyRuns) -> str | None:
    measure = MEASURES["epochs"]
    epochs = [measure.of(run) for arm in study.arms for run in list_runs_of(study, arm) if run.is_over]
    highest = max((value for value in epochs if not math.isnan(value)), default=math.nan)
    if not highest < 1:
        return None
    return (
        f"No run read as many tokens as the train split has ({write_number(highest, 2)} epochs at most): what comes "
        f"with later passes over the text, overfitting above all, can't show here."
    )


def _ended_above_bigram(study: StudyRuns) -> list[str]:
    """The arms of which a run failed; and that nobody knows, where the records lack the bigram loss."""
    failed: dict[float, list[str]] = {}
    unknown = set()
    for arm in study.arms:
        ended = [run for run in list_runs_of(study, arm) if run.has_all_steps and not math.isnan(read_end(run))]
        unknown |= {run.run_id for run in ended if math.isnan(run.number("bigram_loss"))}
        above = [run for run in ended if read_end(run) > run.number("bigram_loss")]
        for bigram in sorted({run.number("bigram_loss") for run in above}):
            own = [run for run in above if run.number("bigram_loss") == bigram]
            failed.setdefault(bigram, []).append(_describe_failed(arm, own, bigram))
    texts = [
        f"A training that ends above the bigram loss, {write_loss(bigram)} here, has failed, even if every number is "
        f"finite: {'; '.join(parts)}."
        for bigram, parts in failed.items()
    ]
    if unknown:
        texts.append(
            f"The records of {count_things(len(unknown), 'run')} don't say what a bigram model reaches on their text: "
            f"whether a training failed, ending above that, is not known."
        )
    return texts


def read_end(run: RunRecords) -> float:
    """The val loss at the end: over the whole split, or on the fixed subset of a run that was cut off after its last
    step; NaN where it was not measured.
    """
    whole = run.number("final_val_loss")
    last = run.evals[run.evals["step"] == run.last_step]
    return whole if not math.isnan(whole) or last.empty else float(last["val_loss"].iloc[-1])


def _describe_failed(arm: ArmRuns, failed: Sequence[RunRecords], bigram: float) -> str:
    """`constant 1e-5 (2 of 2 runs, up to 2.702; not under it at any evaluation, lowest 2.697)`"""
    best = min(run.number("best_val_loss") for run in failed)
    under = "not under it at any evaluation, lowest" if best > bigram else "lowest"
    after = "" if math.isnan(best) else f"; {under} {write_loss(best)}"
    most = write_loss(max(read_end(run) for run in failed))
    return f"{arm.label} ({len(failed)} of {count_things(len(arm.run_ids), 'run')}, at {most}{after})"


def _still_falling(study: StudyRuns) -> str | None:
    """Of the arms whose mean fall is more than twice its standard error, and large enough to matter."""
    falls = []
    for arm in study.arms:
        runs = [run for run in list_runs_of(study, arm) if run.outcome == "completed"]
        lines = [line for run in runs if (line := fit_late_fall(run)) is not None]
        if not lines:
            continue
        fall = sum(line[0] for line in lines) / len(lines)
        error = math.sqrt(sum(line[1] ** 2 for line in lines)) / len(lines)
        steps = max(run.last_step for run in runs)
        if fall > 2 * error and fall * steps / 1000 > STILL_FALLING:
            falls.append((fall, arm.label))
    if not falls:
        return None
    fall, label = max(falls)
    who = f"in {label}" if len(falls) == 1 else f"in {len(falls)} of {len(study.arms)} arms, most in {label}"
    return (
        f"The train loss still falls at the end {who}, by {write_number(fall, 2)} nats per 100 steps (a line through "
        f"the last fifth of the steps): how the arms would end after more steps is not known."
    )


def _clipped_nearly_always(study: StudyRuns) -> str | None:
    shares = {arm.label: float(arm.runs["clipped_fraction"].astype(float).mean()) for arm in study.arms}
    often = {label: share for label, share in shares.items() if share >= NEARLY_ALWAYS}
    if not often:
        return None
    low, high = write_percent(min(often.values())), write_percent(max(often.values()))
    span = low if low == high else f"{low} to {high}"
    who = next(iter(often)) if len(often) == 1 else f"{len(often)} of {len(shares)} arms"
    return (
        f"Clipping fires in {span} of the steps of {who}: there it is no guard against rare spikes, it sets the length "
        f"of nearly every gradient."
    )


def _clipped_where_cold(study: StudyRuns, beside: Sequence[StudyRuns]) -> str | None:
    """Of a study of warmup: what it shows of it is shown with clipping alone."""
    if not _confounds_warmup(study):
        return None
    shared = list(
        dict.fromkeys(other.name for other in beside if other.name != study.name and _confounds_warmup(other))
    )
    seen = list(dict.fromkeys(other.name for other in beside if _crosses_warmup(other)))
    also = f", and so it is in {join_words(shared)}" if shared else ""
    where = f"shows in {join_words(seen)}" if seen else "is not seen"
    return (
        f"Every run without warmup is clipped here{also}: what a missing warmup does without clipping, which may hold "
        f"back the very spikes that a warmup prevents, {where}."
    )


def _crosses_warmup(study: StudyRuns) -> bool:
    """Whether it has runs without clipping both with and without warmup."""
    if study.is_untrained:
        return False
    configs = [read_config(arm) for arm in study.arms]
    return len({bool(count_warmup(config)) for config in configs if config.grad_clip is None}) > 1


def _confounds_warmup(study: StudyRuns) -> bool:
    """Whether runs with and without warmup are compared, and clipping acted on those without in all their arms."""
    if study.is_untrained:
        return False
    configs = [(arm, read_config(arm)) for arm in study.arms]
    cold = [(arm, config) for arm, config in configs if not count_warmup(config)]
    if not cold or len(cold) == len(configs) or any(config.grad_clip is None for _, config in cold):
        return False
    return all(float(arm.runs["clipped_fraction"].astype(float).max()) > 0 for arm, _ in cold)
