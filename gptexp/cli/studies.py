"""The command studies: lists the named studies, or shows one in full."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from gptexp.cli.console import make_console, make_table
from gptexp.cli.options import json_option, print_json
from gptexp.errors import GptexpError
from gptexp.files import read_user_file
from gptexp.text import visible

if TYPE_CHECKING:
    from gptexp.studies.study import Study


@click.command("studies")
@click.argument("name", required=False)
@click.option("--fields", is_flag=True, help="List the config fields that --set and train take.")
@json_option
def studies_command(name: str | None, fields: bool, as_json: bool) -> None:
    """List the named studies and their questions, or show one in full.

    A study is a file in experiments/. A file that doesn't load is listed with the reason. To make the list, files in
    the working directory are read but not executed; showing one by NAME executes its file.

    \b
    Examples:
      gptexp studies
      gptexp studies lr-ablation
      gptexp studies --fields
      gptexp studies --json
    """
    if fields:
        if name is not None:
            raise GptexpError(f"--fields lists the fields of every study; leave out {name}, or --fields")
        if as_json:
            print_json("gptexp.fields/1", list_fields())
        else:
            print_fields(list_fields())
        return
    if name is None:
        rows = list_studies()
        if as_json:
            print_json("gptexp.studies/1", rows)
        else:
            print_studies(rows)
        return
    from gptexp.studies.study import find_study_file, load_study

    study, path = load_study(name), find_study_file(name)
    if as_json:
        print_json("gptexp.study/1", {**describe_study(name, path, study), "header": read_header(path)})
    else:
        print_study(describe_study(name, path, study), read_header(path))


def list_fields() -> list[dict[str, Any]]:
    """One dict per config field: name, type, default, and what it means."""
    from gptexp.config import RunConfig

    meanings = read_meanings()
    return [
        {
            "field": name,
            "type": str(field.annotation).replace("typing.", "").removeprefix("<class '").removesuffix("'>"),
            "default": field.default,
            "meaning": meanings.get(name, ""),
        }
        for name, field in RunConfig.model_fields.items()
    ]


def read_meanings() -> dict[str, str]:
    """Field -> the docstring below it in gptexp/config.py. Read on demand, because it would slow every start."""
    import gptexp.config

    found = {}
    for part in ast.parse(Path(gptexp.config.__file__).read_text(encoding="utf-8")).body:
        body = part.body if isinstance(part, ast.ClassDef) else []
        for field, text in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return found


def print_fields(rows: list[dict[str, Any]]) -> None:
    """Print the table of `studies --fields`."""
    console = make_console()
    table = make_table(console)
    table.add_column("field", no_wrap=True)
    table.add_column("default", no_wrap=True)
    table.add_column("meaning")
    for row in rows:
        table.add_row(row["field"], Text(repr(row["default"])), Text(row["meaning"] or row["type"]))
    console.print(table)


def list_studies() -> list[dict[str, Any]]:
    """One dict per study file, sorted by name. For a file that doesn't load, `error` says why and the rest is None.

    Files in the working directory are read without executing them: the user has not named them and may not have
    written them. Values that they don't write as literals are None.
    """
    from gptexp.studies.locate import find_files, is_local
    from gptexp.studies.outline import read_outline
    from gptexp.studies.study import load_study

    rows = []
    for stem, path in find_files("experiments").items():
        name = stem.replace("_", "-")
        try:
            if is_local(path):
                row = describe_study(name, path, None)
                outline = {key: value for key, value in read_outline(path).items() if key in row and key != "name"}
                rows.append({**row, **outline, "command": f"gptexp run {name}"})
            else:
                rows.append(describe_study(name, path, load_study(name)))
        except GptexpError as error:
            rows.append(describe_study(name, path, None, str(error)))
    return rows


def describe_study(name: str, path: Path, study: Study | None, error: str | None = None) -> dict[str, Any]:
    """A study as JSON-like data. `name` is the name on the command line, which is derived from the file name."""
    return {
        "name": name,
        "file": str(path),
        "was_run": study is not None,
        "question": study and study.question,
        "hypothesis": study and study.hypothesis,
        "source": study and study.source,
        "seeds": study and study.seeds,
        "settings": study and dict(study.settings),
        "scale_settings": study and {scale: dict(settings) for scale, settings in study.scale_settings.items()},
        "arms": study
        and [{"name": arm.name, "label": arm.label, "settings": dict(arm.settings)} for arm in study.arms],
        "command": study and f"gptexp run {name}",
        "error": error,
    }


def read_header(path: Path) -> str:
    """The docstring at the top of a study file; empty if there is none."""
    return ast.get_docstring(ast.parse(read_user_file(path))) or ""


def print_studies(rows: list[dict[str, Any]]) -> None:
    """Print name, number of arms and question of each study."""
    console = make_console()
    if not rows:
        console.print("No study files found: put one into the folder experiments/ of the working directory.")
        return
    table = make_table(console)
    table.add_column("study", no_wrap=True)
    table.add_column("arms", justify="right", no_wrap=True)
    table.add_column("question", overflow="fold")
    for row in rows:
        if row["error"]:
            table.add_row(Text(visible(row["name"])), "–", Text(f"does not load: {visible(row['error'])}", style="red"))
        else:
            arms = "?" if row["arms"] is None else str(len(row["arms"]))
            question = row["question"] or f"unknown until its file is executed: gptexp studies {row['name']}"
            table.add_row(Text(visible(row["name"])), arms, Text(visible(question)))
    console.print(table)
    local = [row["file"] for row in rows if not row["was_run"] and not row["error"]]
    if local:
        folder = visible(str(Path(local[0]).parent))
        console.print(Text(f"\n{len(local)} of them from {folder}, read but not executed."), soft_wrap=True)
    console.print("\n`gptexp studies NAME` shows one, `gptexp run NAME` runs it.")


def print_study(row: Mapping[str, Any], header: str) -> None:
    """Print the header of the file, the arms with their settings, and the command."""
    console = make_console()
    console.print(Text(visible(header or row["question"])), soft_wrap=True)
    table = make_table(console)
    table.add_column("arm", no_wrap=True)
    table.add_column("label", overflow="fold")
    table.add_column("settings", overflow="fold")
    for arm in row["arms"]:
        table.add_row(Text(arm["name"]), Text(visible(arm["label"])), Text(format_settings(arm["settings"]) or "–"))
    console.print()
    console.print(table)
    console.print()
    if row["settings"]:
        console.print(Text(f"All arms: {format_settings(row['settings'])}"))
    for scale, settings in row["scale_settings"].items():
        console.print(Text(f"At scale {scale}: {format_settings(settings)}"))
    console.print(Text(f"Seeds per arm: {row['seeds']}"))
    console.print(Text(f"File: {row['file']}"), soft_wrap=True)
    console.print(Text(f"Command: {row['command']}"), soft_wrap=True)


def format_settings(settings: Mapping[str, Any]) -> str:
    """Settings in the form of the command line: `lr=0.0006 schedule=constant`."""
    return visible(" ".join(f"{key}={value}" for key, value in settings.items()))
