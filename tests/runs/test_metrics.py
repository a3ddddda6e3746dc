"""A metric that nobody has heard of goes the whole way, from the step to the figure."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from gptexp.cli.run_export import encode_csv, tidy_rows
from gptexp.mirrors.wandb_rows import make_row, read_rows
from gptexp.records import FORMAT, EvalRecord, Record, StepRecord, decode_record, encode_record
from gptexp.runs.folder import read_log, read_run_folder
from gptexp.runs.folders import read_run_folders
from gptexp.runs.frames import Frames, load_frames
from gptexp.runs.packed import LOGS, write_packed
from gptexp.runs.study_runs import keep_arms, select_studies
from gptexp.runs.verify_pack import verify_pack
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.plan import plan_runs
from gptexp.studies.request import StudyRequest
from gptexp.studies.scales import find_scale
from gptexp.studies.study import Arm, Study
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.verify import verify_run
from gptexp.training.metrics import STEP_METRICS
from tests.report.synthetic import Run, write_run
from tests.studies.tiny import SMALLEST

METRICS = {"grad_norm/ln_final": 0.5, "update_ratio/blocks.0.ffn": 1e-3}


def write_metrics(folder: Path) -> Path:
    """A finished run with metrics of a step and of both evaluations of its last step; the last line comes again."""
    log = folder / write_run(folder, Run("a")) / "records.jsonl"
    lines = []
    for line in log.read_text().splitlines():
        fields = json.loads(line)
        if (fields["kind"], fields["step"]) in (("step", 2), ("eval", 20)):
            fields["metrics"] = {**METRICS, "at/step": fields["step"]}
        lines.append(json.dumps(fields) + "\n")
    log.write_text("".join(lines))
    return log


def pack(runs_dir: Path, out: Path) -> Frames:
    frames = load_frames(runs_dir)
    folders, _ = read_run_folders(runs_dir)
    write_packed(out, folders, {name: getattr(frames, name) for name in LOGS}, {})
    return frames


def test_a_metric_of_a_test_reaches_its_study(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registered here and named nowhere else: the log, the frames and the study have it, with arm and seed."""
    monkeypatch.setitem(STEP_METRICS, "square", lambda training, step: lambda: {"of_step": torch.tensor(step**2)})
    settings = {**SMALLEST, "tokenizer": "char", "max_steps": 4, "step_metrics": ["square"], "metrics_interval": 2}
    arms = (Arm("slow", "slow", {"lr": 1e-4}), Arm("fast", "fast", {"lr": 1e-3}))
    study = Study(name="squares", question="?", hypothesis="", source="", arms=arms)
    for item in plan_runs([StudyRequest(study, find_scale("quick"), 1, settings, str(tiny_corpus))], tmp_path):
        item.run_dir.append_member(item.member())
        run = item.run
        job = Job(run, str(item.run_dir.path), str(tiny_corpus), "gptexp", item.member())
        assert execute(job, [], lambda: False, pytest.fail).outcome == "completed"
        assert verify_run(item.run_dir).word == "sound"
    frames = load_frames(tmp_path)
    assert frames.metrics[["step", "value"]].to_numpy().tolist() == 2 * [[2, 4.0], [4, 16.0]]
    (squares,) = select_studies(frames)
    found = squares.metrics[squares.metrics["name"] == "square/of_step"]
    assert found.groupby("arm")["value"].max().to_dict() == {"slow": 16.0, "fast": 16.0}
    assert set(found["seed"]) == set(squares.seeds)
    only = keep_arms(squares, ["fast"])
    assert only is not None
    assert set(only.metrics["arm"]) == {"fast"}


def test_one_row_for_each_number(tmp_path: Path) -> None:
    """By step, kind and name; the evaluation of the whole val split is a kind of its own."""
    write_metrics(tmp_path)
    metrics = load_frames(tmp_path).metrics
    assert list(metrics.columns) == ["run_id", "step", "kind", "name", "value"]
    assert metrics["kind"].drop_duplicates().tolist() == ["step", "eval", "final"]
    assert metrics.loc[metrics["kind"] == "step", ["step", "name", "value"]].to_numpy().tolist() == [
        [2, "at/step", 2.0],
        [2, "grad_norm/ln_final", 0.5],
        [2, "update_ratio/blocks.0.ffn", 1e-3],
    ]


def test_the_metrics_of_the_last_record_of_a_step_count(tmp_path: Path) -> None:
    """As its loss does, where a process that was killed had recorded the step before."""
    log = write_metrics(tmp_path)
    log.write_text(log.read_text() + next(line for line in log.open() if '"at/step": 2' in line).replace("0.5", "0.75"))
    metrics = load_frames(tmp_path).metrics
    assert metrics.loc[metrics["name"].eq("grad_norm/ln_final") & metrics["step"].eq(2), "value"].tolist() == [0.75]


def test_a_pack_has_them_and_one_without_has_no_file_for_them(tmp_path: Path) -> None:
    """Cell for cell, and checked; packing runs without metrics into the same folder takes the file away."""
    write_metrics(tmp_path / "runs")
    frames = pack(tmp_path / "runs", tmp_path / "pack")
    read = load_frames(tmp_path / "pack")
    assert len(frames.metrics) == 9
    pd.testing.assert_frame_equal(read.metrics, frames.metrics, check_exact=True)
    assert [verdict.problems for verdict in verify_pack(tmp_path / "pack").values()] == pack_problems(tmp_path)
    write_run(tmp_path / "plain", Run("a"))
    pack(tmp_path / "plain", tmp_path / "pack")
    assert not (tmp_path / "pack" / "metrics.parquet").exists()
    assert load_frames(tmp_path / "pack").metrics.empty


def pack_problems(tmp_path: Path) -> list[list[str]]:
    """What is wrong with the same runs without metrics, packed: synthetic runs are no hash of their config."""
    write_run(tmp_path / "others", Run("a"))
    pack(tmp_path / "others", tmp_path / "other-pack")
    return [verdict.problems for verdict in verify_pack(tmp_path / "other-pack").values()]


def test_a_pack_with_metrics_of_no_record_is_damaged(tmp_path: Path) -> None:
    """A step that isn't recorded can't have been measured."""
    write_metrics(tmp_path / "runs")
    frames = load_frames(tmp_path / "runs")
    folders, _ = read_run_folders(tmp_path / "runs")
    logs = {name: getattr(frames, name) for name in LOGS}
    logs["metrics"] = frames.metrics.assign(step=frames.metrics["step"].replace(2, 99))
    write_packed(tmp_path / "pack", folders, logs, {})
    (verdict,) = verify_pack(tmp_path / "pack").values()
    assert any("metrics of steps that its records don't have" in problem for problem in verdict.problems)


def test_a_mirror_gives_them_back() -> None:
    """A row of W&B holds each metric under its name; what others put into it is no metric."""
    records: list[Record] = [
        StepRecord(1, 1.5, 1e-3, 0.5, False, 64, 0.1, 640.0, {**METRICS, "odd/nan": float("inf")}),
        EvalRecord(1, 1.5, 1.0, 9, False, METRICS),
        EvalRecord(1, 1.5, 1.0, 9, True, METRICS),
    ]
    rows = [{**make_row(record), "_runtime": 3, "gpu": 5.0, "a/table": {"_type": "table"}} for record in records]
    assert rows[0]["update_ratio/blocks.0.ffn"] == 1e-3
    assert read_rows(rows) == [decode_record(encode_record(record)) for record in records]


def test_an_export_has_a_column_for_each(tmp_path: Path) -> None:
    """Behind the others, which stay as they are; a run without metrics has the same table as ever."""
    log = write_metrics(tmp_path)
    records, _ = read_log(read_run_folder(log.parent))
    header, *lines = encode_csv(tidy_rows("0" * 12, records)).splitlines()
    plain = encode_csv(tidy_rows("0" * 12, [{**record, "metrics": {}} for record in records])).splitlines()
    assert header == f"{plain[0]},at/step,{','.join(METRICS)}"
    assert [line.endswith("0.5,0.001") for line in lines].count(True) == 3
    assert [line.removesuffix(",,,") for line in lines if line.endswith(",,,")] == [
        line for line in plain[1:] if f"{line},,," in lines
    ]


def test_a_run_of_a_newer_gptexp_is_read(tmp_path: Path) -> None:
    """Fields and kinds that it has besides are passed over, and its numbers are those that we know."""
    folder = tmp_path / write_run(tmp_path, Run("a"))
    before = load_frames(tmp_path)
    log, config = folder / "records.jsonl", folder / "config.json"
    lines = [json.dumps({**json.loads(line), "sharpness": 1.0}) for line in log.read_text().splitlines()]
    log.write_text("\n".join([*lines, '{"kind": "gradient", "step": 20, "values": [1, 2]}', ""]))
    assert load_frames(tmp_path).steps.empty
    assert "are no records" in load_frames(tmp_path).damaged["reason"].iloc[0]
    config.write_text(json.dumps({**json.loads(config.read_text()), "record_format": FORMAT + 1}))
    read = load_frames(tmp_path)
    for name in LOGS:
        pd.testing.assert_frame_equal(getattr(read, name), getattr(before, name), check_exact=True)
    assert read.damaged.empty


def test_a_run_folder_declares_its_format(tmp_path: Path) -> None:
    """A run of the first format says nothing; going on with it declares ours, and never takes back a newer one."""
    run_dir = RunDir(tmp_path / write_run(tmp_path, Run("a")))
    content = run_dir.read_config()
    assert run_dir.read_format() == 1
    run_dir.write_config(content)
    assert run_dir.read_format() == FORMAT
    run_dir.write_config({**content, "record_format": FORMAT + 1})
    assert run_dir.read_format() == FORMAT
