"""Finds and loads study, report and ledger files.

A file in the working directory takes precedence over a file of the same name that comes with gptexp.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar, get_args

import gptexp
from gptexp.errors import GptexpError, did_you_mean
from gptexp.files import explain, read_user_file
from gptexp.text import visible

FileKind = Literal["experiments", "reports", "reports/ledger"]
Declared = TypeVar("Declared")


def find_files(kind: FileKind) -> dict[str, Path]:
    """All study, report or ledger files: name (the file name without `.py`) -> path, sorted by name.

    Searched in this order: the folder in the working directory, the copy inside an installed package, the folder beside
    the package in a checkout. `my-study.py` in one folder hides `my_study.py` in a later one. Files whose names start
    with an underscore are helpers and are left out.
    """
    found: dict[str, Path] = {}
    for folder in reversed([folder.resolve() for folder in _folders(kind)]):
        here = [path for path in folder.glob("*.py") if not path.name.startswith("_") and path.is_file()]
        hidden = {flatten_name(path.stem) for path in here}
        found = {stem: path for stem, path in found.items() if flatten_name(stem) not in hidden}
        found.update({path.stem: path.resolve() if path.is_symlink() else path for path in here})
    return dict(sorted(found.items()))


def flatten_name(name: str) -> str:
    """A name with dashes replaced by underscores, so that `my-study` and `my_study` are equal."""
    return name.replace("-", "_")


def is_local(path: Path) -> bool:
    """Whether a file is the working directory's own and did not come with gptexp.

    Anybody may have written such a file, so commands print its path before they execute it.
    """
    package = Path(gptexp.__file__).resolve().parent
    shipped = [package / "builtin", *(package.parent / kind for kind in get_args(FileKind))]
    return not any(path.is_relative_to(folder) for folder in shipped)


def load_object(path: Path, attribute: str) -> Any:
    """Execute the Python file at `path` and return the object bound to `attribute`, for example `STUDY` or `REPORT`.

    The file is compiled each time, so no bytecode is written beside it.

    Raises:
        GptexpError: the file can't be read, raises an error (the message names file, line and error), or doesn't bind
            `attribute`.
    """
    name = f"gptexp_file_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    # Dataclasses with postponed annotations look up their module by name, so it must be registered.
    sys.modules[name] = module
    try:
        source = read_user_file(path)
    except OSError as error:
        raise GptexpError(f"{path} can't be read ({explain(error)}); check the path and its permissions") from error
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except OSError as error:
        raise GptexpError(f"{path} can't be read ({explain(error)}); check the path and its permissions") from error
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise GptexpError(describe_error(path, error)) from error
    if not hasattr(module, attribute):
        raise GptexpError(f"{path} doesn't define {attribute}; bind one with `{attribute} = ...`")
    return getattr(module, attribute)


def load_declared(kind: FileKind, what: str, name: str, attribute: str, of: type[Declared]) -> Declared:
    """Execute the file called `name` and return the object that it declares, such as `REPORT` of `reports/lesson.py`.

    If the file is in the working directory, a log message names it before it is executed.

    Args:
        what: the word for it in messages.
        of: the expected type.

    Raises:
        GptexpError: there is no such file (the message lists similar names), it fails, or the object has another type.
    """
    known = find_files(kind)
    if name not in known:
        raise GptexpError(f"there is no {what} {name!r}{did_you_mean(name, known)}")
    path = known[name]
    if is_local(path):
        logging.getLogger(__name__).warning("The %s %s is a file of this folder: %s", what, name, visible(str(path)))
    found = load_object(path, attribute)
    if not isinstance(found, of):
        expected = f"{of.__module__}.{of.__qualname__}"
        raise GptexpError(f"{path}: {attribute} is a {type(found).__name__}, expected {expected}")
    return found


def _folders(kind: FileKind) -> list[Path]:
    package = Path(gptexp.__file__).resolve().parent
    return [Path.cwd() / kind, package / "builtin" / kind, package.parent / kind]


def describe_error(path: Path, error: BaseException) -> str:
    """An error as `file, line n: error`, with the last line of this file in the traceback."""
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == str(path) else None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == str(path):
            line = frame.lineno
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    kind = "" if isinstance(error, GptexpError) else f"{type(error).__name__}: "
    where = f"{path}, line {line}" if line else str(path)
    return f"{where}: {kind}{' '.join(message.split()) or 'no message'}"
