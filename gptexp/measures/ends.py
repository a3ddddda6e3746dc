"""Which numbers of a run's result say where it ended, and which are only the last that it got to."""

from __future__ import annotations

from gptexp.measures.catalog import MEASURES


def list_unsaid(outcome: str, last_step: float | None, max_steps: float | None) -> list[str]:
    """The measures that say where a run ended and that this run doesn't have, whatever its result says.

    Only a completed run has those of the whole val split: the result of any other names its last evaluation on a part
    of it. The final train loss is there too where nothing is left to train.

    Args:
        last_step: how far it got; None or NaN where nothing says so.
        max_steps: of its config; None where that is damaged.
    """
    if outcome == "completed":
        return []
    trained = has_all_steps(outcome, last_step, max_steps)
    ends = [measure for measure in MEASURES.values() if measure.at_the_end]
    return [end.name for end in ends if end.of_whole_split or not trained]


def has_all_steps(outcome: str, last_step: float | None, max_steps: float | None) -> bool:
    """Whether nothing is left to train, be it that the run lacks its end.

    Args:
        last_step: how far it got; None or NaN where nothing says so.
        max_steps: of its config; None where that is damaged.
    """
    if outcome in ("completed", "diverged"):
        return outcome == "completed"
    return last_step is not None and max_steps is not None and last_step >= max_steps > 0
