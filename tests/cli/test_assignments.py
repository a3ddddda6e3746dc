"""What an agent writes on the command line of `gptexp train`, as config fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from gptexp.cli.assignments import read_request
from gptexp.config import RunConfig, build_config
from gptexp.errors import GptexpError
from gptexp.studies.scales import find_scale
from tests.cli.conftest import Call
from tests.loopback.sweeps import grid

SWEEP = Path(__file__).parents[2] / "sweep.yaml"

VALUES: dict[str, Any] = {
    **RunConfig().model_dump(mode="json"),
    "corpus": "python-docs",
    "n_layer": 4,
    "lr": 1e-05,
    "grad_clip": None,
    "bias": False,
    "sample_losses": [4, 3.5],
    "sample_prompt": "None",
    "min_lr": 0.0,
    "sample_interval": 7,
}
"""A value for every config field, of every type."""


def as_config(values: dict[str, Any], **more: Any) -> RunConfig:
    return build_config({**values, **more})


@pytest.mark.parametrize(
    "macro",
    ["args", "args_no_hyphens", "args_no_equals", "args_json", "args_append_hydra", "args_override_hydra"],
)
def test_every_field_as_the_agent_writes_it(macro: str) -> None:
    """All fields through the agent's own formatting of ${args} and its kin give the config that was meant."""
    words = create_sweep_command_args({"args": {name: {"value": value} for name, value in VALUES.items()}})[macro]
    request = read_request(words)
    assert request.corpus == "python-docs"
    assert as_config(request.overrides, corpus="python-docs") == as_config(VALUES)


def test_every_field_from_the_agents_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """${args_json_file}, --params with YAML, and the file of WANDB_SWEEP_PARAM_PATH say the same."""
    as_json, as_yaml, of_sweep = tmp_path / "a.json", tmp_path / "b.yaml", tmp_path / "c.yaml"
    as_json.write_text(json.dumps(VALUES))
    as_yaml.write_text(yaml.safe_dump(VALUES))
    of_sweep.write_text(yaml.safe_dump({"wandb_version": 1, **{k: {"value": v} for k, v in VALUES.items()}}))
    expected = as_config(VALUES)
    assert as_config(read_request([str(as_json)]).overrides, corpus="python-docs") == expected
    assert as_config(read_request([], [as_yaml]).overrides, corpus="python-docs") == expected
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(of_sweep))
    assert as_config(read_request([]).overrides, corpus="python-docs") == expected


@pytest.mark.parametrize(
    "words",
    [
        ["--n-layer=4"],
        ["--n_layer", "4"],
        ["model.n_layer=4"],
        ["--model.n-layer=4"],
        ["--model={'n_layer': 4}"],
        ['--model={"n_layer": 4}'],
        ["--deep={'model': {'n_layer': 4}}"],
    ],
    ids=" ".join,
)
def test_spellings(words: list[str]) -> None:
    """Dashes, a space, dotted keys and groups all name the flat field."""
    assert read_request(words).overrides == {"n_layer": 4}


def test_switches_without_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """${args_no_boolean_flags} leaves out switches that are off; the file that the agent hands over has them."""
    args = {name: {"value": value} for name, value in {**VALUES, "compile": True}.items()}
    words = create_sweep_command_args({"args": args})["args_no_boolean_flags"]
    assert "--compile" in words
    of_sweep = tmp_path / "c.yaml"
    of_sweep.write_text(yaml.safe_dump({"wandb_version": 1, **args}))
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(of_sweep))
    request = read_request(words)
    assert as_config(request.overrides, corpus="python-docs") == as_config({**VALUES, "compile": True})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--compile"], {"compile": True}),
        (["--compile", "lr=1e-3"], {"compile": True, "lr": 1e-3}),
        (["--compile", "--lr", "1e-3"], {"compile": True, "lr": 1e-3}),
        (["--compile", "False"], {"compile": False}),
        (["--model.bias", "--compile", "true"], {"bias": True, "compile": True}),
        (['sample_prompt={"a": 1}'], {"sample_prompt": '{"a": 1}'}),
        (["--sample_prompt", '{"n_layer": 4}'], {"sample_prompt": '{"n_layer": 4}'}),
        (["--sample_prompt", "--lr=3"], {"sample_prompt": "--lr=3"}),
        (['{"lr": 1e-3, "sample_prompt": "a=b"}'], {"lr": 1e-3, "sample_prompt": "a=b"}),
        (["--group={'sample_prompt': {'a': 1}}"], {"sample_prompt": {"a": 1}}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_switches_and_texts(words: list[str], expected: dict[str, Any]) -> None:
    """A switch may stand alone; the value of a text field is that text, even one that looks like something else."""
    assert read_request(words).overrides == expected


def test_json_is_read_as_json(tmp_path: Path) -> None:
    """Emoji, which JSON spells as two halves, numbers without a point, and indentation by tabs come out as meant."""
    file = tmp_path / "p.json"
    file.write_text(json.dumps({"sample_prompt": "\U0001f600", "sample_losses": [1e-5]}, indent="\t"))
    assert read_request([str(file)]).overrides == {"sample_prompt": "\U0001f600", "sample_losses": [1e-5]}


@pytest.mark.parametrize(
    "words",
    [
        ["--n_lyer", "4"],
        ["--n_layer"],
        ["four"],
        ["gone.json"],
        ["--params", "gone.yaml"],
        ["--params"],
        ["--wandb", "maybe"],
        ["--dry-run=1"],
        ["--nope"],
        ["--scale=huge"],
        ["--lr=fast"],
        ["{'n_lyer': 4}"],
        ["--corpus", "gone.txt"],
    ],
    ids=" ".join,
)
def test_a_sweep_refuses_the_words_that_train_refuses(words: list[str], call: Call, tmp_path: Path) -> None:
    """One language, one parser: the same sentence from both, behind what says where it was found."""
    of_train = call("train", "--runs-dir", str(tmp_path / "runs"), *words).sentences()
    file = tmp_path / "sweep.yaml"
    command = ["gptexp", "train", *words]
    file.write_text(yaml.safe_dump({"method": "grid", "parameters": {"eps": {"value": 1e-8}}, "command": command}))
    of_sweep = call("sweep", str(file), "--runs-dir", str(tmp_path / "runs")).sentences()
    assert len(of_train) == len(of_sweep) == 1
    sentence = of_train[0].removeprefix("gptexp: ").partition(" (`")[0]
    assert (sentence.partition("arm 'train': ")[2] or sentence) in of_sweep[0]
    assert not (tmp_path / "runs").exists()


def test_who_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file gives way to the command line, and both to the sweep, whose values W&B shows."""
    file, sweep = tmp_path / "p.json", tmp_path / "sweep.yaml"
    file.write_text(json.dumps({"lr": 1e-3, "n_layer": 2, "seed": 3}))
    sweep.write_text(yaml.safe_dump({"lr": {"value": 3e-4}, "scale": {"value": "char"}}))
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(sweep))
    request = read_request(["lr=2e-3", "n_layer=4", "scale=quick"], [file])
    assert (request.overrides, request.scale) == ({"lr": 3e-4, "n_layer": 4, "seed": 3}, "char")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--n_lyer=4"], "n_layer"),
        (["--n_layer"], "--n_layer=VALUE"),
        (["--model={'n_lyer': 4}"], "n_layer"),
        (["four"], "key=value"),
        (["gone.json"], "gone.json"),
        (["--lr=fast"], "lr='fast'"),
        (["--bias=maybe"], "bias='maybe'"),
        (["--seed=x"], "seed='x'"),
        (["scale=huge"], "quick"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_one_fails_before_training(
    words: list[str],
    named: str,
    call: Call,
    tmp_path: Path,
) -> None:
    """Exit status 2, one sentence that names the value and the way out, nothing written."""
    reply = call("train", "--scale", "quick", "--runs-dir", str(tmp_path / "runs"), *words)
    assert (reply.status, reply.out, len(reply.sentences())) == (2, "", 1)
    assert named in reply.err
    assert not (tmp_path / "runs").exists()


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """What is no mapping, or neither JSON nor YAML, is refused by the file's name."""
    for text in ("[1, 2]", "{", "lr: {", '{"lr": 1, "lr": 2}', "lr: 1\nlr: 2", "[" * 100_000):
        file = tmp_path / "p.json"
        file.write_text(text)
        with pytest.raises(GptexpError, match=r"p\.json"):
            read_request([str(file)])


def test_the_sweep_file_asks_for_what_it_says() -> None:
    """sweep.yaml: half decades of lr from 1e-5 to 3e-2, two schedules, with and without clipping, each a valid run."""
    content = yaml.safe_load(SWEEP.read_text())
    points = grid(content)
    configs = set()
    for point in points:
        request = read_request(create_sweep_command_args({"args": point})["args"])
        settings = find_scale(request.scale or "").settings
        config = build_config({**settings, **request.overrides})
        configs.add((config.lr, config.schedule, config.grad_clip))
    assert len(configs) == len(points) == 8 * 2 * 2
    rates = sorted({lr for lr, _, _ in configs})
    assert (rates[0], rates[-1], len(rates)) == (1e-5, 3e-2, 8)
    assert content["command"] == ["gptexp", "train", "${args}"]
    assert content["early_terminate"]["type"] == "hyperband"


def test_train_takes_fields_without_set(call: Call) -> None:
    """Whoever types the `--set` of other commands reads what to type here."""
    words = "`gptexp train` takes config fields without --set; write 'optimizer=adam' by itself"
    for given in (["--set", "optimizer=adam"], ["--set=optimizer=adam"]):
        assert call("train", *given).sentences() == [f"gptexp: {words}"]
