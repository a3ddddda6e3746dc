"""Area under the curve, steps to a common loss, and ladders of learning rates, against values reckoned by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gptexp.comparisons.ladder import read_ladder
from gptexp.comparisons.speed import choose_target, measure_speed
from gptexp.report.figures.bands import average_seeds
from gptexp.report.figures.canvas import NARROW, WIDE
from gptexp.report.figures.final_losses import final_val_losses
from gptexp.report.figures.ladder import lr_ladder
from gptexp.report.figures.losses import loss_curves
from gptexp.report.figures.lr_sweep import average_trials, lr_sweep
from gptexp.report.ladder_table import ladder_table
from gptexp.report.speed_table import speed_table
from gptexp.report.svg import drawing_style
from tests.runs.ends import DIVERGED, TABLE_DIGITS, T, make_ended
from tests.runs.made import ended, evals, make_study, run, unfinished

RATES = (1e-5, 1e-4, 1e-3, 1e-2)


def ladder_arms(warm: dict[float, Any], cold: dict[float, Any]) -> dict[str, Any]:
    return {
        f"{name}-{rate:g}": ({"schedule": "warmup-cosine", "lr": rate, "warmup_steps": steps}, losses[rate])
        for name, steps, losses in (("warm", 2, warm), ("cold", 0, cold))
        for rate in RATES
    }


def rewrite_evals(runs_dir: Path, losses: dict[str, list[float]]) -> None:
    """Give the runs of an arm these val losses at the steps 0, 10 and 20, plus a hundredth per seed."""
    for folder in runs_dir.iterdir():
        member = json.loads((folder / "members.jsonl").read_text().splitlines()[0])
        records = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
        for record in records:
            if record["kind"] == "eval" and not record["whole"]:
                record["val_loss"] = losses[member["arm"]][record["step"] // 10] + 0.01 * member["seed"]
        (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def test_area_and_steps_by_hand(tmp_path: Path) -> None:
    """Areas by trapezoids, the median arm's loss as the target, and who never reaches it says in how many steps."""
    configs = {name: ({"lr": lr}, [3.0, 3.0]) for name, lr in (("a", 1e-3), ("b", 2e-3), ("c", 3e-3))}
    make_ended(tmp_path, configs)
    rewrite_evals(tmp_path, {"a": [10.0, 6.0, 4.0], "b": [10.0, 4.005, 3.0], "c": [10.0, 9.0, 8.0]})
    study = _load(tmp_path)
    speed = measure_speed(study)
    assert speed is not None
    rows = speed.frame.set_index("arm")
    # Steps 0 to 20: (10 + 6)/2 · 10 and (6 + 4)/2 · 10 over 20 steps are 6.5, plus 0.01 and 0.02 for the two seeds.
    assert rows.loc["a", "area_mean"] == pytest.approx(6.515)
    assert rows.loc["a", "area_high"] == pytest.approx(
        6.515 + T[2] * math.sqrt(0.00005) / math.sqrt(2), abs=TABLE_DIGITS
    )
    # a reaches 4.02 with both seeds, b 3.02, c 8.02: more than half of the arms reach 4.02.
    assert speed.target == pytest.approx(4.02)
    assert (rows.loc["a", "steps_mean"], rows.loc["b", "steps_mean"], rows.loc["c", "n_reached"]) == (20, 15, 0)
    table = speed_table(study)
    assert table is not None
    assert [row[3].full_text for row in table.rows] == ["20", "15 (10–20)", "not in 20 steps"]


def _load(runs_dir: Path) -> Any:
    from gptexp.runs.frames import load_frames
    from gptexp.runs.study_runs import select_studies

    (study,) = select_studies(load_frames(runs_dir))
    return study


def test_a_diverged_run_has_no_area(tmp_path: Path) -> None:
    """The area is that of the completed seeds, and the table counts the one that diverged."""
    arms = {"a": ({"lr": 1e-3}, [3.0, 3.0, 3.0]), "b": ({"lr": 2e-3}, [3.0, DIVERGED, 3.0])}
    study = make_ended(tmp_path, arms)
    table = speed_table(study)
    assert table is not None
    assert table.data.set_index("arm").loc["b", "n_area"] == 2
    assert table.rows[1][1].detail.endswith("2 of 3 seeds, 1 diverged")


def test_a_ladder_by_hand(tmp_path: Path) -> None:
    """Sensitivity seed by seed, a divergence at the first loss; the first rate that breaks with k of n; best rate."""
    warm = {1e-5: [9.0, 9.0], 1e-4: [5.0, 5.0], 1e-3: [4.0, 4.2], 1e-2: [6.0, DIVERGED]}
    cold = {1e-5: [9.0, 9.0], 1e-4: [5.0, 5.0], 1e-3: [DIVERGED, 4.2], 1e-2: [DIVERGED, DIVERGED]}
    study = make_ended(tmp_path, ladder_arms(warm, cold))
    ladder = read_ladder(study)
    assert ladder is not None
    first = ladder.initial_loss
    rows = ladder.summary.set_index("series")
    one, two = (9 + 5 + 4 + 6) / 4 - 4, (9 + 5 + 4.2 + first) / 4 - 4.2
    assert rows.loc["warmup", "sensitivity_mean"] == pytest.approx((one + two) / 2)
    assert rows.loc["warmup", "best_lr"] == 1e-3
    assert tuple(rows.loc["warmup", ["first_diverged_lr", "first_diverged", "first_diverged_of"]]) == (1e-2, 1, 2)
    assert tuple(rows.loc["no warmup", ["first_diverged_lr", "first_diverged", "first_diverged_of"]]) == (1e-3, 1, 2)
    assert rows.loc["no warmup", "highest_trained_lr"] == 1e-4
    # Against the lowest loss of both lines: 4 of seed 1, 4.2 of seed 2.
    cold_one, cold_two = (9 + 5 + first + first) / 4 - 4, (9 + 5 + 4.2 + first) / 4 - 4.2
    assert ladder.paired is not None
    assert ladder.paired.interval.mean == pytest.approx((cold_one + cold_two - one - two) / 2)
    table = ladder_table(study)
    assert table is not None
    assert [row[6].full_text for row in table.rows] == ["1e-2 (1 of 2 runs)", "1e-3 (1 of 2 runs)"]


def test_a_seed_without_a_result_at_every_rate_has_no_sensitivity(tmp_path: Path) -> None:
    """A ladder that is still being climbed isn't compared over fewer rates."""
    warm: dict[float, list[float]] = {rate: [5.0, 5.0] for rate in RATES} | {1e-2: [5.0]}
    ladder = read_ladder(make_ended(tmp_path, ladder_arms(warm, {rate: [5.0, 5.0] for rate in RATES})))
    assert ladder is not None
    assert ladder.summary.set_index("series")["n_seeds"].to_dict() == {"warmup": 1, "no warmup": 2}


def test_a_ladder_of_two_more_things_has_a_line_for_each_combination(tmp_path: Path) -> None:
    """Warmup and clipping at each rate: four lines, and each arm is held against the first one's at its rate."""
    losses = {1e-5: 9.0, 1e-4: 5.0, 1e-3: 4.0, 1e-2: 6.0}
    arms: dict[str, Any] = {}
    for limit, rise in ((1.0, 0.0), (None, 0.5)):
        higher = {rate: [loss + rise] for rate, loss in losses.items()}
        for name, (settings, ends) in ladder_arms(higher, higher).items():
            arms[f"{name}-{limit}"] = (settings | {"grad_clip": limit}, ends)
    ladder = read_ladder(make_ended(tmp_path, arms))
    assert ladder is not None
    assert set(ladder.series) == {
        f"{warmup}, {clipping}" for warmup in ("warmup", "no warmup") for clipping in ("clipping at 1", "no clipping")
    }
    assert ladder.summary["best_loss"].tolist() == [4.0, 4.0, 4.5, 4.5]
    assert len(ladder.points) == len(arms)
    # With one arm that stands for a fifth combination it is none.
    more = arms | {"again": ({**next(iter(arms.values()))[0], "beta2": 0.5}, [4.0])}
    assert read_ladder(make_ended(tmp_path / "more", more)) is None


def test_an_ablation_is_no_ladder(tmp_path: Path) -> None:
    """Three rates, or arms that differ in more than the rate and one other thing, have no loss against lr."""
    arms: dict[str, Any] = {f"{rate:g}": ({"lr": rate}, [3.0]) for rate in RATES[:3]}
    assert read_ladder(make_ended(tmp_path, arms)) is None
    assert lr_ladder(make_ended(tmp_path, arms)) is None


@pytest.mark.parametrize("layout", [WIDE, NARROW])
def test_a_ladder_shows_its_divergences_at_the_top(tmp_path: Path, layout: Any) -> None:
    """A cross at the top edge of the rate, how many of how many over it, and the first loss as a line."""
    losses: dict[float, Any] = {1e-5: [9.0], 1e-4: [5.0], 1e-3: [4.0], 1e-2: [DIVERGED]}
    drawing = lr_ladder(make_ended(tmp_path, ladder_arms(losses, losses)))
    assert drawing is not None
    assert "1e-2: –, 1 of 1 run diverged" in drawing.description
    with drawing_style():
        (ax,) = drawing.draw(layout).axes
    crosses = [line for line in ax.lines if line.get_marker() == "X"]
    assert [float(line.get_ydata()[0]) for line in crosses] == [ax.get_ylim()[1]]
    assert [text.get_text() for text in ax.texts] == ["1 of 1" if layout is WIDE else "1/1"] * 2
    assert drawing.data["final_val_loss"].isna().sum() == 2


def test_a_ladder_shows_its_intervals_whole(tmp_path: Path) -> None:
    """A seed that ends high widens the bar downwards, below every run. Without a divergence no room is kept for one."""
    losses = {rate: [5.0, 5.0, 5.1, 5.0, 5.1] for rate in RATES} | {1e-2: [5.0, 5.0, 5.0, 5.0, 6.5]}
    drawing = lr_ladder(make_ended(tmp_path, ladder_arms(losses, losses)))
    assert drawing is not None
    lowest = float(drawing.data["final_val_loss_low"].min())
    assert lowest == pytest.approx(5.3 - T[5] * 1.5 / 5, abs=1e-3)
    with drawing_style():
        (ax,) = drawing.draw(WIDE).axes
    assert ax.get_ylim()[0] < lowest < 5.0
    assert "wider than the axis" not in drawing.caption

    scattered = {rate: [5.0] * 4 + [10.5] for rate in RATES}
    wide = lr_ladder(make_ended(tmp_path / "scattered", ladder_arms(scattered, scattered)))
    assert wide is not None
    assert "An interval that is wider than the axis ends at its edge." in wide.caption

    broken = {rate: [5.0] * 4 + [DIVERGED] for rate in RATES}
    crossed = lr_ladder(make_ended(tmp_path / "broken", ladder_arms(broken, broken)))
    assert crossed is not None
    with drawing_style():
        (lower,) = crossed.draw(WIDE).axes
    assert ax.get_position().y1 > lower.get_position().y1


def test_a_band_by_hand(tmp_path: Path) -> None:
    """Mean ± t·s/√n at steps that all seeds have; where one has diverged there is no mean of the survivors."""
    ends = [3.0] * 4
    arms: dict[str, Any] = {"a": ({"lr": 1e-3}, [*ends, DIVERGED]), "b": ({"lr": 2e-3}, [*ends, 3.0])}
    study = make_ended(tmp_path, arms)
    rows = study.steps[study.steps["arm"] == "a"]
    band = average_seeds(rows, "train_loss")
    assert band["step"].max() == 6
    at = rows[rows["step"] == 5]["train_loss"].to_numpy()
    half = T[5] * at.std(ddof=1) / math.sqrt(5)
    row = band[band["step"] == 5].iloc[0]
    assert (row["mean"], row["low"]) == (pytest.approx(at.mean()), pytest.approx(at.mean() - half, abs=TABLE_DIGITS))
    drawing = loss_curves(study)
    assert drawing is not None
    names = {f"{column}_{end}" for column in ("train_loss_smoothed", "val_loss") for end in ("mean", "low", "high")}
    assert names <= set(drawing.data.columns)
    assert np.isfinite(drawing.data["val_loss_low"]).any()


@pytest.mark.parametrize(("seeds", "has_band"), [(2, False), (4, False), (5, True)])
def test_few_seeds_are_drawn_and_get_no_band(tmp_path: Path, seeds: int, has_band: bool) -> None:
    """A band of one to three degrees of freedom hides what it is of: under five seeds each has its line and its dot, in
    the curves, the final losses and the ladder, and no caption speaks of an interval.
    """
    losses = {rate: [3.0 + 0.1 * k for k in range(seeds)] for rate in RATES}
    study = make_ended(tmp_path, ladder_arms(losses, losses))
    drawings = [draw(study) for draw in (loss_curves, final_val_losses, lr_ladder)]
    for drawing in drawings:
        assert drawing is not None
        assert ("interval" in drawing.caption) is has_band
        with drawing_style():
            (ax,) = drawing.draw(WIDE).axes
        # Bands and upright bars are collections; a bar that lies flat is a wide line.
        wide = [line for line in ax.lines if line.get_linewidth() > 8]
        assert bool(len(ax.collections) or wide) is has_band
    assert drawings[0] is not None
    with drawing_style():
        (ax,) = drawings[0].draw(WIDE).axes
    thin = [line for line in ax.lines if line.get_linewidth() < 1]
    assert len([line for line in thin if len(np.atleast_1d(line.get_xdata())) > 2]) >= seeds * len(study.arms)


def test_seeds_of_a_sweep_are_one_point_with_an_interval() -> None:
    """Trials at the same rate become a mean with Student's interval; a pruned or diverged one isn't averaged."""
    rows = [[1e-3, 2.0, "completed"], [1e-3, 2.2, "completed"], [1e-3, 9.0, "pruned"], [1e-2, math.inf, "diverged"]]
    trials = pd.DataFrame(rows, columns=["lr", "value", "outcome"])
    (row,) = average_trials(trials).to_dict("records")
    assert (row["lr"], row["mean"]) == (1e-3, pytest.approx(2.1))
    assert row["high"] == pytest.approx(2.1 + T[2] * 0.1, abs=TABLE_DIGITS)
    drawing = lr_sweep(trials.assign(trial=range(4), run_id=list("abcd"), series=""), "val_loss", "s")
    assert drawing is not None
    assert "95% interval" in drawing.caption
    assert {"mean", "low", "high"} <= set(drawing.data.columns)
    with drawing_style():
        drawing.draw(WIDE)


def climb(*losses: list[float | None], name: str = "", **fields: Any) -> dict[str, Any]:
    """An arm for each rate, in their order: final val losses of its seeds."""
    return {f"{name}{rate:g}": ended(found, lr=rate, **fields) for rate, found in zip(RATES, losses, strict=True)}


def test_a_divergence_costs_as_much_in_every_series_of_one_text() -> None:
    """First losses of 10 and 20 are 15 on average, which stands for the broken run of both: (9 + 5 + 4 + 15)/4 - 4."""
    arms = climb([9.0], [5.0], [4.0], [None], name="gpt2-", initial_val_loss=10.0)
    arms |= climb([9.0], [5.0], [4.0], [None], name="torch-", initial_val_loss=20.0, init="pytorch-default")
    ladder = read_ladder(make_study(arms))
    assert ladder is not None
    assert (ladder.initial_loss, ladder.summary["sensitivity_mean"].tolist()) == (15.0, [4.25, 4.25])
    assert ladder.paired is not None
    assert ladder.paired.interval.mean == 0.0


def test_a_divergence_costs_the_first_loss_of_its_own_text() -> None:
    """Of two texts each has its own: (9 + 5 + 4 + 10)/4 - 4 and (9 + 5 + 4 + 20)/4 - 4, and no difference of them."""
    arms = climb([9.0], [5.0], [4.0], [None], name="one-", initial_val_loss=10.0)
    text = {"corpus_checksum": "c1", "corpus_name": "two.txt"}
    arms |= climb([9.0], [5.0], [4.0], [None], name="two-", initial_val_loss=20.0, **text)
    ladder = read_ladder(make_study(arms))
    assert ladder is not None
    assert ladder.series == ("corpus one.txt", "corpus two.txt")
    assert ladder.summary["sensitivity_mean"].tolist() == [3.0, 5.5]
    assert ladder.paired is None
    assert ladder.initial_loss == 15.0


def test_a_text_that_changed_between_two_seeds() -> None:
    """Arms of one series whose second seeds learn from another text in part: the mean of all first losses counts."""
    arms = climb([9.0, 9.0], [5.0, 5.0], [4.0, 4.0], [None, None], initial_val_loss=10.0)
    arms["1e-05"][1] |= {"corpus_checksum": "c1", "initial_val_loss": 18.0}
    ladder = read_ladder(make_study(arms))
    assert ladder is not None
    assert (ladder.series, ladder.initial_loss) == (("",), 11.0)
    assert ladder.summary["sensitivity_mean"].tolist() == [(9 + 5 + 4 + 11) / 4 - 4]


def test_a_ladder_has_its_points_in_the_order_of_the_make_study() -> None:
    """From the highest rate down where the study has them so; of rates that end alike the first is the best."""
    losses: list[list[float | None]] = [[4.0, 4.5], [4.0, 4.5], [None, None], [1.0, None, 1.5]]
    arms = dict(reversed(climb(*losses, initial_val_loss=9.0).items()))
    ladder = read_ladder(make_study(arms))
    assert ladder is not None
    assert ladder.points["lr"].tolist() == [1e-2, 1e-3, 1e-4, 1e-5]
    assert ladder.points["n_runs"].tolist() == [3, 2, 2, 2]
    assert ladder.points["n_completed"].tolist() == [2, 0, 2, 2]
    assert ladder.points["n_diverged"].tolist() == [1, 2, 0, 0]
    assert ladder.points["diverged_steps"].tolist() == ["7", "7, 7", "", ""]
    assert ladder.points["final_val_loss_mean"].tolist()[2:] == [4.25, 4.25]
    (row,) = ladder.summary.to_dict("records")
    # A rate at which a seed broke is not the best, however low the other ended.
    assert (row["best_lr"], row["best_loss"], row["highest_trained_lr"]) == (1e-4, 4.25, 1e-4)
    assert (row["first_diverged_lr"], row["first_diverged"], row["first_diverged_of"]) == (1e-3, 2, 2)
    assert (row["lowest_lr"], row["highest_lr"], row["n_seeds"]) == (1e-5, 1e-2, 2)


def test_a_rate_that_has_not_ended_is_not_whole() -> None:
    """The highest whole rate has a completed run, one is enough; where nothing broke there is no first rate to."""
    arms = climb([9.0], [5.0], [4.0], [3.0], initial_val_loss=9.0)
    arms["0.01"] = [run(1, "stopped", 50, lr=1e-2, initial_val_loss=9.0)]
    ladder = read_ladder(make_study(arms))
    assert ladder is not None
    (row,) = ladder.summary.to_dict("records")
    assert (row["highest_trained_lr"], row["highest_lr"], row["best_lr"], row["n_seeds"]) == (1e-3, 1e-2, 1e-3, 0)
    assert math.isnan(row["first_diverged_lr"])
    assert math.isnan(row["sensitivity_mean"])
    assert (row["first_diverged"], row["first_diverged_of"]) == (0, 0)
    broken = read_ladder(make_study(climb([None], [5.0], [None], [None], initial_val_loss=9.0)))
    assert broken is not None
    assert broken.summary["highest_trained_lr"].tolist() == [1e-4]
    nowhere = read_ladder(make_study(climb([5.0, None], [None, 5.0], [None, 5.0], [None, 5.0], initial_val_loss=9.0)))
    assert nowhere is not None
    assert nowhere.summary[["highest_trained_lr", "best_lr", "best_loss"]].isna().all(axis=None)


def test_a_rate_that_ends_above_the_bigram_loss_does_not_train() -> None:
    """Finite at 1e-2, but above what counted pairs reach: the highest rate that trains is 1e-3. Without the bigram loss
    of the corpus only finite runs can be asked for, and the table says so.
    """
    ends = [[9.0, 9.0], [5.0, 5.0], [4.0, 4.9], [5.1, 4.0]]
    study = make_study(climb(*ends, initial_val_loss=9.0, bigram_loss=5.05))
    ladder = read_ladder(study)
    assert ladder is not None
    assert ladder.bigram_loss == 5.05
    assert ladder.points["n_above_bigram"].tolist() == [2, 0, 0, 1]
    assert ladder.summary["highest_trained_lr"].tolist() == [1e-3]
    table = ladder_table(study)
    assert table is not None
    assert table.rows[0][-1].text == "1e-3"
    assert "ends under the bigram loss, 5.050" in table.caption
    unknown = make_study(climb(*ends, initial_val_loss=9.0))
    found, table = read_ladder(unknown), ladder_table(unknown)
    assert found is not None
    assert table is not None
    assert found.summary["highest_trained_lr"].tolist() == [1e-2]
    assert "here they don't" in table.caption


def test_sensitivity_against_the_lowest_loss_of_all() -> None:
    """Two lines of the same shape, one 1 nat higher: the paper's number, each against its own best, is the same, and
    against the best of both the higher one costs a nat more. From the lower best rate on, only those rates count.
    """
    arms = climb([9.0], [5.0], [4.0], [6.0], name="gpt2-", initial_val_loss=10.0)
    arms |= climb([10.0], [5.0], [6.0], [7.0], name="torch-", initial_val_loss=10.0, init="pytorch-default")
    study = make_study(arms)
    ladder = read_ladder(study)
    assert ladder is not None
    assert ladder.upper_from == 1e-4
    assert ladder.summary["sensitivity_mean"].tolist() == [2.0, 2.0]
    assert ladder.summary["common_mean"].tolist() == [2.0, 3.0]
    assert ladder.summary["upper_mean"].tolist() == [1.0, 2.0]
    assert ladder.paired is not None
    assert ladder.paired.interval.mean == 1.0
    table = ladder_table(study)
    assert table is not None
    assert "here 1e-5 to 1e-2" in table.caption
    assert "from 1e-4 on" in table.caption
    assert [cell.text for cell in table.rows[1][3:6]] == ["2.000", "3.000", "2.000"]


def test_a_ladder_needs_an_end_and_a_first_loss() -> None:
    """Where every run broke there is no loss against the rate, and without a first loss no cost of breaking."""
    assert read_ladder(make_study(climb([None], [None], [None], [None], initial_val_loss=9.0))) is None
    assert read_ladder(make_study(climb([5.0], [5.0], [5.0], [5.0]))) is None


def test_the_area_reaches_as_far_as_the_completed_runs() -> None:
    """One that broke at step 10, and one of which one evaluation is left, don't cut it short: to step 20 of both arms,
    (10 + 6)/2 and (6 + 4)/2 are 6.5 on average.
    """
    arms = {
        "a": [run(1), run(2, "diverged", 15, diverged_step=15), run(3)],
        "b": [run(1), run(2, "stopped", 15), unfinished(3)],
    }
    curve = {0: 10.0, 10: 6.0, 20: 4.0}
    measured = [
        *evals(curve),
        *evals({0: 10.0, 10: 3.0}, seed=2),
        *evals({20: 5.0}, seed=3),
        *evals({**curve, 30: 1.0}, arm="b"),
        *evals({10: 0.5}, arm="b", seed=2),
        *evals({5: 8.0}, arm="b", seed=3),
    ]
    speed = measure_speed(make_study(arms, measured=measured))
    assert speed is not None
    assert (speed.first_step, speed.last_step, speed.target) == (0, 20, 5.0)
    rows = speed.frame.set_index("arm")
    assert rows["area_mean"].tolist() == [6.5, 6.5]
    assert rows["n_area"].tolist() == [1, 1]
    assert rows["n_runs"].tolist() == [3, 3]
    # At or under 5: seeds 1 and 3 of a at step 20, seed 2 at step 10; of b seed 1 at 20, seed 2 at 10.
    assert rows["steps_mean"].tolist() == [50 / 3, 15.0]
    assert rows["steps_min"].tolist() == [10, 10]
    assert rows["steps_max"].tolist() == [20, 20]
    assert rows["n_reached"].tolist() == [3, 2]
    assert (rows["diverged"].tolist(), rows["stopped"].tolist()) == ([1, 0], [0, 1])
    assert rows["last_step"].tolist() == [100, 100]


def test_what_has_no_speed() -> None:
    """One evaluation has no area, two do; stretches that don't meet have none in common; nor have two texts."""
    two = {"a": [run()], "b": [run()]}
    assert measure_speed(make_study(two, measured=[*evals({20: 4.0}), *evals({20: 4.0}, arm="b")])) is None
    apart = [*evals({0: 9.0, 10: 4.0}), *evals({10: 4.0, 20: 3.0}, arm="b")]
    assert measure_speed(make_study(two, measured=apart)) is None
    measured = [*evals({0: 9.0, 10: 4.0}), *evals({0: 9.0, 10: 4.0}, arm="b")]
    speed = measure_speed(make_study(two, measured=measured))
    assert speed is not None
    assert speed.frame["area_mean"].tolist() == [6.5, 6.5]
    assert measure_speed(make_study(two | {"b": [run(corpus_checksum="c1")]}, measured=measured)) is None
    assert measure_speed(make_study({name: [run(max_steps=0)] for name in two}, measured=measured)) is None


@pytest.mark.parametrize(
    ("ends", "target"), [([3.0], 3.0), ([3.0, 5.0], 5.0), ([5.0, 2.0, 4.0], 4.0), ([4, 3, 2, 1], 3)]
)
def test_the_common_loss_is_that_of_more_than_half(ends: list[float], target: float) -> None:
    """The worse of two arms, the second of three, the third of four; the untrained loss and a NaN are none."""
    arms = {chr(97 + place): [run()] for place in range(len(ends))}
    curves = [{0: 0.5, 10: math.nan, 20: end, 30: end + 1} for end in ends]
    measured = [one for name, curve in zip(arms, curves, strict=True) for one in evals(curve, arm=name)]
    assert choose_target(make_study(arms, measured=measured)) == target
    assert choose_target(make_study(arms)) is None
