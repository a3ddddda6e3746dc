"""Runs that are over, told to their trackers from the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gptexp.mirrors.protocol import FanOut, RunInfo
from gptexp.tracking.lines import read_lines
from gptexp.tracking.result import Result
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.run_log import read_typed_records


def replay(
    run_dir: RunDir, content: Mapping[str, Any], member: Mapping[str, Any], result: Result, trackers: FanOut
) -> None:
    """Tell the trackers of a run that is over, from its record.

    Args:
        content: its config.json.
        member: the membership that it is told of with, or an empty dict.
    """
    provenance = {**(read_lines(run_dir.provenance, run_dir.within) or [{}])[-1], "from_step": result.last_step}
    earlier = tuple(read_typed_records(run_dir.records))
    trackers.start(RunInfo(str(run_dir.path), content, provenance, member, earlier, is_over=True))
    trackers.finish(result)
