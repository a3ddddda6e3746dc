"""The files that a sweep leaves: its figure, and its trials as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

import gptexp
from gptexp.report.bundle import MANIFEST, hash_content, write_bundle
from gptexp.report.cells import write_csv
from gptexp.report.figures.canvas import NARROW, WIDE
from gptexp.report.figures.lr_sweep import lr_sweep
from gptexp.report.finish import Files, finish_files, finish_text
from gptexp.report.svg import drawing_style, render_svg
from gptexp.report.sweep_points import list_points, rank_sweep
from gptexp.studies.sweep.journal import TrialRow
from gptexp.studies.sweep.points import write_settings
from gptexp.studies.sweep.ranking import RANKED, Importance
from gptexp.studies.sweep.trial import Sweep
from gptexp.text import hide_paths_in


def write_sweep_files(out: Path, sweep: Sweep, ranked: Sequence[TrialRow], importance: Importance) -> Path | None:
    """Write `trials.csv`, `importance.csv`, `points.csv` of a sweep with seeds, and the loss against lr, to `out`.

    Returns:
        The path of the figure; None where lr is not searched, or no trial has a result.

    Raises:
        GptexpError: `out` holds other things, or can't be written.
    """
    files: Files = {"trials.csv": write_csv(tabulate_trials(sweep, ranked))}
    shares = pd.DataFrame(importance.shares.items(), columns=["parameter", "share"])
    files["importance.csv"] = write_csv(shares)
    if points := rank_sweep(sweep, ranked):
        files["points.csv"] = write_csv(pd.DataFrame(list_points(points)))
    drawing = lr_sweep(tabulate_rates(sweep, ranked), sweep.file.metric.name, sweep.file.name)
    if drawing:
        for layout, name in ((WIDE, "lr-sweep.svg"), (NARROW, "lr-sweep-narrow.svg")):
            with drawing_style():
                figure = drawing.draw(layout)
                prefix = name.removesuffix(".svg")
                files[name] = render_svg(figure, prefix=prefix, title=drawing.title, description=drawing.description)
        files["lr-sweep.csv"] = write_csv(drawing.data)
    files = finish_files(files)
    run_ids = [row.about["run_id"] for row in ranked if row.about.get("run_id")]
    made = [{"path": name, "sha256": hash_content(content), "run_ids": run_ids} for name, content in files.items()]
    about = {"generator": "gptexp", "version": gptexp.__version__, "sweep": sweep.file.name, "files": made}
    files[MANIFEST] = finish_text(MANIFEST, json.dumps(about, indent=2) + "\n")
    write_bundle(out, files)
    return out / "lr-sweep.svg" if drawing else None


def tabulate_trials(sweep: Sweep, ranked: Sequence[TrialRow]) -> pd.DataFrame:
    """rank, trial, outcome, a column per searched parameter, the metric, last_step, duration_s, run_id, detail."""
    rows = []
    for rank, row in enumerate(ranked, start=1):
        searched = {parameter.name: row.settings.get(parameter.name) for parameter in sweep.file.parameters}
        ended = {name: hide_paths_in(row.about.get(name)) for name in ("last_step", "duration_s", "run_id", "detail")}
        place = {"rank": rank if row.state in RANKED else None, "trial": row.place, "outcome": row.state}
        rows.append({**place, **searched, sweep.file.metric.name: row.value, **ended})
    return pd.DataFrame(rows).astype({"rank": "Int64", "last_step": "Int64"}) if rows else pd.DataFrame()


def tabulate_rates(sweep: Sweep, ranked: Sequence[TrialRow]) -> pd.DataFrame:
    """trial, run_id, outcome, lr, series, value of the trials with a result, as `lr_sweep` takes them."""
    names = ["trial", "run_id", "outcome", "lr", "series", "value"]
    rows = []
    if any(parameter.name == "lr" for parameter in sweep.file.parameters):
        for row in ranked:
            # Trials that differ in their seed alone are one point with an interval, not lines of their own.
            others = {name: value for name, value in row.settings.items() if name not in ("lr", "seed")}
            if row.state in RANKED and row.value is not None and not math.isnan(row.value):
                series = write_settings(others, ", ")
                rows.append([row.place, row.about.get("run_id"), row.state, row.settings["lr"], series, row.value])
    return pd.DataFrame(rows, columns=names).astype({"lr": float, "value": float})
