"""What a sweep file can ask for, and how it is told what can't be done."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gptexp.cli.train import read_train_words
from gptexp.errors import GptexpError
from gptexp.studies.sweep.file import read_sweep_file
from gptexp.studies.sweep.parameters import read_parameters
from gptexp.studies.sweep.space import Parameter, list_points
from gptexp.studies.sweep.trial import note_texts, plan_sweep
from tests.studies.sweeps import LR, make_content, make_sweep, parse


def read_one(about: dict[str, Any], name: str = "lr") -> Parameter:
    _, (parameter,) = read_parameters({name: about})
    return parameter


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"methd": "grid"}, "'methd'"),
        ({"method": "annealing"}, "'annealing'"),
        ({"metric": {"name": "accuracy"}}, "'accuracy'"),
        ({"metric": {"name": "val_loss", "goal": "lower"}}, "'lower'"),
        ({"metric": {"name": "val_loss", "impute": "worst"}}, "'impute'"),
        ({"early_terminate": {"type": "envelope"}}, "'envelope'"),
        ({"early_terminate": {"type": "hyperband"}}, "min_iter"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 2, "strict": True}}, "strict"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 1.5}}, "1.5"),
        (
            {"early_terminate": {"type": "hyperband", "min_iter": 2}, "metric": {"name": "final_val_loss"}},
            "final_val_loss",
        ),
        ({"run_cap": 0}, "run_cap"),
        ({"parameters": {"learning_rate": {"value": 1}}}, "'learning_rate'"),
        ({"parameters": {"lr": {"min": 1e-4, "max": 1e-2}}}, "lr has a uniform range"),
        ({"parameters": {"lr": {"distribution": "normal", "mu": 0, "sigma": 1}}}, "'mu'"),
        ({"parameters": {"lr": {"distribution": "inv_log_uniform_values", "min": 1, "max": 2}}}, "'inv_log_uniform"),
        ({"parameters": {"lr": {"values": [1, 2], "probabilities": [0.5, 0.5]}}}, "'probabilities'"),
        ({"parameters": {"lr": {"min": 2, "max": 1}}}, "from 2 to 1"),
        ({"parameters": {"lr": {"distribution": "log_uniform_values", "min": 0, "max": 1}}}, "from 0 to 1"),
        ({"parameters": {"lr": {"values": []}}}, "[]"),
        ({"parameters": {"lr": 3}}, "lr is 3"),
        ({"parameters": {"lr": {"values": [1e-3, 1e-2], "min": 1}}}, "values and min"),
        ({"parameters": {"lr": {"value": 1e-3, "values": [1e-2]}}}, "values and value"),
        ({"parameters": {"lr": {"min": 0.1, "max": 1.0, "q": 0.1}}}, "write distribution: q_uniform"),
        ({"parameters": {"lr": {"distribution": "uniform", "min": 0.1, "max": 1.0, "q": 0.1}}}, "and q"),
        ({"parameters": {"lr": {"distribution": "log_uniform", "min": 1, "max": 1000}}}, "log_uniform_values"),
        ({"parameters": {"lr": {"value": [1e-3, 1e-2]}}}, "write values: [0.001, 0.01]"),
        ({"parameters": {"lr": {"values": [1e-3, "fast"]}}}, "lr='fast'"),
        ({"parameters": {"scale": {"values": ["quick", "huge"]}}}, "'huge'"),
        ({"parameters": {"model": {"parameters": [1]}}}, "[1]"),
        ({"parameters": {"model": {"parameters": {"lr": LR}, "value": 1}}}, "parameters and value"),
        (
            {"parameters": {"batch_size": {"distribution": "uniform", "min": 2, "max": 8}}},
            "write distribution: int_uni",
        ),
        ({"parameters": {"batch_size": {"distribution": "log_uniform_values", "min": 2, "max": 8}}}, "q: 1"),
        ({"parameters": {"batch_size": {"distribution": "q_uniform", "min": 2, "max": 8, "q": 0.5}}}, "q=0.5"),
        (
            {"parameters": {"lr": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}}},
            "q=0, expected a step above",
        ),
        ({"parameters": {"batch_size": {"min": 2, "max": 8.5}}}, "such as"),
        ({"parameters": {"warmup_steps": {"distribution": "uniform", "min": 1, "max": 9}}}, "takes whole numbers"),
        ({"parameters": {"bias": {"min": 0, "max": 1}}}, "values: [true, false]"),
        ({"parameters": {"schedule": {"min": 0, "max": 1}}}, "takes a text"),
        ({"parameters": {"sample_prompt": {"min": 0, "max": 1}}}, "takes a text"),
        ({"parameters": {"sample_losses": {"min": 0, "max": 1}}}, "takes a list"),
        (
            {"parameters": {"lr": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 1e-300}}},
            "more steps of 1e-300",
        ),
        ({"parameters": {"lr": LR, "optimizer.lr": LR}}, "lr is there twice"),
        ({"command": ["gptexp", "train", "--nope", "x=1"]}, "'nope'"),
        ({"command": ["gptexp", "train", "${arg}"]}, "${arg}"),
        ({"command": ["gptexp", "train", "--params=${args_json_file}"]}, "a word of its own"),
        ({"command": ["gptexp", {"train": 1}]}, "{'train': 1}"),
        ({"command": "gptexp train 'lr=1"}, "write a list"),
        ({"controller": {"type": "local"}}, "'controller'"),
        ({"name": ["a"]}, "name: expected a text"),
        ({"metric": {"name": "val_loss", "target": float("nan")}}, "target is nan"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 2, "max_iter": 8}}, "min_iter and max_iter"),
        ({"early_terminate": {"type": "hyperband", "min_iter": float("inf")}}, "min_iter is inf"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 27, "s": 10**9}}, "s is 1000000000"),
        ({"early_terminate": {"type": "hyperband", "min_iters": 2}}, "did you mean min_iter"),
        ({"command": ["gptexp", "train", "learning_rate=1", "${args}"]}, "learning_rate"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    """Every word of a sweep file that has no counterpart here is an error that holds the word, never passed over."""
    with pytest.raises(GptexpError) as refused:
        parse(make_content(**changes))
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    """A missing file, broken YAML and a list are errors with the file's name."""
    for text in (None, "a: [", "- a\n"):
        path = tmp_path / "sweep.yaml"
        if text is not None:
            path.write_text(text)
        with pytest.raises(GptexpError, match=r"sweep\.yaml"):
            read_sweep_file(path, read_train_words)


def test_nested_and_dotted_keys_are_the_flat_field() -> None:
    """model: {parameters: {n_layer: ...}}, a constant mapping and `model.n_layer` all mean n_layer."""
    nested = {"model": {"parameters": {"n_layer": {"values": [2, 4]}}}}
    dotted = {"model.n-layer": {"values": [2, 4]}}
    assert read_parameters(nested) == read_parameters(dotted)
    assert read_parameters({"model": {"value": {"n_layer": 2, "bias": False}}})[0] == {"n_layer": 2, "bias": False}


def test_a_range_without_a_distribution_is_what_wandb_takes_it_for() -> None:
    """Whole ends make int_uniform, others uniform; 1e-5, which YAML reads as text, is a number."""
    assert read_one({"min": 2, "max": 8}, "n_layer").distribution == "int_uniform"
    assert read_one({"min": 0.1, "max": 1}).distribution == "uniform"
    parameter = read_one({"distribution": "log_uniform_values", "min": "1e-5", "max": "3e-2"})
    assert (parameter.low, parameter.high, parameter.log) == (1e-5, 3e-2, True)
    assert read_one({"distribution": "log_uniform", "min": -2, "max": 0}).low == pytest.approx(0.1353353)


def test_steps_stay_within_the_range() -> None:
    """q_uniform and int_uniform give multiples within min and max, whole ones as integers."""
    parameter = read_one({"distribution": "q_uniform", "min": 16, "max": 70, "q": 16}, "n_embd")
    assert [parameter.to_value(drawn) for drawn in parameter.draws() or []] == [16, 32, 48, 64]
    parameter = read_one({"distribution": "q_uniform", "min": 0.1, "max": 0.3, "q": 0.1}, "dropout")
    assert [parameter.to_value(drawn) for drawn in parameter.draws() or []] == [0.1, 0.2, 0.3]


def test_choices_keep_their_types() -> None:
    """None, True, 1, 1.0 and lists come back as they went in; text stays text only where the field is text."""
    values = [None, 1, 0.5, "none", "2e-1"]
    parameter = read_one({"values": values}, "grad_clip")
    assert [parameter.to_value(drawn) for drawn in parameter.draws() or []] == [None, 1, 0.5, 0.2]
    parameter = read_one({"values": ["1", "two"]}, "sample_prompt")
    assert list(parameter.choices) == ["1", "two"]
    assert read_one({"values": [[4.0, 3.0], []]}, "sample_losses").draws() == ["[4.0,3.0]", "[]"]


def test_the_grid_is_every_point_once() -> None:
    """All combinations, the last parameter fastest; values that are there twice count once."""
    _, parameters = read_parameters({"lr": {"values": [1e-3, 1e-2, 1e-3]}, "n_layer": {"min": 2, "max": 4}})
    points = list_points(parameters)
    assert points is not None
    assert [(float(point["lr"]), point["n_layer"]) for point in points] == [
        (lr, n) for lr in (1e-3, 1e-2) for n in (2, 3, 4)
    ]


def test_the_command_gives_settings_and_scale() -> None:
    """What the command says besides the sweep's values counts; macros and options of the agent's own don't."""
    command = ["${env}", "python", "-m", "gptexp", "train", "--scale", "char", "max_steps=7", "--n-layer=1"]
    found = parse(make_content(command=[*command, "--params", "${args_json_file}", "--wandb=online"]))
    assert found.scale == "char"
    # What `parameters` fixes comes later on the command line, and counts.
    assert (found.settings["max_steps"], found.settings["n_layer"]) == (12, 2)
    assert found.notes == ("--wandb of the command is not used; give it to `gptexp sweep`",)


@pytest.mark.parametrize(
    "words",
    [
        ["--eps", "1e-9"],
        ["--eps=1e-9"],
        ["optimizer.eps=1e-9"],
        ["++eps=1e-9"],
        ['{"eps": 1e-9}'],
        ["base.json"],
        ["--params", "base.json"],
        ["--params=${envvar:BASE}.json"],
        ["--dry-run", "--log-checkpoint", "--eps", "1e-9"],
    ],
    ids=" ".join,
)
def test_the_command_is_read_as_train_reads_it(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every way to give a field to `gptexp train` gives it to the trials of a sweep."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BASE", "base")
    (tmp_path / "base.json").write_text('{"eps": 1e-9, "lr": 5}')
    found = parse(make_content(command=["gptexp", "train", *words, "${args}"]))
    # A parameter of the sweep counts over the command, whatever its file says.
    assert {name: found.settings.get(name) for name in ("eps", "lr")} == {"eps": 1e-9, "lr": None}


def test_a_variable_that_is_not_set_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B puts the bare name in its place; so does the sweep, and says it."""
    monkeypatch.delenv("NO_SUCH_TEXT", raising=False)
    found = parse(make_content(command=["gptexp", "train", "--corpus=${envvar:NO_SUCH_TEXT}", "${args}"]))
    assert found.settings["corpus"] == "NO_SUCH_TEXT"
    assert "NO_SUCH_TEXT" in found.notes[0]


def test_project_and_entity_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they name another place than the one that the mirror uses, a note says that they don't count."""
    monkeypatch.setenv("WANDB_PROJECT", "here")
    (note,) = parse(make_content(project="there", entity="us")).notes
    assert "'there'" in note
    assert "'us'" in note
    assert "WANDB_PROJECT" in note
    assert parse(make_content(project="here")).notes == ()


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """YAML would pass over the first one without a word."""
    file = tmp_path / "sweep.yaml"
    file.write_text("method: grid\nparameters: {lr: {value: 1}, n_layer: {value: 2}, lr: {value: 3}}\n")
    with pytest.raises(GptexpError, match="'lr' is there twice"):
        read_sweep_file(file, read_train_words)
    file.write_text('{"method": "grid", "parameters": {"lr": {"value": 1}, "lr": {"value": 2}}}')
    with pytest.raises(GptexpError, match="'lr' is there twice"):
        read_sweep_file(file, read_train_words)


def test_a_file_in_json_is_read_as_json(tmp_path: Path) -> None:
    """Emoji, which JSON spells as two halves, come out whole."""
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps(make_content(parameters={"sample_prompt": {"value": "\U0001f600"}}), indent="\t"))
    assert read_sweep_file(file, read_train_words).settings["sample_prompt"] == "\U0001f600"


def test_another_program_is_not_run() -> None:
    """A sweep file of another script is read with a note: here every trial is a gptexp run."""
    (note,) = parse(make_content(program="train.py")).notes
    assert "train.py" in note
    assert parse(make_content(program="gptexp", command=["${program}", "train", "${args}"])).notes == ()


def test_bands_of_hyperband() -> None:
    """min_iter multiplies by eta; max_iter is divided by it s times."""
    early = parse(make_content(early_terminate={"type": "hyperband", "min_iter": 2, "eta": 3})).early_stop
    assert early is not None
    assert early.bands[:3] == (2, 6, 18)
    early = parse(make_content(early_terminate={"type": "hyperband", "max_iter": 27, "s": 2})).early_stop
    assert early is not None
    assert early.bands == (3, 9)


def test_trials_are_limited_by_the_file_and_the_grid(tmp_path: Path, tiny_corpus: Path) -> None:
    """The least of --trials, run_cap and the number of points counts; a search without an end needs one of them."""
    assert make_sweep(tmp_path, tiny_corpus).n_trials == 6
    assert make_sweep(tmp_path, tiny_corpus, 4).n_trials == 4
    assert make_sweep(tmp_path, tiny_corpus, 40, run_cap=3).n_trials == 3
    ranges = {"lr": {"min": 1e-4, "max": 1e-2}}
    with pytest.raises(GptexpError, match="--trials N"):
        make_sweep(tmp_path, tiny_corpus, method="random", parameters=ranges)
    assert make_sweep(tmp_path, tiny_corpus, 9, method="random", parameters=ranges).n_trials == 9


def test_values_that_no_run_can_have_are_found_at_once(tmp_path: Path, tiny_corpus: Path) -> None:
    """Of a grid every point is checked, of other searches every value: one sentence, before any training."""
    with pytest.raises(GptexpError, match="n_head=3"):
        make_sweep(tmp_path, tiny_corpus, parameters={"lr": LR, "n_head": {"values": [2, 3]}})
    with pytest.raises(GptexpError, match="lr=-1"):
        make_sweep(tmp_path, tiny_corpus, 4, method="bayes", parameters={"lr": {"min": -1, "max": 0.5}})


def test_equal_values_are_one() -> None:
    """However they are written: 1 and 1.0, a text that is a number, a switch as a number, null as None."""
    assert read_one({"values": [1, 1.0, "1e0", 2]}).choices == (1, 2)
    assert read_one({"values": [None, "None", 1]}, "grad_clip").choices == (None, 1)
    assert read_one({"values": [True, 1, "true", False]}, "bias").choices == (True, False)
    assert read_one({"values": [[4, 3], [4.0, 3.0], []]}, "sample_losses").choices == ([4, 3], [])
    assert read_parameters({"lr": {"values": [1, 1.0]}}) == ({"lr": 1}, ())


@pytest.mark.parametrize("method", ["random", "bayes"])
@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"n_embd": {"min": 32, "max": 64}}, "not a multiple of n_head=2"),
        (
            {"n_head": {"min": 2, "max": 8}, "n_embd": {"distribution": "q_uniform", "min": 32, "max": 96, "q": 32}},
            "n_head",
        ),
        ({"n_embd": {"values": [32, 33]}}, "n_embd=33"),
        ({"warmup_steps": {"min": 1, "max": 20}}, "warmup_steps="),
        ({"lr": {"min": 1e-4, "max": 1e-3}, "min_lr": {"min": 5e-4, "max": 1e-3}}, "min_lr="),
        ({"corpus": {"values": ["tinyshakespeare-gone", "tiny-gone"]}}, "gone"),
        ({"vocab_size": {"values": [None, 3]}}, "vocab_size=3"),
        ({"block_size": {"values": [16, 10**6]}}, "block_size"),
    ],
)
def test_draws_that_no_run_can_have_are_found_at_once(
    method: str, parameters: dict[str, Any], named: str, tmp_path: Path, tiny_corpus: Path
) -> None:
    """Inside of ranges, pairs that don't go together, texts that aren't there: said before any trial."""
    corpus = None if "corpus" in parameters else str(tiny_corpus)
    file = parse(make_content(method=method, parameters=parameters))
    with pytest.raises(GptexpError, match=re.escape(named)):
        plan_sweep(file, "quick", corpus, tmp_path, 4, "quick")


def test_points_that_are_one_run_are_told(tmp_path: Path, tiny_corpus: Path) -> None:
    """A constant rate has no warmup: the second point is the first one's run, and the plan says so."""
    parameters = {"schedule": {"values": ["constant", "warmup-cosine"]}, "warmup_steps": {"values": [2, 3]}}
    (note,) = make_sweep(tmp_path, tiny_corpus, parameters=parameters).file.notes
    assert "schedule=constant, warmup_steps=3 (as schedule=constant, warmup_steps=2)" in note


def test_what_is_hardly_meant_is_told(tmp_path: Path, tiny_corpus: Path) -> None:
    """Exponents that look like values, and an early stop that never comes, are done as asked for, with a note."""
    exponents = {"lr": {"distribution": "log_uniform", "min": 1e-4, "max": 1e-2}}
    (note,) = make_sweep(tmp_path, tiny_corpus, 4, method="random", parameters=exponents).file.notes
    assert "lr goes from 1.0001 to 1.01005; those of log_uniform_values are the values themselves" in note
    # 12 steps, an evaluation every 4: before the first step, after 4 and after 8.
    early = {"type": "hyperband", "min_iter": 3}
    assert make_sweep(tmp_path, tiny_corpus, early_terminate=early).file.notes == ()
    (note,) = make_sweep(tmp_path, tiny_corpus, early_terminate={**early, "min_iter": 4}).file.notes
    assert "at evaluation 4, but a trial has 3 before its end" in note


def test_scale_is_named_once(tmp_path: Path, tiny_corpus: Path) -> None:
    """The command line counts over the file; with scale among the searched parameters it is an error."""
    file = parse(make_content(command=["gptexp", "train", "--scale=char", "${args}"]))
    assert plan_sweep(file, None, str(tiny_corpus), tmp_path, None, "quick").scale == "char"
    assert plan_sweep(file, "laptop", str(tiny_corpus), tmp_path, None, "quick").scale == "laptop"
    file = parse(make_content(parameters={"lr": LR, "scale": {"values": ["quick", "char"]}}))
    with pytest.raises(GptexpError, match="leave --scale out"):
        plan_sweep(file, "quick", str(tiny_corpus), tmp_path, None, "quick")


@pytest.mark.parametrize(
    ("name", "metric", "noted"),
    [
        ("corpus", "val_loss", "the trials learn from different texts"),
        ("corpus", "val_bpb", "the trials learn from different texts"),
        ("tokenizer", "val_loss", "val_bpb, bits per byte, compares them"),
        ("tokenizer", "val_bpb", None),
        ("n_layer", "val_loss", None),
    ],
)
def test_a_ranking_over_texts_or_tokens_is_noted(name: str, metric: str, noted: str | None) -> None:
    """The sweep ranks them as it is asked to, and says before it trains what the ranking can't mean."""
    values = {"corpus": ["a.txt", "b.txt"], "tokenizer": ["char", "gpt2"], "n_layer": [1, 2]}[name]
    content = make_content(metric={"name": metric, "goal": "minimize"}, parameters={name: {"values": values}})
    notes = note_texts(parse(content))
    assert (noted in notes[0]) if noted else notes == []
