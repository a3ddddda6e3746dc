"""Every verdict on made-up runs: what confirms, what refutes, what is too little, and what may not judge at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gptexp.claims.judge import Judgement, judge_claim
from gptexp.claims.ledger import Claim, Place, load_ledger
from gptexp.claims.measurements import MIN_SEEDS
from gptexp.claims.words import write_direction, write_ways
from gptexp.lesson.digits import read_digits_losses
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import select_studies
from tests.report.lesson_runs import untrained
from tests.report.synthetic import Run, lr_ablation, write_runs

LESSON = {"n_layer": 12, "n_head": 12, "n_embd": 768, "block_size": 256, "batch_size": 16}
WHERE = (Place("s", "q"),)
BEATS = Claim(
    "beats",
    WHERE,
    "Lower.",
    study="lr-ablation",
    quantity="warmup-cosine:final_val_loss",
    relation="below",
    other="constant-1e-5:final_val_loss",
)
REACHES = Claim(
    "reaches",
    WHERE,
    "About 3.",
    study="lr-ablation",
    quantity="warmup-cosine:final_val_loss",
    stated=3.2,
    tolerance=0.3,
)
EXPLODES = load_ledger("pretraining").find("constant-6e-4-explodes")


def lessons(seeds: int = 1, max_steps: int = 120, **config: Any) -> list[Run]:
    """The four arms as runs of the lesson's model."""
    runs = lr_ablation(seeds, max_steps, scale="lesson")
    for run in runs:
        run.config |= LESSON | config
    return runs


def of(runs: Sequence[Run], arm: str) -> list[Run]:
    return [run for run in runs if run.arm == arm]


def judge(folder: Path, claim: Claim, runs: Sequence[Run]) -> Judgement:
    write_runs(folder, runs)
    return judge_claim(claim, select_studies(load_frames(folder)))


def test_three_seeds_that_agree_confirm_a_ranking(tmp_path: Path) -> None:
    """The interval of the paired differences lies wholly on the claim's side; both arms' runs stand behind it."""
    found = judge(tmp_path, BEATS, lessons(3))
    assert found.verdict == "confirmed"
    assert found.measured is not None
    assert found.measured.effect is not None
    assert found.measured.effect.interval.high is not None
    assert found.measured.effect.interval.high < 0
    assert found.measured.effect.interval.n == MIN_SEEDS
    assert len(found.measured.source.run_ids) == 6


def test_three_seeds_the_other_way_refute_it(tmp_path: Path) -> None:
    """The same runs against the opposite claim."""
    other = dataclasses.replace(BEATS, relation="above")
    found = judge(tmp_path, other, lessons(3))
    assert found.verdict == "refuted"
    assert found.measured is not None
    assert found.measured.holds is False


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_give_a_direction_only(tmp_path: Path, seeds: int) -> None:
    """However large the difference, one or two pairs are underpowered."""
    found = judge(tmp_path, BEATS, lessons(seeds))
    assert found.verdict == "underpowered"
    assert found.measured is not None
    assert found.measured.holds is True


def test_seeds_that_scatter_more_than_the_arms_differ_are_underpowered(tmp_path: Path) -> None:
    """The interval holds zero, so neither side is shown; what could have been found is told."""
    runs = lessons(3)
    for run, shift in zip(of(runs, "constant-1e-5"), (-5.0, -4.6, -3.4), strict=True):
        run.floor += shift
        run.rate = 32.0
    found = judge(tmp_path, BEATS, runs)
    assert found.verdict == "underpowered"
    assert found.measured is not None
    assert found.measured.effect is not None
    assert found.measured.effect.smallest_detectable is not None
    assert found.measured.effect.smallest_detectable > abs(found.measured.effect.interval.mean)


def test_a_difference_has_to_be_as_large_as_the_claim_means(tmp_path: Path) -> None:
    """A real difference under the tolerance refutes "much lower", though it confirms "lower"."""
    much = dataclasses.replace(BEATS, tolerance=50.0)
    assert judge(tmp_path, much, lessons(3)).verdict == "refuted"


@pytest.mark.parametrize(("stated", "verdict"), [(3.2, "confirmed"), (4.5, "refuted"), (3.46, "underpowered")])
def test_a_stated_number_is_near_or_far_or_on_the_edge(tmp_path: Path, stated: float, verdict: str) -> None:
    """Within the tolerance with its whole interval, outside with all of it, or across its edge."""
    claim = dataclasses.replace(REACHES, stated=stated)
    found = judge(tmp_path, claim, lessons(3, max_steps=240))
    assert found.measured is not None
    assert found.measured.value == pytest.approx(3.17, abs=0.04)
    assert found.verdict == verdict


def test_a_smaller_model_never_judges(tmp_path: Path) -> None:
    """Three seeds at scale quick give the value and the direction, and the verdict stays open."""
    found = judge(tmp_path, BEATS, lr_ablation(3))
    assert found.verdict == "not measured"
    assert found.measured is not None
    assert found.measured.holds is True
    assert found.measured.verdict == "confirmed"
    assert "n_layer=2" in found.measured.source.differs


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"n_layer": 6}, "n_layer=6"),
        ({"n_embd": 384}, "n_embd=384"),
        ({"block_size": 64}, "block_size=64"),
        ({"norm": "post"}, "norm=post"),
        ({"tokenizer": "char"}, "another tokenizer"),
        ({"init": "pytorch-default"}, "init=pytorch-default"),
        ({"bias": False}, "bias=False"),
        ({"vocab_size": 50_304}, "vocab_size=50304"),
        ({"dropout": 0.1}, "dropout=0.1"),
        ({"weight_decay": 0.0}, "weight_decay=0"),
        ({"beta1": 0.8}, "beta1=0.8"),
        ({"beta2": 0.9}, "beta2=0.9"),
        ({"eps": 1e-6}, "eps=1e-06"),
        ({"grad_clip": None}, "grad_clip=None"),
        ({"grad_clip": 0.1}, "grad_clip=0.1"),
        ({"outlier_at": 0.5}, "outlier_at=0.5"),
        ({"batch_size": 1}, "256 tokens a step"),
        ({"batch_size": 16, "grad_accum_steps": 8}, "32,768 tokens a step"),
    ],
)
def test_overrides_at_the_lessons_scale_make_another_model(
    tmp_path: Path, change: dict[str, Any], difference: str
) -> None:
    """The runs' own configs decide: `--scale lesson --set n_layer=6` is not the lesson's model."""
    runs = lessons(3, **change)
    found = judge(tmp_path, BEATS, runs)
    assert found.verdict == "not measured"
    assert found.measured is not None
    assert difference in found.measured.source.differs


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 3},
        {"batch_size": 64},
        {"batch_size": 4, "grad_accum_steps": 4},
        {"precision": "bf16"},
        {"weight_decay": 0.01},
        {"beta2": 0.999},
        {"threads": 4, "sampler": "epochs", "eval_interval": 7, "sample_losses": (4.0,)},
    ],
)
def test_what_nanogpt_or_pytorch_has_is_the_lessons(tmp_path: Path, change: dict[str, Any]) -> None:
    """The document names no batch and no optimizer settings; and how a run is watched doesn't enter."""
    found = judge(tmp_path, BEATS, lessons(3, **change))
    assert (found.verdict, found.measured and found.measured.source.differs) == ("confirmed", ())


def test_an_untrained_model_has_no_batch(tmp_path: Path) -> None:
    """The initial loss is judged whatever the batch would be; a wrong init where the claim is about it."""
    ledger = load_ledger("pretraining")
    runs = [run for run in untrained() if run.arm != "padded-vocabulary"]
    for run in runs:
        run.config |= LESSON | {"batch_size": 1}
    for name in ("initial-loss", "wrong-init-starts-higher"):
        assert judge(tmp_path / name, ledger.find(name), runs).verdict == "confirmed"
    for run in runs:
        run.config["init"] = "pytorch-default"
    assert judge(tmp_path / "wrong", ledger.find("initial-loss"), runs).verdict == "not measured"


def test_an_arm_is_what_the_claim_says_of_it(tmp_path: Path) -> None:
    """An arm called constant-6e-4 that was run at 3e-4, or a warmup over half of the run, judges nothing."""
    claim = dataclasses.replace(load_ledger("pretraining").find("schedule-beats-constant"), max_steps=None)
    assert judge(tmp_path / "right", claim, lessons(3)).verdict == "confirmed"
    for name, arm, change, difference in (
        ("rate", "constant-6e-4", {"lr": 3e-4}, "lr=0.0003"),
        ("shape", "constant-6e-4", {"schedule": "warmup-linear"}, "schedule=warmup-linear"),
        ("warmup", "warmup-cosine", {"warmup_steps": 60}, "warmup=0.5"),
        ("end", "warmup-cosine", {"min_lr": 1e-5}, "min_lr=1e-05"),
    ):
        runs = lessons(3)
        for run in of(runs, arm):
            run.config |= change
        found = judge(tmp_path / name, claim, runs)
        assert found.verdict == "not measured"
        assert found.measured is not None
        assert found.measured.source.differs == (difference,)


def rates(arm: str, seeds: int = 1, max_steps: int = 700, **config: Any) -> list[Run]:
    """An arm of lesson-rates as runs of the lesson's model."""
    constant = {"max_steps": max_steps, "schedule": "constant", "lr": 6e-4}
    return [
        Run(arm, arm, seed, {**constant, **LESSON, **config}, study="lesson-rates", scale="lesson")
        for seed in range(1, seeds + 1)
    ]


def test_a_sentence_is_judged_in_each_way_that_it_can_be_meant(tmp_path: Path) -> None:
    """A constant 6e-4 without clipping speaks first, since clipping comes later in the lesson; both are said."""
    clipped = of(lessons(1, max_steps=700), "constant-6e-4")
    (unclipped,) = rates("constant-6e-4-no-clip", grad_clip=None)
    unclipped.diverge_at = 250
    found = judge(tmp_path / "both", EXPLODES, [*clipped, unclipped])
    assert [(way.claim.way, way.verdict) for way in found.ways] == [
        ("without clipping", "underpowered"),
        ("clipped at 1.0", "refuted"),
        ("without clipping, beta2 0.999", "not measured"),
    ]
    assert (found.verdict, found.claim.quantity) == ("underpowered", "constant-6e-4-no-clip:diverged@600")
    assert write_ways(found) == (
        "without clipping: underpowered (1 of 1 seed, 4,096 tokens a step in fp32); "
        "clipped at 1.0: refuted (0 of 1 seed, 4,096 tokens a step in fp32); "
        "without clipping, beta2 0.999: not measured"
    )
    only = judge(tmp_path / "only", EXPLODES, clipped)
    assert (only.verdict, only.claim.way) == ("refuted", "clipped at 1.0")
    other = judge(tmp_path / "beta2", EXPLODES, rates("constant-6e-4-beta2", grad_clip=None, beta2=0.999))
    assert (other.verdict, other.claim.way) == ("refuted", "without clipping, beta2 0.999")
    # An arm of that name that was clipped is not what it says.
    mislabelled = judge(tmp_path / "mislabelled", EXPLODES, rates("constant-6e-4-no-clip"))
    assert mislabelled.verdict == "not measured"


def test_the_same_trainings_in_another_study_judge_too(tmp_path: Path) -> None:
    """The schedule of lesson-rates is that of text-milestones; at another scale only the claim's own study speaks."""
    claim = dataclasses.replace(load_ledger("pretraining").find("loss-at-step-500"), max_steps=None)
    schedule = {"schedule": "warmup-cosine", "min_lr": 6e-5, "warmup_steps": 60}
    runs = rates("warmup-cosine", 3, **schedule)
    found = judge(tmp_path / "lesson", claim, runs)
    assert found.verdict == "refuted"
    assert found.measured is not None
    assert found.measured.source.study_key.startswith("lesson-rates@")
    assert (
        judge(tmp_path / "batch", claim, rates("warmup-cosine", 3, **schedule, batch_size=1)).verdict == "not measured"
    )
    small = judge(tmp_path / "quick", claim, rates("warmup-cosine", 3, **schedule, n_layer=2))
    assert (small.verdict, small.every) == ("not measured", ())


def test_noise_needs_no_ten_thousand_steps(tmp_path: Path) -> None:
    """How a loss scatters shows in a hundred steps of the lesson's model, and with batches as the arms have them."""
    ledger = load_ledger("pretraining")
    schedule = {"schedule": "warmup-cosine", "lr": 6e-4, "min_lr": 6e-5, "max_steps": 120, "warmup_steps": 10}
    runs = [
        Run(f"batch-{size}", "", seed, {**LESSON, **schedule, "batch_size": size}, study="batch-noise", scale="lesson")
        for size in (1, 64)
        for seed in (1, 2, 3)
    ]
    assert judge(tmp_path / "noise", ledger.find("noise-is-batches"), runs).verdict != "not measured"
    runs = [
        Run("scheduled", "", seed, {**LESSON, **schedule}, study="text-milestones", scale="lesson")
        for seed in (1, 2, 3)
    ]
    assert judge(tmp_path / "jagged", ledger.find("curve-is-jagged"), runs).verdict == "confirmed"


def test_of_as_many_seeds_the_longer_runs_judge(tmp_path: Path) -> None:
    """What a run does in its first hundred steps stands beside what a longer one does, and does not judge for it."""
    schedule = {"schedule": "warmup-cosine", "lr": 6e-4, "min_lr": 6e-5}
    runs = [
        Run(
            "scheduled", "", 1, {**LESSON, **schedule, "max_steps": steps, "warmup_steps": steps // 12},
            variant={"max_steps": steps}, study="text-milestones", scale="lesson",
        )
        for steps in (120, 240, 60)
    ]  # fmt: skip
    found = judge(tmp_path, load_ledger("pretraining").find("noisier-than-mnist"), runs)
    assert found.measured is not None
    assert (found.measured.source.last_step, len(found.every)) == (240, 3)


def test_another_corpus_or_length_does_not_judge(tmp_path: Path) -> None:
    """The stand-in corpus, and runs of another length than the claim speaks of."""
    runs = lessons(3)
    for run in runs:
        run.corpus |= {"checksum": "0" * 64, "name": "python-docs", "fallback": True}
    assert judge(tmp_path / "corpus", BEATS, runs).verdict == "not measured"
    longer = dataclasses.replace(BEATS, max_steps=10_000)
    found = judge(tmp_path / "length", longer, lessons(3))
    assert found.verdict == "not measured"
    assert found.measured is not None
    assert found.measured.source.differs == ("max_steps=120",)


def test_runs_older_than_a_field_count_as_its_default(tmp_path: Path) -> None:
    """A config recorded before there was `norm` is of a pre-LN model, as all were."""
    write_runs(tmp_path, lessons(3))
    for path in tmp_path.glob("*/config.json"):
        path.write_text(path.read_text().replace('"norm": "pre", ', ""))
        assert '"norm"' not in path.read_text()
    assert judge_claim(BEATS, select_studies(load_frames(tmp_path))).verdict == "confirmed"


def test_without_runs_nothing_is_measured(tmp_path: Path) -> None:
    """A study that nobody ran, or an arm that it lacks, says nothing."""
    found = judge(tmp_path / "a", BEATS, [Run("a", study="other")])
    assert (found.verdict, found.measured, found.every) == ("not measured", None, ())
    found = judge(tmp_path / "b", BEATS, of(lessons(3), "warmup-cosine"))
    assert (found.verdict, found.measured) == ("not measured", None)


def test_a_loss_per_character_is_not_held_against_one_per_token(tmp_path: Path) -> None:
    """Arms of a character model can be ranked; a stated loss has no direction there."""
    runs = lr_ablation(3)
    for run in runs:
        run.config["tokenizer"] = "char"
    write_runs(tmp_path, runs)
    studies = select_studies(load_frames(tmp_path))
    stated, ranked = judge_claim(REACHES, studies).measured, judge_claim(BEATS, studies).measured
    assert stated is not None
    assert stated.holds is None
    assert ranked is not None
    assert ranked.holds is True


@pytest.mark.parametrize(
    ("diverge_at", "verdict"),
    [
        ((None,), "refuted"),
        ((250,), "underpowered"),
        ((None, None, None), "refuted"),
        ((250, 310, 400), "confirmed"),
        ((250, None, None), "refuted"),
        ((250, 310, None), "underpowered"),
        ((250, None), "underpowered"),
        ((650, 650, 650), "refuted"),
    ],
)
def test_an_event_needs_every_seed_and_falls_with_most(
    tmp_path: Path, diverge_at: tuple[int | None, ...], verdict: str
) -> None:
    """NaN by step 600: confirmed by three of three, refuted where more than half are finite there, else open."""
    runs = of(lessons(len(diverge_at), max_steps=700), "constant-6e-4")
    for run, step in zip(runs, diverge_at, strict=True):
        run.diverge_at = step
    found = judge(tmp_path, EXPLODES, runs)
    assert found.verdict == verdict
    assert found.measured is not None
    assert found.measured.n == len(diverge_at)
    assert found.measured.happened == sum(step is not None and step <= 600 for step in diverge_at)


def test_a_run_too_short_says_nothing_of_a_later_event(tmp_path: Path) -> None:
    """That nothing exploded by step 120 doesn't refute an explosion at 300."""
    found = judge(tmp_path, EXPLODES, lessons(3, max_steps=120))
    assert found.verdict == "not measured"
    assert found.measured is not None
    assert (found.measured.n, found.measured.holds) == (0, None)


def test_seeds_that_cannot_tell_yet_could_go_either_way(tmp_path: Path) -> None:
    """Three seeds broke, two are at step 400: not confirmed, since what breaks early speaks first. So with refuting."""
    runs = of(lessons(5, max_steps=700), "constant-6e-4")
    for run in runs[:3]:
        run.diverge_at = 250
    for run in runs[3:]:
        run.stop_at = 400
    found = judge(tmp_path / "broken", EXPLODES, runs)
    assert found.verdict == "underpowered"
    assert found.measured is not None
    assert (found.measured.n, found.measured.silent, found.measured.holds) == (3, 2, True)
    for run in runs[:3]:
        run.diverge_at = None
    assert judge(tmp_path / "finite", EXPLODES, runs).verdict == "refuted"
    runs[0].stop_at = 400
    assert judge(tmp_path / "few", EXPLODES, runs).verdict == "underpowered"


def test_a_diverged_run_counts_as_higher_than_any_loss(tmp_path: Path) -> None:
    """Three of three seeds of one arm diverged: the other is lower. One of four: finite pairs have to agree with it."""
    runs = lessons(3)
    for run in of(runs, "constant-1e-5"):
        run.diverge_at = 60
    found = judge(tmp_path / "all", BEATS, runs)
    assert found.verdict == "confirmed"
    assert found.measured is not None
    assert (found.measured.diverged, found.measured.effect) == (3, None)
    for number, (arm, verdict) in enumerate((("constant-1e-5", "confirmed"), ("warmup-cosine", "underpowered"))):
        runs = lessons(4)
        of(runs, arm)[0].diverge_at = 60
        assert judge(tmp_path / str(number), BEATS, runs).verdict == verdict


def test_the_study_as_written_counts_before_one_with_overrides(tmp_path: Path) -> None:
    """Both hold the lesson's model; the one with more seeds but with overrides stands back."""
    changed = lessons(5, weight_decay=0.0)
    for run in changed:
        run.variant = {"weight_decay": 0.0}
    found = judge(tmp_path, BEATS, [*lessons(3), *changed])
    assert found.measured is not None
    assert (found.measured.source.has_overrides, found.measured.n) == (False, 3)
    assert len(found.every) == 2


def test_what_is_of_the_loop_needs_one_run_of_any_model(tmp_path: Path) -> None:
    """The recorded learning rates follow the plan, at scale quick and with one seed."""
    claim = load_ledger("pretraining").find("recorded-lr-follows-plan")
    runs = lr_ablation(1)
    assert judge(tmp_path / "right", claim, runs).verdict == "confirmed"
    for path in write_and_list(tmp_path / "wrong", runs):
        lines = path.read_text().splitlines()
        path.write_text("\n".join(line.replace('"lr": 0.0', '"lr": 0.1') for line in lines) + "\n")
    assert judge_claim(claim, select_studies(load_frames(tmp_path / "wrong"))).verdict == "refuted"


def write_and_list(folder: Path, runs: Sequence[Run]) -> list[Path]:
    write_runs(folder, runs)
    return list(folder.glob("*/records.jsonl"))


def test_what_is_computed_needs_no_runs() -> None:
    """All computed claims have a verdict without runs, and these two sentences of the document are wrong."""
    judged = [judge_claim(claim, []) for claim in load_ledger("pretraining").claims if claim.is_computed]
    assert len(judged) >= 20
    assert {found.verdict for found in judged} == {"confirmed", "refuted"}
    refuted = {found.claim.name for found in judged if found.verdict == "refuted"}
    assert refuted == {"six-predictions", "cycle-is-right"}


def clipping(seeds: int, broken: int, **config: Any) -> list[Run]:
    """The four arms of a study of clipping; in so many seeds the run with the outlier and without clipping diverges."""
    arms = {"clip": 3.0, "no-clip": 3.01, "clip-outlier": 3.02, "no-clip-outlier": 3.2}
    runs = [
        Run(arm, seed=seed, floor=floor + 0.02 * seed, study="clipping", scale="lesson", config=LESSON | config)
        for seed in range(1, seeds + 1)
        for arm, floor in arms.items()
    ]
    for run in of(runs, "no-clip-outlier")[:broken]:
        run.diverge_at = 70
    return runs


@pytest.mark.parametrize("broken", [0, 2, 3])
def test_a_run_that_breaks_costs_more_than_any_loss(tmp_path: Path, broken: int) -> None:
    """In a difference of two arms, too: a seed that clipping saves counts for clipping."""
    claim = Claim(
        "saves",
        WHERE,
        "Costs less.",
        study="clipping",
        quantity="clip-outlier:final_train_loss - clip:final_train_loss",
        relation="below",
        other="no-clip-outlier:final_train_loss - no-clip:final_train_loss",
    )
    found = judge(tmp_path, claim, clipping(3, broken, max_steps=120, eval_interval=20))
    assert found.measured is not None
    assert (found.measured.n, found.measured.diverged) == (3, broken)
    assert found.measured.verdict == "confirmed"


def test_where_the_run_without_a_spike_breaks_nothing_is_known(tmp_path: Path) -> None:
    """The sentence says that, and not that the runs ended too early."""
    claim = Claim(
        "cost",
        WHERE,
        "Costs nothing.",
        study="clipping",
        quantity="clip:final_train_loss - no-clip-outlier:final_train_loss",
        stated=0.0,
        tolerance=1.0,
    )
    found = judge(tmp_path, claim, clipping(3, 3, max_steps=120, eval_interval=20))
    assert found.measured is not None
    assert found.measured.n == 0
    assert "a run of clipping@lesson diverged in 3 seeds" in write_direction(found)


def test_a_diverged_run_is_not_judged_by_its_best_loss(tmp_path: Path) -> None:
    """What it reached before it broke doesn't make it as good as one that stands."""
    claim = dataclasses.replace(
        BEATS,
        quantity="constant-6e-4:best_val_loss",
        relation="above",
        other="warmup-cosine:best_val_loss",
        tolerance=0.5,
    )
    runs = lessons(3)
    for run in of(runs, "constant-6e-4"):
        run.diverge_at = 110
    found = judge(tmp_path, claim, runs)
    assert found.measured is not None
    assert (found.verdict, found.measured.diverged) == ("confirmed", 3)


def test_the_classifier_has_as_many_steps_as_it_is_compared_over() -> None:
    """`rising_share@290` of a run stands against the share of a curve of 290 steps."""
    claim = load_ledger("pretraining").find("mnist-curves-are-smooth")
    assert {len(losses) for losses in read_digits_losses()} == {int(claim.quantity.partition("@")[2])}
