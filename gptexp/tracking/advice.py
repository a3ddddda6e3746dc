"""The commands that messages advise for recorded runs."""

from __future__ import annotations

from pathlib import Path

from gptexp.advice import advise, spell
from gptexp.tracking.lines import read_lines
from gptexp.tracking.packs import is_packed
from gptexp.tracking.run_dir import RunDir


def advise_going_on(run_dir: RunDir) -> str:
    """The command that resumes an unfinished run: the last one that worked on it."""
    rows = read_lines(run_dir.provenance, run_dir.within)
    command = rows[-1].get("command") if rows else None
    return f"`{command}`" if isinstance(command, str) and command else "the command that it was made by"


def advise_anew(run_dir: RunDir) -> str:
    """The commands that train a finished run again. It must be removed first, else its command finds nothing to do."""
    remove = advise(f"gptexp runs rm {run_dir.path.name}", run_dir.path.parent)
    return f"{remove} and then {advise_going_on(run_dir)}"


def spell_training(words: str, runs_dir: Path) -> str:
    """A command that trains what `runs_dir` lacks: there, or in the usual folder where it holds packed records."""
    return spell(words, None if is_packed(runs_dir) else runs_dir)
