"""Run folders become frames, whatever state they are in."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from pathlib import Path

import pandas as pd

from gptexp.runs.frames import load_frames
from gptexp.runs.listing import list_runs
from gptexp.runs.study_runs import select_studies
from gptexp.tracking.run_log import read_records
from tests.report.synthetic import Run, append_line, append_member, initial_loss, lr_ablation, write_run, write_runs


def test_frames_hold_config_corpus_result_and_provenance(tmp_path: Path) -> None:
    """One row per run joins what config.json, result.json and provenance.jsonl say."""
    run_id = write_run(tmp_path, lr_ablation()[3])
    row = load_frames(tmp_path).runs.iloc[0]
    result = json.loads((tmp_path / run_id / "result.json").read_text())
    assert row["run_id"] == run_id
    assert row["outcome"] == "completed"
    assert (row["lr"], row["schedule"], row["corpus_name"], row["train_tokens"]) == (
        6e-4,
        "warmup-cosine",
        "tinyshakespeare",
        6000,
    )
    assert row["final_val_loss"] == result["final_val_loss"]
    assert (row["commit"], row["hardware"]) == ("0123456789", "A Test CPU")


def test_frames_of_some_runs_are_those_that_were_read_alone(tmp_path: Path) -> None:
    """Of frames of a whole folder the runs of one command are kept, as if only they had been read."""
    runs = lr_ablation(seeds=2, max_steps=20)
    for second, run in enumerate(runs):
        run.asked_at = f"2025-01-01T00:00:{second:02}Z"
    ids = [write_run(tmp_path, run) for run in runs]
    own = [run_id for run, run_id in zip(runs, ids, strict=True) if run.seed == runs[0].seed]
    kept, alone = load_frames(tmp_path).keep_runs(own), load_frames(tmp_path, own)
    for field in dataclasses.fields(kept):
        pd.testing.assert_frame_equal(
            getattr(kept, field.name).reset_index(drop=True), getattr(alone, field.name).reset_index(drop=True)
        )
    assert [study.run_ids for study in select_studies(kept)] == [study.run_ids for study in select_studies(alone)]


def test_empty_frames_have_their_columns(tmp_path: Path) -> None:
    """A runs folder that is empty or missing gives frames with columns and no rows."""
    for folder in (tmp_path, tmp_path / "missing"):
        frames = load_frames(folder)
        for frame in (frames.runs, frames.members, frames.steps, frames.evals, frames.samples, frames.events):
            assert frame.empty
            assert "run_id" in frame
        assert select_studies(frames) == []


def test_damaged_folders_are_listed_and_stop_nothing(tmp_path: Path) -> None:
    """Each kind of damage is named with its folder, and the sound runs beside it are all there."""
    sound, torn, no_config, bad_result, bad_line = write_runs(tmp_path, [*lr_ablation(), Run("extra")])
    (tmp_path / torn / "config.json").write_text('{"run_id": "')
    (tmp_path / no_config / "config.json").unlink()
    (tmp_path / bad_result / "result.json").write_text("[1, 2")
    log = (tmp_path / bad_line / "records.jsonl").read_text().splitlines()
    (tmp_path / bad_line / "records.jsonl").write_text("\n".join([log[0], "not json", *log[1:], '{"kind": "st']))
    (tmp_path / "notes.txt").write_text("not a run")
    frames = load_frames(tmp_path)
    assert set(frames.runs["run_id"]) == {sound, bad_result, bad_line}
    reasons = dict(zip(frames.damaged["path"], frames.damaged["reason"], strict=True))
    assert "config.json is damaged" in reasons[torn]
    assert "config.json is missing" in reasons[no_config]
    assert "unfinished" in reasons[bad_result]
    assert "line 2" in reasons[bad_line]
    assert frames.runs.set_index("run_id").loc[bad_result, "outcome"] == "unfinished"
    assert len(frames.steps[frames.steps["run_id"] == bad_line]) == 20


def test_a_torn_last_line_is_no_damage(tmp_path: Path) -> None:
    """A killed process leaves half a line; the records before it count and nobody is alarmed."""
    run_id = write_run(tmp_path, lr_ablation()[0])
    with (tmp_path / run_id / "records.jsonl").open("a") as file:
        file.write('{"kind": "step", "st')
    frames = load_frames(tmp_path)
    assert frames.damaged.empty
    assert len(frames.steps) == 120


def test_odd_records_become_missing_numbers(tmp_path: Path) -> None:
    """Fields of a wrong type turn into NaN; what lacks a step or a field is no record; later ones win."""
    run_id = write_run(tmp_path, lr_ablation()[0])
    log = tmp_path / run_id / "records.jsonl"
    whole = next(record for record in read_records(log) if record["kind"] == "step")
    append_line(log, {**whole, "step": 500, "train_loss": "very low", "lr": None})
    append_line(log, {**whole, "step": "many"})
    append_line(log, {**whole, "step": 10**30})
    append_line(log, {**whole, "step": 7, "train_loss": 4.25})
    append_line(log, {"kind": "step", "step": 9, "train_loss": 1.0})
    steps = load_frames(tmp_path).steps.set_index("step")
    assert math.isnan(steps.loc[500, "train_loss"])
    assert steps.loc[7, "train_loss"] == 4.25
    assert len(steps) == 121


def test_non_finite_losses_survive(tmp_path: Path) -> None:
    """A diverged run keeps its NaN loss and infinite gradient norm in the frame."""
    run = lr_ablation()[0]
    run.diverge_at = 50
    write_run(tmp_path, run)
    frames = load_frames(tmp_path)
    last = frames.steps.iloc[-1]
    assert math.isnan(last["train_loss"])
    assert math.isinf(last["grad_norm"])
    assert frames.runs.iloc[0]["outcome"] == "diverged"
    assert frames.runs.iloc[0]["diverged_step"] == 50


def test_only_the_newest_definition_counts(tmp_path: Path) -> None:
    """An edited study shows the arms of its newest definition; runs of arms that are gone drop out."""
    old = [Run("a"), Run("dropped")]
    write_runs(tmp_path, old)
    kept = Run("a", definition="d2", asked_at="2025-02-01T00:00:00Z", label="A, renamed")
    append_member(tmp_path / old[0].run_id, kept)
    write_run(tmp_path, Run("new", definition="d2", asked_at="2025-02-01T00:00:01Z"))
    (study,) = select_studies(load_frames(tmp_path))
    assert [(arm.name, arm.label) for arm in study.arms] == [("a", "A, renamed"), ("new", "new")]


def test_the_newest_run_of_an_arm_and_seed_counts(tmp_path: Path) -> None:
    """When the same arm and seed were asked for twice (another engine, another corpus), the newest run answers."""
    write_run(tmp_path, Run("a", floor=3.0))
    newest = write_run(tmp_path, Run("a", floor=2.0, asked_at="2025-02-01T00:00:00Z"))
    (study,) = select_studies(load_frames(tmp_path))
    assert study.run_ids == [newest]


def test_malformed_members_are_ignored(tmp_path: Path) -> None:
    """Lines that aren't memberships change nothing."""
    run_id = write_run(tmp_path, Run("a"))
    path = tmp_path / run_id / "members.jsonl"
    for value in ([1], {"study": "x"}, {"study": 1, "arm": "a", "scale": "q", "seed": 1}, "text"):
        append_line(path, value)
    with path.open("ab") as file:
        file.write(b'\xff\xfe{"study"\n')
    assert len(load_frames(tmp_path).members) == 1


def test_scales_and_variants_are_instances_of_their_own(tmp_path: Path) -> None:
    """Runs of one study at another scale or with overrides are never mixed."""
    write_runs(tmp_path, [Run("a"), Run("a", scale="char", seed=2), Run("a", seed=3, variant={"n_layer": 4})])
    keys = [study.key for study in select_studies(load_frames(tmp_path))]
    assert keys == ["lr-ablation@char", "lr-ablation@quick", "lr-ablation@quick n_layer=4"]
    assert [i.key for i in select_studies(load_frames(tmp_path), scales=["char"])] == ["lr-ablation@char"]


def test_overrides_that_change_no_run_make_no_other_instance(tmp_path: Path) -> None:
    """The same runs asked for twice, once as `--set device=cpu`: one instance, and two where one run is another."""
    runs = lr_ablation()
    write_runs(tmp_path, runs)
    for run in runs:
        append_member(tmp_path / run.run_id, dataclasses.replace(run, variant={"device": "cpu"}))
    assert [study.key for study in select_studies(load_frames(tmp_path))] == ["lr-ablation@quick"]
    write_run(tmp_path, dataclasses.replace(runs[0], variant={"device": "cpu"}, seed=2))
    assert len(select_studies(load_frames(tmp_path))) == 2


def test_a_run_that_was_asked_for_and_has_not_begun_is_waiting(tmp_path: Path) -> None:
    """A planned run has no row and isn't damaged, but the instance knows that it is missing."""
    write_run(tmp_path, Run("a"))
    planned = Run("b", "arm b", seed=5)
    (tmp_path / planned.run_id).mkdir()
    append_member(tmp_path / planned.run_id, planned)
    frames = load_frames(tmp_path)
    (study,) = select_studies(frames)
    assert frames.damaged.empty
    assert study.waiting == ("arm b, seed 5",)
    assert [arm.name for arm in study.arms] == ["a"]


def test_the_final_evaluation_over_the_whole_split_is_no_point_of_the_val_curve(tmp_path: Path) -> None:
    """val_curve holds evaluations on the same windows only, so that its rise means overfitting and nothing else."""
    write_runs(tmp_path, [lr_ablation()[0], *initial_loss(1)])
    studies = select_studies(load_frames(tmp_path))
    trained = next(i for i in studies if not i.is_untrained)
    untrained = next(i for i in studies if i.is_untrained)
    assert not trained.val_curve["whole"].any()
    assert trained.evals["whole"].any()
    assert untrained.val_curve["whole"].all()


def test_a_hundred_runs_load_in_seconds(tmp_path: Path) -> None:
    """100 runs of 300 steps take about a second; the limit leaves room for a busy machine."""
    template = write_run(tmp_path, lr_ablation(max_steps=300)[0])
    files = {path.name: path.read_text() for path in (tmp_path / template).iterdir()}
    for number in range(100):
        folder = tmp_path / f"{number:012x}"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text.replace(template, folder.name))
    start = time.perf_counter()
    frames = load_frames(tmp_path)
    assert time.perf_counter() - start < 5
    assert len(frames.runs) == 101
    assert pd.api.types.is_float_dtype(frames.steps["train_loss"])


def test_results_of_older_versions_get_the_flags_of_today(tmp_path: Path) -> None:
    """A result that knows no bigram loss: that of TinyShakespeare is known. Its run ended above it. Of another text
    nothing is known, and nothing is said; a recorded number counts before a known one.
    """
    floors = {"low": 3.0, "failed": 8.0, "other": 8.0, "recorded": 8.0}
    runs = {
        name: Run(name, floor=floor, rate=8, config={"max_steps": 80, "outlier_at": 0.5})
        for name, floor in floors.items()
    }
    runs["other"].corpus["checksum"] = "another"
    write_runs(tmp_path, list(runs.values()))
    path = tmp_path / runs["recorded"].run_id / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "bigram_loss": 8.5}))
    frame = load_frames(tmp_path).runs.set_index("run_id")
    frame = frame.loc[[run.run_id for run in runs.values()]]
    assert frame["bigram_loss"].round(3).fillna(0).tolist() == [5.06, 5.06, 0, 8.5]
    assert ["above-bigram" in str(flags).split(",") for flags in frame["flags"]] == [False, True, False, False]
    # The batch at half of the steps was made to be a spike: its loss is no rise.
    assert ["rose-above-start" in str(flags).split(",") for flags in frame["flags"]] == [False] * 4
    listed = {run["run_id"]: run["flags"] for run in list_runs(tmp_path)}
    assert "above-bigram" in listed[runs["failed"].run_id]
    assert "above-bigram" not in listed[runs["low"].run_id]


def test_a_rise_is_read_from_the_log(tmp_path: Path) -> None:
    """What the steps tell counts, whatever rule a result was made by."""
    one = Run("a", config={"max_steps": 80})
    write_runs(tmp_path, [one])
    log = tmp_path / one.run_id / "records.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if line["kind"] == "step" and line["step"] in (4, 5):
            line["train_loss"] = 20.0
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = tmp_path / one.run_id / "result.json"
    content = {name: value for name, value in json.loads(result.read_text()).items() if name != "records"}
    result.write_text(json.dumps(content))
    frame = load_frames(tmp_path).runs
    assert "rose-above-start" in str(frame["flags"].iloc[0]).split(",")
    assert "rose above its first loss of" in frame["flag_notes"].iloc[0]


def test_what_the_val_loss_did_is_known_once_all_steps_are_done(tmp_path: Path) -> None:
    """A run that lacks only its last evaluation is flagged as one that has it."""
    run_id = write_run(tmp_path, Run("a", config={"max_steps": 120, "eval_interval": 20}))
    log, result = (tmp_path / run_id / name for name in ("records.jsonl", "result.json"))
    records = [json.loads(line) for line in log.read_text().splitlines()]
    for record in records:
        if record["kind"] == "eval" and not record["whole"]:
            record["val_loss"] = 3.0 + abs(record["step"] - 40) / 100
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    said = {**json.loads(result.read_text()), "outcome": "interrupted", "flags": {}}
    result.write_text(json.dumps(said))
    row = load_frames(tmp_path).runs.iloc[0]
    assert row["flags"] == "overfit"
    assert "overfit from step 40" in row["flag_notes"]
    result.write_text(json.dumps({**said, "last_step": said["last_step"] - 20}))
    assert load_frames(tmp_path).runs.iloc[0]["flags"] == ""
