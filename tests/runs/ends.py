"""Made-up studies whose final losses are written down, so that a table over them can be reckoned by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import StudyRuns, select_studies
from tests.report.synthetic import Run, write_run

T = {2: 12.706205, 3: 4.302653, 5: 2.776445}
"""Student's t at 97.5% with n - 1 degrees of freedom, from a printed table: number of seeds -> quantile."""
TABLE_DIGITS = 0.5e-6
"""How far the ends of an interval may be off for the table's last digit, where seeds deviate by less than 1."""
DIVERGED = None
"""Stands for the final loss of a seed that diverged at step 7."""


def make_ended(
    runs_dir: Path, arms: Mapping[str, tuple[Mapping[str, Any], Sequence[float | None]]], **fields: Any
) -> StudyRuns:
    """A study of these arms: name -> (config, final val loss of the seeds 1, 2, ... or DIVERGED)."""
    study = fields.pop("study", "made-up")
    for place, (name, (config, losses)) in enumerate(arms.items()):
        for seed, loss in enumerate(losses, 1):
            asked_at = f"2025-01-01T00:00:{place:02d}Z"
            run = Run(name, f"arm {name}", seed, dict(config), study=study, asked_at=asked_at, **fields)
            run.diverge_at = 7 if loss is DIVERGED else None
            write_run(runs_dir, run)
            path = runs_dir / run.run_id / "result.json"
            result = json.loads(path.read_text())
            # A diverged run keeps the last loss that was measured: no end, and far from the others' ends.
            path.write_text(json.dumps({**result, "final_val_loss": 99.0 if loss is DIVERGED else loss}))
    (study_runs,) = select_studies(load_frames(runs_dir))
    return study_runs
