"""The natural spikes of a study's runs with clipping and without it: a run beside its fork."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Any

import pytest

from gptexp.records import StepRecord, encode_record
from gptexp.report.build import make_report
from gptexp.report.fork_table import forks_table
from gptexp.report.repeat import write_repeat
from gptexp.report.spike_forks import find_forks, spike_forks_table
from gptexp.report.tables import Table
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import select_studies
from tests.report.synthetic import Run, append_member, write_json, write_run
from tests.runs.made import make_study, run, steps

SPIKE = 8
STEPS = 12


def write_spiking(runs_dir: Path, run: Run, losses: dict[int, float]) -> str:
    """A run of twelve steps with one spike; `losses` are the steps whose train loss isn't 2.0."""
    run_id = write_run(runs_dir, run)
    records = [
        StepRecord(step, losses.get(step, 2.0), 1e-3, 40.0 if step == SPIKE else 1.0, False, 64 * step, 0.02, 3200.0)
        for step in range(1, STEPS + 1)
    ]
    (runs_dir / run_id / "records.jsonl").write_text("".join(encode_record(one) + "\n" for one in records))
    return run_id


def write_fork(runs_dir: Path, parent: Run, changes: dict[str, Any], losses: dict[int, float]) -> str:
    """A fork of a run before its spike, in a study with its parent, as `gptexp fork` leaves it."""
    study = f"fork-of-{parent.run_id}"
    about: dict[str, Any] = {"study": study, "seed": parent.seed, "variant": changes, "definition": "f1"}
    config = {**parent.config, **changes}
    fork = Run(f"at-{SPIKE - 1}", f"fork at step {SPIKE - 1}", config=config, **about)
    run_id = write_spiking(runs_dir, fork, losses)
    path = runs_dir / run_id / "config.json"
    content = json.loads(path.read_text())
    write_json(path, {**content, "fork": {"parent": parent.run_id, "step": SPIKE - 1, "was": {}}})
    append_member(runs_dir / parent.run_id, Run("parent", f"parent: {parent.arm}", **about))
    return run_id


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """Two runs with a spike, one that clips and one that doesn't, each forked with the other's clipping; and a third
    that nobody forked."""
    config = {"max_steps": STEPS}
    clip = Run("clip", study="clipping", config={**config, "grad_clip": 1.0})
    free = Run("no-clip", study="clipping", config={**config, "grad_clip": None})
    write_spiking(tmp_path, clip, {SPIKE + 1: 2.1})
    write_spiking(tmp_path, free, {SPIKE + 1: 6.0, STEPS: 3.0})
    write_spiking(tmp_path, Run("clip", study="clipping", seed=2, config={**config, "grad_clip": 1.0}), {})
    write_fork(tmp_path, clip, {"grad_clip": None}, {SPIKE + 1: 5.0, STEPS: 2.5})
    write_fork(tmp_path, free, {"grad_clip": 1.0}, {SPIKE + 1: 2.2})
    # A fork that changes something else says nothing of clipping.
    write_fork(tmp_path, clip, {"lr": 1e-5}, {SPIKE + 1: 9.0})
    return tmp_path


def make_table(runs_dir: Path) -> Table | None:
    frames = load_frames(runs_dir)
    (study,) = select_studies(frames, ["clipping"])
    return spike_forks_table(study, find_forks(frames, [study]).get(study.key, ()))


def test_each_forked_spike_has_both_sides(runs_dir: Path) -> None:
    """Whichever of run and fork clips stands under `with clipping`; the caption counts, and names what is missing."""
    table = make_table(runs_dir)
    assert table is not None
    rows = table.data.set_index("arm")
    columns = [
        "spike_step",
        "norm",
        "loss_before",
        "worst_clipped",
        "worst_unclipped",
        "last_clipped",
        "last_unclipped",
    ]
    assert rows.loc["clip", columns].tolist() == pytest.approx([SPIKE, 40, 2.0, 2.1, 5.0, 2.02, 2.7])
    assert rows.loc["no-clip", columns].tolist() == pytest.approx([SPIKE, 40, 2.0, 2.2, 6.0, 2.04, 3.0])
    assert "2 of the 3 natural spikes" in table.caption
    assert "worst loss was higher at 2 of them and the last loss at 2" in table.caption


def test_no_forks_no_table(runs_dir: Path) -> None:
    """Nor of a study whose runs were forked for something else."""
    frames = load_frames(runs_dir)
    (study,) = select_studies(frames, ["clipping"])
    assert spike_forks_table(study, ()) is None
    (others,) = [one for one in find_forks(frames, [study])[study.key] if "lr" in one.variant]
    assert spike_forks_table(study, [others]) is None


def test_the_page_of_the_study_has_it_and_names_its_runs(runs_dir: Path) -> None:
    """Asked for the study alone too; the manifest has the forks that the table stands on."""
    report = make_report("study", runs_dir=runs_dir, studies=["clipping"])
    (path,) = [name for name in report.files if name.endswith("spike-forks.csv")]
    table = make_table(runs_dir)
    assert table is not None
    assert str(report.files[path]).count("\n") == len(table.rows) + 1
    assert set(table.run_ids) <= set(report.manifest["runs"])


def test_a_fork_and_its_parent_are_made_again_by_commands_that_there_are(runs_dir: Path) -> None:
    """No study file makes them."""
    frames = load_frames(runs_dir)
    (study,) = [one for one in select_studies(frames) if one.key.endswith(" grad_clip=null")]
    rows = {arm.name: arm.runs.iloc[0] for arm in study.arms}
    parent = str(rows["parent"]["run_id"])
    fork = ["gptexp", "fork", parent, "--at-step", str(SPIKE - 1), "--set", "grad_clip=None"]
    assert shlex.split(write_repeat(study, rows[f"at-{SPIKE - 1}"])) == [*fork, "--corpus", "tinyshakespeare"]
    words = shlex.split(write_repeat(study, rows["parent"]))
    assert words[:4] == ["gptexp", "train", "--scale", "quick"]
    assert {f"max_steps={STEPS}", "n_embd=32", "seed=1"} <= set(words)


def test_only_a_fork_that_got_through_has_survived() -> None:
    """One that failed, or still trains, is called that."""
    ends = {"completed": 60, "stopped": 55, "diverged": 55, "failed": 55, "unfinished": math.nan}
    arms = {"a": [run(last_step=60)]}
    arms |= {name: [run(1, name, last, parent="a-1", fork_step=50)] for name, last in ends.items()}
    log = [row for name in arms for row in steps([4.0] * 60, arm=name) if name == "a" or row["step"] > 50]
    table = forks_table(make_study(arms, log))
    assert table is not None
    found = {str(row[-1].order): row[-1].text for row in table.rows}
    assert found == {name: "survived" if name in ("completed", "stopped") else name for name in ends}
