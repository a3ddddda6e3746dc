"""Parts of figures that can go wrong without looking wrong in a diff."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from gptexp.report.figures.canvas import NARROW, WIDE
from gptexp.report.figures.clip_spike import clip_spike, natural_spikes
from gptexp.report.figures.end_labels import spread
from gptexp.report.figures.grad_norm import gradient_norms
from gptexp.report.figures.losses import loss_curves
from gptexp.report.figures.phases import explain_schedule
from gptexp.report.figures.schedules import lr_schedules
from gptexp.report.palette import style_arm
from gptexp.report.spike_table import natural_spikes_table, norms_at_spike
from gptexp.report.svg import drawing_style, render_png, render_svg
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import StudyRuns, keep_arms, select_studies
from tests.report.synthetic import CORPUS, Run, initial_loss, lr_ablation, write_runs


def load(tmp_path: Path, runs: list[Run]) -> StudyRuns:
    write_runs(tmp_path, runs)
    (study,) = select_studies(load_frames(tmp_path))
    return study


def test_spread_labels_never_overlap() -> None:
    """Centres end at least half of both heights apart, in order, and lone ones don't move."""
    heights = [0.1] * 5
    centres = spread([0.2, 0.21, 0.22, 0.5, 0.9], heights)
    assert centres == sorted(centres)
    assert all(b - a >= 0.1 - 1e-9 for a, b in itertools.pairwise(centres))
    assert centres[3:] == [0.5, 0.9]
    assert sum(centres[:3]) / 3 == pytest.approx(0.21)


def test_neighbouring_arms_differ_in_more_than_colour() -> None:
    """28 arms have different styles, and neighbours differ in colour, dash and marker."""
    styles = [style_arm(index) for index in range(28)]
    assert len({(style.colour, style.dash) for style in styles}) == 28
    for a, b in itertools.pairwise(styles):
        assert a.colour != b.colour
        assert a.dash != b.dash
        assert a.marker != b.marker


def test_figures_without_data_are_none(tmp_path: Path) -> None:
    """An untrained study has no curves, and no empty axis is drawn in their place."""
    study = load(tmp_path, initial_loss(1))
    assert loss_curves(study) is None
    assert lr_schedules(study) is None
    assert gradient_norms(study) is None


def test_a_blow_up_does_not_flatten_the_other_curves(tmp_path: Path) -> None:
    """A loss of a million before the divergence leaves the axis at the top; the cross lies inside."""
    runs = lr_ablation()[:2]
    runs[0].diverge_at = 60
    write_runs(tmp_path, runs)
    log = tmp_path / runs[0].run_id / "records.jsonl"
    log.write_text(log.read_text().replace('"step": 59, "train_loss": ', '"step": 59, "train_loss": 1000000'))
    (study,) = select_studies(load_frames(tmp_path))
    drawing = loss_curves(study)
    assert drawing is not None
    for layout in (WIDE, NARROW):
        with drawing_style():
            figure = drawing.draw(layout)
        low, high = figure.axes[0].get_ylim()
        assert high < 30
        crosses = [line for line in figure.axes[0].lines if line.get_marker() == "X"]
        assert len(crosses) == 1
        assert low <= crosses[0].get_ydata()[0] <= high


def test_epochs_stand_on_a_second_axis(tmp_path: Path) -> None:
    """Ticks of the upper axis read as passes over the corpus, round hundreds included."""
    runs = [Run("a", config={"max_steps": 60, "eval_interval": 20}, corpus={**CORPUS, "train_tokens": 24})]
    drawing = loss_curves(load(tmp_path, runs))
    assert drawing is not None
    with drawing_style():
        svg = render_svg(drawing.draw(WIDE), prefix="p", title="t", description="d")
    assert "epochs over the corpus" in svg
    assert ">100</text>" in svg
    assert ">150</text>" in svg


def test_text_is_escaped_in_svg(tmp_path: Path) -> None:
    """Titles, descriptions and labels with markup stay text."""
    runs = lr_ablation()[:2]
    runs[0].label = '<i>&]]>"'
    drawing = lr_schedules(load(tmp_path, runs))
    assert drawing is not None
    with drawing_style():
        svg = render_svg(drawing.draw(WIDE), prefix="p", title="<t>", description="a & b")
    assert "<i>" not in svg
    assert '<title id="p-title">&lt;t&gt;</title>' in svg


SEEDS, STEPS = 8, 900


@pytest.fixture
def many_seeds(tmp_path: Path) -> StudyRuns:
    config = {"max_steps": STEPS, "eval_interval": 50}
    return load(tmp_path, [Run(arm, seed=seed, config=config) for arm in ("one", "other") for seed in range(SEEDS)])


def test_data_of_many_seeds_are_what_is_drawn(many_seeds: StudyRuns) -> None:
    """Of eight seeds the CSV holds one row per arm and drawn step: their mean, as the frames give it."""
    drawing = loss_curves(many_seeds)
    assert drawing is not None
    within = drawing.data[drawing.data["train_loss_smoothed_mean"].notna()]
    assert within["run_id"].isna().all()
    assert not within.duplicated(["arm", "step"]).any()
    assert 300 < len(within) / 2 < 400
    at = within[within["arm"] == "one"].iloc[200]
    steps = many_seeds.steps[many_seeds.steps["arm"] == "one"]
    window = 2 * 15 + 1
    near = steps[(steps["step"] - at["step"]).abs() <= window // 2]
    assert at["train_loss_smoothed_mean"] == pytest.approx(near.groupby("seed")["train_loss"].mean().mean())


def test_norms_of_many_seeds_keep_their_extremes(many_seeds: StudyRuns) -> None:
    """The band reaches from the lowest to the highest norm of any seed, and clipping is counted over all of them."""
    drawing = gradient_norms(many_seeds)
    assert drawing is not None
    for arm, rows in drawing.data.groupby("arm"):
        steps = many_seeds.steps[many_seeds.steps["arm"] == arm]
        assert rows["grad_norm_highest"].max() == steps["grad_norm"].max()
        assert rows["grad_norm_lowest"].min() == steps["grad_norm"].min()
        assert rows["clipped_share"].mean() == pytest.approx(steps["clipped"].mean())
        assert len(rows) <= 300
    for layout in (WIDE, NARROW):
        with drawing_style():
            drawing.draw(layout)


def test_data_of_one_seed_keep_spikes_and_evaluations(tmp_path: Path) -> None:
    """Of a long run the CSV holds some 700 steps: both ends, the highest loss, and every evaluation."""
    drawing = loss_curves(load(tmp_path, [Run("one", config={"max_steps": 3000, "eval_interval": 50})]))
    assert drawing is not None
    frame = load_frames(tmp_path)
    assert len(drawing.data) < 800
    assert drawing.data["train_loss"].max() == frame.steps["train_loss"].max()
    assert set(frame.evals["step"]) <= set(drawing.data["step"])
    assert drawing.data["step"].max() == 3000


@pytest.mark.parametrize("n_seeds", [3, 7])
def test_data_of_several_seeds_keep_what_is_drawn_of_single_ones(n_seeds: int, tmp_path: Path) -> None:
    """A run that diverges keeps its last steps in the data, in the losses as in the norms, and so does a single run."""
    config = {"max_steps": 1500, "eval_interval": 50}
    runs = [Run("one", seed=seed, config=config) for seed in range(n_seeds)] + [Run("lone", config=config)]
    runs[1].diverge_at = 1303
    study = load(tmp_path, runs)
    for drawing in (loss_curves(study), gradient_norms(study)):
        assert drawing is not None
        assert len(drawing.data) < len(study.steps) / 2
    losses = loss_curves(study)
    assert losses is not None
    ended = losses.data[losses.data["run_id"] == runs[1].run_id]
    assert ended["step"].max() == 1303
    lone = losses.data[losses.data["arm"] == "lone"]
    assert lone["train_loss"].notna().sum() > 300
    norms = gradient_norms(study)
    assert norms is not None
    if n_seeds == 3:
        assert norms.data[norms.data["run_id"] == runs[1].run_id]["step"].max() == 1303
    else:
        counts = norms.data[norms.data["arm"] == "one"].set_index("step")["n_seeds"]
        assert (counts.iloc[0], counts.iloc[-1]) == (7, 6)


def test_several_seeds_without_evaluations(tmp_path: Path) -> None:
    """Curves of runs that were never evaluated have means all the same."""
    study = load(tmp_path, [Run("one", seed=seed, config={"max_steps": 30}, evals=False) for seed in range(3)])
    drawing = loss_curves(study)
    assert drawing is not None
    assert drawing.data["train_loss_smoothed_mean"].notna().any()


def test_natural_spikes_are_told_from_the_made_one(tmp_path: Path) -> None:
    """The largest of each arm over its seeds, by table and figure; the step of the outlier batch is none of them."""
    runs = [Run("a", seed=seed) for seed in (1, 2)] + [Run("b")]
    write_runs(tmp_path, runs)
    for run, step, norm in ((runs[0], 9, 20.0), (runs[1], 12, 40.0), (runs[2], 30, 90.0)):
        log = tmp_path / run.run_id / "records.jsonl"
        records = [json.loads(line) for line in log.read_text().splitlines()]
        for record in records:
            if record["kind"] == "step":
                record["grad_norm"] = norm if record["step"] == step else 1.0
        if run.arm == "b":
            records.append({"kind": "event", "step": step, "name": "outlier-batch", "detail": ""})
        log.write_text("".join(json.dumps(record) + "\n" for record in records))
    (study,) = select_studies(load_frames(tmp_path))
    drawing, table = natural_spikes(study), natural_spikes_table(study)
    assert drawing is not None
    assert table is not None
    assert "a, seed 2: norm at step 12 40.0" in drawing.description
    assert drawing.description.endswith("No spike in any seed: b.")
    for layout in (WIDE, NARROW):
        with drawing_style():
            drawing.draw(layout)
    rows = [[cell.text for cell in row] for row in table.rows]
    assert [row[:6] for row in rows] == [["a", "2", "2", "30.0", "40.0", "9 … 12"], ["b", "1", "0", "–", "–", "–"]]


def test_the_largest_natural_spike_comes_first_and_a_made_one_is_labelled(tmp_path: Path) -> None:
    """Natural spikes are drawn by their size; the figure and the table of one that was made are of nothing else, say
    so, and are not there where no batch was made, however large the norms are.
    """
    runs = [Run("small"), Run("large"), Run("made", config={"outlier_at": 0.5})]
    write_runs(tmp_path, runs)
    for run, step, norm in ((runs[0], 9, 20.0), (runs[1], 12, 40.0)):
        log = tmp_path / run.run_id / "records.jsonl"
        records = [json.loads(line) for line in log.read_text().splitlines()]
        for record in records:
            if record["kind"] == "step":
                record["grad_norm"] = norm if record["step"] == step else 1.0
        log.write_text("".join(json.dumps(record) + "\n" for record in records))
    (study,) = select_studies(load_frames(tmp_path))
    natural, made, table = natural_spikes(study), clip_spike(study), norms_at_spike(study)
    assert natural is not None
    assert natural.description.startswith("large, seed 1: norm at step 12 40.0")
    assert "No batch was made for it. A spike is a step whose gradient norm is more than 4 times" in natural.caption
    assert made is not None
    assert table is not None
    assert set(made.data["arm"]) == set(table.data["arm"]) == {"made"}
    assert "Its batch was made for it" in made.caption
    assert "Its batch was made for it" in table.caption
    without = keep_arms(study, ["small", "large"])
    assert without is not None
    assert clip_spike(without) is None
    assert norms_at_spike(without) is None


def test_a_peak_at_the_end_is_named_towards_the_left(tmp_path: Path) -> None:
    """A run that was stopped right after its warmup has its peak at the right edge; the words stay inside."""
    run = Run(
        "a", config={"schedule": "warmup-cosine", "warmup_steps": 100, "max_steps": 1000}, stop_at=105, is_stopped=True
    )
    drawing = explain_schedule(load(tmp_path, [run]))
    assert drawing
    for layout in (WIDE, NARROW):
        with drawing_style():
            figure = drawing.draw(layout)
            render_png(figure)
            (words,) = (text for text in figure.axes[0].texts if text.get_text().startswith("peak"))
            box = words.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= layout.width


def test_the_schedule_is_described_without_reasons(tmp_path: Path) -> None:
    """What a warmup or a decay is good for is a claim, and no record carries it."""
    drawing = explain_schedule(load(tmp_path, lr_ablation()))
    assert drawing is not None
    assert "The rate rises to its peak. Decay" in drawing.description
    assert drawing.description.endswith("The rate falls.")
