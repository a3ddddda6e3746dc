"""What to type about one recorded run."""

from __future__ import annotations

from gptexp.advice import advise
from gptexp.tracking.lines import read_lines
from gptexp.tracking.run_dir import RunDir


def advise_going_on(run_dir: RunDir) -> str:
    """What makes a run that isn't done go on: the command that was typed for it last."""
    rows = read_lines(run_dir.provenance, run_dir.within)
    command = rows[-1].get("command") if rows else None
    return f"`{command}`" if isinstance(command, str) and command else "the command that it was made by"


def advise_anew(run_dir: RunDir) -> str:
    """What trains a run that is done from the beginning. Its command alone would find that there is nothing to do."""
    remove = advise(f"gptexp runs rm {run_dir.path.name}", run_dir.path.parent)
    return f"{remove} and then {advise_going_on(run_dir)}"
