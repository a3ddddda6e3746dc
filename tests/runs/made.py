"""Studies that are written down row by row and never touch a disk, so that what is read from them is known exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gptexp.config import build_config
from gptexp.measures.catalog import select
from gptexp.runs.study_runs import ArmRuns, StudyRuns

Rows = Sequence[dict[str, Any]]
EMPTY = pd.DataFrame()
NO_EVENTS = pd.DataFrame(columns=["run_id", "arm", "seed", "step", "name"])
RESULT = select(lambda measure: measure.of_result)


def run(seed: int = 1, outcome: str = "completed", last_step: float = 100, **fields: Any) -> dict[str, Any]:
    """A row of `Frames.runs`: a run of 100 steps unless it says otherwise; what it doesn't say of its end is NaN."""
    config = build_config({"max_steps": 100, "n_layer": 2, "vocab_size": 50257, "precision": "fp32"}).model_dump()
    known = {"seed": seed, "outcome": outcome, "last_step": last_step}
    text = {"corpus_checksum": "c0", "corpus_name": "one.txt"}
    return {**dict.fromkeys(RESULT, math.nan), **config, **text, **known, **fields}


def unfinished(seed: int = 1, **fields: Any) -> dict[str, Any]:
    """A run that was killed: it left a log and no result."""
    return run(seed, "unfinished", math.nan, **fields)


def ended(losses: Sequence[float | None], **fields: Any) -> list[dict[str, Any]]:
    """The seeds 1, 2, ... with these final val losses; None stands for one that diverged at step 7."""
    return [
        run(seed, "diverged", 7, diverged_step=7, **fields)
        if loss is None
        else run(seed, final_val_loss=loss, **fields)
        for seed, loss in enumerate(losses, 1)
    ]


def steps(
    losses: Sequence[float], norms: Sequence[float] = (), rates: Sequence[float] = (), *, seed: int = 1, arm: str = "a"
) -> list[dict[str, Any]]:
    """The log of the steps 1, 2, ... of an arm's run."""
    return [
        {
            "run_id": f"{arm}-{seed}",
            "arm": arm,
            "seed": seed,
            "step": step,
            "train_loss": loss,
            "grad_norm": norms[step - 1] if norms else 1.0,
            "lr": rates[step - 1] if rates else 1e-3,
        }
        for step, loss in enumerate(losses, 1)
    ]


def evals(losses: Mapping[int, float], *, seed: int = 1, arm: str = "a", whole: bool = False) -> list[dict[str, Any]]:
    """Step -> val loss, of an arm's run."""
    return [
        {"run_id": f"{arm}-{seed}", "arm": arm, "seed": seed, "step": step, "val_loss": loss, "whole": whole}
        for step, loss in losses.items()
    ]


def make_study(arms: Mapping[str, Rows], log: Rows = (), measured: Rows = (), **fields: Any) -> StudyRuns:
    """A study of these arms; the run of seed 1 of the arm `a` is `a-1`."""
    made = tuple(
        ArmRuns(name, f"arm {name}", place, pd.DataFrame([{**row, "run_id": f"{name}-{row['seed']}"} for row in rows]))
        for place, (name, rows) in enumerate(arms.items())
    )
    columns = ["run_id", "arm", "seed", "step"]
    frames = {
        "steps": pd.DataFrame(log, columns=[*columns, "train_loss", "grad_norm", "lr"]),
        "evals": pd.DataFrame(measured, columns=[*columns, "val_loss", "whole"]).astype(
            {"val_loss": float, "whole": bool}
        ),
    }
    place = {"key": "s@quick", "name": "s", "scale": "quick", "variant": "{}", "question": "", "hypothesis": ""}
    frames |= {"samples": EMPTY, "events": NO_EVENTS, "metrics": EMPTY}
    return StudyRuns(**{**place, **fields}, arms=made, waiting=(), **frames)
