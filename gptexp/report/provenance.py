"""Which runs stand behind a page: for people as an appendix, for machines as a manifest."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pandas as pd

import gptexp
from gptexp.comparisons.validity import find_limits
from gptexp.report.predictions import tell_predictions
from gptexp.report.repeat import write_repeat
from gptexp.runs.frames import CONFIG_COLUMNS
from gptexp.runs.study_runs import StudyRuns
from gptexp.text import cut_text
from gptexp.wording import ABSENT

DRAWN_WITH = ("matplotlib", "seaborn", "pandas")
"""Packages whose versions, with our own, decide the bytes of a report."""
HIDDEN = {"seed", "checkpoint_interval"}
"""Config fields that say nothing about how runs differ: the seed has a column, the other decides no number."""

MOST_OF_SETTING, MOST_OF_COMMAND = 300, 4_000
"""Characters that a page shows; the manifest has all."""


@dataclass(frozen=True)
class RunEntry:
    """One run of the appendix."""

    run_id: str
    serves: tuple[str, ...]
    """`lr-ablation@quick: constant 6e-4`"""
    seed: str
    outcome: str
    differences: str
    """Config fields in which it differs from most runs of its study."""
    commit: str
    hardware: str
    software: str
    corpus: str
    command: str
    """That makes it again."""
    config: tuple[tuple[str, str], ...]
    link: str
    """Its page in W&B; empty where there is none."""


def list_entries(studies: Sequence[StudyRuns]) -> list[RunEntry]:
    """Every run behind the instances once, in the order of the page."""
    serves: dict[str, list[str]] = {}
    rows: dict[str, tuple[dict[Any, Any], dict[str, str], str, str]] = {}
    for study in studies:
        labels = [arm.label for arm in study.arms for _ in arm.run_ids]
        runs, configs = study.runs.to_dict("records"), spell_configs(study.runs)
        common = find_common_config(configs)
        for label, run, config in zip(labels, runs, configs, strict=True):
            run_id = str(run["run_id"])
            serves.setdefault(run_id, []).append(f"{study.key}: {label}")
            if run_id not in rows:
                rows[run_id] = run, config, write_differences(config, common), write_repeat(study, run)
    return [_make_entry(run, config, tuple(serves[run_id]), *texts) for run_id, (run, config, *texts) in rows.items()]


def spell_configs(runs: pd.DataFrame) -> list[dict[str, str]]:
    """Every config field of each run, in the order of their names, as JSON text."""
    names = sorted(CONFIG_COLUMNS)
    columns = [[encode(value) for value in runs[name]] for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def find_common_config(configs: Sequence[dict[str, str]]) -> dict[str, str]:
    """The most frequent text of every config field; of equally frequent ones the first."""
    common = {}
    for name in configs[0]:
        counts = Counter(config[name] for config in configs)
        common[name] = max(counts, key=counts.__getitem__)
    return common


def write_differences(config: dict[str, str], common: dict[str, str]) -> str:
    """`lr=0.0006 schedule=constant`: the fields of a run that aren't the common ones."""
    changed = [
        f"{name}={show_setting(text)}" for name, text in config.items() if name not in HIDDEN and text != common[name]
    ]
    return " ".join(changed)


def show_setting(text: str) -> str:
    """A setting as a page shows it: JSON text without its quotes, and not longer than a reader reads."""
    return cut_text(text.strip('"'), MOST_OF_SETTING)


def build_manifest(
    report: str,
    selection: dict[str, list[str] | None],
    files: Sequence[dict[str, Any]],
    all_runs: Sequence[StudyRuns],
    damaged: pd.DataFrame,
) -> dict[str, Any]:
    """Every file of the report with the runs behind it, and every run with what is needed to repeat it."""
    runs: dict[str, Any] = {}
    for study in all_runs:
        for run in study.runs.to_dict("records"):
            runs[str(run["run_id"])] = {
                "engine_version": clean(run["engine_version"]),
                "outcome": clean(run["outcome"]),
                "seed": clean(run["seed"]),
                "config": {name: clean(run[name]) for name in CONFIG_COLUMNS},
                **{name: clean(run[name]) for name in ("corpus_name", "corpus_checksum", "corpus_fallback")},
                **{name: clean(run[name]) for name in ("commit", "hardware", "torch", "command", "finished_at")},
                "repeat": write_repeat(study, run),
                "wandb_url": read_link(run) or None,
            }
    studies = [
        {
            "instance": study.key,
            "question": study.question,
            "hypothesis": study.hypothesis or None,
            **_list_predictions(study),
            "cannot_show": find_limits(study),
            "arms": [{"arm": arm.name, "label": arm.label, "run_ids": arm.run_ids} for arm in study.arms],
        }
        for study in all_runs
    ]
    return {
        "generator": "gptexp",
        **describe_makers(),
        "report": report,
        "selection": selection,
        "files": list(files),
        "studies": studies,
        "runs": dict(sorted(runs.items())),
        "damaged": damaged.to_dict("records"),
    }


def _list_predictions(study: StudyRuns) -> dict[str, Any]:
    """Nothing of a study that predicts nothing."""
    found = [f"{when}: {sentence}" for when, sentence in tell_predictions(study)]
    return {"predictions": found} if found else {}


def describe_makers() -> dict[str, str]:
    """Versions of the packages that decide the bytes of a report."""
    return {"gptexp": gptexp.__version__, **{package: version(package) for package in DRAWN_WITH}}


def clean(value: Any) -> Any:
    """A cell of a frame as JSON can hold it: numpy scalars as Python's, NaN as None."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def encode(value: Any) -> str:
    return json.dumps(clean(value), ensure_ascii=False, sort_keys=True, default=str)


def _make_entry(
    run: dict[Any, Any], config: dict[str, str], serves: tuple[str, ...], differences: str, command: str
) -> RunEntry:
    text = {name: str(clean(run[name]) or ABSENT) for name in ("outcome", "commit", "hardware")}
    checksum = str(clean(run["corpus_checksum"]) or "")[:12]
    detail = str(clean(run["outcome_detail"]) or "")
    return RunEntry(
        run_id=str(run["run_id"]),
        serves=serves,
        seed=str(clean(run["seed"])),
        outcome=f"{text['outcome']}: {detail}" if detail else text["outcome"],
        differences=differences or "as most",
        commit=text["commit"],
        hardware=text["hardware"],
        software=f"torch {run['torch']}" if clean(run["torch"]) else ABSENT,
        corpus=f"{clean(run['corpus_name']) or ABSENT} {checksum}".strip(),
        command=cut_text(command, MOST_OF_COMMAND),
        config=tuple((name, show_setting(text)) for name, text in config.items()),
        link=read_link(run),
    )


def read_link(run: Mapping[Any, Any]) -> str:
    """The run's address in W&B, where its frame has one and it is a web address."""
    link = str(clean(run.get("wandb_url")) or "")
    return link if link.startswith("https://") else ""
