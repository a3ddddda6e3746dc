"""Learning rates: end points, shapes, and torch's own schedulers."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from gptexp.config import RunConfig, build_config
from gptexp.errors import GptexpError
from gptexp.names import SCHEDULES
from gptexp.training.schedule import learning_rate
from gptexp.training.torch_scheduler import torch_scheduler


def make_config(schedule: str, warmup: int = 10, **changes: object) -> RunConfig:
    return build_config(
        {"schedule": schedule, "lr": 1e-3, "min_lr": 1e-4, "warmup_steps": warmup, "max_steps": 100, **changes}
    )


@pytest.mark.parametrize("schedule", ["warmup-cosine", "warmup-linear", "wsd"])
def test_end_points(schedule: str) -> None:
    """Step 1 is a warmup-th of the peak, step warmup_steps is the peak, step max_steps is min_lr."""
    config = make_config(schedule)
    assert learning_rate(1, config) == pytest.approx(1e-4)
    assert learning_rate(10, config) == 1e-3
    assert learning_rate(100, config) == pytest.approx(1e-4)


@pytest.mark.parametrize("schedule", ["warmup-cosine", "warmup-linear"])
def test_without_a_warmup_the_first_step_alone_is_the_peak(schedule: str) -> None:
    """99 steps of decay after step 1: at step 2 the line is a 99th down, the cosine by sin² of half that angle."""
    config = make_config(schedule, 0)
    assert learning_rate(1, config) == 1e-3
    share = 1 / 99 if schedule == "warmup-linear" else math.sin(math.pi / 99 / 2) ** 2
    assert learning_rate(2, config) == pytest.approx(1e-3 - 9e-4 * share, rel=1e-12)
    assert learning_rate(100, config) == pytest.approx(1e-4, rel=1e-12)


def test_a_warmup_of_one_step_is_the_peak() -> None:
    """Step 1 of 1 is the whole way up; the last step of a longer one is the peak exactly, the one before isn't."""
    assert learning_rate(1, make_config("warmup-constant", 1)) == 1e-3
    config = make_config("warmup-cosine")
    assert learning_rate(9, config) == pytest.approx(9e-4, rel=1e-12)
    assert learning_rate(11, config) < learning_rate(10, config) == 1e-3


def test_middle_of_each_shape() -> None:
    """Halfway through its decay a cosine and a line are halfway down; wsd is still at its peak."""
    assert learning_rate(55, make_config("warmup-cosine")) == pytest.approx(5.5e-4)
    assert learning_rate(55, make_config("warmup-linear")) == pytest.approx(5.5e-4)
    assert learning_rate(80, make_config("wsd")) == 1e-3
    assert learning_rate(90, make_config("wsd")) == pytest.approx(5.5e-4)
    rates = [learning_rate(step, make_config("warmup-constant")) for step in (1, 10, 11, 100)]
    assert rates == pytest.approx([1e-4, 1e-3, 1e-3, 1e-3])
    assert learning_rate(1, make_config("constant")) == learning_rate(100, make_config("constant")) == 1e-3


@pytest.mark.parametrize("schedule", ["warmup-cosine", "warmup-linear", "wsd"])
def test_rises_then_falls(schedule: str) -> None:
    """No step goes up after the peak, none goes down before it."""
    rates = [learning_rate(step, make_config(schedule)) for step in range(1, 101)]
    assert all(a < b for a, b in pairwise(rates[:10]))
    assert all(a >= b for a, b in pairwise(rates[9:]))


@pytest.mark.parametrize("schedule", ["constant", "warmup-constant", "warmup-cosine", "warmup-linear", "wsd"])
@pytest.mark.parametrize(("warmup", "decay"), [(10, None), (1, None), (0, None), (2, 7), (60, 40)])
def test_torch_schedulers_give_the_same_curve(schedule: str, warmup: int, decay: int | None) -> None:
    """The lesson's two ways, by hand and through torch.optim.lr_scheduler, agree at every step."""
    config = make_config(schedule, warmup, decay_steps=decay)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=config.lr)
    scheduler = torch_scheduler(optimizer, config)
    for step in range(1, config.max_steps + 1):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(learning_rate(step, config), rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_defaults_follow_the_lesson() -> None:
    """Left out, warmup is 5% of the steps and the rate decays to a tenth of its peak."""
    config = build_config({"lr": 6e-4, "max_steps": 10_000})
    assert config.resolved_warmup_steps == 500
    assert learning_rate(10_000, config) == pytest.approx(6e-5)


@pytest.mark.parametrize("schedule", list(SCHEDULES.builtin))
def test_a_single_step_fits_every_schedule(schedule: str) -> None:
    """It is made at the peak rate, by default; nothing is refused that nobody asked for."""
    config = build_config({"schedule": schedule, "max_steps": 1})
    assert learning_rate(1, config) == config.lr


def test_impossible_schedules_are_refused() -> None:
    """A warmup that leaves no decay, or a floor above the peak, is refused with the numbers."""
    with pytest.raises(GptexpError, match="warmup_steps=100 leaves no step for the decay"):
        make_config("warmup-cosine", 100)
    with pytest.raises(GptexpError, match="warmup_steps=100 leaves no step at the peak rate"):
        make_config("warmup-constant", 100)
    with pytest.raises(GptexpError, match="above the peak"):
        make_config("warmup-cosine", min_lr=1e-2)
    with pytest.raises(GptexpError, match="together exceed"):
        make_config("wsd", 60, decay_steps=41)
