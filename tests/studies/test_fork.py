"""Forks: a parent's first steps, then the same batches with something changed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from gptexp.config import build_config
from gptexp.errors import GptexpError
from gptexp.runs.frames import load_frames
from gptexp.studies.execute import execute
from gptexp.studies.fork import cool_down, plan_forks, read_changes, read_parent
from gptexp.studies.job import Job
from gptexp.studies.resolve import resolve_run
from gptexp.tracking.lines import read_lines
from gptexp.tracking.run_dir import RunDir, find_run
from gptexp.tracking.verify import verify_run
from gptexp.training.checkpoint import list_checkpoints
from gptexp.version import LATER_FIELDS
from tests.studies.tiny import TINY, make_job, read_untimed, write_corpus

CHANGES: dict[str, Any] = {
    "max_steps": 11,
    "checkpoint_interval": 100,
    "eval_interval": 4,
    "dropout": 0.1,
    "sample_losses": [4.0, 3.8],
}
FORK = 6


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    write_corpus(path)
    return path


def train(job: Job, stop_at: int = 99, until: int | None = None) -> Any:
    """Train it, asked to stop by a signal after `stop_at` steps of this process."""
    asked = iter([False] * (stop_at - 1) + [True])
    return execute(dataclasses.replace(job, until_step=until), [], lambda: next(asked), lambda text: None)


def fork(runs_dir: Path, parent: Job, corpus: Path, step: int = FORK, **changes: Any) -> Job:
    planned = plan_forks(read_parent(RunDir(runs_dir / parent.run_id)), {step: changes}, runs_dir, str(corpus))
    assert [item.arm.name for item in planned] == ["parent", f"at-{step}"]
    return planned[1].job("gptexp fork")


def weights(job: Job) -> dict[str, Any]:
    newest = list_checkpoints(Path(job.run_dir) / "checkpoints")[0]
    return load_file(newest / "model.safetensors")


def assert_same_weights(one: Job, other: Job) -> None:
    here, there = weights(one), weights(other)
    assert here.keys() == there.keys()
    assert all((here[name] == there[name]).all() for name in here)


WAYS = {"trained again": [None], "from a checkpoint before": [3, 8], "from its checkpoint": [FORK]}
"""Where the parent was stopped."""


@pytest.mark.parametrize("untils", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("kills", [(), (2, 2)], ids=["at once", "killed twice"])
def test_a_fork_that_changes_nothing_is_its_parent(
    corpus: Path, tmp_path: Path, untils: list[int | None], kills: tuple[int, ...]
) -> None:
    """Records and weights are the parent's to the bit, wherever it begins and however often it is killed."""
    parent = make_job(tmp_path, corpus, **CHANGES)
    for until in untils:
        train(parent, until=until)
    job = fork(tmp_path, parent, corpus)
    assert job.run_id.startswith(f"{parent.run_id}-at-{FORK}-")
    for stop_at in kills:
        assert train(job, stop_at).outcome == "interrupted"
        assert verify_run(RunDir(Path(job.run_dir))).problems == []
    assert train(job).outcome == "completed"
    train(parent)
    assert read_untimed(Path(job.run_dir)) == read_untimed(Path(parent.run_dir))
    assert_same_weights(job, parent)
    for one in (job, parent):
        assert verify_run(RunDir(Path(one.run_dir))).word == "sound"


def test_processes_that_share_batches_train_the_parents_steps_together(corpus: Path, tmp_path: Path) -> None:
    """A fork where its parent of two processes has no checkpoint is the parent to the bit."""
    parent = make_job(tmp_path, corpus, **{**CHANGES, "dropout": 0.0, "world_size": 2, "threads": 1})
    train(parent)
    job = fork(tmp_path, parent, corpus)
    assert train(job).outcome == "completed"
    assert read_untimed(Path(job.run_dir)) == read_untimed(Path(parent.run_dir))


@pytest.mark.parametrize(("until", "begin"), [(3, 3), (8, 4), (None, 0)])
def test_a_forks_times_are_those_of_what_it_trains(corpus: Path, tmp_path: Path, until: int | None, begin: int) -> None:
    """The plan counts from the parent's checkpoint on; the result has the seconds of shared steps trained again too."""
    parent = make_job(tmp_path, corpus, **{**CHANGES, "sample_losses": []})
    train(parent, until=until)
    step = 3 if until == 3 else FORK
    item = plan_forks(read_parent(RunDir(tmp_path / parent.run_id)), {step: {}}, tmp_path, str(corpus))[1]
    assert (item.status, item.from_step) == ("new", begin)
    result = train(item.job("gptexp fork"))
    first, second = read_lines(tmp_path / item.run.run_id / "provenance.jsonl", tmp_path)
    assert (first["from_step"], second["from_step"]) == (begin, step)
    assert first["earlier_s"] == 0.0
    assert (second["earlier_s"] > 0.0) == (begin < step)
    assert result.duration_s > second["earlier_s"]


def test_the_outlier_batch_stays_where_the_parent_has_it(corpus: Path, tmp_path: Path) -> None:
    """A share of other max_steps would be another step: that is refused, unless both steps lie behind the fork."""
    parent = make_job(tmp_path, corpus, **{**CHANGES, "sample_interval": None}, outlier_at=0.3)
    assert parent.run.config.outlier_step == 3
    train(parent)
    for changes in ({"max_steps": 22}, {"outlier_at": None}, {"outlier_at": 0.5}):
        with pytest.raises(
            GptexpError, match=r"has an outlier batch at step 3, and .*; --set outlier_at=0\.\d+ leaves"
        ):
            fork(tmp_path, parent, corpus, **changes)
    assert fork(tmp_path, parent, corpus, 2, max_steps=22).run.config.outlier_step == 7
    job = fork(tmp_path, parent, corpus, 11, max_steps=22, outlier_at=0.136363636)
    train(job, until=12)
    there = [row for row in read_untimed(Path(parent.run_dir)) if row["kind"] in ("step", "event")]
    here = [row for row in read_untimed(Path(job.run_dir)) if row["kind"] in ("step", "event")]
    assert here[: len(there)] == there


def test_a_lower_rate_needs_no_other_min_lr_where_none_is_read(corpus: Path, tmp_path: Path) -> None:
    """The min_lr in the config of a warmup-constant run is its lr; a schedule that ends there still refuses less."""
    parent = make_job(tmp_path, corpus, **CHANGES, schedule="warmup-constant", warmup_steps=2)
    train(parent)
    job = fork(tmp_path, parent, corpus, lr=1e-3)
    assert train(job).outcome == "completed"
    assert (job.run.config.lr, job.run.config.min_lr) == (1e-3, 1e-3)
    assert job.content["fork"]["was"] == {"lr": 3e-3, "min_lr": 3e-3}
    rates = {row["step"]: row["lr"] for row in read_untimed(Path(job.run_dir)) if row["kind"] == "step"}
    assert (rates[FORK], rates[FORK + 1]) == (3e-3, 1e-3)
    decaying = make_job(tmp_path, corpus, **CHANGES, min_lr=2e-3)
    train(decaying)
    with pytest.raises(GptexpError, match=r"min_lr=0.002 is above the peak lr=0.001"):
        fork(tmp_path, decaying, corpus, lr=1e-3)


def test_a_parent_from_before_a_field_is_forked(corpus: Path, tmp_path: Path) -> None:
    """A field that its config lacks stands at what runs did then: the fork has its usual id and changes."""
    parent = make_job(tmp_path, corpus, **CHANGES)
    train(parent)
    usual = fork(tmp_path, parent, corpus, grad_clip=None)
    path = Path(parent.run_dir) / "config.json"
    content = json.loads(path.read_text())
    content["config"] = {name: value for name, value in content["config"].items() if name not in LATER_FIELDS}
    content.pop("seal", None)
    path.write_text(json.dumps(content))
    job = fork(tmp_path, parent, corpus, grad_clip=None)
    assert job.content == usual.content
    assert train(job).outcome == "completed"


def test_what_is_changed_counts_from_the_fork_on(corpus: Path, tmp_path: Path) -> None:
    """The first other update is the one behind the fork; frames hold only what is the fork's own."""
    parent = make_job(tmp_path, corpus, **CHANGES, grad_clip=0.01)
    train(parent)
    job = fork(tmp_path, parent, corpus, grad_clip=None)
    assert train(job).outcome == "completed"
    here, there = (
        {row["step"]: row for row in read_untimed(tmp_path / one.run_id) if row["kind"] == "step"}
        for one in (job, parent)
    )
    assert all(here[step] == there[step] for step in range(1, FORK + 1))
    assert here[FORK + 1]["train_loss"] == there[FORK + 1]["train_loss"]
    assert here[FORK + 2]["train_loss"] != there[FORK + 2]["train_loss"]
    assert [here[FORK]["clipped"], here[FORK + 1]["clipped"]] == [True, False]
    frames = load_frames(tmp_path)
    steps = frames.steps[frames.steps["run_id"] == job.run_id]["step"]
    assert list(steps) == list(range(FORK + 1, 12))
    assert frames.evals[frames.evals["run_id"] == job.run_id]["step"].min() == 8
    own = frames.runs.set_index("run_id").loc[job.run_id]
    assert (own["parent"], own["fork_step"]) == (parent.run_id, FORK)
    assert json.loads((Path(job.run_dir) / "config.json").read_text())["fork"] == {
        "parent": parent.run_id,
        "step": FORK,
        "was": {"grad_clip": 0.01},
    }


@pytest.mark.parametrize("schedule", ["wsd", "wsd-sqrt"])
def test_cooldowns_of_one_stable_run_are_undisturbed_runs(corpus: Path, tmp_path: Path, schedule: str) -> None:
    """Each cooldown ends with the records and weights of a run that was planned to that length, to the bit."""
    stable = make_job(
        tmp_path, corpus, **{**CHANGES, "sample_interval": None}, schedule="warmup-constant", warmup_steps=2
    )
    train(stable)
    for step in (4, 8, 11):
        job = fork(tmp_path, stable, corpus, step, **cool_down(step, 3, schedule))
        train(job)
        phases = {"schedule": schedule, "warmup_steps": 2, "decay_steps": 3, "max_steps": step + 3}
        undisturbed = make_job(tmp_path, corpus, **{**CHANGES, "sample_interval": None, **phases})
        train(undisturbed)
        assert read_untimed(Path(job.run_dir)) == read_untimed(Path(undisturbed.run_dir))
        assert_same_weights(job, undisturbed)


def test_a_parents_short_id_still_finds_it(corpus: Path, tmp_path: Path) -> None:
    """The ids of its forks begin with its own; the short one means the parent."""
    parent = make_job(tmp_path, corpus, **CHANGES)
    train(parent)
    job = fork(tmp_path, parent, corpus)
    train(job)
    assert find_run(tmp_path, parent.run_id[:6]).path.name == parent.run_id
    assert find_run(tmp_path, job.run_id[:20]).path.name == job.run_id


def test_what_decides_nothing_makes_no_other_study_of_forks(corpus: Path, tmp_path: Path) -> None:
    """Forks with another checkpoint_interval join those that are there."""
    parent = make_job(tmp_path, corpus, **CHANGES)
    train(parent)
    definitions = set()
    for changes in ({"grad_clip": 0.5}, {"grad_clip": 0.5, "checkpoint_interval": 2}):
        planned = plan_forks(read_parent(RunDir(tmp_path / parent.run_id)), {FORK: changes}, tmp_path, str(corpus))
        definitions |= {item.member()["definition"] for item in planned}
    assert len(definitions) == 1


def test_records_of_another_machine_are_refused(corpus: Path, tmp_path: Path) -> None:
    """A parent whose numbers don't come again has no fork to be compared with."""
    parent = make_job(tmp_path, corpus, **CHANGES)
    train(parent)
    path = Path(parent.run_dir) / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if '"step", "step": 3,' in line)
    row = json.loads(lines[place])
    lines[place] = json.dumps({**row, "train_loss": row["train_loss"] * (1 + 1e-15)}) + "\n"
    job = fork(tmp_path, parent, corpus)
    path.write_text("".join(lines))
    for _ in range(2):
        with pytest.raises(GptexpError, match=r"step 3 of run .* this machine gives other numbers"):
            train(job)


def test_what_cannot_be_forked_is_said_in_a_sentence(corpus: Path, tmp_path: Path) -> None:
    """Fields that decide shape, batches or sums; steps that the parent lacks; nothing left to train; a fork's fork."""
    for name in ("n_layer=3", "batch_size=2", "seed=3", "tokenizer=char", "optimizer=sgd", "precision=bf16"):
        with pytest.raises(GptexpError, match="can't change in a fork"):
            read_changes([name])
    parent = make_job(tmp_path, corpus, **CHANGES)
    with pytest.raises(GptexpError, match="can't be forked"):
        read_parent(RunDir(tmp_path / parent.run_id))
    train(parent)
    with pytest.raises(GptexpError, match="has the steps 1 to 11"):
        fork(tmp_path, parent, corpus, 12)
    with pytest.raises(GptexpError, match="nothing left to train"):
        fork(tmp_path, parent, corpus, 11)
    other = tmp_path / "other.txt"
    other.write_text(corpus.read_text() + "One more.\n")
    with pytest.raises(GptexpError, match="not the text"):
        fork(tmp_path, parent, other)
    job = fork(tmp_path, parent, corpus)
    train(job)
    with pytest.raises(GptexpError, match="is a fork itself"):
        read_parent(RunDir(Path(job.run_dir)))


def test_run_ids_of_other_runs_are_what_they_were(corpus: Path) -> None:
    """A run that is no fork says nothing of forks."""
    run = resolve_run(build_config({**TINY}), str(corpus))
    assert "fork" not in run.content
    assert "-" not in run.run_id
