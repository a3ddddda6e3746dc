"""Readers of the output that leave, take no more, or read no UTF-8."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gptexp
from gptexp.cli.comparison_table import print_comparison
from gptexp.cli.console import LEAST_WIDTH, make_console
from gptexp.cli.live import StudyView
from gptexp.cli.plan_table import print_plan
from gptexp.streams import Outlet, guard_streams
from gptexp.studies.events import Notice
from gptexp.studies.plan import plan_runs
from gptexp.studies.request import StudyRequest
from gptexp.studies.scales import find_scale
from gptexp.studies.study import Arm, Study
from tests.cli.conftest import TINY, Call, TinyRuns

CALLER = """
import json, os, sys
from gptexp.cli.main import main

def call(arguments, target):
    os.dup2(target, 1)
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)
    if target == targets["both"]:
        os.dup2(target, 2)
        sys.stderr = sys.__stderr__ = open(2, "w", closefd=False)
    sys.argv = ["gptexp", *arguments]
    try:
        main()
    except SystemExit as ended:
        return ended.code

if __name__ == "__main__":
    there = os.dup(1)
    reading, gone = os.pipe()
    os.close(reading)
    targets = {"gone": gone, "full": os.open("/dev/full", os.O_WRONLY), "both": os.dup(gone)}
    statuses = [call(arguments, targets[target]) for target, arguments in json.loads(sys.argv[1])]
    os.write(there, json.dumps(statuses).encode())
"""
"""Calls commands in one process, each with its own stdout: a pipe that nobody reads, or a full disk."""


def call_all(cases: list[tuple[str, list[str]]], folder: Path) -> tuple[list[int], str]:
    """The statuses of (target, arguments), and what stderr got."""
    script = folder / "caller.py"
    script.write_text(CALLER)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(script), json.dumps(cases)], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_a_listing_ends_well_whose_reader_has_left(tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """`gptexp runs list | head -1` is no failure, of whichever command; one that has more to say says it by status."""
    runs = ["--runs-dir", str(tiny_runs.folder)]
    commands = [
        ["--help"],
        ["studies"],
        ["studies", "lr-ablation"],
        ["studies", "--fields"],
        ["runs", "list", *runs],
        ["runs", "list", "--json", *runs],
        ["runs", "show", tiny_runs.char, *runs],
        ["runs", "compare", tiny_runs.char, tiny_runs.gpt2, *runs],
        ["runs", "export", tiny_runs.char, "--out", "-", *runs],
        ["runs", "verify", *runs],
        ["runs", "gc", "--dry-run", *runs],
        ["claims", *runs],
        ["trace", "The cat sat on the mat"],
    ]
    cases = [*(("gone", command) for command in commands), ("both", ["nosuch"])]
    (*statuses, of_none), errors = call_all(cases, tmp_path)
    assert of_none == 2
    assert dict(zip(map(" ".join, commands), statuses, strict=True)) == dict.fromkeys(map(" ".join, commands), 0)
    assert errors == ""


def test_a_full_disk_under_the_output_is_said(tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """What a listing could not write is an error with its reason, in a table, as JSON and as bytes."""
    runs = ["--runs-dir", str(tiny_runs.folder)]
    commands = [["runs", "list", *runs], ["studies", "--json"], ["runs", "export", tiny_runs.char, "--out", "-", *runs]]
    statuses, errors = call_all([("full", command) for command in commands], tmp_path)
    assert statuses == [1, 1, 1]
    sentence = "gptexp: the output can't be written (no space left on device); send the output elsewhere"
    assert errors.splitlines() == [sentence] * 3


@pytest.mark.parametrize("target", ["gone", "full"])
def test_a_study_goes_on_whose_viewer_has_left(target: str, tiny_corpus: Path, tmp_path: Path) -> None:
    """Training ends as it would have, and stderr says once that it does."""
    tiny = ["n_layer=1", "n_embd=16", "n_head=2", "block_size=16", "batch_size=2", "max_steps=3", "eval_steps=1"]
    command = ["train", "--scale", "quick", "--corpus", str(tiny_corpus), "--wandb", "disabled", *tiny]
    statuses, errors = call_all([(target, command)], tmp_path)
    assert statuses == [0]
    assert errors.count("the runs go on to the end, and are recorded") == len(errors.splitlines()) == 1
    (result,) = tmp_path.glob("runs/*/result.json")
    assert json.loads(result.read_text())["outcome"] == "completed"


def test_closed_streams_get_no_file(tmp_path: Path) -> None:
    """Started without stdin, stdout and stderr, no file that is opened later takes their place and what is printed."""
    code = f"""
from gptexp.studies.plan import plan_runs
from gptexp.studies.events import Notice
from gptexp.studies.scales import find_scale
from gptexp.studies.request import StudyRequest
from gptexp.studies.study import Arm, Study
from gptexp.streams import guard_streams
guard_streams()
file = open({str(tmp_path / "mine")!r}, "w")
import os, sys
os.write(1, b"stray"); os.write(2, b"stray"); print("stray"); print("stray", file=sys.stderr); sys.stdin.read()
file.write("mine")
"""
    done = subprocess.run(
        f'exec "{sys.executable}" -c "$CODE" <&- >&- 2>&-', shell=True, env={**os.environ, "CODE": code}
    )
    assert done.returncode == 0
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("ascii", b"a -> b - \\u65e5 \\udcff"),
        ("cp1252", b"a -> b \x96 \\u65e5 \\udcff"),
        ("latin-1", b"a -> b - \\u65e5 \\udcff"),
        ("utf-8", b"a \xe2\x86\x92 b \xe2\x80\x93 \xe6\x97\xa5 \\udcff"),
    ],
)
def test_any_encoding_can_be_written(encoding: str, written: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the reader's encoding lacks is spelled: our own signs in ASCII, the rest as escapes."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    guard_streams()
    print("a → b – 日 \udcff", end="")
    assert stream.buffer.getvalue() == written  # type: ignore[attr-defined]


def test_a_pipe_that_is_full_for_now_is_waited_for() -> None:
    """A shared pipe that somebody made non-blocking loses nothing."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    stream = io.BufferedWriter(Outlet(writing))
    reader = subprocess.Popen(["wc", "-c"], stdin=reading, stdout=subprocess.PIPE)
    os.close(reading)
    stream.write(b"x" * 1_000_000)
    stream.flush()
    os.close(writing)
    assert reader.communicate()[0].strip() == b"1000000"


def test_a_broken_pipe_of_something_else_is_an_error(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken for the reader of stdout that left, and ended in silence."""

    def fail() -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("gptexp.cli.studies.list_studies", fail)
    reply = call("studies")
    assert reply.status == 1
    assert "Broken pipe" in reply.err


def test_a_folder_that_was_deleted_is_said(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command needs one to stand in; its help doesn't."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for command in (["studies"], ["runs", "list"], ["doctor"], ["train"]):
        reply = call(*command)
        assert reply.status == 2
        assert reply.sentences() == ["gptexp: the current folder no longer exists; change to another one (cd)"]
    assert call("--help").status == 0
    monkeypatch.chdir(tmp_path)


def test_one_place_makes_consoles_and_prints() -> None:
    """A console of rich's own would end the process with its reader, and let text steer the terminal; so would echo."""
    package = Path(gptexp.__file__).parent
    found = []
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Console", "print", "click.echo", "Progress"):
                found.append((path.relative_to(package).as_posix(), ast.unparse(node)))
    assert {place for place, text in found if text.startswith("Console(")} == {"cli/console.py"}
    printing = {place for place, text in found if text.startswith("print(")}
    # Cells of the notebook, the lesson's own code and a script print where no command of ours is.
    assert {place for place in printing if not place.startswith(("notebook/", "lesson/"))} == {
        *("streams.py", "comparisons/simulate.py")
    }
    assert [text for place, text in found if text.startswith("click.echo(") and place == "cli/runs.py"] == [
        "click.echo(data, nl=False)"
    ]
    places = {place for place, text in found if text.startswith("click.echo(")}
    assert places == {"cli/terminal.py", "cli/options.py", "cli/runs.py"}
    assert all("console=" in text for place, text in found if text.startswith("Progress(") and "cli/" in place)


@pytest.mark.parametrize("columns", ["0", "1", "17"])
def test_a_terminal_without_a_width_gets_a_table(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """COLUMNS=0 or 1 is no reason to print one letter a line."""
    monkeypatch.setenv("COLUMNS", columns)
    assert make_console().width == LEAST_WIDTH


def test_text_can_t_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a command forgets to spell out is spelled out by the console; colons make no emoji."""
    make_console().print("a\x1b]0;title\x07 b\u202ec :x: \u2066d")
    assert capsys.readouterr().out == "a\\u001b]0;title b\\u202ec :x: \\u2066d\n"


EVIL = "[red]x[/red] :x: \\ \x1b[2J\u202e"
SHOWN = "[red]x[/red] :x: \\ \\u001b[2J\\u202e"


def test_words_of_others_are_text_in_every_table(
    call: Call, tiny_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Brackets, colons, backslashes and controls of a setting, a label, an error or a result stay what they are."""
    reply = call("plan", EVIL)
    assert "\x1b" not in reply.err
    assert "\u202e" not in reply.err
    study = Study(
        name="evil", question=EVIL, hypothesis="", source="", arms=(Arm("one", EVIL), Arm("two", "2", {"lr": 1e-3}))
    )
    request = StudyRequest(study, find_scale("quick"), 1, {**TINY, "sample_prompt": EVIL}, str(tiny_corpus))
    planned = plan_runs([request], Path("nowhere"))
    capsys.readouterr()
    print_plan(planned, 1)
    view = StudyView(planned, make_console(piped_width=200))
    view.on_event(planned[0].run.run_id, Notice(EVIL))
    view.on_end(planned[0].run.run_id, None, EVIL)
    print_comparison(planned, {})
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert f"sample_prompt={SHOWN}" in " ".join(out.split())
    assert out.count("[red]x[/red] :x:") >= 6


def test_an_export_to_a_terminal_is_visible(
    call: Call, tiny_runs: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes are a pipe's; what stands in a sample can't steer a terminal."""
    runs = tiny_runs.copy(tmp_path / "runs")
    record = {"kind": "event", "step": 6, "name": "\u202e", "detail": "\x1b[2J"}
    with (runs.folder / runs.char / "records.jsonl").open("a") as log:
        log.write(json.dumps(record) + "\n")
    command = ("runs", "export", runs.char, "--out", "-", "--runs-dir", str(runs.folder))
    assert "\x1b[2J" in call(*command).out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    out = call(*command).out
    assert "\x1b" not in out
    assert "\\u001b[2J" in out


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a cursor can't be moved no view is redrawn: it would show nothing until the end."""
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("FORCE_COLOR", "1")
    view: Any = StudyView([], make_console())
    assert view._live is None
