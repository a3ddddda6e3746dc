"""Paired differences between arms, factors and their effects, against tables reckoned by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from gptexp.comparisons.decisions import BROKEN, UNDECIDED, find_standings
from gptexp.comparisons.differences import choose_reference, find_differences, find_ladder, judge, tabulate_differences
from gptexp.comparisons.factors import find_crossed, find_factors
from gptexp.comparisons.stats import Interval, PairedDifference, compare_paired
from gptexp.comparisons.summary import summarize_arms
from gptexp.report.difference_table import differences_table
from gptexp.report.tables import results_table
from tests.runs.ends import DIVERGED, TABLE_DIGITS, T, make_ended
from tests.runs.made import ended, make_study, run, unfinished

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
    study = make_ended(tmp_path, {"base": (A, other), "new": (B, one)})
    (row,) = tabulate_differences(find_differences(study)).to_dict("records")
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
    study = make_ended(tmp_path, {"base": (A, [2.0, 2.0, 2.0]), "new": (B, [2.1, DIVERGED, 2.3])})
    (found,) = find_differences(study)
    assert found.paired is not None
    assert (found.paired.interval.mean, found.paired.interval.n, found.lost) == (pytest.approx(0.2), 2, 1)
    # What the run was last measured at reaches no figure, table or quotation either.
    assert study.arms[1].runs["final_val_loss"].isna().tolist() == [False, True, False]
    summary = summarize_arms(study).set_index("arm")
    assert summary.loc["new", "final_val_loss_mean"] == pytest.approx(2.2)
    assert summary.loc["new", "final_val_loss_high"] == pytest.approx(2.2 + T[2] * 0.1, abs=TABLE_DIGITS)
    assert (summary.loc["new", "diverged"], summary.loc["new", "n_runs"]) == (1, 3)
    table = results_table(study)
    assert table is not None
    assert [cell.text for cell in table.rows[1]][1] == "1 of 3 diverged (step 7), 2 of 3 completed"
    assert "99" not in " ".join(cell.full_text for row in table.rows for cell in row)


def test_arms_of_one_length_are_held_against_each_other(tmp_path: Path) -> None:
    """Schedule and constant rate at two lengths: a longer training isn't held against a shorter one."""
    lengths: dict[str, tuple[dict[str, Any], list[float | None]]] = {
        f"{schedule}-{steps}": ({"schedule": schedule, "max_steps": steps}, [loss, loss + 0.1])
        for steps, losses in ((20, (5.0, 5.5)), (40, (4.0, 3.5)))
        for schedule, loss in zip(("constant", "warmup-cosine"), losses, strict=True)
    }
    found = tabulate_differences(find_differences(make_ended(tmp_path, lengths)))
    arms = found[found["kind"] == "arm"]
    pairs = {row["what"]: (row["against"], round(row["difference"], 6)) for row in arms.to_dict("records")}
    assert pairs == {
        "arm constant-20": ("arm warmup-cosine-20", -0.5),
        "arm constant-40": ("arm warmup-cosine-40", 0.5),
    }
    # One that has its length alone, as where the study isn't through, is held against the first of all.
    lengths["longest"] = ({"schedule": "constant", "max_steps": 60}, [3.0, 3.1])
    found = tabulate_differences(find_differences(make_ended(tmp_path / "more", lengths)))
    more = {row["what"]: row["against"] for row in found[found["kind"] == "arm"].to_dict("records")}
    assert more == {what: against for what, (against, _) in pairs.items()} | {"arm longest": "arm constant-20"}


def test_an_arm_of_which_every_seed_diverged_has_no_pair(tmp_path: Path) -> None:
    """No mean of nothing: the row stands, without a number, and says how many seeds it lost."""
    study = make_ended(tmp_path, {"base": (A, [2.0, 2.0]), "new": (B, [DIVERGED, DIVERGED])})
    table = differences_table(study)
    assert table is not None
    texts = [cell.full_text for cell in table.rows[0][2:]]
    assert texts == ["–", "–", "0 (2 seeds not completed)", "–", "–", "–", "no pair"]


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
    assert table.rows[0][8].full_text == "higher (by the interval alone)"


def test_two_pairs_could_have_shown_nothing(tmp_path: Path) -> None:
    """The cell is empty: two pairs are never told apart."""
    table = differences_table(make_ended(tmp_path, {"base": (A, [2.0, 2.0]), "new": (B, [2.1, 2.2])}))
    assert table is not None
    assert table.rows[0][7].text == "–"
    assert "under three pairs nothing is told apart" in table.caption


def test_several_comparisons_need_more_than_one() -> None:
    """A t-test with p = 0.024 tells a pair of arms apart (higher), and is 0.12 by Holm among five comparisons. The
    caption says how many there are, and a comparison with two pairs is none of them.
    """
    base = {"base": ended([2.0] * 5, lr=1e-3)}
    near = {"near": ended([2.12, 2.2, 2.05, 2.3, 2.1], lr=2e-3)}
    others = {f"other-{place}": ended([2.1, 1.9, 2.0, 2.1, 1.9], lr=place) for place in range(2, 6)}
    alone = find_differences(make_study(base | near))[0]
    assert (alone.word, alone.holm_p) == ("higher", pytest.approx(0.0245, abs=1e-4))
    study = make_study(base | near | others | {"short": ended([3.0, 3.1], lr=9.0)})
    found = {one.arms[0]: one for one in find_differences(study)}
    assert (found["near"].word, found["near"].holm_p) == ("not told apart", pytest.approx(5 * 0.0245, abs=5e-4))
    assert (found["short"].word, found["short"].holm_p) == ("points higher", None)
    table = differences_table(study)
    assert table is not None
    assert "the 5 comparisons of this table" in table.caption


@pytest.mark.parametrize(("seeds", "word"), [(1, "too few pairs"), (2, "too few pairs"), (3, "the effects differ")])
def test_an_interaction_has_no_direction(seeds: int, word: str) -> None:
    """A difference of differences is there or not: with few pairs it doesn't point lower or higher either."""
    losses = {"constant": 3.0, "warm": 2.9, "cosine": 2.0, "warm-cosine": 2.4}
    arms = {name: ended([loss + 0.01 * k for k in range(seeds)], **GRID[name]) for name, loss in losses.items()}
    (interaction,) = (found for found in find_differences(make_study(arms)) if found.kind == "interaction")
    assert interaction.word == word


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
    study = make_ended(tmp_path, {name: (GRID[name], losses[name]) for name in GRID})
    rows = {(row["kind"], row["what"]): row for row in tabulate_differences(find_differences(study)).to_dict("records")}
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
    # p = 0.038 of the t-test, the smallest but two of six comparisons.
    assert interaction["word"] == "not told apart"
    assert interaction["low"] > 0


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


@pytest.mark.parametrize(
    ("low", "high", "p", "word"),
    [
        (0.5, 1.5, 0.05, "higher"),
        (0.5, 1.5, 0.0501, "not told apart"),
        (-1.5, -0.5, 0.05, "lower"),
        # An interval that ends at 0 doesn't leave it out.
        (0.0, 1.5, 0.03125, "not told apart"),
        (-1.5, 0.0, 0.03125, "not told apart"),
    ],
)
def test_the_edges_of_being_told_apart(low: float, high: float, p: float, word: str) -> None:
    """A p-value of 0.05 still tells apart, and an interval has to leave 0 out."""
    assert judge(PairedDifference(Interval((low + high) / 2, low, high, 6), p, 2 / 2**6, 1.0)) == word


def test_where_the_exact_test_begins_to_count() -> None:
    """A smallest p-value of 0.05 could agree, so it has to; one above it couldn't. Two pairs point, three tell."""

    def say(n: int, smallest: float) -> str:
        return judge(PairedDifference(Interval(1.0, 0.5, 1.5, n), 0.2, smallest, 1.0))

    assert (say(6, 0.05), say(6, 0.0501)) == ("not told apart", "higher")
    assert (say(2, 0.5), say(3, 0.25)) == ("points higher", "higher")
    assert judge(PairedDifference(Interval(0.0, None, None, 1), None, None, None)) == "not told apart"
    assert judge(None) == "no pair"


def pairs_of(arms: dict[str, Any], **fields: Any) -> dict[tuple[str, str, str], float | None]:
    """(kind, what, against) -> mean difference, of a study that is written down."""
    return {
        (found.kind, found.what, found.against): found.paired and found.paired.interval.mean
        for found in find_differences(make_study(arms, **fields))
    }


def test_arms_of_a_ladder_are_held_against_each_other_at_the_same_rate() -> None:
    """The first series is the reference at each rate; a rate that it lacks has none, and its own arms neither."""
    rates = (1e-5, 1e-4, 1e-3, 1e-2)
    arms = {f"clipped-{rate:g}": ended([2.0 + place], lr=rate, grad_clip=1.0) for place, rate in enumerate(rates)}
    arms |= {
        f"free-{rate:g}": ended([2.5 + 2 * place], lr=rate, grad_clip=None) for place, rate in enumerate((*rates, 1e-1))
    }
    assert pairs_of(arms) == {
        ("arm", "arm free-1e-05", "arm clipped-1e-05"): 0.5,
        ("arm", "arm free-0.0001", "arm clipped-0.0001"): 1.5,
        ("arm", "arm free-0.001", "arm clipped-0.001"): 2.5,
        ("arm", "arm free-0.01", "arm clipped-0.01"): 3.5,
    }
    # Without a second series all are held against the first rate.
    alone = {name: rows for name, rows in arms.items() if name.startswith("clipped")}
    assert pairs_of(alone) == {
        ("arm", f"arm clipped-{rate:g}", "arm clipped-1e-05"): 1.0 + place for place, rate in enumerate(rates[1:])
    }


def test_four_rates_make_a_ladder() -> None:
    """Three rates make none, and neither does what is not trained."""
    arms = {f"{rate:g}": ended([2.0], lr=rate) for rate in (1e-5, 1e-4, 1e-3, 1e-2)}
    found = find_ladder(make_study(arms))
    assert found is not None
    assert (found[0].name, len(found[0].ordered), found[1]) == ("lr", 4, None)
    assert find_ladder(make_study(dict(list(arms.items())[:3]))) is None
    assert (
        find_ladder(make_study({name: [run(lr=1e-3 * place, max_steps=0)] for place, name in enumerate(arms, 1)}))
        is None
    )


def test_several_things_beside_the_rate_are_one() -> None:
    """Two betas by two clippings at each rate are four series, each arm held against the first's at its rate. A
    second arm of one series at a rate, or a fifth series, makes it no ladder.
    """
    arms = {
        f"{beta}-{clip}-{rate:g}": ended([2.0 + beta], lr=rate, beta2=beta, grad_clip=clip)
        for beta in (0.5, 0.75)
        for clip in (1.0, 2.0)
        for rate in (1e-5, 1e-4, 1e-3, 1e-2)
    }
    found = find_ladder(make_study(arms))
    assert found is not None
    assert found[1] is not None
    assert found[1].ordered == [
        f"beta2 {beta}, {clip}" for beta in (0.5, 0.75) for clip in ("clipping at 1", "clipping at 2")
    ]
    pairs = pairs_of(arms)
    assert len(pairs) == 12
    assert pairs["arm", "arm 0.75-2.0-0.001", "arm 0.5-1.0-0.001"] == 0.25
    same = {"beta2": 0.5, "grad_clip": 1.0}
    assert find_ladder(make_study(arms | {"again": ended([2.0], lr=1e-5, **same, batch_size=4)})) is None
    assert find_ladder(make_study(arms | {"again": ended([2.0], lr=1e-5, **same)})) is None
    assert find_ladder(make_study(arms | {"fifth": ended([2.0], lr=1e-5, beta2=0.625, grad_clip=1.0)})) is None


def test_what_is_not_trained_has_no_differences() -> None:
    """Untrained arms end where they begin: at what their init gives."""
    arms = {"a": ended([10.0], max_steps=0), "b": ended([11.0], max_steps=0, init="pytorch-default")}
    assert find_differences(make_study(arms)) == []


def test_a_ladder_on_two_texts_has_no_pairs_across_them() -> None:
    """At the same rate the arms of the other text end at losses of something else."""
    rates = (1e-5, 1e-4, 1e-3, 1e-2)
    texts = {"one": {"corpus_checksum": "c0"}, "two": {"corpus_checksum": "c1", "corpus_name": "two.txt"}}
    arms = {f"{name}-{rate:g}": ended([2.0], lr=rate, **text) for name, text in texts.items() for rate in rates}
    assert [pair for pair in pairs_of(arms) if pair[0] == "arm"] == []


def test_effects_are_held_apart_by_text() -> None:
    """Two texts by two rates: each text's arms are compared, and the rates averaged over both texts. What the text
    does, and what the rate does with each text, would set losses of different texts against each other.
    """
    other = {"corpus_checksum": "c1", "corpus_name": "two.txt"}
    arms = {
        "a": ended([2.0], lr=1e-3),
        "b": ended([3.0], lr=1e-4),
        "c": ended([5.0], lr=1e-3, **other),
        "d": ended([9.0], lr=1e-4, **other),
    }
    assert pairs_of(arms) == {
        ("arm", "arm b", "arm a"): 1.0,
        ("arm", "arm d", "arm c"): 4.0,
        ("main effect", "lr 0.0001", "lr 0.001, averaged over corpus one.txt and corpus two.txt"): 2.5,
    }


def test_what_a_difference_has_lost() -> None:
    """Seeds that began on both sides and have no pair, also where none has; a seed of one side alone is none."""
    arms = {"a": ended([2.0, 2.0, None, 2.0], lr=1e-3), "b": ended([2.5, None, None], lr=1e-4)}
    (found,) = find_differences(make_study(arms))
    assert (found.lost, found.paired and found.paired.interval.n) == (2, 1)
    (found,) = find_differences(make_study({"a": ended([2.0, 2.0], lr=1e-3), "b": ended([None, None], lr=1e-4)}))
    assert (found.lost, found.paired) == (2, None)
    (row,) = tabulate_differences([found]).to_dict("records")
    assert (row["n_pairs"], row["lost"], row["word"]) == (0, 2, "no pair")
    assert math.isnan(row["difference"])
    assert find_differences(make_study({"a": ended([2.0])})) == []
    assert tabulate_differences([]).empty


def test_levels_are_called_by_their_words() -> None:
    """A switch is true or false, a number is short, and an outlier batch is there or not."""

    def words(field: str, *values: Any) -> dict[str, str]:
        arms = {chr(97 + place): [run(**{field: value})] for place, value in enumerate(values)}
        (factor,) = find_factors(make_study(arms))
        return dict(factor.levels)

    assert words("outlier_at", None, 0.5) == {"a": "no outlier batch", "b": "outlier batch"}
    assert words("outlier_at", None, 0.5, 0.75) == {
        "a": "outlier_at None",
        "b": "outlier_at 0.5",
        "c": "outlier_at 0.75",
    }
    assert words("bias", True, False) == {"a": "bias True", "b": "bias False"}
    assert words("lr", 1e-3, 2.5e-5) == {"a": "lr 0.001", "b": "lr 2.5e-05"}
    assert words("batch_size", 1, 64) == {"a": "batch_size 1", "b": "batch_size 64"}
    assert words("norm", "pre", "post") == {"a": "pre-LN", "b": "post-LN"}
    assert words("warmup_steps", 0, 5) == {"a": "no warmup", "b": "warmup"}
    assert words("warmup_steps", 3, 5) == {"a": "warmup 3", "b": "warmup 5"}
    assert words("schedule", "warmup-linear", "warmup-cosine") == {"a": "linear", "b": "cosine"}


def test_seeds_that_begin_later_are_not_lost_to_an_effect() -> None:
    """An arm that an effect doesn't name has fewer seeds: no seed of the effect is lost or gained."""
    arms: dict[str, Any] = {name: ended([2.0 + 0.1 * place] * 4, **GRID[name]) for place, name in enumerate(GRID)}
    arms |= {"linear": ended([2.5], schedule="warmup-linear", warmup_steps=0)}
    arms |= {"warm-linear": ended([2.6], schedule="warmup-linear")}
    found = find_differences(make_study(arms))
    assert {one.kind for one in found} == {"arm", "main effect", "interaction"}
    assert [one.lost for one in found] == [0] * len(found)


def test_runs_that_still_train_are_not_lost() -> None:
    """Three seeds on their way break no comparison off; three that diverged do."""
    base = {"base": ended([2.0] * 3, lr=1e-3)}
    on_their_way = make_study({**base, "new": [unfinished(seed, lr=1e-4) for seed in (1, 2, 3)]})
    (standing,) = find_standings(on_their_way, 0.1)
    assert (standing.n_pairs, standing.lost, standing.word) == (0, 0, UNDECIDED)
    (standing,) = find_standings(make_study({**base, "new": ended([None] * 3, lr=1e-4)}), 0.1)
    assert (standing.lost, standing.word) == (3, BROKEN)
