"""What a plan warns of: what can't be compared, what decides nothing, and what makes its times longer."""

from __future__ import annotations

from collections.abc import Sequence

from gptexp.config import RunConfig
from gptexp.studies.estimate import MOST_WAITED, find_waited
from gptexp.studies.initial import find_weights
from gptexp.studies.plan import PlannedRun
from gptexp.studies.request import StudyRequest
from gptexp.studies.twins import note_alike, note_idle
from gptexp.text import spell_name
from gptexp.tracking.origin import FORK


def note_busy() -> str:
    """That other programs ran while steps were timed; empty where none did."""
    waited = find_waited()
    if waited <= MOST_WAITED:
        return ""
    return (
        f"other programs run on this machine: the steps that were timed for this plan waited for a core "
        f"{waited:.0%} of the time; without those programs the runs take less"
    )


def note_threads(configs: Sequence[RunConfig], workers: int, cores: int) -> str:
    """That runs at once have more threads than there are cores, and wait for each other; empty where they fit."""
    threads = max(config.n_threads for config in configs)
    at_once = min(workers, len(configs))
    if any(config.device != "cpu" for config in configs) or at_once * threads <= cores:
        return ""
    better = max(1, cores // at_once)
    fewer = f" --jobs {cores // better}" if at_once > cores else ""
    return (
        f"{at_once} at once with {threads} thread{'s' * (threads > 1)} each share {cores} core{'s' * (cores > 1)} and "
        f"wait for each other; faster is --set threads={better}{fewer}"
    )


def note_plan(items: Sequence[PlannedRun]) -> list[str]:
    """What a reader should know of a study before it runs: what can't be compared in it, and what decides nothing."""
    request, runs = items[0].request, [(item.arm, item.run) for item in items]
    if any(item.run.content.get(FORK) for item in items):
        # A fork's config is its parent's with what it changes, not that of its scale.
        return []
    notes = note_weights(request)
    notes += note_idle(request, runs) + note_alike(request, runs)
    if len({name_tokens(item) for item in items}) > 1:
        notes.append(
            "the arms learn from different texts or tokens, so that their losses can't be held against each other; "
            "bits per byte can, where the text is the same"
        )
    elif len({(item.run.config.eval_windows, item.run.config.block_size) for item in items}) > 1:
        notes.append(
            "the arms are evaluated on different val windows, since eval_steps or block_size differ: their lowest val "
            "losses are not over the same text, those at the end are where final_eval=whole"
        )
    seeds = {item.arm.name: frozenset(item.request.seed_values(item.arm)) for item in items}
    if len(set(seeds.values())) > 1:
        notes.append(
            "the arms have seeds of their own: only runs of the same seed are paired, the others also differ by the "
            "luck of their weights and batches"
        )
    return notes


def note_weights(request: StudyRequest) -> list[str]:
    """A sentence for each folder of weights that arms start from."""
    starting: dict[str, list[str]] = {}
    for arm in request.arms:
        if (weights := find_weights(request, arm)) is not None:
            starting.setdefault(f"{spell_name(weights.folder)} ({weights.name})", []).append(repr(arm.name))
    return [
        f"the runs of {', '.join(names)} start from the weights in {place} and have their shape; seeds decide the "
        f"batches alone"
        for place, names in starting.items()
    ]


def name_tokens(item: PlannedRun) -> tuple[str, str]:
    """What tells the tokens of a run: its text, and the tokenizer."""
    return str(item.run.content["corpus"]["checksum"]), item.run.config.tokenizer
