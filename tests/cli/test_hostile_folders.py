"""A run folder in which any field holds anything: it costs that run at most, never the rest, and never a traceback."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gptexp.cli.main import main
from tests.cli.conftest import TinyRuns, drop_checksums

BAD_TEXTS = [
    "\x00",
    "\x0c",
    "\x1b]0;x\x07",
    "\ufffe",
    "\ud800",
    "\u202eabc",
    "[red]x[/red]",
    "<script>",
    "x" * 5000,
    "",
]
BAD_VALUES: list[Any] = [
    *(f"a{text}b" for text in BAD_TEXTS),
    None,
    True,
    -1,
    0.5,
    10**30,
    10**400,
    -(2**63) - 1,
    float("inf"),
    float("nan"),
    [],
    ["x"],
    {},
    {"a": {"b": []}},
    {"a": 1},
]
"""What stands in the place of a value. `nested` and `missing` come besides."""
FILES = ["config.json", "result.json", "members.jsonl", "provenance.jsonl", "records.jsonl", "wandb.json"]


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of each value in plain data, of the whole as well."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, content in items:
        yield from paths_in(content, (*path, key))


def replace_at(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """`value` with `new` at a place; `missing` takes the place away."""
    if not path:
        return new
    copy = value.copy()
    if new == "missing" and len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = replace_at(copy[path[0]], path[1:], new)
    return copy


def write_value(value: Any) -> str:
    """JSON, with infinity written as a number that is too large, and `nested` as lists without end."""
    text = json.dumps(value).replace("Infinity", "1e999")
    return text.replace('"nested"', "[" * 400 + "]" * 400)


def damage(folder: Path, chance: random.Random) -> str:
    """Change one value in one file of a run; says what."""
    name = chance.choice(FILES)
    path = folder / name
    lines = path.read_text().splitlines() if name.endswith("l") else [path.read_text()]
    number = chance.randrange(len(lines))
    content = json.loads(lines[number])
    place = chance.choice(list(paths_in(content))[1:])
    new = chance.choice([*BAD_VALUES, "nested", "missing"])
    lines[number] = write_value(replace_at(content, place, new))
    path.write_text("\n".join(lines) + "\n")
    return f"{name}, line {number + 1}: {place} is {str(new)[:40]!r}"


@pytest.fixture
def hostile(tiny_runs: TinyRuns, tmp_path: Path) -> TinyRuns:
    """Two runs that a test may damage, each with a W&B address."""
    runs = tiny_runs.copy(tmp_path / "runs")
    place = {"entity": "me", "project": "p", "name": "n", "url": "https://example.org", "whole": True}
    for run_id in (runs.gpt2, runs.char):
        (runs.folder / run_id / "wandb.json").write_text(json.dumps(place))
        shutil.rmtree(runs.folder / run_id / "checkpoints")
    return runs


@pytest.mark.parametrize(
    ("seed", "many", "every"), [(20261125, 40, 8), pytest.param(15, 75, 3, marks=pytest.mark.slow)]
)
def test_one_bad_value_costs_one_run_at_most(
    seed: int,
    many: int,
    every: int,
    hostile: TinyRuns,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever stands in one run, no command ends in an internal error, and the other run is listed and reported.

    `many` changes are tried, of which every so many also on the commands that read all records.
    """
    monkeypatch.chdir(tmp_path)
    folder, other = str(hostile.folder), hostile.gpt2
    sound = tmp_path / "sound"
    hostile.copy(sound)
    chance = random.Random(seed)
    problems = []

    def call(*arguments: str) -> tuple[Any, str, str]:
        monkeypatch.setattr("sys.argv", ["gptexp", *arguments, "--runs-dir", folder])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    for turn in range(many):
        shutil.rmtree(hostile.folder / hostile.char)
        shutil.copytree(sound / hostile.char, hostile.folder / hostile.char)
        if chance.random() < 0.7:
            drop_checksums(hostile.folder / hostile.char)
        what = damage(hostile.folder / hostile.char, chance)
        commands = {
            "list": ("runs", "list"),
            "json": ("runs", "list", "--json"),
            "show": ("runs", "show", hostile.char),
            "show json": ("runs", "show", hostile.char, "--json"),
            "compare": ("runs", "compare", other, hostile.char),
            "export": ("runs", "export", hostile.char, "--out", str(tmp_path / "out.csv")),
            "verify": ("runs", "verify"),
            "gc": ("runs", "gc", "--dry-run"),
        }
        if turn % every == 0:
            commands["report"] = ("report", "--out", str(tmp_path / "page"))
            commands["claims"] = ("claims",)
            commands["pack"] = ("runs", "pack", "--out", str(tmp_path / "packed"))
        for name, arguments in commands.items():
            status, out, err = call(*arguments)
            if "internal error" in err or status not in (0, 1, 2):
                problems.append(f"{what}: {name}: {err.strip()[-200:]}")
            if name in ("list", "json") and other not in out:
                problems.append(f"{what}: {name} has lost the other run")
            if name == "report" and (status or other not in (tmp_path / "page" / "manifest.json").read_text()):
                problems.append(f"{what}: the page has lost the other run: {err.strip()[-200:]}")
            if any(char in out + err for char in "\x1b\u202e\x00"):
                problems.append(f"{what}: {name} steers the terminal")
    assert problems == []
