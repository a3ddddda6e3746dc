"""Each number that a claim can speak of, from records that are written down, against values reckoned by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gptexp.comparisons.read import Reading, read_quantity
from gptexp.errors import GptexpError
from gptexp.measures.catalog import MEASURES, parse_measure, select
from tests.runs.made import Rows, evals, make_study, run, steps, unfinished


def read(field: str, runs: Rows, log: Rows = (), measured: Rows = ()) -> Reading:
    """A field of the arm `a`, whose runs and records are these."""
    found = read_quantity(make_study({"a": runs}, log, measured), f"a:{field}")
    assert found is not None
    return found


def value(field: str, log: Rows = (), measured: Rows = (), **fields: Any) -> float | None:
    """What one run says; None where it can't tell."""
    return read(field, [run(**fields)], log, measured).values.get(1)


def test_a_reading_counts_every_seed_once() -> None:
    """A seed has a value, or diverged, or is silent. Runs that speak are named, and how far each got."""
    runs = [
        run(1, final_val_loss=3.5),
        run(2, "diverged", 30, diverged_step=30),
        run(3, "stopped", 60),
        run(4, "stopped", 40, max_steps=120),
    ]
    assert read("final_val_loss", runs) == Reading(
        values={1: 3.5},
        diverged=frozenset({2}),
        silent=2,
        run_ids=("a-1", "a-2"),
        last_step=100,
        needs_step=120,
        reached={1: 100},
    )


def test_a_diverged_run_counts_as_high_only_where_a_loss_is_meant() -> None:
    """It has no finite norm: that is no loss, so the seed is silent, and no more steps would help."""
    found = read("max_grad_norm", [run(2, "diverged", 30, diverged_step=30, max_grad_norm=math.inf)])
    assert found == Reading({}, frozenset(), 1, (), 30)
    # A best loss that it reached before doesn't stand for it; a loss at a step that it got to does. A completed run
    # without one diverged nowhere.
    best = read("best_val_loss", [run(2, "diverged", 30, best_val_loss=4.0)])
    assert (best.values, best.diverged, best.silent) == ({}, {2}, 0)
    broken = read("train_loss@10", [run(1, "diverged", 30, diverged_step=30)], steps([4.0] * 29))
    assert (broken.values, broken.diverged) == ({1: 4.0}, frozenset())
    assert read("best_val_loss", [run(2)]) == Reading({}, frozenset(), 1, (), 100)


def test_a_run_that_did_all_its_steps_lacks_only_its_end() -> None:
    """Stopped between its last step and its last evaluation it has everything but the loss over the whole split."""
    runs = [run(1, "interrupted", 100, final_train_loss=1.5, final_val_loss=2.5, best_val_loss=2.0, max_grad_norm=3.0)]
    assert read("final_train_loss", runs).values == {1: 1.5}
    assert read("best_val_loss", runs).values == {1: 2.0}
    assert read("max_grad_norm", runs).values == {1: 3.0}
    assert read("diverged", runs).values == {1: 0.0}
    assert read("final_val_loss", runs).values == {}
    # One step earlier it is a run like any other that was stopped.
    runs = [run(1, "interrupted", 99, final_train_loss=1.5, best_val_loss=2.0)]
    assert [read(field, runs).values for field in ("final_train_loss", "best_val_loss", "diverged")] == [{}, {}, {}]


@pytest.mark.parametrize("field", select(lambda measure: measure.of_result and measure.name != "last_step"))
def test_a_column_is_read_as_it_stands(field: str) -> None:
    """Each of them is the run's own number, zero too."""
    assert value(field, **{field: 2.25}) == 2.25
    assert value(field, **{field: 0.0}) == 0.0
    assert value(field) is None


def test_a_whole_runs_number_waits_for_its_end() -> None:
    """A best loss so far isn't the best loss; the first one is known at once."""
    stopped = [run(1, "stopped", 60, best_val_loss=4.0, initial_val_loss=9.0)]
    assert read("best_val_loss", stopped) == Reading({}, frozenset(), 1, (), 60, 100)
    assert read("initial_val_loss", stopped).values == {1: 9.0}
    assert read("initial_val_loss", [unfinished(initial_val_loss=9.0)]).reached == {1: 0}


def test_unknown_arms_and_fields() -> None:
    """An arm that the study lacks says nothing; a measure that there is none of is a slip, and near names are told."""
    assert read_quantity(make_study({"a": [run()]}), "b:final_val_loss") is None
    with pytest.raises(GptexpError, match=r"^there is no measure 'final_los'; did you mean final_val_loss"):
        read_quantity(make_study({"a": [run()]}), "a:final_los")


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ("train_loss", "measure train_loss takes a whole step, like train_loss@500; found ''"),
        ("train_loss@1e3", "measure train_loss takes a whole step, like train_loss@500; found '1e3'"),
        ("noise@30", "measure noise takes no step, found noise@30"),
    ],
)
def test_a_step_stands_where_one_is_needed(asked: str, wrong: str) -> None:
    """Otherwise one sentence says what was expected."""
    with pytest.raises(GptexpError) as found:
        read_quantity(make_study({"a": [run()]}), f"a:{asked}")
    assert str(found.value) == wrong


def test_from_which_step_a_field_is_known() -> None:
    """The step behind an @, the first step, or so many as show a scatter; else the end of the run alone."""
    known = {"train_loss": "300", "diverged": "600", "unstable": "600"}
    assert {name: parse_measure(f"{name}@{step}")[0].find_needed_step(int(step)) for name, step in known.items()} == {
        "train_loss": 300,
        "diverged": 600,
        "unstable": 600,
    }
    early = {"first_train_loss": 1, "lr_error": 1, "noise": 40, "trend_per_step": 40}
    assert {name: MEASURES[name].known_from for name in early} == early
    # A setting, the loss before the first step, and what only counts how far a run got are known at once.
    at_once = {"initial_val_loss", "initial_perplexity", "predicted", "uniform", "seeds", "diverged_step"}
    at_once |= {"last_step", "tokens_seen", "epochs", "duration_s", "peak_memory_mib"}
    at_once |= {"vocab_size", "n_embd", "train_tokens", "max_steps", "lr", "min_lr", "grad_clip"}
    assert at_once <= set(select(lambda measure: measure.known_from == 0))
    at_the_end = {"final_train_loss", "final_val_loss", "best_val_loss", "perplexity", "val_rise", "median_grad_norm"}
    assert {MEASURES[name].known_from for name in at_the_end} == {None}


def test_what_is_in_nats_depends_on_the_tokens() -> None:
    """Losses and what is made of them by subtraction are; bits per byte and perplexity are in units of their own."""
    losses = {"final_train_loss", "final_val_loss", "best_val_loss", "initial_val_loss", "predicted", "uniform"}
    losses |= {"train_loss", "val_loss", "first_train_loss", "val_rise", "loss_before_outlier", "outlier_loss"}
    losses |= {
        "noise",
        "early_noise",
        "later_noise",
        "late_noise",
        "late_drift",
        "trend_per_step",
        "late_fall",
        "bigram_loss",
    }
    in_nats = set(select(lambda measure: measure.in_nats))
    assert losses <= in_nats
    assert not in_nats & {"val_bpb", "final_val_bpb", "perplexity", "initial_perplexity", "max_grad_norm", "lr"}


def test_a_train_loss_at_a_step_is_the_mean_of_ten() -> None:
    """Losses 1 to 12: up to step 12 the last ten are 3 to 12; up to 5 there are five; step 13 isn't there yet."""
    made = [unfinished()], steps([float(step) for step in range(1, 13)])
    found = {step: read(f"train_loss@{step}", *made) for step in (5, 10, 11, 12)}
    assert {step: one.values for step, one in found.items()} == {5: {1: 3.0}, 10: {1: 5.5}, 11: {1: 6.5}, 12: {1: 7.5}}
    assert found[5].reached == {1: 12}
    assert read("train_loss@13", *made) == Reading({}, frozenset(), 1, (), 12, 13)
    # A run that diverged before counts as higher than any number.
    broken = [run(1, "diverged", 12, diverged_step=12)], steps([1.0] * 11 + [math.nan])
    assert read("train_loss@13", *broken).diverged == {1}
    assert read("train_loss@12", *broken).diverged == {1}
    assert read("train_loss@11", *broken).values == {1: 1.0}


def test_a_log_is_read_in_the_order_of_its_steps() -> None:
    """Steps that a resumed run logged again, or that came late, count once, each run's own only."""
    log = [*steps([3.0, 5.0])[::-1], *steps([90.0]), *steps([70.0] * 50, seed=2)]
    assert value("first_train_loss", log, last_step=2) == 3.0
    assert value("train_loss@2", log, last_step=2) == 4.0
    assert read("first_train_loss", [unfinished(1)], log).last_step == 2
    assert read("first_train_loss", [unfinished(1), unfinished(2), unfinished(3)], log).last_step == 50


def test_a_run_without_a_step_has_no_first_loss() -> None:
    """It is silent, and would have to get to step 1."""
    assert read("first_train_loss", [unfinished()]) == Reading({}, frozenset(), 1, (), 0, 1)
    assert value("first_train_loss") is None


def test_norms_by_hand() -> None:
    """The first tenth of the planned steps is early, step 10 of 100 still; the others are late. Medians are of all."""
    norms = [float(step) for step in range(1, 10)] + [30.0, 20.0, 12.0]
    log = steps([4.0] * 12, norms)
    assert value("early_max_norm", log) == 30.0
    assert value("late_max_norm", log) == 20.0
    assert value("median_grad_norm", log) == 6.5
    # Early is a tenth of what was planned, not of what was done.
    assert value("early_max_norm", log, max_steps=50) == 5.0
    assert value("early_max_norm", log, max_steps=9) is None
    assert value("late_max_norm", log, max_steps=120) is None
    assert value("median_grad_norm") is None


def impulse(n: int, height: float = 11.0) -> list[float]:
    """Zeros with one loss at step 21, which the window of 11 spreads over the steps 16 to 26."""
    return [height if step == 21 else 0.0 for step in range(1, n + 1)]


@pytest.mark.parametrize("n", [40, 41])
def test_noise_by_hand(n: int) -> None:
    """Around the smooth curve, a spike of 11 is 10 up at its step and 1 down at ten others. The first tenth of the
    steps, rounded up, is left out: 4 of 40 and 5 of 41, so that 36 stay either way.
    """
    log = steps(impulse(n))
    assert value("noise", log) == pytest.approx(math.sqrt(110 / 36))
    # Halves of 18 steps each: of 40 the second begins with step 23, of 41 with 24; the spike's window ends with 26.
    downs = {40: 6, 41: 7}[n]
    assert value("late_noise", log) == pytest.approx(math.sqrt((10 - downs) / 18 - ((10 - downs) / 18) ** 2))


def test_early_noise_is_that_of_the_first_tenth() -> None:
    """A slope is no noise, however steep, nor is what happens later. One loss that is 3 off its line makes 3, -1.5
    and -1.5 of its own and its neighbours' distances from the mean beside them: 9 + 2.25 + 2.25 over 1.5 and n - 2.
    """
    line = [40.0 - 3 * step for step in range(10)] + [10.0 - 0.01 * step for step in range(90)]
    assert value("early_noise", steps(line)) == pytest.approx(0, abs=1e-9)
    early, later = list(line), list(line)
    early[5] += 3
    later[50] += 3
    assert value("early_noise", steps(early)) == pytest.approx(math.sqrt(13.5 / 1.5 / 8))
    assert value("later_noise", steps(early)) == pytest.approx(0, abs=1e-9)
    assert value("early_noise", steps(later)) == pytest.approx(0, abs=1e-9)
    assert value("later_noise", steps(later)) == pytest.approx(math.sqrt(13.5 / 1.5 / 88))


def test_a_trend_by_hand() -> None:
    """Both ways count: a spike of 11 makes the smooth curve rise by 1 and fall by 1 in the 35 steps after the first 4.

    A line that falls by 0.01 a step: in its last five steps only the later side of the window shrinks, by half a step
    each.
    """
    assert value("trend_per_step", steps(impulse(40))) == pytest.approx(2 / 35)
    line = [5 - 0.01 * step for step in range(40)]
    assert value("trend_per_step", steps(line)) == pytest.approx(0.01 * (30 + 5 * 0.5) / 35)


@pytest.mark.parametrize("field", ["noise", "early_noise", "later_noise", "late_noise", "trend_per_step"])
def test_a_short_or_broken_run_has_no_scatter(field: str) -> None:
    """Forty finite losses are the fewest; a run on its way would have to get there, or to its end."""
    assert value(field, steps([4.0] * 40)) == 0.0
    assert value(field, steps([4.0] * 39)) is None
    assert value(field, steps([*[4.0] * 40, math.inf])) is None
    # In the steps that are left out, too.
    assert value(field, steps([math.inf, *[4.0] * 40])) is None
    of_a_stretch = field in ("noise", "trend_per_step")
    assert read(field, [unfinished()], steps([4.0] * 39)).needs_step == (40 if of_a_stretch else 100)
    assert read(field, [unfinished()], steps([4.0] * 40)).values == ({1: 0.0} if of_a_stretch else {})


def test_a_rise_of_the_val_loss_by_hand() -> None:
    """The last one minus the lowest, of the trained model, on the same windows: 3.5 - 3.0. Zero if it still falls."""
    curve = {0: 1.0, 30: 3.5, 20: 3.0, 10: 4.0}
    other = [*evals({40: 9.0}, whole=True), *evals({10: 1.0, 20: 9.0}, seed=2)]
    assert value("val_rise", measured=[*evals(curve), *other]) == 0.5
    assert value("val_rise", measured=evals({10: 4.0, 20: 3.0})) == 0.0
    assert value("val_rise", measured=evals({10: 3.0, 20: 3.25})) == 0.25
    assert value("val_rise", measured=evals({0: 9.0, 10: 3.0})) is None
    assert value("val_rise", measured=evals({1: 3.0, 2: 3.125, 3: 3.25})) == 0.25
    # The one at step 1 is trained too.
    assert value("val_rise", measured=evals({0: 1.0, 1: 3.0, 2: 3.25})) == 0.25


def test_errors_of_the_learning_rate_by_hand() -> None:
    """Two steps of warmup to 1e-3, then nine steps of 1e-4 down: the largest distance is 5e-5, 5% of the peak."""
    planned = [5e-4, 1e-3, 9e-4, 8e-4, 7e-4, 6e-4, 5e-4, 4e-4, 3e-4, 2e-4, 1e-4]
    config = {"schedule": "warmup-linear", "lr": 1e-3, "min_lr": 1e-4, "warmup_steps": 2, "max_steps": 11}
    assert value("lr_error", steps([4.0] * 11, rates=planned), **config) == pytest.approx(0.0, abs=1e-12)
    planned[2] += 2e-5
    planned[6] -= 5e-5
    assert value("lr_error", steps([4.0] * 11, rates=planned), **config) == pytest.approx(0.05)
    assert value("lr_error", **config) is None
    assert value("lr_error", steps([4.0] * 11, rates=planned), **{**config, "schedule": "of-another-package"}) is None
    # wsd: the last two of five steps decay; one step of warmup is 5% of few.
    wsd = {"schedule": "wsd", "lr": 1e-3, "min_lr": 0.0, "decay_steps": 2, "max_steps": 5}
    assert value("lr_error", steps([4.0] * 5, rates=[1e-3, 1e-3, 1e-3, 5e-4, 0.0]), **wsd) == pytest.approx(0.0)
    stopped = [run(1, "stopped", 1, **config)], steps([4.0], rates=[5e-4])
    assert read("lr_error", *stopped).values == {1: pytest.approx(0.0, abs=1e-12)}


@pytest.mark.parametrize(
    ("asked", "found"), [("diverged", 1.0), ("diverged@31", 1.0), ("diverged@30", 1.0), ("diverged@29", 0.0)]
)
def test_a_divergence_by_a_step(asked: str, found: float) -> None:
    """What broke at step 30 broke by 30, and had not by 29."""
    broken = run(1, "diverged", 30, diverged_step=30)
    assert read(asked, [broken]).values == {1: found}


def test_what_did_not_happen_needs_its_steps() -> None:
    """None by step 60 is known at step 60; that none happens at all, at the end only."""
    assert value("diverged") == 0.0
    assert value("diverged@100") == 0.0
    for made in (run(1, "stopped", 60), unfinished()):
        log = steps([4.0] * 60)
        assert read("diverged@60", [made], log) == Reading({1: 0.0}, frozenset(), 0, ("a-1",), 60, 0, {1: 60})
        assert read("diverged@61", [made], log) == Reading({}, frozenset(), 1, (), 60, 61)
        assert read("diverged", [made], log) == Reading({}, frozenset(), 1, (), 60, 100)


@pytest.mark.parametrize("column", ["train_loss", "grad_norm"])
def test_a_killed_run_diverged_where_its_log_breaks(column: str) -> None:
    """A run that was killed as it broke left no result: its log says where, the first time of several."""
    log = steps([4.0] * 60)
    log[29][column], log[40][column] = math.inf, math.nan
    for field in ("diverged", "unstable"):
        found = [read(f"{field}@{step}", [unfinished()], log).values for step in (29, 30, 60)]
        assert found == [{1: 0.0}, {1: 1.0}, {1: 1.0}]
    # Of a run with a result, the result says it.
    assert read("diverged@60", [run(1, "stopped", 60)], log).values == {1: 0.0}


def test_a_rise_in_the_first_steps_is_unstable() -> None:
    """4.18, 3.62, 4.11, 6.93: too early for a spike, which needs 25 steps before it, and above the first loss."""
    early = [4.18, 3.62, 4.11, 6.93, *[3.5] * 60]
    assert [value(f"unstable@{step}", steps(early)) for step in (3, 4, 60)] == [0.0, 1.0, 1.0]
    # A log that begins later doesn't say where the loss was at first.
    later = [{**row, "step": row["step"] + 1} for row in steps([4.0, 4.2, *[3.5] * 60])]
    assert value("unstable@60", later) == 0.0


def test_the_fall_at_the_end() -> None:
    """A line through the last fifth of the steps, per 100 steps; where it rises the fall is negative."""
    losses = [9.0] * 80 + [4.0 - 0.01 * step for step in range(20)]
    assert value("late_fall", steps(losses)) == pytest.approx(1.0)
    assert value("late_fall", steps(losses[:80] + losses[:79:-1])) == pytest.approx(-1.0)
    assert value("late_fall", steps(losses[:39])) is None
    assert value("late_fall", steps([*losses[:99], math.nan])) is None


def test_unstable_is_a_spike_or_a_divergence() -> None:
    """A spike at step 31 of a quiet loss, or what broke at 40: whichever comes first, and neither by step 30."""
    quiet, spike = [4.0] * 30, [*[4.0] * 30, 9.0, *[4.0] * 9]
    assert value("unstable@100", steps(quiet)) == 0.0
    assert [value(f"unstable@{step}", steps(spike)) for step in (30, 31, 100)] == [0.0, 1.0, 1.0]
    both = {"outcome": "diverged", "last_step": 40, "diverged_step": 40}
    assert [value(f"unstable@{step}", steps(spike), **both) for step in (30, 31, 39)] == [0.0, 1.0, 1.0]
    early = {"outcome": "diverged", "last_step": 20, "diverged_step": 20}
    assert [value(f"unstable@{step}", steps(quiet[:20]), **early) for step in (19, 20)] == [0.0, 1.0]
    assert read("unstable@61", [run(1, "stopped", 60)], steps(quiet * 2)).needs_step == 61


def test_what_one_arm_has_more_than_another_seed_by_seed() -> None:
    """Seeds that both have give a difference. One that diverged lies above any loss, one that goes on is silent, and
    from one that is taken away and diverged nothing follows.
    """
    arms = {
        "a": [run(1, final_val_loss=3.5), run(2, final_val_loss=4.0), run(3, "diverged", 30, diverged_step=30)],
        "b": [run(1, final_val_loss=3.0), run(2, "stopped", 60, max_steps=120), run(3, final_val_loss=2.0)],
    }
    found = read_quantity(make_study(arms), "a:final_val_loss - b:final_val_loss")
    ids = ("a-1", "a-2", "a-3", "b-1", "b-3")
    assert found == Reading({1: 0.5}, frozenset({3}), 1, ids, last_step=100, needs_step=120, reached={1: 100})
    found = read_quantity(make_study(arms), "b:final_val_loss - a:final_val_loss")
    assert found is not None
    assert (found.values, found.diverged, found.lost, found.silent) == ({1: -0.5}, set(), {3}, 1)
    assert read_quantity(make_study(arms), "a:final_val_loss - c:final_val_loss") is None


def test_a_fork_counts_steps_as_its_parent_does() -> None:
    """Its log begins at step 501: a spike 31 lines later is one at step 531, and its first line is no first loss."""
    log = [{**row, "step": row["step"] + 500} for row in steps([*[4.0] * 30, 9.0, *[4.0] * 9])]
    far = {"last_step": 540, "max_steps": 540}
    assert [value(f"unstable@{step}", log, **far) for step in (100, 530, 531)] == [0.0, 0.0, 1.0]
    assert value("first_train_loss", log, **far) is None
    assert value("first_train_loss", steps([4.5, 4.0])) == 4.5


def test_the_share_of_steps_at_which_the_loss_rises() -> None:
    """Of four changes up to step 5 one is a rise; the sixth step is not asked for, and a shorter run can't tell."""
    log = steps([4.0, 3.0, 3.5, 3.0, 2.0, 9.0])
    assert value("rising_share@5", log, last_step=6) == 0.25
    assert value("rising_share@7", log, last_step=6) is None
