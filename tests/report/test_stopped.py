"""Runs that were stopped on their way: what they show is shown, and nothing takes where they are for their end."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gptexp.claims.judge import Judgement, judge_claim
from gptexp.claims.ledger import Claim, Place, load_ledger
from gptexp.claims.words import write_direction
from gptexp.comparisons.speed import measure_speed
from gptexp.comparisons.summary import summarize_arms
from gptexp.comparisons.validity import find_limits
from gptexp.report.figures.canvas import NARROW, WIDE
from gptexp.report.figures.grad_norm import gradient_norms
from gptexp.report.figures.losses import loss_curves
from gptexp.report.findings import state_findings
from gptexp.report.step_table import losses_at_steps
from gptexp.report.tables import results_table
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import StudyRuns, select_studies
from tests.claims.test_judge import lessons
from tests.report.synthetic import Run, lr_ablation, write_runs

WHERE = (Place("s", "q"),)
LEDGER = load_ledger("pretraining")


def stop(runs: list[Run], at: int) -> list[Run]:
    return [dataclasses.replace(run, stop_at=at, is_stopped=True) for run in runs]


def read(folder: Path, runs: list[Run]) -> StudyRuns:
    write_runs(folder, runs)
    (study,) = select_studies(load_frames(folder))
    return study


def judge(folder: Path, claim: Claim, runs: list[Run]) -> Judgement:
    return judge_claim(claim, [read(folder, runs)])


def about(quantity: str, other: str = "", relation: str = "above") -> Claim:
    return Claim("x", WHERE, "X.", study="lr-ablation", quantity=quantity, other=other, relation=relation, stated=0.0)  # type: ignore[arg-type]


def test_a_claim_that_its_first_steps_decide_is_judged(tmp_path: Path) -> None:
    """Finite past step 600 of 10,000 is finite past step 600; the verdict is that of the whole runs."""
    claim = dataclasses.replace(LEDGER.find("constant-6e-4-explodes"), ways=(), study="lr-ablation")
    claim = dataclasses.replace(claim, quantity="constant-6e-4:diverged@600")
    found = judge(tmp_path / "there", claim, stop(lessons(3, 10_000, grad_clip=None), 600))
    assert found.measured is not None
    assert (found.measured.n, found.measured.happened, found.measured.verdict) == (3, 0, "refuted")
    early = judge(tmp_path / "early", claim, stop(lessons(3, 10_000, grad_clip=None), 599))
    assert early.verdict == "not measured"
    assert (
        write_direction(early)
        == "it needs step 600 in every arm, and the runs of lr-ablation@lesson reached at most 599"
    )


@pytest.mark.parametrize("quantity", ["train_loss@100", "first_train_loss", "initial_val_loss", "unstable@100"])
def test_what_the_first_steps_tell_is_what_the_whole_run_tells(tmp_path: Path, quantity: str) -> None:
    """To the bit."""
    relation = "never" if "unstable" in quantity else "above"
    claim = about(f"warmup-cosine:{quantity}", relation=relation)
    whole = judge(tmp_path / "whole", claim, lr_ablation(3, 300)).measured
    part = judge(tmp_path / "part", claim, stop(lr_ablation(3, 300), 100)).measured
    assert whole is not None
    assert part is not None
    assert (part.n, part.value, part.verdict) == (3, whole.value, whole.verdict)


@pytest.mark.parametrize(
    "field",
    [
        "final_val_loss",
        "final_train_loss",
        "best_val_loss",
        "max_grad_norm",
        "clipped_fraction",
        "median_grad_norm",
        "early_max_norm",
        "late_max_norm",
        "early_noise",
        "late_noise",
        "val_rise",
        "train_loss@250",
    ],
)
def test_a_claim_about_the_whole_run_says_how_far_it_would_have_to_get(tmp_path: Path, field: str) -> None:
    """No number of the first hundred steps stands for one of three hundred."""
    found = judge(tmp_path, about(f"warmup-cosine:{field}"), stop(lr_ablation(3, 300), 100))
    assert found.measured is not None
    assert found.measured.n == 0
    needs = "250" if "250" in field else "300"
    assert (
        write_direction(found)
        == f"it needs step {needs} in every arm, and the runs of lr-ablation@quick reached at most 100"
    )


def test_noise_is_compared_over_the_same_steps_only(tmp_path: Path) -> None:
    """Runs stopped at the same step can be held against each other; early steps against later ones can't."""
    claim = about("warmup-cosine:noise", other="constant-1e-5:noise")
    same = judge(tmp_path / "same", claim, stop(lr_ablation(3, 300), 100)).measured
    assert same is not None
    assert same.n == 3
    assert same.incomparable == ""
    mixed = [run if run.arm == "constant-1e-5" else stop([run], 100)[0] for run in lr_ablation(3, 300)]
    other = judge(tmp_path / "mixed", claim, mixed).measured
    assert other is not None
    assert (other.incomparable, other.verdict) == ("up to different steps", "not measured")


def test_no_table_or_sentence_takes_them_for_ended(tmp_path: Path) -> None:
    """No final losses, no lowest end, no interval, no "not reached"; the losses stand at the last common step."""
    runs = lr_ablation(3, 600)
    study = read(tmp_path, [stop([run], 120 if run.seed == 1 else 150)[0] for run in runs])
    summary = summarize_arms(study)
    assert summary["stopped"].tolist() == [3] * 4
    assert summary["stopped_steps"].tolist() == ["120 of 600, 150 of 600"] * 4
    assert summary["final_val_loss_mean"].isna().all()
    assert summary["final_train_loss_mean"].isna().all()
    assert measure_speed(study) is None
    table = results_table(study)
    assert table is not None
    assert table.rows[0][1].text == "3 of 3 stopped (step 120 of 600, 150 of 600)"
    findings = " ".join(finding.text for finding in state_findings(study))
    assert "ends lowest" not in findings
    assert "None of the" not in findings
    assert "12 of 12 runs stopped as asked, at step 120 of 600, 150 of 600: how they end is not known" in findings
    assert "At step 120, the last that all runs got to, the train loss is: " in findings
    steps = losses_at_steps(study)
    assert steps is not None
    assert "Step 120 is the last that all runs got to" in steps.caption
    assert [row[0].text for row in steps.rows] == ["100", "120", "150"]
    assert all("ended at step" not in text for text in find_limits(study))


def test_arms_that_ended_are_ranked_without_those_that_did_not(tmp_path: Path) -> None:
    """A stopped arm is named beside them, and its loss is no end."""
    runs = [stop([run], 60)[0] if run.arm == "warmup-cosine" else run for run in lr_ablation(3, 120)]
    study = read(tmp_path, runs)
    headline = next(finding.text for finding in state_findings(study) if finding.kind == "headline")
    assert "not the lesson's of 124M: constant 6e-4 ends lowest" in headline
    assert "warmup + cosine at" not in headline
    assert headline.count("warmup + cosine") == headline.count("warmup + cosine has no final val loss") == 1
    speed = measure_speed(study)
    assert speed is not None
    assert np.isnan(speed.frame.set_index("arm").loc["warmup-cosine", "area_mean"])


def test_curves_say_where_they_stop(tmp_path: Path) -> None:
    """In the caption, the alternative text and a mark; the same runs, whole, have none of it."""
    stopped = read(tmp_path / "part", stop(lr_ablation(1, 600), 150))
    drawing = loss_curves(stopped)
    assert drawing is not None
    assert "constant 6e-4: stopped as asked, at step 150 of 600." in drawing.caption
    assert "constant 6e-4: train loss from" in drawing.description
    assert "stopped as asked at step 150 of 600, train loss there" in drawing.description
    norms = gradient_norms(stopped)
    assert norms is not None
    assert "Stopped as asked, at step 150 of 600." in norms.description
    for layout in (WIDE, NARROW):
        texts = [text.get_text() for text in drawing.draw(layout).texts]
        assert "stopped as asked" in texts
    whole = loss_curves(read(tmp_path / "whole", lr_ablation(1, 600)))
    assert whole is not None
    assert "stopped" not in whole.caption + whole.description


def test_a_mean_of_some_seeds_says_of_how_many(tmp_path: Path) -> None:
    """Behind a divergence the seeds that are left stand for themselves, with a mark."""
    config = {"max_steps": 600, "eval_interval": 100}
    runs = [Run("a", seed=seed, config=config, diverge_at=270 if seed < 3 else None) for seed in (1, 2, 3)]
    table = losses_at_steps(read(tmp_path, runs))
    assert table is not None
    before, after = table.rows[0][1], table.rows[-1][1]
    assert (before.mark, before.detail) == ("", "")
    assert (after.mark, after.detail) == ("diverged", "1 of 3 seeds, 2 diverged")
