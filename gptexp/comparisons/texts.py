"""What the arms of a study learn from. Losses per token can be compared where text and tokens are the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from gptexp.runs.study_runs import ArmRuns, StudyRuns
from gptexp.text import tell_apart

Tokens = frozenset[tuple[str, str]]
"""(checksum of the text, name of the tokenizer) of every run of an arm: one, unless the text changed in between."""


def read_tokens_of(arm: ArmRuns) -> Tokens:
    """What an arm's runs learn from."""
    return frozenset(zip(arm.runs["corpus_checksum"].map(str), arm.runs["tokenizer"].map(str), strict=True))


def have_same_tokens(arms: Iterable[ArmRuns]) -> bool:
    """Whether a loss per token means the same in all these arms."""
    return len({read_tokens_of(arm) for arm in arms}) <= 1


def group_by_tokens(arms: Iterable[ArmRuns]) -> list[tuple[ArmRuns, ...]]:
    """The arms whose losses can be held against each other, group by group, in the order of the study."""
    groups: dict[Tokens, list[ArmRuns]] = {}
    for arm in arms:
        groups.setdefault(read_tokens_of(arm), []).append(arm)
    return [tuple(group) for group in groups.values()]


def name_corpora(runs: pd.DataFrame) -> dict[str, str]:
    """Checksum -> name of every corpus of these runs; of two texts of one name, with the checksum's first digits."""
    return tell_apart(zip(runs["corpus_checksum"].map(str), runs["corpus_name"].map(str), strict=True))


def name_tokens(arms: Sequence[ArmRuns], study: StudyRuns) -> str:
    """`a.txt`, or what else tells the tokens of these arms from others of the instance: `a.txt in gpt2 tokens`."""
    corpora = name_corpora(study.runs)
    every = {pair for arm in study.arms for pair in read_tokens_of(arm)}
    tokenizers = {tokenizer for _, tokenizer in every}
    own = sorted({pair for arm in arms for pair in read_tokens_of(arm)})
    names = [
        f"{corpora[text]} in {tokenizer} tokens" if len(tokenizers) > 1 else corpora[text] for text, tokenizer in own
    ]
    return " / ".join(dict.fromkeys(names))


def describe_texts(study: StudyRuns) -> str | None:
    """A sentence for a study whose arms don't learn from the same tokens, and what can't be read in it; else None."""
    groups = group_by_tokens(study.arms)
    mixed = any(len(read_tokens_of(arm)) > 1 for arm in study.arms)
    if len(groups) < 2 and not mixed:
        return None
    parts = "; ".join(f"{' / '.join(arm.label for arm in group)}: {name_tokens(group, study)}" for group in groups)
    if len(set(study.runs["corpus_checksum"].map(str))) > 1:
        return (
            f"The runs learn from different texts ({parts}): a loss says how hard its text is as much as how well a "
            f"model learned it, in bits per byte too. Only arms on the same text and tokens are compared here."
        )
    return (
        f"The runs read their text in different tokens ({parts}): losses per token can't be compared between them, "
        f"bits per byte can. Differences are shown of arms with the same tokens only."
    )
