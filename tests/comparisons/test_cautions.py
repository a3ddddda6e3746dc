"""What a reader has to keep in mind: each sentence is there where it is true, and not where it isn't."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gptexp.comparisons.cautions import find_cautions
from gptexp.runs.study_runs import StudyRuns
from tests.runs.made import evals, make_study, run, steps

COLD: dict[str, Any] = {"schedule": "constant", "clipped_fraction": 0.3}
WARM: dict[str, Any] = {"schedule": "warmup-constant", "warmup_steps": 10, "clipped_fraction": 0.3}
FREE: dict[str, Any] = {"grad_clip": None, "clipped_fraction": 0.0}


def find(study: StudyRuns, word: str, *beside: StudyRuns) -> list[str]:
    """The sentences with a word in them."""
    return [sentence for sentence in find_cautions(study, beside) if word in sentence]


def test_one_seed() -> None:
    """Also of what is not trained; two seeds have an interval."""
    assert find(make_study({"a": [run(1)]}), "One seed") == ["One seed: a direction, no interval."]
    assert find(make_study({"a": [run(1, max_steps=0)]}), "One seed")
    assert not find(make_study({"a": [run(1), run(2)]}), "One seed")


@pytest.mark.parametrize(("tokens", "told"), [(34.0, True), (99.0, True), (100.0, False), (250.0, False)])
def test_less_than_one_pass_over_the_text(tokens: float, told: bool) -> None:
    """Of 100 tokens; the run that read most decides, and one that goes on is not asked."""
    rows = [run(1, train_tokens=100, tokens_seen=5), run(2, train_tokens=100, tokens_seen=tokens)]
    study = make_study({"a": [*rows, run(3, "unfinished", math.nan, train_tokens=100, tokens_seen=500)]})
    found = find(study, "epochs at most")
    assert bool(found) is told
    if told:
        assert f"({tokens / 100:.2g} epochs at most)" in found[0]


def test_a_training_that_failed() -> None:
    """With how many runs of an arm, and whether it ever was under the bigram loss; where nobody knows, it says so."""
    known = {"bigram_loss": 2.5}
    arms = {
        "a": [run(1, final_val_loss=2.6, best_val_loss=2.4, **known), run(2, final_val_loss=2.4, **known)],
        "b": [run(1, final_val_loss=8.0, best_val_loss=2.6, **known)],
        "c": [run(1, final_val_loss=2.5, best_val_loss=2.5, **known)],
    }
    assert find(make_study(arms), "bigram") == [
        "A training that ends above the bigram loss, 2.500 here, has failed, even if every number is "
        "finite: arm a (1 of 2 runs, at 2.600; lowest 2.400); arm b (1 of 1 run, at 8.000; not under it at "
        "any evaluation, lowest 2.600)."
    ]
    (unknown,) = find(make_study({"a": [run(1, final_val_loss=2.6)]}), "bigram")
    assert unknown.startswith("The records of 1 run don't say what a bigram model reaches")
    assert not find(make_study({"a": [run(1, "diverged", 7, **known)]}), "bigram")


def test_a_run_that_was_cut_off_after_its_last_step_has_an_end() -> None:
    """Its val loss over the whole split is missing, the one on the fixed subset counts."""
    cut = [run(1, "interrupted", 100, best_val_loss=5.066, bigram_loss=5.06)]
    (found,) = find(make_study({"a": cut}, measured=evals({50: 5.066, 100: 10.058})), "bigram")
    assert "arm a (1 of 1 run, at 10.058; not under it at any evaluation, lowest 5.066)" in found
    earlier = [run(1, "interrupted", 50, best_val_loss=5.066, bigram_loss=5.06)]
    assert not find(make_study({"a": earlier}, measured=evals({50: 5.066})), "bigram")


def test_a_loss_that_still_falls() -> None:
    """By 0.5 nats per 100 steps at the end of 100; a flat one with the same noise doesn't, nor one that stopped."""
    noise = [0.02 * (1, -1, -1, 1)[step % 4] for step in range(100)]
    falling = [5 - 0.005 * step + noise[step] for step in range(100)]
    flat = [3 + noise[step] for step in range(100)]
    arms = {"a": [run()], "b": [run()]}
    (found,) = find(make_study(arms, [*steps(falling), *steps(flat, arm="b")]), "still falls")
    assert "at the end in arm a, by 0.50 nats per 100 steps" in found
    assert not find(make_study(arms, [*steps(flat), *steps(flat, arm="b")]), "still falls")
    stopped = {"a": [run(1, "stopped", 100, max_steps=200)]}
    assert not find(make_study(stopped, steps(falling)), "still falls")


@pytest.mark.parametrize(("share", "told"), [(0.49, False), (0.5, True), (1.0, True)])
def test_clipping_that_fires_nearly_always(share: float, told: bool) -> None:
    """From half of an arm's steps on it is no guard; the arm is named."""
    study = make_study({"a": [run(1, clipped_fraction=share)], "b": [run(1, clipped_fraction=0.1)]})
    found = find(study, "Clipping fires in")
    assert ["of the steps of arm a: there it is no guard" in text for text in found] == ([True] if told else [])


def test_every_run_without_warmup_is_clipped() -> None:
    """Then a study of warmup can't say what a missing one does alone, and others of the page share that. One unclipped
    arm without warmup, clipping that never acted, or arms that all warm up: nothing of the kind.
    """
    study = make_study({"a": [run(**COLD)], "b": [run(**WARM)]})
    other = make_study({"a": [run(**COLD)], "b": [run(**WARM)]}, name="other", key="other@quick")
    free = make_study(
        {"a": [run(**COLD)], "b": [run(**WARM)], "c": [run(**COLD | FREE)]}, name="free", key="free@quick"
    )
    (found,) = find(study, "without warmup", study, other, free)
    assert found.startswith("Every run without warmup is clipped here, and so it is in other: ")
    assert find(study, "without warmup")[0].startswith("Every run without warmup is clipped here: ")
    assert not find(free, "without warmup", study)
    assert not find(make_study({"a": [run(**COLD | {"clipped_fraction": 0.0})], "b": [run(**WARM)]}), "without warmup")
    assert not find(make_study({"a": [run(**WARM)], "b": [run(**WARM, lr=1e-4)]}), "without warmup")
