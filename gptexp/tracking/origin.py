"""Where a forked run comes from: the entry `fork` of its config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FORK = "fork"
"""Key in config.json."""
FORKS = "fork-of-"
"""The name of the study of a run's forks: this, and the run's id."""


@dataclass(frozen=True)
class Origin:
    """The parent of a fork, and what the fork changed."""

    parent: str
    """Run id."""
    step: int
    """The last step of the parent that the fork shares; its own first step is the next one."""
    was: Mapping[str, Any]
    """The parent's values of the config fields that the fork changed."""

    def to_json(self) -> dict[str, Any]:
        return {"parent": self.parent, "step": self.step, "was": dict(self.was)}

    def name_run(self, config_hash: str) -> str:
        """The id of the fork whose config has this identity hash."""
        return f"{self.parent}-at-{self.step}-{config_hash}"


def read_origin(content: Mapping[str, Any]) -> Origin | None:
    """The origin of a run; None if it is no fork.

    Args:
        content: config.json.

    Raises:
        ValueError: the entry is damaged.
    """
    if (entry := content.get(FORK)) is None:
        return None
    fields = entry if isinstance(entry, dict) else {}
    parent, step, was = (fields.get(name) for name in ("parent", "step", "was"))
    if not isinstance(parent, str) or type(step) is not int or step < 1 or not isinstance(was, dict):
        raise ValueError("config.json is damaged: its fork names no parent, step and changed fields")
    return Origin(parent, step, was)
