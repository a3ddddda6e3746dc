"""Properties of sweep files and of the command line that they share with `gptexp train`."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from gptexp.cli.assignments import read_arguments
from gptexp.cli.train import read_train_words
from gptexp.config import RunConfig
from gptexp.errors import GptexpError
from gptexp.measures.catalog import select
from gptexp.names import OPTIMIZERS, SCHEDULES
from gptexp.studies.sweep.command import expand_parameters
from gptexp.studies.sweep.fields import identify, kind_of, takes
from gptexp.studies.sweep.file import KEYS
from gptexp.studies.sweep.parameters import KEYS as PARAMETER_KEYS
from gptexp.studies.sweep.parameters import RANGES, VALUE_RANGES
from gptexp.studies.sweep.space import list_points
from gptexp.studies.sweep.trial import Sweep, check_values
from tests.studies.sweeps import parse

few = settings(derandomize=True, max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
fewer = settings(few, max_examples=25)

NUMBERS = (
    st.integers(1, 3000)
    | st.floats(1e-6, 0.9)
    | st.sampled_from([1e-5, "1e-5", 0, 1, -1, -0.5, 1e300, 2**62, float("inf"), True, None, "x"])
)
FIELDS = [*RunConfig.model_fields, "scale"]
RANGED = [name for name in FIELDS if kind_of(name) in ("number", "whole number")]


@st.composite
def ranges(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A field and a range for it, sensible more often than not."""
    name = draw(st.sampled_from(RANGED))
    is_whole = kind_of(name) == "whole number"
    low = draw(st.integers(1, 40) if is_whole else st.floats(1e-6, 0.5))
    about: dict[str, Any] = {"min": low, "max": low + draw(st.integers(1, 90) if is_whole else st.floats(1e-9, 0.4))}
    if draw(st.booleans()):
        about["distribution"] = draw(st.sampled_from([*RANGES, *VALUE_RANGES]))
        if about["distribution"].startswith("q_"):
            about["q"] = draw(st.sampled_from([1, 2, 0.5, 0.1, 1e-3, 7]))
    if draw(st.integers(0, 3)) == 0:
        about[draw(st.sampled_from(["min", "max", "q"]))] = draw(NUMBERS)
    return name, about


def try_plan(parameters: dict[str, Any], method: str = "random") -> Sweep | None:
    """The sweep over these parameters, checked as a command does it; None where it is refused, in one sentence."""
    try:
        file = parse({"method": method, "parameters": parameters})
        sweep = Sweep(file, "quick", None, "runs", 10)
        check_values(sweep)
    except GptexpError:
        return None
    return sweep


@few
@given(ranges())
def test_every_draw_of_a_range_is_a_run(named: tuple[str, dict[str, Any]]) -> None:
    """What Optuna draws lies within min and max and fits the field, or the file was refused."""
    name, about = named
    if (sweep := try_plan({name: about})) is None:
        return
    (parameter,) = sweep.file.parameters
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=7))
    for _ in range(15):
        value = parameter.to_value(study.ask({name: parameter.to_distribution()}).params[name])
        assert parameter.low <= value <= parameter.high
        assert takes(name, value)
        assert type(value) is int or kind_of(name) == "number"
        sweep.config({name: value})


SPELLINGS: dict[str, Any] = {
    "lr": st.sampled_from([1, 1.0, "1", "1e0", 0.1, "1e-1", 1e-1]),
    "n_layer": st.sampled_from([2, 2.0, "2", 3, "3"]),
    "grad_clip": st.sampled_from([None, "None", "null", 1, 1.0]),
    "bias": st.sampled_from([True, "true", False, "False", 1, 0]),
    "sample_losses": st.sampled_from([[4, 3], [4.0, 3.0], "[4, 3]", [], "()"]),
    "schedule": st.sampled_from(["constant", "warmup-cosine"]),
}


@few
@given(st.fixed_dictionaries({name: st.lists(values, min_size=1, max_size=5) for name, values in SPELLINGS.items()}))
def test_points_of_a_grid_are_distinct(values: dict[str, list[Any]]) -> None:
    """However often and in whatever spelling a value is listed, no two points are the same config."""
    file = parse({"method": "grid", "parameters": {name: {"values": listed} for name, listed in values.items()}})
    points = list_points(file.parameters)
    assert points is not None
    sweep = Sweep(file, "quick", None, "runs", len(points))
    configs = {sweep.config(sweep.to_settings(point)).model_dump_json() for point in points[:200]}
    assert len(configs) == len(points[:200])


def value_of(name: str) -> st.SearchStrategy[Any]:
    """Values that a field takes."""
    words = {"init", "norm", "tokenizer", "final_eval", "precision", "device", "sampler"}
    by_kind: dict[str, st.SearchStrategy[Any]] = {
        "whole number": st.integers(1, 1000),
        "number": st.floats(1e-9, 0.9, exclude_min=True),
        "switch": st.booleans(),
        "text": st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
        "list": st.lists(st.floats(1e-3, 9), max_size=3),
    }
    if registry := {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}.get(name):
        return st.sampled_from(registry.names())
    if name in words:
        return st.sampled_from(RunConfig.model_fields[name].annotation.__args__)  # type: ignore[union-attr]
    known = st.lists(st.text(max_size=9), max_size=2) if name == "step_metrics" else by_kind[kind_of(name)]
    return known | st.none() if takes(name, None) else known


MAPPINGS = st.fixed_dictionaries({}, optional={name: value_of(name) for name in RunConfig.model_fields})


def validate(values: dict[str, Any]) -> dict[str, str]:
    """Each value as its field has it; others of a run may not go with it."""
    assert all(takes(name, value) for name, value in values.items()), values
    return {name: identify(name, value) for name, value in values.items()}


MACROS = ("args", "args_no_hyphens", "args_no_equals", "args_json", "args_append_hydra", "args_override_hydra")


@few
@given(MAPPINGS)
def test_a_trial_comes_through_every_macro(trial: dict[str, Any]) -> None:
    """Parameters as the agent writes them, read by the command: each the value that it was."""
    expected = validate(trial)
    words = create_sweep_command_args({"args": {name: {"value": value} for name, value in trial.items()}})
    for macro in MACROS:
        assert validate(read_train_words(words[macro]).settings) == expected, macro
    on = {name: value for name, value in expected.items() if value != "false"}
    assert validate(read_train_words(words["args_no_boolean_flags"]).settings) == on


@few
@given(MAPPINGS)
def test_macros_are_those_of_the_client(trial: dict[str, Any]) -> None:
    """What a sweep file's command is filled in with is what the W&B agent would have filled in."""
    words = create_sweep_command_args({"args": {name: {"value": value} for name, value in trial.items()}})
    assert expand_parameters(trial) == {**words, "args_dict": list(trial)}


@fewer
@given(MAPPINGS)
def test_a_trial_comes_through_its_file(tmp_path_factory: pytest.TempPathFactory, trial: dict[str, Any]) -> None:
    """${args_json_file}, bare and with --params."""
    file = tmp_path_factory.getbasetemp() / "trial.json"
    file.write_text(json.dumps(trial))
    for words in ([str(file)], ["--params", str(file)], [f"--params={file}"]):
        assert validate(read_train_words(words).settings) == validate(trial)


WORDS = st.text(max_size=12) | st.sampled_from(
    ["--", "--lr", "lr=", "{", "{}", '{"lr": {}}', "=", "--=", "model={'lr': 1", "--bias", "a.json", "+lr=1", "--scale"]
)


@few
@given(st.lists(WORDS, max_size=4))
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    """No command line is more than one sentence wrong; typed or in a sweep file, it is wrong in the same way."""
    with contextlib.suppress(GptexpError):
        read_arguments(words)
    with contextlib.suppress(GptexpError):
        read_train_words(words)


JSON = st.recursive(
    NUMBERS | st.text(max_size=5) | st.sampled_from(select(lambda measure: measure.is_goal)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(PARAMETER_KEYS) | st.text(), inner),
    max_leaves=6,
)
ABOUTS = st.dictionaries(st.sampled_from(PARAMETER_KEYS), JSON, max_size=3)
EARLY = st.dictionaries(
    st.sampled_from(["type", "min_iter", "max_iter", "s", "eta", "strict"]), JSON | st.just("hyperband")
)


@few
@given(
    st.dictionaries(st.sampled_from(FIELDS) | st.text(), ABOUTS | JSON, max_size=3),
    st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3),
    EARLY,
)
def test_any_file_is_read_or_refused(parameters: dict[str, Any], more: dict[str, Any], early: dict[str, Any]) -> None:
    """Whatever stands under the keys of a sweep file, the answer is a sweep or a GptexpError."""
    for content in (
        {"parameters": parameters},
        {**more},
        {"early_terminate": early},
        {"early_terminate": early, **more},
    ):
        with contextlib.suppress(GptexpError):
            parse({"method": "random", "parameters": {"lr": {"value": 1}}, **content})


def test_the_fields_have_kinds() -> None:
    """Of every config field it is known what it takes."""
    assert {kind_of(name) for name in FIELDS} == {"whole number", "number", "switch", "word", "text", "list"}
    assert kind_of("warmup_steps") == "whole number"
    assert kind_of("min_lr") == kind_of("outlier_at") == "number"
