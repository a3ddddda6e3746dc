from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gptexp.cli.main import COMMANDS, cli
from tests.cli.conftest import Call, TinyRuns, drop_checksums

HEAVY = ("torch", "wandb", "pandas")
QUICK_S = 0.4
TRIES = 12
N_RUNS = 100

RUNS_WORDS = ("list", "show", "export", "compare", "verify", "pack", "sync", "rm", "gc")
ALL_WORDS = [*COMMANDS, *(f"runs {name}" for name in RUNS_WORDS)]

BAD_INPUT = {
    "unknown command": ["rnu"],
    "unknown subcommand": ["runs", "lits"],
    "unknown option": ["trace", "a b", "--nope"],
    "run: unknown study": ["run", "lr-ablashun"],
    "run: unknown field": ["run", "lr-ablation", "--set", "learning_rate=1"],
    "run: unknown tracker": ["run", "lr-ablation", "--tracker", "wandbb"],
    "run: unknown launcher": ["run", "lr-ablation", "--launcher", "locale"],
    "plan: unknown scale": ["plan", "lr-ablation", "--scale", "huge"],
    "train: no assignment": ["train", "lr"],
    "sweep: no such file": ["sweep", "no-such-sweep.yaml"],
    "sweep: no YAML mapping": ["sweep", "pyproject.toml"],
    "report: unknown report": ["report", "no-such-report"],
    "report: unknown scale": ["report", "--scale", "huge"],
    "claims: unknown claim": ["claims", "initial-los"],
    "claims: unknown ledger": ["claims", "--ledger", "nope"],
    "studies: unknown study": ["studies", "lr-ablashun"],
    "runs list: unknown scale": ["runs", "list", "--scale", "huge"],
    "runs list: unknown outcome": ["runs", "list", "--outcome", "fine"],
    "runs show: no such run": ["runs", "show", "abc"],
    "runs export: no such run": ["runs", "export", "abc", "--format", "csv"],
    "runs export: unknown format": ["runs", "export", "abc", "--format", "xlsx"],
    "runs compare: no such run": ["runs", "compare", "abc", "def"],
    "runs pack: no runs": ["runs", "pack", "--out", "packed"],
    "runs sync: nobody is logged in": ["runs", "sync"],
    "sample: no such run": ["sample", "abc"],
    "sample: negative temperature": ["sample", "abc", "--temperature", "-1"],
    "trace: too short": ["trace", "a"],
    "trace: empty": ["trace", ""],
    "doctor: too many words": ["doctor", "please"],
}
PASSED_OVER = {
    "leave out --to-wandb": ["report", "lesson", "--check", "--to-wandb"],
    "leave out --replace": ["notebook", "--check", "--replace"],
    "leave out lr-ablation": ["studies", "lr-ablation", "--fields"],
    "--precision says which": ["bench", "--scale", "quick", "--set", "precision=bf16"],
}
"""What is said -> options of which one would do nothing."""


def all_commands() -> dict[str, click.Command]:
    """Every command by the words that call it, subcommands too."""
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found.update({f"{name} {sub}": inner for sub, inner in command.commands.items()})
    return found


@pytest.fixture
def many_runs(tiny_runs: TinyRuns, tmp_path: Path) -> Path:
    """A hundred finished runs."""
    original = tiny_runs.folder / tiny_runs.gpt2
    names = ("config.json", "provenance.jsonl", "members.jsonl", "records.jsonl", "result.json")
    texts = {name: (original / name).read_text().replace(tiny_runs.gpt2, "{run_id}") for name in names}
    for number in range(N_RUNS):
        folder = tmp_path / "many" / f"{number:012x}"
        folder.mkdir(parents=True)
        for name, text in texts.items():
            changed = text.replace("{run_id}", folder.name).replace('"seed": 1337', f'"seed": {number}')
            (folder / name).write_text(changed)
        drop_checksums(folder)
    return tmp_path / "many"


@pytest.mark.parametrize("arguments", [["--help"], ["studies"], ["runs", "list"]], ids=" ".join)
def test_commands_that_only_look_answer_at_once(arguments: list[str], many_runs: Path, tmp_path: Path) -> None:
    """Help, the studies and the list of a hundred runs take under 0.4 s, without torch, wandb or pandas.

    Seconds of processor time: what it takes on a machine that has nothing else to do. The bytecode is compiled by the
    first call, as it is where gptexp was installed.
    """
    environment = {**os.environ, "GPTEXP_RUNS_DIR": str(many_runs), "PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-X", "importtime", "-m", "gptexp", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    command = [sys.executable, "-m", "gptexp", *arguments]
    fastest = float("inf")
    for _ in range(TRIES):  # other programs may slow one try down, but not make one faster
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, env=environment, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        fastest = min(fastest, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if fastest < QUICK_S:
            break
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert imported.isdisjoint(HEAVY)
    completed = [line for line in done.stdout.splitlines() if " tiny " in line and "completed" in line]
    assert len(completed) == (N_RUNS if arguments == ["runs", "list"] else 0)
    assert fastest < QUICK_S


def test_help_of_no_command_imports_what_is_heavy() -> None:
    """`gptexp COMMAND --help` imports neither torch nor wandb nor pandas, for every command and subcommand."""
    script = (
        "import sys, click\n"
        "from tests.cli.test_help import all_commands, HEAVY\n"
        "for name, command in all_commands().items():\n"
        "    command.get_help(click.Context(command, info_name=name))\n"
        "    assert not [module for module in HEAVY if module in sys.modules], name\n"
    )
    # pytest and the fixtures are stubbed out, so that only what the commands import is seen.
    stubs = (
        "import sys, types, unittest.mock as mock\n"
        "sys.modules['pytest'] = mock.MagicMock()\n"
        "sys.modules['tests.cli.conftest'] = mock.MagicMock()\n"
    )
    done = subprocess.run([sys.executable, "-c", stubs + script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", ALL_WORDS)
def test_every_command_has_an_example_in_its_help(words: str) -> None:
    """The help of each command shows how it is typed, on a line of its own."""
    command = all_commands()[words]
    lines = [line.strip() for line in command.get_help(click.Context(command, info_name=words)).splitlines()]
    assert "Examples:" in lines
    assert any(line.startswith(f"gptexp {words}") for line in lines[lines.index("Examples:") :])


def test_no_subcommand_is_missing_above() -> None:
    """The list of commands that need an example is the list of commands."""
    assert set(all_commands()) == set(ALL_WORDS)


@pytest.mark.parametrize("arguments", BAD_INPUT.values(), ids=list(BAD_INPUT))
def test_bad_input_exits_2_with_one_sentence(
    arguments: list[str], call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with a request is said in one line on stderr, and nothing else is printed or written."""
    monkeypatch.setenv("GPTEXP_RUNS_DIR", str(tmp_path / "runs"))
    reply = call(*arguments)
    assert reply.status == 2
    assert reply.out == ""
    assert len(reply.sentences()) == 1
    assert "Traceback" not in reply.err
    assert "internal error" not in reply.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("said", "arguments"), PASSED_OVER.items())
def test_an_option_that_would_do_nothing_is_refused(call: Call, said: str, arguments: list[str]) -> None:
    """One sentence that names it, before anything is done."""
    reply = call(*arguments)
    assert (reply.status, len(reply.sentences())) == (2, 1)
    assert said in reply.err
