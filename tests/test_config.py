"""Config values and their spellings: what goes in comes out, and anything else is one sentence."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gptexp.config import LARGEST, RunConfig, build_config, parse_assignment, parse_value, revive_config, why_unfit
from gptexp.errors import GptexpError
from gptexp.names import OPTIMIZERS, SCHEDULES
from gptexp.studies.sweep.space import write_value

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
# Training in this process switches subnormal numbers off.
draw_floats = functools.partial(st.floats, allow_subnormal=False, allow_nan=False, allow_infinity=False)
FRACTIONS = draw_floats(0, 1, exclude_max=True)
RATES = draw_floats(1e-12, 1e12)
WORDS = {
    name: get_args(field.annotation)
    for name, field in RunConfig.model_fields.items()
    if field.annotation and all(isinstance(word, str) for word in get_args(field.annotation) or [0])
}
"""The fields that take one of a few words."""
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **{name: st.sampled_from(words) for name, words in WORDS.items()},
    "optimizer": st.sampled_from(OPTIMIZERS.names()),
    "schedule": st.sampled_from(SCHEDULES.names()),
    **dict.fromkeys(("bias", "compile"), st.booleans()),
    **dict.fromkeys(("beta1", "beta2", "dropout"), FRACTIONS),
    **dict.fromkeys(("lr", "eps", "weight_decay"), RATES),
    "corpus": TEXTS.map(lambda text: build_config({"corpus": text}).corpus),
    "sample_prompt": TEXTS,
    "grad_clip": st.none() | RATES,
    "min_lr": st.none() | draw_floats(0, 6e-4),
    "outlier_at": st.none() | draw_floats(1e-6, 1),
    "sample_losses": st.lists(RATES, max_size=4),
    "step_metrics": st.lists(st.sampled_from(["grad_norm", "update_ratio"]), max_size=2),
    "seed": st.integers(0, 2**64 - 1),
    "n_layer": st.integers(1, 10_000),
    "init_from": st.none() | st.sampled_from(["my-model", "2024", "1e5", "[a]"]),
    "threads": st.integers(1, 1024),
    "n_embd": st.integers(1, LARGEST // 12).map(lambda number: 12 * number),
    "n_head": st.sampled_from([1, 2, 3, 4, 6, 8, 12]),
    "world_size": st.sampled_from([1, 2, 4]),
    "max_steps": st.integers(10_000, LARGEST),
    "warmup_steps": st.none() | st.integers(0, 5_000),
    **dict.fromkeys(("vocab_size", "sample_interval", "decay_steps"), st.none() | st.integers(1, LARGEST)),
}
COUNTS = st.integers(1, LARGEST)
# A busy machine draws slowly: that is no fault of what is tested.
BRIEF = settings(
    derandomize=True, database=None, deadline=None, max_examples=40, suppress_health_check=list(HealthCheck)
)
STRANGE = (
    st.text(max_size=30)
    | st.from_regex(r"[\[({]{0,9}[-+0-9eE.,_ naNoultrif]{0,12}[\])}]{0,9}", fullmatch=True)
    | st.sampled_from(["(" * 9_000, "[" * 90_000, "9" * 9_000, "-" * 9_000 + "1", "{" * 9_000, "1e999", "\x00", "'"])
)
"""Texts that parsers stumble over."""


@pytest.mark.parametrize("name", RunConfig.model_fields)
def test_every_value_comes_back_from_the_command_line(name: str) -> None:
    """A field's value, spelled as a sweep spells it, as JSON or as Python, is that value again."""

    @BRIEF
    @given(VALUES.get(name, COUNTS))
    def check(value: Any) -> None:
        meant = getattr(build_config({name: value}), name)
        spellings = (
            {write_value(value)} if isinstance(value, str) else {write_value(value), json.dumps(value), repr(value)}
        )
        for spelling in spellings:
            for key in (name, f"--{name.replace('_', '-')}"):
                field, parsed = parse_assignment(f"{key}={spelling}")
                assert field == name
                assert getattr(build_config({field: parsed}), name) == meant

    check()


def refuse(read: Callable[[], Any]) -> str:
    """What is said where something is refused; empty where it is read. Any other error is a failure."""
    try:
        read()
    except GptexpError as error:
        return str(error)
    return ""


@BRIEF
@given(st.sampled_from(sorted(RunConfig.model_fields)), STRANGE)
def test_anything_is_a_config_or_one_sentence(name: str, text: str) -> None:
    """Whatever stands behind a field's name gives a config, or a GptexpError that says so in one short line."""

    def read() -> None:
        field, value = parse_assignment(f"{name}={text}")
        config = build_config({field: value})
        assert build_config(config.model_dump()) == config
        assert json.loads(config.model_dump_json())

    said = refuse(read)
    assert len(said) < 500
    assert "\n" not in said
    assert not said or name in said


@BRIEF
@given(STRANGE)
def test_no_text_breaks_the_parsers(text: str) -> None:
    """Any text is a value to one parser, and an assignment or one sentence to the other."""
    parse_value(text)
    assert len(refuse(lambda: parse_assignment(text))) < 900


@BRIEF
@given(st.lists(st.integers() | draw_floats() | st.none() | st.booleans()))
def test_lists_are_read_in_both_languages(values: list[Any]) -> None:
    """JSON and Python spell lists their own way: both are the list, a Python tuple too."""
    assert parse_value(json.dumps(values)) == parse_value(repr(values)) == parse_value(repr(tuple(values))) == values


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"grad_clip": 0}, "grad_clip=0: input should be greater than 0; None stands for no clipping"),
        ({"sample_interval": 0}, "None stands for a sample only at the end"),
        ({"n_layer": True}, "n_layer=True: expected a number, not a switch"),
        ({"lr": False}, "lr=False: expected a number, not a switch"),
        ({"sample_prompt": True}, "sample_prompt=True: expected a text, not a switch"),
        ({"lr": float("nan")}, "lr=nan: input should be a finite number"),
        ({"sample_losses": [float("inf")]}, "sample_losses=[inf]: input should be a finite number"),
        ({"n_embd": 10**30}, "less than or equal to 1000000000"),
        ({"threads": 10_000}, "threads=10000: input should be less than or equal to 1024"),
        ({"seed": 2**64}, "input should be less than 18446744073709551616"),
        ({"seed": -1}, "seed=-1: input should be greater than or equal to 0"),
        ({"sample_prompt": "a\ud800"}, "character 1 is half of a surrogate pair"),
        ({3: 4}, "3 is not a config field"),
        ({"x" * 5000: 1}, "is not a config field"),
        ({"schedule": "cosine"}, "there is no schedule 'cosine'; did you mean warmup-cosine?"),
        ({"optimizer": "no-such"}, f"there is no optimizer 'no-such'; known: {', '.join(sorted(OPTIMIZERS.names()))}"),
        ({"optimizer": None}, "optimizer=None: input should be a valid string"),
    ],
)
def test_what_a_field_refuses_it_explains(values: dict[Any, Any], named: str) -> None:
    """The value, what was expected, and what None would mean; never longer than a sentence."""
    with pytest.raises(GptexpError) as caught:
        build_config(values)
    assert named in str(caught.value)
    assert len(str(caught.value)) < 900


def test_runs_of_packages_that_are_not_here_are_read() -> None:
    """Records say by which optimizer and schedule they came about; to read them nobody needs to have those."""
    recorded = {**build_config({}).model_dump(mode="json"), "optimizer": "lion", "schedule": "one-cycle"}
    assert why_unfit(recorded) is None
    found = revive_config(recorded)
    assert (found.optimizer, found.schedule) == ("lion", "one-cycle")
    with pytest.raises(GptexpError, match="there is no schedule 'one-cycle'"):
        found.override({"lr": 1e-3})
