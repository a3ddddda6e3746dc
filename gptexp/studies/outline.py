"""Reads the literal values of a study file without executing it."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gptexp.errors import GptexpError
from gptexp.files import explain, read_user_file
from gptexp.studies.locate import describe_error
from gptexp.studies.study import Arm, Study

STUDY_TYPES = {"name": str, "question": str, "hypothesis": str, "source": str, "seeds": int}
ARM_TYPES = {"name": str, "label": str}
SETTINGS = ("settings", "scale_settings")


def read_outline(path: Path) -> dict[str, Any]:
    """The fields of a file's `STUDY = Study(...)`, with arms as dicts. The file is not executed.

    Returns:
        Every field of a Study. None for fields that aren't literals, and for all fields if STUDY isn't a `Study(...)`
        call.

    Raises:
        GptexpError: the file can't be read, is not Python, or doesn't bind STUDY.
    """
    try:
        tree = ast.parse(read_user_file(path), str(path))
    except OSError as error:
        raise GptexpError(f"{path} can't be read ({explain(error)}); check the path and its permissions") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise GptexpError(describe_error(path, error)) from None
    bound = _find_value(tree)
    if bound is None and not any("STUDY" in _list_names(node) for node in ast.walk(tree)):
        raise GptexpError(f"{path} doesn't define STUDY; bind one with `STUDY = ...`")
    given = _read_call(bound, "Study", [field.name for field in dataclasses.fields(Study)])
    outline = {field.name: _read_default(field) if bound and given else None for field in dataclasses.fields(Study)}
    outline.update({name: _read_value(name, node, STUDY_TYPES) for name, node in given.items() if name in outline})
    outline["arms"] = _read_arms(given.get("arms"))
    return outline


def _find_value(tree: ast.Module) -> ast.expr | None:
    """The expression of the last assignment to STUDY at the top level of the file."""
    found = None
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == "STUDY" for target in node.targets):
            found = node.value
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "STUDY":
            found = node.value
    return found


def _list_names(node: ast.AST) -> list[str]:
    """The names that a syntax node may bind."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    return [node.asname or node.name, *(["STUDY"] if node.name == "*" else [])] if isinstance(node, ast.alias) else []


def _read_call(node: ast.expr | None, of: str, names: list[str]) -> dict[str, ast.expr]:
    """Field name -> argument of a call of the class `of`; empty if `node` is not such a call."""
    if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] != of:
        return {}
    given = dict(zip(names, node.args, strict=False))
    return {**given, **{keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}}


def _read_default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _read_value(name: str, node: ast.expr, types: Mapping[str, type]) -> Any:
    """The literal value of a field; None if it is not a literal of the field's type."""
    with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        value = ast.literal_eval(node)
        if name in SETTINGS:
            # dict() also accepts a sequence of pairs.
            return dict(value)
        return value if isinstance(value, types.get(name, object)) else None
    return None


def _read_arms(node: ast.expr | None) -> list[dict[str, Any]] | None:
    if not isinstance(node, ast.Tuple | ast.List):
        return None
    names = [field.name for field in dataclasses.fields(Arm)]
    calls = [_read_call(element, "Arm", names) for element in node.elts]
    if not all(calls):
        return None
    blank: dict[str, Any] = {"name": None, "label": None, "settings": {}}
    return [
        {**blank, **{name: _read_value(name, value, ARM_TYPES) for name, value in call.items() if name in blank}}
        for call in calls
    ]
