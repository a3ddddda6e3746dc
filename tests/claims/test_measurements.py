"""What one study says to one claim: gaps that are written down, against verdicts reckoned by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gptexp.claims.judge import judge_claim
from gptexp.claims.ledger import Claim, Place, Relation
from gptexp.claims.measurements import Measurement, is_within, measure
from gptexp.claims.words import write_expected, write_quantities
from gptexp.runs.study_runs import StudyRuns
from tests.runs.ends import TABLE_DIGITS, T
from tests.runs.made import ended, evals, make_study, run, steps

WHERE = (Place("s", "q"),)
ENDS = Claim("ends", WHERE, "It ends there.", study="s", quantity="a:final_val_loss", stated=2.0)
RANKS = Claim("ranks", WHERE, "One is higher.", study="s", quantity="a:final_val_loss", other="b:final_val_loss")


def claim(base: Claim, relation: Relation, tolerance: float = 0.0, **fields: Any) -> Claim:
    return Claim(**{**vars(base), "relation": relation, "tolerance": tolerance, **fields})


def say(asked: Claim, study: StudyRuns) -> Measurement:
    found = measure(asked, study)
    assert found is not None
    return found


def gaps(*found: float | None) -> dict[str, list[dict[str, Any]]]:
    """Arm a ends so far above 2.0, seed by seed, where arm b ends; None: it diverged."""
    return {"a": ended([None if gap is None else 2.0 + gap for gap in found]), "b": ended([2.0] * len(found))}


@pytest.mark.parametrize(
    ("relation", "gap", "within"),
    [
        ("about", 0.5, True),
        ("about", -0.5, True),
        ("about", 0.75, False),
        ("about", -0.75, False),
        ("above", 0.5, False),
        ("above", 0.75, True),
        ("above", -0.75, False),
        ("below", -0.5, False),
        ("below", -0.75, True),
        ("below", 0.75, False),
    ],
)
def test_a_gap_as_large_as_the_tolerance(relation: Relation, gap: float, within: bool) -> None:
    """A number at the tolerance is still about the stated one; a difference has to be larger than it to count."""
    assert is_within(claim(ENDS, relation, 0.5), gap) is within


@pytest.mark.parametrize(
    ("relation", "tolerance", "found", "verdict", "holds"),
    [
        # A difference that is no larger than the tolerance refutes: the interval ends where the claim begins.
        ("above", 0.5, [0.5, 0.5, 0.5], "refuted", False),
        ("below", 0.5, [-0.5, -0.5, -0.5], "refuted", False),
        ("above", 0.5, [0.375, 0.375, 0.375], "refuted", False),
        ("below", 0.5, [-0.375, -0.375, -0.375], "refuted", False),
        ("above", 0.5, [0.625, 0.625, 0.625], "confirmed", True),
        ("below", 0.5, [-0.625, -0.625, -0.625], "confirmed", True),
        ("above", 0.0, [-0.5, -0.5, -0.5], "refuted", False),
        # Three seeds that all point there are still underpowered where they scatter more than that.
        ("above", 0.0, [0.125, 0.125, 5.0], "underpowered", True),
        # Two seeds, and none.
        ("above", 0.0, [0.5, 0.5], "underpowered", True),
        ("about", 0.5, [0.5, 0.5, 0.5], "confirmed", True),
        ("about", 0.5, [-0.5, -0.5, -0.5], "confirmed", True),
        ("about", 0.5, [0.75, 0.75, 0.75], "refuted", False),
        ("about", 0.5, [-0.75, -0.75, -0.75], "refuted", False),
        ("about", 0.5, [0.25, 0.375, 0.5], "underpowered", True),
        ("about", 0.5, [-0.25, -0.375, -0.5], "underpowered", True),
        # Five pairs: 0.75 ± 2.776 · 0.25 leaves out 0. Six, 0.79 ± 2.571 · 0.21, do so too: the exact test, with
        # 4 of 64 sign patterns, doesn't agree.
        ("above", 0.0, [1.0, 1.0, 1.0, 1.0, -0.25], "confirmed", True),
        ("above", 0.0, [1.0, 1.0, 1.0, 1.0, 1.0, -0.25], "underpowered", True),
        ("below", 0.0, [1.0, 1.0, 1.0, 1.0, 1.0, -0.25], "underpowered", False),
        ("above", 0.0, [1.0, 1.0, 1.0, 1.0, 1.0, 0.25], "confirmed", True),
        ("below", 0.0, [1.0, 1.0, 1.0, 1.0, 1.0, 0.25], "refuted", False),
        # A diverged run counts as higher than any loss.
        ("above", 0.0, [None, None, None], "confirmed", True),
        ("below", 0.0, [None, None, None], "refuted", False),
        ("about", 9.0, [None, None, None], "refuted", False),
        ("above", 0.0, [None, None], "underpowered", True),
        # With fewer than three finite pairs each of them has to agree with it.
        ("above", 0.0, [0.125, 5.0, None], "confirmed", True),
        ("above", 0.0, [-0.125, 5.0, None], "underpowered", True),
        ("below", 0.0, [-0.125, -5.0, None], "underpowered", True),
        # As many for it as against it point nowhere.
        ("below", 0.0, [-0.5, None], "underpowered", None),
        ("below", 0.0, [-0.5, -0.5, None], "underpowered", True),
        ("below", 0.0, [-0.5, None, None], "underpowered", False),
        # With three the interval speaks for them.
        ("above", 0.0, [0.5, 0.5, 0.5, None], "confirmed", True),
        ("above", 0.0, [0.125, 0.125, 5.0, None], "underpowered", True),
    ],
)
def test_a_verdict_by_hand(
    relation: Relation, tolerance: float, found: Sequence[float | None], verdict: str, holds: bool | None
) -> None:
    """The gap between two arms, or of one arm to a stated number: the same gaps have the same verdict."""
    arms = gaps(*found)
    for asked, made in (
        (claim(RANKS, relation, tolerance), arms),
        (claim(ENDS, relation, tolerance), {"a": arms["a"]}),
    ):
        said = say(asked, make_study(made))
        assert (said.verdict, said.holds, said.n) == (verdict, holds, len(found))
        assert said.diverged == sum(gap is None for gap in found)


def test_what_diverged_in_both_arms_says_nothing() -> None:
    """Neither is the higher one. The seed counts, and no vote is cast."""
    arms = {"a": ended([None, None, 2.5]), "b": ended([None, 2.0, None])}
    said = say(claim(RANKS, "above"), make_study(arms))
    # Seed 2 is for it, seed 3 against it.
    assert (said.verdict, said.holds, said.n, said.diverged) == ("underpowered", None, 3, 3)
    assert (said.value, said.other, said.effect) == (2.5, 2.0, None)


def test_the_numbers_of_a_measurement_by_hand() -> None:
    """Means are of each arm's own seeds, the gap is of the shared ones: 0.25 and 0.75, so 0.5 ± 12.7 · 0.25."""
    arms = {"a": ended([2.25, 2.75, 5.5]), "b": ended([2.0, 2.0])}
    said = say(claim(RANKS, "above"), make_study(arms))
    assert (said.n, said.value, said.other, said.diverged, said.incomparable) == (2, 3.5, 2.0, 0, "")
    assert said.effect is not None
    assert said.effect.interval.mean == 0.5
    assert said.effect.interval.high == pytest.approx(0.5 + T[2] * 0.25, abs=TABLE_DIGITS)
    stated = say(claim(ENDS, "about", stated=None), make_study({"a": ended([2.25])}))
    assert stated.effect is not None
    assert (stated.effect.interval.mean, stated.other) == (2.25, None)


def test_without_a_value_nothing_is_measured() -> None:
    """No shared seed, or runs that are not over; an arm that the study lacks is not even a measurement."""
    apart = {"a": ended([2.5]), "b": ended([2.0, 2.0])[1:]}
    said = say(claim(RANKS, "above"), make_study(apart))
    assert (said.n, said.holds, said.verdict, said.value, said.effect) == (0, None, "not measured", None, None)
    assert (said.diverged, said.happened, said.silent, said.incomparable) == (0, None, 0, "")
    assert measure(RANKS, make_study({"a": ended([2.5])})) is None
    assert measure(RANKS, make_study({"b": ended([2.5])})) is None
    assert measure(ENDS, make_study({"b": ended([2.5])})) is None


@pytest.mark.parametrize(
    ("relation", "happened", "verdict", "holds"),
    [
        ("happens", [1, 1, 1], "confirmed", True),
        ("happens", [1, 1, 0], "underpowered", True),
        ("happens", [1, 0, 0], "refuted", False),
        ("happens", [1, 0], "underpowered", None),
        ("happens", [1, 1], "underpowered", True),
        ("happens", [0], "refuted", False),
        ("never", [0, 0, 0], "confirmed", True),
        ("never", [0, 0, 1], "underpowered", True),
        ("never", [0, 1, 1], "refuted", False),
        ("never", [1], "refuted", False),
        # One that can't tell yet could go either way.
        ("never", [0, 0, 0, None], "underpowered", True),
        ("never", [1, 1, 0, None], "underpowered", None),
        ("never", [0, 0, 1, None], "underpowered", None),
        ("never", [1, 1, 1, None], "refuted", False),
        ("happens", [None, None], "not measured", None),
    ],
)
def test_an_event_by_hand(relation: Relation, happened: Sequence[int | None], verdict: str, holds: bool | None) -> None:
    """Every seed has to agree, three at least, to confirm; more than half of them against it refute."""
    kinds: dict[int | None, dict[str, Any]] = {
        0: {},
        1: {"outcome": "diverged", "last_step": 7, "diverged_step": 7},
        None: {"outcome": "stopped", "last_step": 5},
    }
    runs = [run(seed, **kinds[one]) for seed, one in enumerate(happened, 1)]
    said = say(claim(ENDS, relation, quantity="a:diverged@60"), make_study({"a": runs}))
    told = [one for one in happened if one is not None]
    assert (said.verdict, said.holds, said.n) == (verdict, holds, len(told))
    assert (said.happened or 0, said.silent if told else len(happened)) == (sum(told), len(happened) - len(told))
    assert said.source.needs_step == (60 if None in happened else 0)


def test_the_source_is_the_arms_that_are_compared() -> None:
    """The third arm's batch, runs and steps are none of the claim's."""
    arms = {
        "c": ended([9.0], batch_size=64, last_step=100),
        "b": [run(1, "stopped", 50, batch_size=4, max_steps=70)],
        "a": [run(1, last_step=90, final_val_loss=2.0), run(2, "stopped", 40)],
    }
    source = say(claim(RANKS, "above"), make_study(arms, variant='{"lr": 1}', key="s@quick+lr")).source
    assert source.trained == "1,024 or 4,096 tokens a step in fp32"
    assert (source.run_ids, source.last_step, source.needs_step) == (("a-1",), 90, 100)
    assert (source.study_key, source.scale, source.has_overrides) == ("s@quick+lr", "quick", True)
    assert "batch_size=64" not in source.differs
    assert "n_layer=2" in source.differs
    alone = say(claim(ENDS, "above"), make_study(arms)).source
    assert (alone.trained, alone.has_overrides) == ("4,096 tokens a step in fp32", False)
    other = say(claim(RANKS, "above"), make_study(arms | {"b": ended([3.0])})).source
    assert other.run_ids == ("a-1", "b-1")
    assert say(claim(ENDS, "above", of_the_loop=True), make_study(arms)).source.differs == ()


def test_the_other_arm_may_have_to_get_further() -> None:
    """The step that both would have to get to is the later one."""
    arms = {"a": [run(1, "stopped", 40)], "b": [run(1, "stopped", 40, max_steps=120)]}
    assert say(claim(RANKS, "above"), make_study(arms)).source.needs_step == 120


def test_losses_of_other_texts_are_not_held_against_each_other() -> None:
    """Their gap is shown and has no direction; a norm has one, and so has an arm beside a stated number."""
    arms = gaps(0.5, 0.5, 0.5)
    for one in arms["b"]:
        one["corpus_checksum"] = "c1"
    for one in (*arms["a"], *arms["b"]):
        one["max_grad_norm"] = one["final_val_loss"]
    said = say(claim(RANKS, "above"), make_study(arms))
    assert (said.incomparable, said.verdict, said.holds) == ("on different texts or tokens", "not measured", None)
    assert said.effect is not None
    norms = claim(RANKS, "above", quantity="a:max_grad_norm", other="b:max_grad_norm")
    assert say(norms, make_study(arms)).verdict == "confirmed"
    assert say(claim(ENDS, "above"), make_study(arms)).verdict == "confirmed"


def test_a_loss_per_character_has_no_direction_beside_a_number() -> None:
    """It is meant per GPT-2 token. Between two arms the same tokens will do, and a norm has no tokens."""
    arms = {
        name: [one | {"tokenizer": "char", "max_grad_norm": 3.0} for one in rows]
        for name, rows in gaps(1, 1, 1).items()
    }
    assert say(claim(ENDS, "above"), make_study(arms)).incomparable == "per another token"
    at_a_step = claim(ENDS, "above", quantity="a:train_loss@1")
    assert say(at_a_step, make_study(arms, steps([3.0]))).incomparable == "per another token"
    assert say(claim(RANKS, "above"), make_study(arms)).verdict == "confirmed"
    assert say(claim(ENDS, "above", quantity="a:max_grad_norm"), make_study(arms)).verdict == "confirmed"


@pytest.mark.parametrize("field", ["noise", "trend_per_step"])
def test_scatter_is_compared_over_the_same_steps(field: str) -> None:
    """Early steps are noisier: runs that got to other steps have no direction, in one arm or in two."""
    quiet = [4.0] * 60
    logs = [*steps(quiet), *steps(quiet[:50], seed=2), *steps(quiet, arm="b"), *steps(quiet[:50], arm="c")]
    arms = {
        "a": [run(1, "stopped", 60), run(2, "stopped", 50)],
        "b": [run(1, "stopped", 60)],
        "c": [run(1, "stopped", 50)],
    }
    study_runs = make_study(arms, logs)
    found = {
        (one, other): say(
            claim(RANKS, "about", quantity=f"{one}:{field}", other=f"{other}:{field}" if other else "", stated=0.0),
            study_runs,
        ).incomparable
        for one, other in (("a", ""), ("b", ""), ("b", "c"), ("b", "b"))
    }
    assert found == {
        ("a", ""): "up to different steps",
        ("b", ""): "",
        ("b", "c"): "up to different steps",
        ("b", "b"): "",
    }
    assert say(claim(ENDS, "about", quantity="a:first_train_loss"), study_runs).incomparable == ""


def judged(asked: Claim, *studies: StudyRuns) -> str | None:
    """The instance that a claim's judgement stands on where none may judge it."""
    found = judge_claim(asked, studies)
    assert found.verdict == "not measured"
    return found.measured.source.study_key if found.measured else None


def test_what_comes_nearest_to_a_claim() -> None:
    """Of runs that may not judge it: those with a direction, then those with a value, then the larger scale, then the
    study as it was written."""
    ranks = claim(RANKS, "above")
    small = make_study(gaps(0.5), key="small", scale="quick")
    large = make_study(gaps(0.5), key="large", scale="lesson")
    changed = make_study(gaps(0.5, 0.5), key="changed", scale="lesson", variant='{"n_layer": 2}')
    none = make_study({"a": [run(1, "stopped", 3)], "b": ended([2.0])}, key="none", scale="lesson")
    assert judged(ranks) is None
    assert judged(ranks, small, large) == judged(ranks, large, small) == "large"
    assert judged(ranks, changed, large) == judged(ranks, large, changed) == "large"
    assert judged(ranks, small, changed) == "changed"
    assert judged(ranks, small, none) == judged(ranks, none, small) == "small"
    assert judged(ranks, none) == "none"
    other = make_study(gaps(0.5), key="other", scale="of another gptexp")
    assert judged(ranks, other, small) == judged(ranks, small, other) == "small"
    assert judge_claim(ranks, [large, changed, small, other]).every == tuple(
        say(ranks, one) for one in (other, small, large, changed)
    )
    # One seed for it and one against it: seeds that speak, without a direction.
    votes = make_study({"a": ended([2.5, None]), "b": ended([None, 2.0])}, key="votes", scale="lesson")
    assert judged(ranks, small, votes) == "small"
    assert judged(ranks, none, votes) == "votes"


def test_a_rise_is_read_where_a_claim_asks_for_it() -> None:
    """From the evaluations to the verdict: three seeds whose last val loss lies 0.5 above their lowest."""
    measured = [one for seed in (1, 2, 3) for one in evals({10: 3.0, 20: 3.5}, seed=seed)]
    asked = claim(ENDS, "above", 0.25, quantity="a:val_rise", stated=0.0)
    said = say(asked, make_study({"a": [run(seed) for seed in (1, 2, 3)]}, measured=measured))
    assert (said.verdict, said.value) == ("confirmed", 0.5)


def test_a_difference_of_differences() -> None:
    """What something costs one arm, held against what it costs another: 0.25 against 0.5 in each of three seeds."""
    ends = {"a": 2.25, "b": 2.0, "c": 3.5, "d": 3.0}
    study_runs = make_study({arm: ended([end, end + 1, end + 2]) for arm, end in ends.items()})
    both = {"quantity": "a:final_val_loss - b:final_val_loss", "other": "c:final_val_loss - d:final_val_loss"}
    found = say(claim(RANKS, "below", **both), study_runs)
    assert (found.value, found.other, found.n, found.verdict) == (0.25, 0.5, 3, "confirmed")
    assert len(found.source.run_ids) == 12
    assert say(claim(RANKS, "above", **both), study_runs).verdict == "refuted"
    # By their ends alone the same runs say the same of another question: a lies under c without any cost.
    assert say(claim(RANKS, "below", quantity="b:final_val_loss", other="d:final_val_loss"), study_runs).holds


def test_a_number_that_is_computed_is_the_same_for_every_seed() -> None:
    """An arm is held against it as against another arm; only the arm's own runs stand behind the verdict."""
    asked = claim(ENDS, "above", stated=None, other="clipped-norm", quantity="a:max_grad_norm")
    study = make_study({"a": [run(seed, max_grad_norm=2.0 + 0.25 * seed) for seed in (1, 2, 3)]})
    said = say(asked, study)
    assert (said.value, said.other, said.verdict, said.n) == (2.5, 1.0, "confirmed", 3)
    assert said.source.run_ids == ("a-1", "a-2", "a-3")
    assert measure(asked, make_study({"b": [run(1)]})) is None
    assert "the computed clipped-norm" in write_quantities(asked)
    assert write_expected(claim(RANKS, "about", 0.1)) == "the other ± 0.1"
