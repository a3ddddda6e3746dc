"""Runs that start from the weights of a folder: `gptexp train init_from=DIR`."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from gptexp.cli.plan_notes import note_plan
from gptexp.cli.train import read_train_words
from gptexp.errors import GptexpError
from gptexp.identity import identity_hash
from gptexp.studies.execute import execute
from gptexp.studies.fork import plan_forks, read_parent
from gptexp.studies.initial import read_initial
from gptexp.studies.plan import PlannedRun, plan_runs
from gptexp.studies.request import StudyRequest
from gptexp.studies.scales import find_scale
from gptexp.studies.study import Arm, Study
from gptexp.studies.sweep.file import read_sweep_file
from gptexp.studies.sweep.trial import plan_sweep
from gptexp.tracking.run_dir import RunDir
from tests.cli.conftest import TINY, Call, TinyRuns

# What the weights decide is left out: it comes from the folder.
OWN: dict[str, Any] = {name: TINY[name] for name in ("max_steps", "batch_size", "eval_steps", "sample_tokens")}
OWN |= {"eval_interval": 3, "checkpoint_interval": 3, "final_eval": "subset", "precision": "fp32"}
WORDS = tuple(f"{name}={value}" for name, value in OWN.items())


@pytest.fixture
def export(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> Callable[..., Path]:
    """Exports one of the tiny runs, `char` or `gpt2`, to a new folder."""

    def export_run(which: str, file_format: str = "hf") -> Path:
        folder = tmp_path / f"{which}-{file_format}"
        words = ("--format", file_format, "--out", str(folder), "--runs-dir", str(tiny_runs.folder))
        assert call("export", getattr(tiny_runs, which), *words).status == 0
        return folder

    return export_run


def plan(runs_dir: Path, corpus: Path, scale: str = "quick", **fields: Any) -> PlannedRun:
    """The plan of one run."""
    study = Study("train", "?", "", "", (Arm("train", "train"),))
    (item,) = plan_runs([StudyRequest(study, find_scale(scale), 1, {**OWN, **fields}, str(corpus))], runs_dir)
    return item


def train(item: PlannedRun, stop_at: int = 99) -> None:
    """Train it, asked to stop after `stop_at` steps."""
    asked = iter([False] * (stop_at - 1) + [True] * 99)
    execute(item.job("gptexp test"), [], lambda: next(asked), lambda message: None)


def read_evals(item: PlannedRun) -> dict[int, float]:
    lines = (item.run_dir.records).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["step"]: row["val_loss"] for row in rows if row["kind"] == "eval"}


@pytest.mark.parametrize(("file_format", "bias"), [("hf", True), ("safetensors", False)])
def test_a_run_begins_where_another_ended(
    call: Call, tiny_corpus: Path, tmp_path: Path, file_format: str, bias: bool
) -> None:
    """The val loss at step 0 is that with which the exported run ended, on the same windows, in fp32."""
    runs_dir = tmp_path / "runs"
    first = plan(runs_dir, tiny_corpus, **{**TINY, **OWN, "lr": 3e-3, "tokenizer": "char", "bias": bias})
    train(first)
    export = ("export", first.run.run_id, "--runs-dir", str(runs_dir), "--format", file_format)
    assert call(*export, "--out", str(tmp_path / "model")).status == 0
    second = plan(runs_dir, tiny_corpus, init_from=str(tmp_path / "model"))
    train(second)
    before, after = read_evals(first), read_evals(second)
    assert before[6] < before[0] - 0.1
    assert after[0] == pytest.approx(before[6], abs=1e-6)
    assert after[6] < after[0]


def test_the_shape_is_that_of_the_weights(tiny_corpus: Path, tmp_path: Path, export: Callable[..., Path]) -> None:
    """Layers, width, context and tokenizer come from the folder, whatever the scale says; the rest from the scale."""
    item = plan(tmp_path / "runs", tiny_corpus, scale="char", init_from=str(export("gpt2")))
    config = item.run.config
    found = {name: getattr(config, name) for name in ("n_layer", "n_head", "n_embd", "block_size", "tokenizer")}
    assert found == {"n_layer": 2, "n_head": 2, "n_embd": 32, "block_size": 16, "tokenizer": "gpt2"}
    assert config.vocab_size == 50257
    assert config.beta2 == find_scale("char").settings["beta2"]


def test_the_weights_and_not_their_folder_are_in_the_id(
    tiny_corpus: Path, tmp_path: Path, export: Callable[..., Path]
) -> None:
    """The same weights in another folder, cut into parts, make the same run; other weights make another one."""
    folder, moved = export("char"), tmp_path / "moved"
    first = plan(tmp_path / "runs", tiny_corpus, init_from=str(folder))
    folder.rename(moved)
    tensors = load_file(moved / "model.safetensors")
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for part, own in parts.items():
        save_file({name: tensors[name] for name in own}, moved / part)
    places = {name: part for part, own in parts.items() for name in own}
    (moved / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    (moved / "model.safetensors").unlink()
    again = plan(tmp_path / "runs", tiny_corpus, init_from=str(moved))
    assert again.run.run_id == first.run.run_id
    assert again.member()["variant"] == first.member()["variant"]
    save_file(tensors | {"transformer.ln_f.bias": tensors["transformer.ln_f.bias"] + 1e-3}, moved / "c.safetensors")
    (moved / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": places | {"transformer.ln_f.bias": "c.safetensors"}}), encoding="utf-8"
    )
    assert plan(tmp_path / "runs", tiny_corpus, init_from=str(moved)).run.run_id != first.run.run_id


def test_runs_without_it_keep_their_ids(tiny_corpus: Path, tmp_path: Path) -> None:
    """The field enters no id where it isn't set."""
    content = plan(tmp_path / "runs", tiny_corpus, **TINY).run.content
    fields = {name: value for name, value in content["config"].items() if name != "init_from"}
    checksums = content["corpus"]["checksum"], content["tokenizer"]["checksum"]
    assert identity_hash(fields, content["engine_version"], *checksums) == content["run_id"]


def test_a_shorter_context_is_the_same_function(tiny_corpus: Path, tmp_path: Path, export: Callable[..., Path]) -> None:
    """A smaller block_size may be named: it is trained and evaluated on shorter windows."""
    item = plan(tmp_path / "runs", tiny_corpus, init_from=str(export("char")), block_size=8)
    train(item)
    assert item.run.config.block_size == 8
    assert read_evals(item)[6] < read_evals(item)[0]


def test_a_killed_run_goes_on_without_the_folder(
    tiny_corpus: Path, tmp_path: Path, export: Callable[..., Path]
) -> None:
    """From its checkpoint on the run has all that it needs; the records are those of a run that nobody stopped."""
    folder = export("char")
    whole = plan(tmp_path / "whole", tiny_corpus, init_from=str(folder))
    train(whole)
    item = plan(tmp_path / "runs", tiny_corpus, init_from=str(folder))
    train(item, stop_at=4)
    shutil.rmtree(folder)
    execute(item.job("gptexp test"), [], lambda: False, lambda message: None)
    assert read_evals(item) == read_evals(whole)


def test_weights_that_changed_are_refused(tiny_corpus: Path, tmp_path: Path, export: Callable[..., Path]) -> None:
    """Between plan and run, and in the same process: no run begins with other weights than its id says."""
    folder = export("char")
    item = plan(tmp_path / "runs", tiny_corpus, init_from=str(folder))
    job = item.job("gptexp test")
    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor * 2 for name, tensor in tensors.items()}, folder / "model.safetensors")
    with pytest.raises(GptexpError, match="have changed since this run was planned"):
        execute(job, [], lambda: False, lambda message: None)
    assert not item.run_dir.records.exists()
    assert read_initial(str(folder)).name != item.run.config.init_from


def test_a_worker_without_the_folder_says_so(tiny_corpus: Path, tmp_path: Path, export: Callable[..., Path]) -> None:
    """One sentence, and nothing is trained."""
    folder = export("char")
    item = plan(tmp_path / "runs", tiny_corpus, init_from=str(folder))
    job = item.job("gptexp test")
    shutil.rmtree(folder)
    for place, words in ((job.init_from, "is no folder on this machine"), (None, "no folder that holds them")):
        with pytest.raises(GptexpError, match=words):
            execute(dataclasses.replace(job, init_from=place), [], lambda: False, lambda message: None)
        assert not item.run_dir.records.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("n_embd=64",), "n_embd=64, and the weights in"),
        (("block_size=32",), "have at most block_size=16"),
        (("tokenizer=gpt2",), "tokenizer=gpt2, and the weights in"),
        (("bias=false",), "bias=False, and the weights in"),
        (("norm=post",), "norm=post, and the weights in"),
        (("--corpus", "OTHER"), "doesn't fit the weights to start from: character"),
        (("init_from=nowhere",), "is no folder on this machine"),
        (("init_from=sha256:0123456789abcdef",), "is the checksum of weights"),
        (("init_from=EMPTY",), "has no config.json"),
        (("init_from=7",), "init_from=7 is no folder"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    call: Call, tiny_corpus: Path, tmp_path: Path, export: Callable[..., Path], words: tuple[str, ...], sentence: str
) -> None:
    """Before anything is trained, the sentence names the field or the folder."""
    (tmp_path / "other.txt").write_text("ÄÖÜ äöü\n" * 900, encoding="utf-8")
    (tmp_path / "empty").mkdir()
    places = {"OTHER": str(tmp_path / "other.txt"), "init_from=EMPTY": f"init_from={tmp_path / 'empty'}"}
    given = (f"init_from={export('char')}", *(places.get(word, word) for word in words))
    runs_dir = tmp_path / "runs"
    base = ("train", "--scale", "quick", "--wandb", "disabled", "--runs-dir", str(runs_dir))
    corpus = () if "--corpus" in words else ("--corpus", str(tiny_corpus))
    reply = call(*base, *corpus, *WORDS, *given)
    assert reply.status == 2
    assert len(reply.sentences()) == 1
    assert sentence in reply.sentences()[0]
    assert not runs_dir.exists()


def test_the_records_say_which_weights(
    call: Call, tiny_corpus: Path, tmp_path: Path, export: Callable[..., Path]
) -> None:
    """`runs show` has the checksum in the config, the folder's name without its place in the provenance."""
    folder, runs_dir = export("char"), str(tmp_path / "runs")
    base = ("--scale", "quick", "--wandb", "disabled", "--runs-dir", runs_dir, "--corpus", str(tiny_corpus))
    assert call("train", *base, *WORDS, f"init_from={folder}").status == 0
    (run,) = call("runs", "list", "--runs-dir", runs_dir, "--json").json()
    shown = call("runs", "show", run["run_id"], "--runs-dir", runs_dir, "--json").json()
    name = read_initial(str(folder)).name
    assert shown["config"]["init_from"] == name
    assert shown["provenance"][0]["init_from"] == "char-hf"
    assert shown["members"][0]["variant"]["init_from"] == name
    assert f"init_from={name}" in call("runs", "show", run["run_id"], "--runs-dir", runs_dir).out


def test_an_arm_may_start_from_weights(tiny_corpus: Path, tmp_path: Path, export: Callable[..., Path]) -> None:
    """A study can compare trained weights with drawn ones: the arms differ in init_from alone."""
    shape = {name: TINY[name] for name in ("n_layer", "n_head", "n_embd", "block_size")} | {"tokenizer": "char"}
    arms = (Arm("drawn", "drawn", shape), Arm("trained", "trained", {"init_from": str(export("char"))}))
    request = StudyRequest(Study("s", "?", "", "", arms), find_scale("quick"), 1, OWN, str(tiny_corpus))
    drawn, trained = plan_runs([request], tmp_path / "runs")
    there, here = drawn.run.config.model_dump(), trained.run.config.model_dump()
    assert {name for name in here if here[name] != there[name]} == {"init_from"}
    assert drawn.job("x").init_from is None
    (note,) = note_plan([drawn, trained])
    assert note.startswith("the runs of 'trained' start from the weights in")
    assert not note_plan(plan_runs([dataclasses.replace(request, only=("drawn",))], tmp_path / "runs")), (
        "of the arms to train only"
    )


def test_a_sweep_starts_from_weights(tiny_corpus: Path, tmp_path: Path, export: Callable[..., Path]) -> None:
    """Its trials have the shape of the weights, and other weights make another sweep."""
    folder, file = export("char"), tmp_path / "sweep.yaml"
    lines = ["method: grid", "metric: {name: val_loss, goal: minimize}", "parameters:"]
    lines += ["  lr: {values: [0.001, 0.01]}", f"  init_from: {{value: {folder}}}"]
    lines += [f"  {name}: {{value: {value}}}" for name, value in OWN.items()]
    file.write_text("\n".join(lines), encoding="utf-8")

    def read() -> Any:
        return plan_sweep(
            read_sweep_file(file, read_train_words), "quick", str(tiny_corpus), tmp_path / "runs", None, "quick"
        )

    sweep = read()
    assert sweep.resolve({"lr": 0.001}).config.n_embd == 32
    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor * 2 for name, tensor in tensors.items()}, folder / "model.safetensors")
    assert read().key != sweep.key


def test_a_fork_goes_on_from_a_checkpoint(tiny_corpus: Path, tmp_path: Path, export: Callable[..., Path]) -> None:
    """A run that began with weights can be forked where it kept a checkpoint; elsewhere one sentence says why not."""
    runs_dir = tmp_path / "runs"
    parent = plan(runs_dir, tiny_corpus, init_from=str(export("char")), max_steps=9)
    train(parent, stop_at=5)
    known = read_parent(RunDir(parent.run_dir.path))
    (_, item) = plan_forks(known, {5: {"lr": 1e-4}}, runs_dir, str(tiny_corpus))
    train(item)
    assert read_evals(item)[9] < read_evals(item)[0]
    with pytest.raises(GptexpError, match="keeps no checkpoint at or before step 2"):
        plan_forks(known, {2: {"lr": 1e-4}}, runs_dir, str(tiny_corpus))


def test_a_node_without_the_folder_gets_it(tiny_corpus: Path, tmp_path: Path, export: Callable[..., Path]) -> None:
    """What a node with a disk of its own is sent is enough to begin, and gives the numbers of this machine."""
    from gptexp.studies.agent import Agent, Named
    from gptexp.studies.initial import pack_initial
    from gptexp.studies.launchers import JobEnd
    from gptexp.studies.luggage import write_home
    from gptexp.studies.runner import execute_job

    folder = export("char")
    here = plan(tmp_path / "here", tiny_corpus, init_from=str(folder))
    train(here)
    away = plan(tmp_path / "away", tiny_corpus, init_from=str(folder))
    job, weights = away.job("gptexp test"), pack_initial(str(folder))
    shutil.rmtree(folder)
    away.run_dir.path.mkdir(parents=True)
    for news in Agent().work(Named.of(execute_job), job, {}, tiny_corpus.read_bytes(), weights):
        if isinstance(news, list):
            write_home(away.run_dir.path, news)
        elif isinstance(news, JobEnd):
            assert news.error is None
    assert read_evals(away) == read_evals(here)
