"""What the records say to a claim: a value and its direction, and nothing where they can't speak."""

from __future__ import annotations

from pathlib import Path

from gptexp.analysis.frames import load_frames
from gptexp.analysis.instances import select_instances
from gptexp.report.claims import Measured, measure_claims
from gptexp.report.declare import Claim
from tests.report.synthetic import Run, lr_ablation, write_runs

EXPLODES = Claim(
    "explodes", "NaN at step 300.", "s", "lr-ablation", "constant-6e-4:diverged_step", "diverges", stated=300
)
REACHES = Claim(
    "reaches", "About 3.", "s", "lr-ablation", "warmup-cosine:final_val_loss", "about", stated=3, tolerance=0.5
)
BEATS = Claim(
    "beats", "Lower.", "s", "lr-ablation", "warmup-cosine:final_val_loss", "below", other="constant-1e-5:final_val_loss"
)


def measure(tmp_path: Path, runs: list[Run], *claims: Claim) -> list[Measured]:
    write_runs(tmp_path, runs)
    instances = {instance.study: instance for instance in select_instances(load_frames(tmp_path))}
    return measure_claims(claims, instances)


def test_a_comparison_has_both_values_and_the_runs_of_both(tmp_path: Path) -> None:
    """An arm that ends lower, as the claim says, is told with the distance; the scale keeps it from a verdict."""
    (found,) = measure(tmp_path, lr_ablation(), BEATS)
    assert found.agrees is True
    assert found.value
    assert found.other
    assert found.direction == f"{found.other.value - found.value.value:.3f} lower: as stated"
    assert len(found.run_ids) == 2
    assert found.verdict == "not at the lesson's scale"


def test_at_the_lessons_scale_nothing_is_judged_yet(tmp_path: Path) -> None:
    """The value stands, and the verdict waits for statistics over seeds."""
    (found,) = measure(tmp_path, lr_ablation(scale="lesson"), BEATS)
    assert found.verdict == "not judged yet"
    assert found.agrees is True


def test_a_run_too_short_says_nothing_of_a_later_divergence(tmp_path: Path) -> None:
    """That nothing exploded by step 120 doesn't refute an explosion at 300; that nothing did by 320 does."""
    (short,) = measure(tmp_path / "short", lr_ablation(max_steps=120), EXPLODES)
    assert (short.verdict, short.agrees) == ("not measured", None)
    (long,) = measure(tmp_path / "long", lr_ablation(max_steps=320), EXPLODES)
    assert (long.agrees, long.direction) == (False, "none diverged in 320 steps: the other way round")
    runs = lr_ablation()
    runs[0].diverge_at = 70
    (broken,) = measure(tmp_path / "broken", runs, EXPLODES)
    assert (broken.agrees, broken.direction) == (True, "1 of 1 diverged, at step 70: as stated")


def test_a_loss_per_character_is_not_compared_with_one_per_token(tmp_path: Path) -> None:
    """The lesson's losses are per GPT-2 token; a character model's value stands beside them without a direction."""
    runs = lr_ablation()
    (comparable,) = measure(tmp_path / "gpt2", runs, REACHES)
    assert comparable.agrees is True
    for run in runs:
        run.config["tokenizer"] = "char"
    (other,) = measure(tmp_path / "char", runs, REACHES)
    assert (other.verdict, other.agrees) == ("not measured", None)
    assert "not comparable" in other.direction


def test_without_runs_there_is_no_value(tmp_path: Path) -> None:
    """A study that nobody ran measures nothing."""
    (found,) = measure(tmp_path, [Run("a", study="other")], BEATS)
    assert (found.verdict, found.value, found.run_ids) == ("not measured", None, ())
