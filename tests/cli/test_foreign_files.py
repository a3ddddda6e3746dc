"""Run folders of strangers: links, pipes and devices in them hang nothing, and lead no command to another place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptexp.errors import GptexpError
from gptexp.files import DiskError
from gptexp.mirrors.wandb_folder import mark_synced, prepare_folder
from gptexp.mirrors.wandb_rows import FILES, copy_files
from gptexp.tracking.run_dir import RunDir
from gptexp.training.checkpoint import DamagedCheckpoint, list_checkpoints, load_checkpoint, save_checkpoint
from tests.cli.conftest import Call, TinyRuns

SECRET = "KEY=0123456789abcdefSECRETfedcba9876543210xy"

PLACES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "own device": lambda path: os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5)),
    "link": lambda path: path.symlink_to("/proc/self/environ"),
    "folder": Path.mkdir,
}
RUN_FILES = ("config.json", "result.json", "records.jsonl", "members.jsonl", "provenance.jsonl", "wandb.json", "lock")
COMMANDS = (
    ("runs", "list"),
    ("runs", "verify"),
    ("runs", "show", "{id}"),
    ("runs", "export", "{id}"),
    ("runs", "gc", "--dry-run"),
    ("sample", "{id}", "--tokens", "2"),
    ("claims",),
)


def put(path: Path, kind: str) -> None:
    """Put a special file in the place of `path`."""
    path.unlink(missing_ok=True)
    try:
        PLACES[kind](path)
    except PermissionError:
        pytest.skip("only root makes devices")


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports are written where one stands."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("name", RUN_FILES)
def test_no_command_hangs_on_a_special_run_file(
    call: Call, tiny_runs: TinyRuns, tmp_path: Path, name: str, kind: str
) -> None:
    """Whatever stands in a run file's place, every command ends in words, reads no secret and leaves it in place."""
    runs = tiny_runs.copy(tmp_path / "runs")
    path = runs.folder / runs.char / name
    put(path, kind)
    for command in COMMANDS:
        reply = call(*(word.format(id=runs.char) for word in command), "--runs-dir", str(runs.folder))
        assert "internal error" not in reply.err
        assert "PATH=" not in reply.out + reply.err
    verified = call("runs", "verify", "--runs-dir", str(runs.folder))
    if kind != "folder":
        assert verified.status == 1
        assert f"{runs.char}: {name} " in verified.out
    assert path.is_symlink() or path.exists()


def test_links_send_nothing_to_the_mirror(tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """Of a run's files only the JSON objects go to W&B: not what a link leads to, not what else a file holds."""
    runs = tiny_runs.copy(tmp_path / "runs")
    folder = runs.folder / runs.char
    sound = copy_files(folder)
    assert json.loads(sound["config"])["run_id"] == runs.char
    assert json.loads(sound["provenance"])["from_step"] == 0
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    with (folder / "provenance.jsonl").open("a") as file:
        file.write(f"{SECRET}\n")
    assert copy_files(folder) == sound
    for name in FILES.values():
        (folder / name).unlink()
        (folder / name).symlink_to(secret)
    assert copy_files(folder) == {"config": "", "members": "", "provenance": ""}


@pytest.mark.parametrize("options", [(), ("--weights",)])
@pytest.mark.parametrize("place", ["checkpoints", "checkpoints/step-00000006", "checkpoints/.step-x", ".records.x"])
def test_gc_deletes_nothing_outside(
    call: Call, tiny_runs: TinyRuns, tmp_path: Path, place: str, options: tuple[str, ...]
) -> None:
    """Cleaning through a linked folder of checkpoints, a linked checkpoint or a linked leftover leaves all outside."""
    runs = tiny_runs.copy(tmp_path / "runs")
    folder = runs.folder / runs.char
    victim = tmp_path / "victim"
    (folder / "checkpoints").rename(victim)
    (victim / ".step-old").mkdir()
    before = sorted(str(path) for path in victim.rglob("*"))
    if place != "checkpoints":
        (folder / "checkpoints").mkdir()
    (folder / place).symlink_to(victim if place != "checkpoints/step-00000006" else victim / "step-00000006")
    reply = call("runs", "gc", *options, "--runs-dir", str(runs.folder))
    assert reply.status == 0, reply.err
    assert sorted(str(path) for path in victim.rglob("*")) == before
    assert call("runs", "rm", runs.char, "--runs-dir", str(runs.folder)).status == 0
    assert sorted(str(path) for path in victim.rglob("*")) == before
    assert not folder.exists()


def test_a_linked_run_is_none(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """A linked run folder is told by the list and the verdict, and neither shown nor removed."""
    runs = tiny_runs.copy(tmp_path / "runs")
    (runs.folder / runs.char).rename(tmp_path / "elsewhere")
    (runs.folder / runs.char).symlink_to(tmp_path / "elsewhere")
    listed = call("runs", "list", "--runs-dir", str(runs.folder))
    assert "is a link" in " ".join((listed.out + listed.err).split())
    assert "there is no run" in call("runs", "rm", runs.char, "--runs-dir", str(runs.folder)).err
    assert (tmp_path / "elsewhere" / "config.json").exists()
    # The folder of all runs is the user's own to link.
    (tmp_path / "link").symlink_to(runs.folder)
    assert runs.gpt2 in call("runs", "list", "--runs-dir", str(tmp_path / "link")).out


def test_checkpoints_follow_no_link(tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """Weights are neither read nor written through a link."""
    import torch

    runs = tiny_runs.copy(tmp_path / "runs")
    run_dir = RunDir(runs.folder / runs.char)
    path = list_checkpoints(run_dir.checkpoints)[0]
    weights = path / "model.safetensors"
    weights.rename(tmp_path / "weights")
    weights.symlink_to(tmp_path / "weights")
    with pytest.raises(DamagedCheckpoint, match="it is a link"):
        load_checkpoint(path, torch.nn.Linear(2, 2))
    run_dir.checkpoints.rename(tmp_path / "victim")
    run_dir.checkpoints.symlink_to(tmp_path / "victim")
    assert list_checkpoints(run_dir.checkpoints) == []
    with pytest.raises(DiskError, match="a link"):
        save_checkpoint(run_dir.checkpoints, 9, torch.nn.Linear(2, 2), None, {})
    assert not list((tmp_path / "victim").glob("*9*"))


def test_the_client_of_wandb_gets_no_link_to_follow(tmp_path: Path) -> None:
    """A linked `wandb` is refused, links in it go, and offline parts go without what they link to."""
    run_dir = RunDir(tmp_path / "runs" / "0123456789ab")
    run_dir.path.mkdir(parents=True)
    victim = tmp_path / "victim"
    (victim / "offline-run-1").mkdir(parents=True)
    (victim / "offline-run-1" / "run-1.wandb").touch()
    (run_dir.path / "wandb").symlink_to(victim)
    mark_synced(run_dir)
    for anew in (True, False):
        with pytest.raises(GptexpError, match="a link or a file"):
            prepare_folder(run_dir, anew=anew)
    (run_dir.path / "wandb").unlink()
    (run_dir.path / "wandb" / "offline-run-2").mkdir(parents=True)
    (run_dir.path / "wandb" / "offline-run-1").symlink_to(victim / "offline-run-1")
    (run_dir.path / "wandb" / "debug.log").symlink_to(victim / "log")
    (run_dir.path / "wandb" / "offline-run-2" / "link").symlink_to(victim)
    prepare_folder(run_dir, anew=True)
    assert list((run_dir.path / "wandb").iterdir()) == []
    assert sorted(path.name for path in victim.rglob("*")) == ["offline-run-1", "run-1.wandb"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("place", ["/", "/etc/passwd", "/dev/zero", "pipe", "corpus.txt"])
def test_a_records_corpus_is_never_opened(tiny_runs: TinyRuns, tmp_path: Path, monkeypatch: Any, place: str) -> None:
    """Of a path in a stranger's record nothing is read and nothing is kept, whatever checksum stands beside it."""
    from gptexp.report.loaders import NotMeasured, measure_loaders
    from gptexp.runs.frames import load_frames
    from gptexp.runs.study_runs import select_studies

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path / "cache"))
    os.mkfifo("pipe")
    Path("corpus.txt").write_text("a text of the user's\n" * 200)
    runs = tiny_runs.copy(tmp_path / "runs")
    runs.edit(runs.char, "config.json", lambda content: content["corpus"].update(name=place))
    (study,) = select_studies(load_frames(runs.folder))
    assert study.arms[-1].runs.iloc[0]["run_id"] == runs.char
    with pytest.raises(NotMeasured, match="not in the cache"):
        measure_loaders(study, runs.folder)
    assert not (tmp_path / "cache").exists()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"n_embd": 60_000}, "the model of its config.json"),
        ({"n_layer": 10_000}, "the model of its config.json"),
        ({"block_size": 10**9}, "the model of its config.json"),
        ({"vocab_size": 10**9}, "the model of its config.json"),
        ({"vocab_size": None}, "no vocab_size"),
    ],
)
def test_no_model_is_made_that_its_weights_dont_fill(
    call: Call, tiny_runs: TinyRuns, tmp_path: Path, change: dict[str, Any], what: str
) -> None:
    """A config that asks for gigabytes gets one sentence from `sample`, at once, and makes no pack fail."""
    runs = tiny_runs.copy(tmp_path / "runs")
    runs.edit(runs.char, "config.json", lambda content: content["config"].update(change))
    reply = call("sample", runs.char, "--runs-dir", str(runs.folder))
    assert reply.status == 2
    assert what in " ".join(reply.err.split())
    assert "internal error" not in reply.err
    packed = call("runs", "pack", "--out", str(tmp_path / "pack"), "--runs-dir", str(runs.folder))
    assert "internal error" not in packed.err


def test_weights_of_another_size_are_said(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """A sparse file of a terabyte in the place of weights is not read."""
    runs = tiny_runs.copy(tmp_path / "runs")
    weights = list_checkpoints(runs.folder / runs.char / "checkpoints")[0] / "model.safetensors"
    with weights.open("r+b") as file:
        file.truncate(2**40)
    reply = call("sample", runs.char, "--runs-dir", str(runs.folder))
    assert "its weights have 1,048,576.0 MiB" in " ".join(reply.err.split())
