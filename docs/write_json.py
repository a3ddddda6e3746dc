"""Writes docs/json.md and docs/json.schema.json from the models in gptexp/cli/documents.

Command:  python docs/write_json.py            (writes both)
          python docs/write_json.py --check    (exit status 1 where one is not what the models give)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from gptexp.cli.documents import machine, models, reports, runs, studies
from gptexp.cli.documents.base import Document, Error

DOCS = Path(__file__).resolve().parent
MODULES = (studies, runs, reports, models, machine)
HEAD = """# What `--json` prints

Every command that prints results takes `--json`. Then stdout holds JSON and nothing else; progress, tables and warnings
go to stderr. Exit statuses are the same: 0 all runs have a result, 1 a run failed (or a check found something), 2 the
request was wrong, 130 interrupted.

- Each object says in `format` what it is, by name and version: `"format": "gptexp.runs/1"`. A command that lists prints
  an array of such objects (`[]` where there is none). One that goes on for long prints one object a line.
- A command that ends without its result prints a line like
  `{"format": "gptexp.error/1", "error": "there is no study 'nope'...", "exit_status": 2}`.
- **Within a version fields are only added**: none is removed or renamed, and none changes its type, unit or meaning.
  Whatever reads these documents should pass over fields that it doesn't know.
- It is strict JSON in ASCII. A number that is not finite is one of the strings `"NaN"`, `"Infinity"`, `"-Infinity"`;
  what was not measured is `null`.
- Losses are nats per token.

The same as JSON Schema: [json.schema.json](json.schema.json), under `formats`. Both files are made from
`gptexp/cli/documents` by `python docs/write_json.py`, and tests hold them against what the commands print.
"""
SHAPES = {"object": "One object.", "list": "An array of these.", "lines": "One object a line."}


def list_documents() -> list[type[Document]]:
    """Every format, in the order of the modules."""
    found = [
        value
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Document)
        and value.__module__ == module.__name__
        and "format" in value.model_fields
    ]
    return [*found, Error]


def name_format(document: type[Document]) -> str:
    """`gptexp.runs/1`."""
    return str(document.model_json_schema()["properties"]["format"]["const"])


def make_schema() -> dict[str, Any]:
    """`formats` by name, each with its commands, shape and schema, and the `$defs` that schemas refer to."""
    documents = list_documents()
    _, schema = models_json_schema([(document, "validation") for document in documents])
    formats = {
        name_format(document): {
            "commands": list(document.commands),
            "shape": document.shape,
            "schema": {"$ref": f"#/$defs/{document.__name__}"},
        }
        for document in documents
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What gptexp's --json prints",
        "formats": formats,
        "$defs": drop_titles(schema["$defs"]),
    }


def drop_titles(value: Any) -> Any:
    """Without the titles that pydantic makes of names."""
    if isinstance(value, dict):
        return {
            key: drop_titles(content)
            for key, content in value.items()
            if key != "title" or not isinstance(content, str)
        }
    return [drop_titles(content) for content in value] if isinstance(value, list) else value


def write_page(schema: dict[str, Any]) -> str:
    """docs/json.md."""
    return "\n".join(
        [HEAD, *(write_section(name, about, schema["$defs"]) for name, about in schema["formats"].items())]
    )


def write_section(name: str, about: dict[str, Any], models: dict[str, Any]) -> str:
    """One format: its commands, and a row for each field."""
    model = models[about["schema"]["$ref"].rpartition("/")[2]]
    commands = ", ".join(f"`{word}`" if word.startswith("gptexp") else word for word in about["commands"])
    lines = [f"## {name}", "", f"{commands}. {SHAPES[about['shape']]} {' '.join(model['description'].split())}", ""]
    lines += ["| field | type | meaning |", "|---|---|---|"]
    lines += [f"| `{path}` | {kind} | {meaning} |" for path, kind, meaning in list_fields(model, models, "")]
    return "\n".join([*lines, ""])


def list_fields(model: dict[str, Any], models: dict[str, Any], prefix: str) -> list[tuple[str, str, str]]:
    """(path, type, meaning) of each field, those of objects within it behind it: `trials[].rank`."""
    rows = []
    for name, field in model["properties"].items():
        kind, inner, mark = describe_type(field)
        missing = "" if name in model.get("required", ()) else ", may be missing"
        meaning = " ".join(field.get("description", "").split())
        if inner and not meaning:
            meaning = " ".join(models[inner]["description"].split())
        rows.append((f"{prefix}{name}", f"{kind}{missing}", meaning.replace("|", "\\|")))
        if inner:
            rows += list_fields(models[inner], models, f"{prefix}{name}{mark}.")
    return rows


def describe_type(field: dict[str, Any]) -> tuple[str, str | None, str]:
    """A type in words, the model that it holds if any, and how its fields are reached from it."""
    if "anyOf" in field:
        found = [describe_type(one) for one in field["anyOf"]]
        words = ["number" if word == '"NaN", "Infinity", "-Infinity"' else word for word, _, _ in found]
        inner = next(((one, mark) for _, one, mark in found if one), (None, ""))
        return " or ".join(dict.fromkeys(words)), *inner
    if "$ref" in field:
        return "object", field["$ref"].rpartition("/")[2], ""
    if "enum" in field or "const" in field:
        return ", ".join(f'"{word}"' for word in field.get("enum", [field.get("const")])), None, ""
    if field.get("type") == "array":
        kind, inner, mark = describe_type(field["items"])
        return f"list of {kind}s" if kind.isalpha() else f"list ({kind})", inner, f"[]{mark}"
    content = field.get("additionalProperties")
    if field.get("type") == "object" and isinstance(content, dict):
        kind, inner, mark = describe_type(content)
        return f"object of {kind}s" if kind.isalpha() else f"object ({kind})", inner, f".*{mark}"
    return str(field.get("type", "anything")), None, ""


def main() -> int:
    """Write both files, or hold them against the models."""
    schema = make_schema()
    texts = {"json.md": write_page(schema), "json.schema.json": json.dumps(schema, indent=1) + "\n"}
    if "--check" not in sys.argv[1:]:
        for name, text in texts.items():
            (DOCS / name).write_text(text, encoding="utf-8")
        return 0
    old = [name for name, text in texts.items() if (DOCS / name).read_text(encoding="utf-8") != text]
    for name in old:
        print(
            f"docs/{name} is not what gptexp/cli/documents gives; python docs/write_json.py writes it", file=sys.stderr
        )
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
