"""Runs mirrored in W&B as run folders, so that one code path makes the frames of both.

`fetch_runs` lists a project, brings the cache up to date and says which run ids the request is about; `load_frames` of
the cache folder with those ids does the rest.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptexp.errors import GptexpError
from gptexp.mirrors.wandb_labels import name_labels
from gptexp.mirrors.wandb_limits import GROUP, TAG
from gptexp.mirrors.wandb_rows import FILES
from gptexp.mirrors.wandb_server import REPORT_KEY, server_url
from gptexp.runs.wandb_api import Reader, View, client_folder
from gptexp.runs.wandb_cache import MirrorState, RunCache
from gptexp.tracking.result import DONE
from gptexp.tracking.run_dir import RUN_ID, MirrorPlace

PLACE = re.compile(r"wandb:(?:(?P<entity>[A-Za-z0-9_-]+)/)?(?P<project>[A-Za-z0-9_-][A-Za-z0-9_.-]*)")


@dataclass(frozen=True)
class WandbQuery:
    """Which runs of which project."""

    entity: str | None
    """None takes the account's own."""
    project: str
    studies: tuple[str, ...] = ()
    """Only runs that serve one of these; none named means all. So for groups and tags."""
    groups: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def filters(self) -> dict[str, Any]:
        """What the server itself can leave out."""
        asked = {"group": name_labels(self.groups, GROUP), "tags": name_labels(self.tags, TAG)}
        return {key: {"$in": values} for key, values in asked.items() if values}

    def describe(self) -> str:
        """The filters in words, empty without any."""
        asked = {"study": self.studies, "group": self.groups, "tag": self.tags}
        return " and ".join(f"{name} {' or '.join(values)}" for name, values in asked.items() if values)


@dataclass(frozen=True)
class FetchedRuns:
    """Run folders in the cache that are as new as W&B is."""

    place: str
    """`wandb:ENTITY/PROJECT`"""
    folder: Path
    run_ids: frozenset[str]
    notes: list[str] = field(default_factory=list)
    """What the reader should know, a sentence each."""


def parse_place(text: str) -> tuple[str | None, str]:
    """`wandb:ENTITY/PROJECT` or `wandb:PROJECT` as (entity, project).

    Raises:
        GptexpError: it is something else.
    """
    match = PLACE.fullmatch(text)
    if match is None:
        raise GptexpError(f"--from {text!r} is no place to read from; write it as wandb:ENTITY/PROJECT")
    return match["entity"], match["project"]


def fetch_runs(query: WandbQuery, view: View) -> FetchedRuns:
    """Bring the cache up to date with the project, fetching only what is new.

    Raises:
        GptexpError: nobody is logged in, the server or the project is out of reach, or no run fits the query.
    """
    reader = Reader(query.entity, query.project, view)
    cache = RunCache.of_project(server_url(), reader.entity, query.project)
    try:
        with client_folder(cache.scratch):
            # Reports that were logged beside the runs are ours, but no runs.
            listed = [run for run in reader.find_runs(query.filters) if REPORT_KEY not in _as_dict(run.config)]
            mirrors = [mirror for run in listed if (mirror := _find_mirror(run)) is not None]
            n_foreign = len(listed) - len(mirrors)
            chosen = _choose_newest([mirror for mirror in mirrors if mirror.serves(query.studies)])
            for mirror in chosen:
                scan = functools.partial(reader.scan_history, mirror.run, mirror.run_id)
                place = _find_place(mirror.run)
                cache.update(mirror.run_id, mirror.files, mirror.result, mirror.state, place, scan)
    finally:
        cache.clear_scratch()
    project = f"{reader.entity}/{query.project}"
    notes = [_note_foreign(n_foreign, project)] if n_foreign else []
    if not chosen:
        fitting = f" that fit {query.describe()}" if query.describe() else ""
        how = f"`WANDB_ENTITY={reader.entity} WANDB_PROJECT={query.project} gptexp run STUDY` mirrors a study there"
        others = f"; {n_foreign:,} of other origin" if n_foreign else ""
        raise GptexpError(f"W&B project {project} holds no runs of gptexp{fitting}{others}; {how}")
    return FetchedRuns(f"wandb:{project}", cache.path, frozenset(mirror.run_id for mirror in chosen), notes)


@dataclass(frozen=True)
class _Mirror:
    """A W&B run that is a mirror of one of ours."""

    run: Any
    """The client's object."""
    run_id: str
    files: dict[str, str]
    result: str | None
    state: MirrorState

    @property
    def is_done(self) -> bool:
        return self.result is not None and _read_text(self.result).get("outcome") in DONE

    def serves(self, studies: Sequence[str]) -> bool:
        """Whether one of `studies` asked for the run; all do where none is named."""
        lines = self.files["members"].splitlines()
        return not studies or any(_read_text(line).get("study") in studies for line in lines)


def _find_mirror(run: Any) -> _Mirror | None:
    """The mirror that a W&B run is; None for a run of other origin."""
    ours, summary = _as_dict(_as_dict(run.config).get("gptexp")), _as_dict(run.summary_metrics)
    files, run_id = _as_dict(ours.get("files")), ours.get("run_id")
    if not files or not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
        return None
    result = _as_dict(summary.get("gptexp")).get("result")
    keys = getattr(run, "history_keys", None) or {}
    last_step = keys.get("lastStep", -1)
    state = MirrorState(
        name=str(run.id),
        created_at=str(run.created_at),
        heartbeat_at=str(run.heartbeat_at),
        lines=int(getattr(run, "history_line_count", None) or last_step + 1),
        last_step=int(last_step),
    )
    texts = {name: str(files.get(name) or "") for name in FILES}
    return _Mirror(run, run_id, texts, result if isinstance(result, str) else None, state)


def _choose_newest(mirrors: Sequence[_Mirror]) -> list[_Mirror]:
    """One mirror of each run, which may be there under its own id and as trials of sweeps; what is done comes first."""
    best: dict[str, _Mirror] = {}
    for mirror in sorted(mirrors, key=lambda mirror: (mirror.is_done, mirror.state.heartbeat_at)):
        best[mirror.run_id] = mirror
    return list(best.values())


def _find_place(run: Any) -> MirrorPlace | None:
    """Where a W&B run is; None where the client doesn't say."""
    url = getattr(run, "url", None)
    return MirrorPlace(str(run.entity), str(run.project), str(run.id), url, whole=True) if url else None


def _read_text(text: str) -> dict[str, Any]:
    """A JSON object; an empty one where the text holds none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return _as_dict(value)


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _note_foreign(n: int, place: str) -> str:
    return f"{n:,} run{'s' if n != 1 else ''} of other origin in {place} {'are' if n != 1 else 'is'} left out."
