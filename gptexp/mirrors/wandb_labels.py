"""What a run is called in Weights & Biases: for people, and to filter by. Nothing is read back from it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gptexp.mirrors.protocol import RunInfo
from gptexp.mirrors.wandb_limits import GROUP, JOB_TYPE, NAME, NOTES, fit_label, fit_tags, fit_text
from gptexp.text import hide_paths_in
from gptexp.tracking.places import publish_config
from gptexp.tracking.run_dir import RunDir


def make_labels(info: RunInfo) -> dict[str, Any]:
    """Name, group, job type, tags and notes of a mirror, as `wandb.init` takes them."""
    member, members = info.member, RunDir(Path(info.run_dir)).read_members()
    study, arm = str(member.get("study", "train")), str(member.get("arm", "train"))
    studies = [str(row["study"]) for row in members if row.get("study")]
    return {
        "name": fit_label(f"{study} {arm} seed {info.config['seed']}", NAME),
        "group": fit_label(f"{study}/{member['scale']}", GROUP) if member else None,
        "job_type": fit_label(arm, JOB_TYPE),
        "tags": fit_tags([study, *studies, member.get("scale"), publish_config(info.about)["corpus"]["name"]]),
        "notes": fit_text(hide_paths_in(str(member["question"])), NOTES) if member.get("question") else None,
    }


def name_labels(asked: Iterable[str], limit: int) -> list[str]:
    """Labels as they were asked for and as they stand in W&B, for a filter that finds both."""
    return list(dict.fromkeys(label for text in asked for label in (text, fit_label(text, limit)) if label))
