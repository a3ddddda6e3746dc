"""What a page says of its studies besides their numbers: facts, shared config, how many runs, what flags mean."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from gptexp.claims.lesson_model import NETWORK, find_differences, read_field
from gptexp.comparisons.texts import name_corpora
from gptexp.measures.curves import count_epochs
from gptexp.report.provenance import HIDDEN, show_setting, spell_configs
from gptexp.runs.study_runs import StudyRuns
from gptexp.training.flags import FLAG_RULES
from gptexp.wording import count_things, join_words, write_count, write_number

SEEN_IN_SIZE = ("n_layer", "n_head", "n_embd", "block_size", "vocab_size", "bias")
"""Config fields whose difference the number of parameters stands for."""
IN_LEAD = {"another tokenizer": " in other tokens", "another corpus": " on another text"}


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


def name_model(study: StudyRuns) -> str:
    """`A model of 0.81M parameters in other tokens, not the lesson's of 124M: `, the beginning of a sentence; empty
    where it is the lesson's model and text, but for what the arms differ in.
    """
    firsts = {arm.name: {str(name): value for name, value in arm.runs.iloc[0].items()} for arm in study.arms}
    values = {one.field: [read_field(row, one.field) for row in firsts.values()] for one in NETWORK}
    varied = [name for name, found in values.items() if len(set(found)) > 1]
    arms = [(arm.runs, {name: read_field(firsts[arm.name], name) for name in varied}) for arm in study.arms]
    lesson = find_differences(arms, None).network
    if not lesson:
        return ""
    others = [IN_LEAD.get(one, f" with {one}") for one in lesson if not one.startswith(SEEN_IN_SIZE)]
    sizes = sorted(study.runs["n_params"].dropna().unique()) if "n_params" in study.runs else []
    if len(others) < len(lesson) and sizes:
        millions = " to ".join(dict.fromkeys(write_number(size / 1e6, 2) for size in (sizes[0], sizes[-1])))
        return f"A model of {millions}M parameters{join_words(others)}, not the lesson's of 124M: "
    return f"Not quite the lesson's model ({join_words(list(lesson))}): "


def list_shared_config(study: StudyRuns) -> tuple[tuple[str, str], ...]:
    """(field, value) of every config field that has the same value in all runs."""
    first, *others = spell_configs(study.runs)
    same = [name for name in first if name not in HIDDEN and all(one[name] == first[name] for one in others)]
    return tuple((name, show_setting(first[name])) for name in sorted(same))


def summarize(studies: Sequence[StudyRuns], n_runs: int) -> str:
    """`5 studies in chapters, the last run of them finished 2026-11-24 10:11 UTC; 196 runs behind the page.`"""
    ends = [str(end) for study in studies for end in study.runs["finished_at"].dropna()]
    last = f", the last run of them finished {max(ends)[:16].replace('T', ' ')} UTC" if ends else ""
    n_studies = count_things(len({study.name for study in studies}), "study")
    return f"{n_studies} in chapters{last}; {count_things(n_runs, 'run')} behind the page."


def list_flag_rules(studies: Sequence[StudyRuns]) -> tuple[tuple[str, str], ...]:
    """(flag, its rule in words) of the flags that some run has."""
    flags = {flag for study in studies for text in study.runs["flags"] for flag in str(text).split(",")}
    return tuple((flag, rule) for flag, rule in FLAG_RULES.items() if flag in flags)


def name_changes(study: StudyRuns) -> str:
    """What sets this variant of the study apart; empty for the study as written."""
    return study.key.partition(" ")[2]


def _list_texts(column: pd.Series) -> str:
    return " / ".join(sorted({str(value) for value in column.dropna()})) or "unknown"
