"""Every limit is found on a study that is empty in its way, and stays silent on one that is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gptexp.comparisons.validity import find_limits
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import StudyRuns, select_studies
from tests.report.synthetic import Run, initial_loss, write_runs
from tests.runs.made import ended, make_study, run


def load_study_of(runs_dir: Path, runs: list[Run]) -> StudyRuns:
    write_runs(runs_dir, runs)
    (study,) = select_studies(load_frames(runs_dir))
    return study


def two_arms(one: dict[str, Any], other: dict[str, Any], **fields: Any) -> list[Run]:
    long = {"max_steps": 100, "eval_interval": 10}
    return [
        Run("a", "arm A", config={**long, **one}, **fields),
        Run("b", "arm B", config={**long, **other}, **{**fields, "floor": fields.get("floor", 3.0) + 0.5}),
    ]


def test_clipping_that_never_fired(tmp_path: Path) -> None:
    """A threshold far above every norm shows nothing; one that fires is silent; equal thresholds aren't asked."""
    (sentence,) = find_limits(load_study_of(tmp_path / "a", two_arms({"grad_clip": 1000.0}, {"grad_clip": None})))
    assert sentence.startswith("Clipping never fired")
    assert "1000" in sentence
    assert find_limits(load_study_of(tmp_path / "b", two_arms({"grad_clip": 0.5}, {"grad_clip": None}))) == []
    assert find_limits(load_study_of(tmp_path / "c", two_arms({"grad_clip": 1000.0}, {"grad_clip": 1000.0}))) == []


def test_a_warmup_that_nobody_sees(tmp_path: Path) -> None:
    """Arms that differ in a warmup of 5 steps, evaluated every 10: said. A warmup of 20 is seen."""
    constant = {"schedule": "constant"}
    short = two_arms({"schedule": "warmup-cosine", "warmup_steps": 5}, constant)
    (sentence,) = find_limits(load_study_of(tmp_path / "a", short))
    assert sentence.startswith("The warmup of 5 steps is shorter than the 10 steps")
    long = two_arms({"schedule": "warmup-cosine", "warmup_steps": 20}, constant)
    assert find_limits(load_study_of(tmp_path / "b", long)) == []
    same = two_arms({"warmup_steps": 5, "lr": 1e-3}, {"warmup_steps": 5, "lr": 1e-4})
    assert find_limits(load_study_of(tmp_path / "c", same)) == []


def test_an_arm_that_has_not_begun_to_learn(tmp_path: Path) -> None:
    """An arm within 1% of its first loss is named; the other is not."""
    runs = two_arms({"lr": 1e-3}, {"lr": 1e-9})
    runs[1].rate = 1e6
    (sentence,) = find_limits(load_study_of(tmp_path, runs))
    assert sentence.startswith("arm B is still at its first loss")


def test_a_schedule_that_never_decayed(tmp_path: Path) -> None:
    """A run that diverged inside its warmup has not shown its schedule."""
    runs = two_arms(
        {"schedule": "warmup-cosine", "warmup_steps": 50}, {"schedule": "warmup-cosine", "warmup_steps": 20}
    )
    runs[0].diverge_at = 30
    sentences = find_limits(load_study_of(tmp_path, runs))
    assert any(s.startswith("arm A ended at step 30, before its decay began after step 50") for s in sentences)
    assert not any("arm B" in s for s in sentences)


@pytest.mark.parametrize(("apart", "told"), [(0.001, False), (1.0, True)])
def test_arms_that_differ_less_than_their_seeds(tmp_path: Path, apart: float, told: bool) -> None:
    """Three seeds that scatter by 0.2: arms 0.001 apart are not told apart, arms a nat apart are."""
    runs = [
        Run(arm, f"arm {arm}", seed=seed, config={"max_steps": 200, "eval_interval": 50}, floor=floor + 0.2 * seed)
        for arm, floor in (("a", 3.0), ("b", 3.0 + apart))
        for seed in (1, 2, 3)
    ]
    sentences = find_limits(load_study_of(tmp_path, runs))
    assert [s.startswith("The arms end") for s in sentences] == ([] if told else [True])


@pytest.mark.parametrize(("share", "begun"), [(0.9901, False), (0.9899, True)])
def test_the_edge_of_having_begun(tmp_path: Path, share: float, begun: bool) -> None:
    """A final val loss 1% under the first one has begun to learn; of two arms that have not, both are named."""
    study = load_study_of(tmp_path, two_arms({"lr": 1e-3}, {"lr": 1e-4}))
    for arm in study.arms:
        arm.runs["final_val_loss"] = arm.runs["initial_val_loss"] * share
    found = [sentence for sentence in find_limits(study) if "first loss" in sentence]
    assert bool(found) is not begun
    if found:
        assert found[0].startswith("2 arms are still at their first loss")


def test_the_seeds_of_all_arms_count(tmp_path: Path) -> None:
    """Variances are averaged: seeds of 3 ± 0 and 3.3 ± 0.42 scatter by sqrt(0.18 / 2) = 0.300, more than 0.29 apart."""
    runs = [
        Run(arm, f"arm {arm}", seed=seed, config={"max_steps": 100, "eval_interval": 10}, floor=3.0)
        for arm in "ab"
        for seed in (1, 2)
    ]
    study = load_study_of(tmp_path, runs)
    for arm, losses in zip(study.arms, ([3.0, 3.0], [2.99, 3.59]), strict=True):
        arm.runs["final_val_loss"] = losses
    (sentence,) = [found for found in find_limits(study) if "scatter" in found]
    assert "0.290 nats apart" in sentence
    assert "scatter by 0.300" in sentence
    study.arms[1].runs["final_val_loss"] = [3.01, 3.61]
    assert not [found for found in find_limits(study) if "scatter" in found]


def test_one_seed_that_is_clipped_is_enough(tmp_path: Path) -> None:
    """Clipping that fired in one seed of two did fire."""
    runs = [
        Run(
            arm, f"arm {arm}", seed=seed, config={"max_steps": 100, "eval_interval": 10, "grad_clip": clip}, floor=floor
        )
        for arm, clip, floor in (("a", 1000.0, 3.0), ("b", None, 3.5))
        for seed in (1, 2)
    ]
    study = load_study_of(tmp_path, runs)
    (clipped,) = [arm for arm in study.arms if arm.name == "a"]
    clipped.runs["clipped_fraction"] = [0.0, 0.1]
    assert not [found for found in find_limits(study) if found.startswith("Clipping")]


def test_one_arm_that_is_evaluated_often_sees_the_warmup(tmp_path: Path) -> None:
    """What counts is the shortest distance between two evaluations of any arm."""
    rare = {"schedule": "warmup-cosine", "warmup_steps": 20, "eval_interval": 50}
    often = {"schedule": "constant", "eval_interval": 10}
    assert find_limits(load_study_of(tmp_path, two_arms(rare, often))) == []


def test_means_over_seeds_decide(tmp_path: Path) -> None:
    """Two seeds still at their first loss and one far below it: on average the arm has begun to learn. And of three
    arms whose seeds have variances of 0, 0 and 0.27, the scatter is sqrt(0.09) = 0.300."""
    runs = [
        Run(arm, f"arm {arm}", seed=seed, config={"max_steps": 100, "eval_interval": 10}, floor=3.0)
        for arm in "abc"
        for seed in (1, 2, 3)
    ]
    study = load_study_of(tmp_path, runs)
    for arm, losses in zip(study.arms, ([3.0, 3.0, 3.0], [3.0, 3.0, 3.0], [2.4, 3.3, 3.3]), strict=True):
        arm.runs["final_val_loss"] = losses
    (sentence,) = [found for found in find_limits(study) if "scatter" in found]
    assert "0.000 nats apart" in sentence
    assert "scatter by 0.300" in sentence
    for arm in study.arms:
        arm.runs["initial_val_loss"] = [3.0, 3.0, 3.0]
        arm.runs["final_val_loss"] = [3.0, 3.0, 1.5]
    assert not [found for found in find_limits(study) if "first loss" in found]


def test_one_seed_and_no_training_say_nothing(tmp_path: Path) -> None:
    """Without seeds there is no scatter to compare with, and an untrained study has no training to be empty of."""
    assert find_limits(load_study_of(tmp_path / "a", two_arms({}, {}))) == []
    assert find_limits(load_study_of(tmp_path / "b", initial_loss())) == []


@pytest.mark.parametrize(("last", "seen"), [(49, False), (50, False), (51, True)])
def test_the_first_step_of_a_decay_is_seen(last: int, seen: bool) -> None:
    """Step 50 of a warmup of 50 is still the peak: a run that broke there has shown no decay, one at 51 has."""
    broken = run(1, "diverged", last, warmup_steps=50, schedule="warmup-cosine", eval_interval=10, diverged_step=last)
    sentences = find_limits(make_study({"a": [broken], "b": [run(1, schedule="constant")]}))
    why = f"arm a ended at step {last}, before its decay began after step 50: its schedule was not seen."
    assert sentences == ([] if seen else [why])


def test_arms_without_a_shared_seed() -> None:
    """None of two arms shares a seed; of three, one doesn't: it is named. Nothing where all share one."""
    why = (
        "without pairs, a difference between arms is also one of initial weights and of batches, and can't be told "
        "from luck here."
    )
    a, b, c = [run(1), run(2)], [run(2)], [run(3)]
    assert find_limits(make_study({"a": a, "c": c})) == [f"No two arms share a seed: {why}"]
    assert find_limits(make_study({"a": a, "b": b, "c": c})) == [f"No other arm has a seed of arm c: {why}"]
    both = find_limits(make_study({"a": a, "b": b, "c": c, "d": [run(4)]}))
    assert both == [f"No other arm has a seed of arm c, arm d: {why}"]
    assert find_limits(make_study({"a": a, "b": b})) == []
    assert find_limits(make_study({"a": ended([3.0])})) == []
