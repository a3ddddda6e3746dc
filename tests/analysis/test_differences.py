"""Paired differences between arms, factors and their effects, against tables reckoned by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from gptexp.analysis.differences import choose_reference, find_differences, judge, tabulate_differences
from gptexp.analysis.factors import find_crossed, find_factors
from gptexp.analysis.stats import compare_paired
from gptexp.analysis.summary import summarize_arms
from gptexp.report.difference_table import differences_table
from gptexp.report.tables import results_table
from tests.analysis.ends import DIVERGED, TABLE_DIGITS, T, make_ended

A, B = {"lr": 1e-3}, {"lr": 1e-4}
GRID: dict[str, dict[str, Any]] = {
    "constant": {"schedule": "constant"},
    "warm": {"schedule": "warmup-constant"},
    "cosine": {"schedule": "warmup-cosine", "warmup_steps": 0},
    "warm-cosine": {"schedule": "warmup-cosine"},
}


@pytest.mark.parametrize(
    ("one", "other", "mean", "deviation", "p", "word"),
    [
        ([3.0], [2.5], 0.5, None, None, "points higher"),
        # Two pairs only point somewhere, however narrow their interval is.
        ([2.0, 2.2], [2.0, 2.2], 0.0, 0.0, 1.0, "not told apart"),
        ([2.0, 2.2], [2.1, 2.4], -0.15, math.sqrt(0.005), 0.5, "points lower"),
        ([2.1, 2.2, 2.3], [2.0, 2.0, 2.0], 0.2, 0.1, 0.25, "not told apart"),
        ([2.5, 2.6, 2.7], [2.0, 2.0, 2.0], 0.6, 0.1, 0.25, "higher"),
        ([2.1, 2.2, 1.9, 2.0, 2.3], [2.0] * 5, 0.1, math.sqrt(0.025), 0.375, "not told apart"),
    ],
)
def test_a_difference_by_hand(
    tmp_path: Path,
    one: list[float],
    other: list[float],
    mean: float,
    deviation: float | None,
    p: float | None,
    word: str,
) -> None:
    """1, 2, 3 and 5 seeds: mean, interval mean ± t·s/√n, the share of sign patterns, and the word they amount to."""
    instance = make_ended(tmp_path, {"base": (A, other), "new": (B, one)})
    (row,) = tabulate_differences(find_differences(instance)).to_dict("records")
    n = len(one)
    assert (row["what"], row["against"], row["n_pairs"], row["word"]) == ("arm new", "arm base", n, word)
    assert row["difference"] == pytest.approx(mean)
    if deviation is None:
        assert all(math.isnan(row[name]) for name in ("low", "high", "p_value", "smallest_detectable"))
        return
    half = T[n] * deviation / math.sqrt(n)
    assert (row["low"], row["high"]) == tuple(
        pytest.approx(end, abs=TABLE_DIGITS) for end in (mean - half, mean + half)
    )
    assert row["p_value"] == p
    assert row["smallest_p"] == 2 / 2**n


def test_a_diverged_seed_is_counted_and_not_averaged(tmp_path: Path) -> None:
    """The last loss of a diverged run enters no mean, no interval and no pair; the seed is counted as lost."""
    instance = make_ended(tmp_path, {"base": (A, [2.0, 2.0, 2.0]), "new": (B, [2.1, DIVERGED, 2.3])})
    (found,) = find_differences(instance)
    assert found.paired is not None
    assert (found.paired.interval.mean, found.paired.interval.n, found.lost) == (pytest.approx(0.2), 2, 1)
    # What the run was last measured at reaches no figure, table or quotation either.
    assert instance.arms[1].runs["final_val_loss"].isna().tolist() == [False, True, False]
    summary = summarize_arms(instance).set_index("arm")
    assert summary.loc["new", "final_val_loss_mean"] == pytest.approx(2.2)
    assert summary.loc["new", "final_val_loss_high"] == pytest.approx(2.2 + T[2] * 0.1, abs=TABLE_DIGITS)
    assert (summary.loc["new", "diverged"], summary.loc["new", "n_runs"]) == (1, 3)
    table = results_table(instance)
    assert table is not None
    assert [cell.text for cell in table.rows[1]][1] == "1 of 3 diverged (step 7), 2 of 3 completed"
    assert "99" not in " ".join(cell.full_text for row in table.rows for cell in row)


def test_an_arm_of_which_every_seed_diverged_has_no_pair(tmp_path: Path) -> None:
    """No mean of nothing: the row stands, without a number, and says how many seeds it lost."""
    instance = make_ended(tmp_path, {"base": (A, [2.0, 2.0]), "new": (B, [DIVERGED, DIVERGED])})
    table = differences_table(instance)
    assert table is not None
    texts = [cell.full_text for cell in table.rows[0][2:]]
    assert texts == ["–", "–", "0 (2 seeds not completed)", "–", "–", "no pair"]


def test_one_seed_has_a_direction_and_no_interval(tmp_path: Path) -> None:
    """The table says so in words where an interval would stand."""
    table = differences_table(make_ended(tmp_path, {"base": (A, [2.0]), "new": (B, [1.5])}))
    assert table is not None
    texts = [cell.full_text for cell in table.rows[0]]
    assert "one seed: a direction, no interval" in texts
    assert texts[-1] == "points lower"
    assert table.caption.startswith("One seed: a direction, no interval.")


def test_few_pairs_are_told_apart_by_the_interval_alone(tmp_path: Path) -> None:
    """Three pairs can't bring the exact test under 0.05: the row says the least p, and that the interval decided."""
    table = differences_table(make_ended(tmp_path, {"base": (A, [2.0, 2.0, 2.0]), "new": (B, [2.5, 2.6, 2.7])}))
    assert table is not None
    assert table.rows[0][5].full_text == "0.25 (least 0.25)"
    assert table.rows[0][7].full_text == "higher (by the interval alone)"


def test_many_pairs_need_both() -> None:
    """Eight pairs of which one is far out: whichever of interval and test leaves zero in, they aren't told apart."""
    steady = compare_paired(dict(enumerate([1.1, 1.2, 1.1, 1.3, 1.2, 1.1, 1.2, 1.3])), dict.fromkeys(range(8), 1.0))
    assert judge(steady) == "higher"
    far = compare_paired(dict(enumerate([1.1, 1.2, 1.1, 1.3, 1.2, 1.1, 1.2, 4.0])), dict.fromkeys(range(8), 1.0))
    assert far is not None
    assert far.p_value == 2 / 2**8
    assert judge(far) == "not told apart"


def test_main_effects_and_their_interaction_by_hand(tmp_path: Path) -> None:
    """Warmup by decay: effects averaged over the other factor, the interaction as a difference of differences."""
    losses = {
        "constant": [3.0, 3.1, 3.2],
        "warm": [2.9, 3.1, 3.1],
        "cosine": [2.0, 2.1, 2.4],
        "warm-cosine": [2.1, 2.2, 2.5],
    }
    instance = make_ended(tmp_path, {name: (GRID[name], losses[name]) for name in GRID})
    rows = {
        (row["kind"], row["what"]): row for row in tabulate_differences(find_differences(instance)).to_dict("records")
    }
    warmup, cosine = rows["main effect", "warmup"], rows["main effect", "cosine"]
    assert warmup["against"] == "no warmup, averaged over constant and cosine"
    # (2.9 + 2.1 - 3.0 - 2.0) / 2 = 0; (3.1 + 2.2 - 3.1 - 2.1) / 2 = 0.05; (3.1 + 2.5 - 3.2 - 2.4) / 2 = 0
    assert warmup["difference"] == pytest.approx(0.05 / 3)
    # (2.0 + 2.1 - 3.0 - 2.9) / 2 = -0.9; (2.1 + 2.2 - 3.1 - 3.1) / 2 = -0.95; (2.4 + 2.5 - 3.2 - 3.1) / 2 = -0.7
    assert cosine["difference"] == pytest.approx(-0.85)
    assert cosine["word"] == "lower"
    (interaction,) = (row for (kind, _), row in rows.items() if kind == "interaction")
    # (2.1 - 2.0) - (2.9 - 3.0) = 0.2; 0.1 - 0 = 0.1; 0.1 - (-0.1) = 0.2
    assert interaction["difference"] == pytest.approx(0.5 / 3)
    assert interaction["word"] == "the effects differ"


def test_effects_need_every_cell(tmp_path: Path) -> None:
    """A seed that lost one cell counts in no effect; a grid with a missing arm has none."""
    arms = {name: (GRID[name], [3.0, 3.1, 3.3]) for name in GRID} | {"warm": (GRID["warm"], [2.9, DIVERGED, 3.1])}
    found = find_differences(make_ended(tmp_path / "a", arms))
    effect = next(one for one in found if one.kind == "main effect")
    assert effect.paired is not None
    assert (effect.paired.interval.n, effect.lost) == (2, 1)
    del arms["warm"]
    assert {one.kind for one in find_differences(make_ended(tmp_path / "b", arms))} == {"arm"}


@pytest.mark.parametrize(("levels", "has_effects"), [(4, True), (5, False)])
def test_effects_are_those_of_few_levels(tmp_path: Path, levels: int, has_effects: bool) -> None:
    """Two factors of at most four levels have main effects; a longer table is left to its arms."""
    arms: dict[str, Any] = {
        f"{batch}-{clip}": ({"batch_size": batch, "grad_clip": clip}, [3.0 + 0.1 * batch])
        for batch in range(1, levels + 1)
        for clip in (1.0, None)
    }
    kinds = {found.kind for found in find_differences(make_ended(tmp_path, arms))}
    assert ("main effect" in kinds) is has_effects


def test_the_reference_is_the_schedule_or_the_first_arm(tmp_path: Path) -> None:
    """An ablation is held against its only decaying arm; where none or several decay, against the first."""
    ablation = {
        "high": ({"schedule": "constant", "lr": 1e-3}, [3.0]),
        "low": ({"schedule": "constant", "lr": 1e-5}, [3.0]),
        "scheduled": ({"schedule": "warmup-cosine", "lr": 1e-3}, [3.0]),
    }
    assert choose_reference(make_ended(tmp_path / "a", ablation).arms).name == "scheduled"
    assert choose_reference(make_ended(tmp_path / "b", {n: (GRID[n], [3.0]) for n in GRID}).arms).name == "constant"


def test_factors_say_what_sets_arms_apart(tmp_path: Path) -> None:
    """The schedule is warmup and decay; what always changes together is one factor; a final rate follows its decay."""
    grid = make_ended(tmp_path / "a", {name: (GRID[name], [3.0]) for name in GRID})
    assert [(factor.name, factor.ordered) for factor in find_factors(grid)] == [
        ("warmup", ["no warmup", "warmup"]),
        ("decay", ["constant", "cosine"]),
    ]
    assert find_crossed(grid) is not None
    tied = {"a": ({"lr": 1e-3, "batch_size": 2}, [3.0]), "b": ({"lr": 1e-4, "batch_size": 4}, [3.0])}
    (factor,) = find_factors(make_ended(tmp_path / "b", tied))
    assert factor.name == "lr and batch_size"
    assert find_crossed(make_ended(tmp_path / "c", tied)) is None
    clips = {str(c): ({"grad_clip": c}, [3.0]) for c in (0.1, 1.0, None)}
    (factor,) = find_factors(make_ended(tmp_path / "d", clips))
    assert set(factor.ordered) == {"clipping at 0.1", "clipping at 1", "no clipping"}
