"""The first layer that left the band of the other seeds, on numbers that are written down."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import pandas as pd
import pytest

from gptexp.measures.first_break import BAND, LOSS_NATS, Break, find_breaks, order_layers
from gptexp.report.break_table import first_breaks
from gptexp.report.figures.canvas import NARROW, WIDE
from gptexp.report.figures.depth import depth_over_time
from gptexp.runs.study_runs import StudyRuns
from tests.runs.made import make_study, run, steps

CALM = [4.0, 3.5, 3.25, 3.0, 2.75, 2.5]


def make(losses: Sequence[Sequence[float]], metrics: Mapping[str, Sequence[Mapping[int, float]]]) -> StudyRuns:
    """One arm. For each seed its losses, and of each `metric/layer` its value by step."""
    log = [row for seed, values in enumerate(losses, 1) for row in steps(values, seed=seed)]
    study = make_study({"a": [run(seed) for seed in range(1, len(losses) + 1)]}, log)
    rows = [
        {"run_id": f"a-{seed}", "arm": "a", "seed": seed, "step": step, "kind": "step", "name": name, "value": value}
        for name, seeds in metrics.items()
        for seed, values in enumerate(seeds, 1)
        for step, value in values.items()
    ]
    return dataclasses.replace(study, metrics=pd.DataFrame(rows))


def find(study: StudyRuns) -> list[Break]:
    return find_breaks(study, study.arms[0])


def every(value: float, **others: float) -> dict[int, float]:
    """A value at the steps 1 to 6, with some others: `at3=9.0`."""
    return dict.fromkeys(range(1, 7), value) | {int(name[2:]): other for name, other in others.items()}


SPIKED = [*CALM[:4], 2.75 + LOSS_NATS + 0.5, 2.5]
"""The loss leaves at step 5."""


def test_the_first_layer_and_how_long_before_the_loss() -> None:
    """A layer that left two steps before the loss comes before one that left at the same step and farther, and one that
    was back inside when the loss left has not left."""
    study = make(
        [SPIKED, CALM, CALM, CALM],
        {
            "grad_norm/blocks.0.attn": [every(1.0, at3=4.0, at4=4.0, at5=5.0), *[every(1.0)] * 3],
            "grad_norm/blocks.1.ffn": [every(1.0, at5=50.0), *[every(1.0)] * 3],
            "update_ratio/ln_final": [every(1.0, at2=9.0), *[every(1.0)] * 3],
        },
    )
    (found,) = find(study)
    assert (found.run_id, found.seed, found.step, found.loss, found.others) == ("a-1", 1, 5, SPIKED[4], 2.75)
    assert [(one.metric, one.layer, one.step, one.ratio) for one in found.leavings] == [
        ("grad_norm", "blocks.0.attn", 3, 4.0),
        ("grad_norm", "blocks.1.ffn", 5, 50.0),
    ]
    table = first_breaks(study)
    assert table is not None
    assert [cell.text for cell in table.rows[0]] == [
        "arm a", "1", "5", "3.350", "2.750", "blocks.0.attn", "grad_norm", "2", "4.00",
    ]  # fmt: skip


def test_what_comes_after_the_loss_is_no_cause() -> None:
    """A layer that leaves at the step after the loss is not among those that left."""
    metrics = {"grad_norm/ln_final": [every(1.0, at6=9.0), every(1.0), every(1.0)]}
    (found,) = find(make([SPIKED, CALM, CALM], metrics))
    assert found.leavings == ()
    table = first_breaks(make([SPIKED, CALM, CALM], metrics))
    assert table is not None
    assert [cell.text for cell in table.rows[0][5:]] == ["none", "–", "–", "–"]


@pytest.mark.parametrize(("value", "left"), [(BAND, False), (BAND + 0.5, True), (1 / BAND, False), (0.25, True)])
def test_the_band_goes_both_ways_and_up_to_its_edge(value: float, left: bool) -> None:
    """A layer whose gradient fades has left as well as one whose gradient grows."""
    (found,) = find(make([SPIKED, CALM, CALM], {"grad_norm/ln_final": [every(value), every(1.0), every(1.0)]}))
    assert bool(found.leavings) is left


def test_a_diverged_run_has_left() -> None:
    """Its loss isn't a number, and nor is the layer's; what was not measured after its end is not missed."""
    broken = [*CALM[:3], math.nan]
    attention = [{1: 1.0, 2: 1.0, 3: math.inf, 4: math.inf}, every(1.0), every(1.0)]
    (found,) = find(make([broken, CALM, CALM], {"attention_logit/blocks.0.attn": attention}))
    assert (found.step, found.excess, found.leavings[0].step, found.leavings[0].ratio) == (4, math.inf, 3, math.inf)


def test_what_scatters_as_the_other_seeds_do_has_not_left() -> None:
    """Seeds that lie 0.4 nats apart all the time make room for a loss that is 0.5 above their median."""
    others = [[loss + shift for loss in CALM] for shift in (-0.4, 0.0, 0.4)]
    above = [loss + 0.5 for loss in CALM]
    assert find(make([above, *others], {})) == []
    assert [one.seed for one in find(make([above, CALM, CALM, CALM], {}))] == [1]


def test_two_seeds_make_no_band() -> None:
    """With a single other seed nobody knows which of the two is the odd one."""
    study = make([SPIKED, CALM], {"grad_norm/ln_final": [every(9.0), every(1.0)]})
    assert find(study) == []
    assert first_breaks(study) is None
    assert depth_over_time(study) is None


def test_layers_stand_in_the_order_of_the_pass() -> None:
    """From the embedding through the parts of each block, block 10 after block 9, to the end."""
    layers = ["ln_final", "blocks.10.attn", "blocks.9", "blocks.9.ffn", "token_embedding", "blocks.9.ln_attn", "odd"]
    assert order_layers(layers) == [
        "token_embedding", "blocks.9.ln_attn", "blocks.9.ffn", "blocks.9", "blocks.10.attn", "ln_final", "odd",
    ]  # fmt: skip


def test_the_figure_shows_the_run_that_left_farthest() -> None:
    """Around the step at which its loss left, every layer with its ratio to the others; drawn at both sizes."""
    norms = {"grad_norm/blocks.0.ffn": [every(1.0, at4=8.0, at5=8.0), every(2.0), every(2.0), every(2.0)]}
    drawing = depth_over_time(make([SPIKED, CALM, CALM, CALM], norms))
    assert drawing is not None
    assert "blocks.0.ffn: its grad_norm was 4.00 times the median of the others at step 4, 1 step before the loss" in (
        drawing.description
    )
    assert drawing.data["ratio"].tolist() == [0.5, 0.5, 0.5, 4.0, 4.0, 0.5]
    for layout in (WIDE, NARROW):
        (axes,) = drawing.draw(layout).axes
        assert axes.get_title(loc="left") == "grad_norm"
    calm = depth_over_time(make([CALM, CALM, CALM], {"grad_norm/ln_final": [every(2.0), every(1.0), every(1.0)]}))
    assert calm is not None
    assert "no loss left the band. The largest ratio is 2" in calm.description
