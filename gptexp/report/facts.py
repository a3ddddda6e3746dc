"""What a page says of its studies besides their numbers: facts, shared config, how many runs, what flags mean."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from gptexp.comparisons.texts import name_corpora
from gptexp.measures.curves import count_epochs
from gptexp.report.provenance import HIDDEN, find_common_config, show_setting, spell_configs
from gptexp.runs.study_runs import StudyRuns
from gptexp.training.flags import FLAG_RULES
from gptexp.wording import count_things, write_count, write_number


def list_facts(study: StudyRuns) -> tuple[tuple[str, str], ...]:
    """What a reader needs to place the numbers: scale, corpus, passes over it, seeds, runs, size, machine."""
    runs = study.runs
    facts = [("scale", study.scale)]
    if study.variant != "{}":
        facts.append(("changed", name_changes(study)))
    names = " / ".join(sorted(name_corpora(runs).values())) if runs["corpus_name"].notna().any() else "unknown"
    fallback = " (stand-in)" if runs["corpus_fallback"].any() else ""
    tokens = runs["train_tokens"].dropna().unique()
    size = f", {write_count(tokens[0])} train tokens" if len(tokens) == 1 else ""
    facts.append(("corpus", f"{names}{fallback}{size}"))
    epochs = [count_epochs(seen, size) for seen, size in zip(runs["tokens_seen"], runs["train_tokens"], strict=True)]
    highest = pd.Series(epochs).max()
    if not study.is_untrained and highest == highest:
        facts.append(("epochs", write_number(highest, 2)))
    facts.append(("seeds", ", ".join(str(seed) for seed in study.seeds)))
    facts.append(("runs", str(len(study.run_ids))))
    sizes = runs["n_params"].dropna().unique()
    if len(sizes):
        facts.append(("parameters", " / ".join(write_count(size) for size in sorted(sizes))))
    facts.append(("computed on", f"{_list_texts(runs['device'])}, {_list_texts(runs['precision'])}"))
    return tuple(facts)


def list_shared_config(study: StudyRuns) -> tuple[tuple[str, str], ...]:
    """(field, value) of every config field that has the same value in all runs."""
    common = find_common_config(spell_configs(study.runs))
    same = [name for name in common if name not in HIDDEN and study.runs[name].astype(str).nunique() == 1]
    return tuple((name, show_setting(common[name])) for name in sorted(same))


def summarize(studies: Sequence[StudyRuns], n_runs: int) -> str:
    """`5 studies, 196 runs, the last finished 2026-11-24 10:11 UTC.`"""
    ends = [str(end) for study in studies for end in study.runs["finished_at"].dropna()]
    last = f", the last finished {max(ends)[:16].replace('T', ' ')} UTC" if ends else ""
    return f"{count_things(len({study.name for study in studies}), 'study')}, {count_things(n_runs, 'run')}{last}."


def list_flag_rules(studies: Sequence[StudyRuns]) -> tuple[tuple[str, str], ...]:
    """(flag, its rule in words) of the flags that some run has."""
    flags = {flag for study in studies for text in study.runs["flags"] for flag in str(text).split(",")}
    return tuple((flag, rule) for flag, rule in FLAG_RULES.items() if flag in flags)


def name_changes(study: StudyRuns) -> str:
    """What sets this variant of the study apart; empty for the study as written."""
    return study.key.partition(" ")[2]


def _list_texts(column: pd.Series) -> str:
    return " / ".join(sorted({str(value) for value in column.dropna()})) or "unknown"
