"""Builds the notebook's two editions and the instructor's page from their source."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import gptexp
from gptexp.errors import GptexpError
from gptexp.files import disk_errors, explain, is_file, kind_of, make_folder, read_bytes, read_user_file, write_atomic
from gptexp.notebook.instructor import write_page
from gptexp.notebook.percent import Cell, Edition, read_cells, take_edition

SOURCE = "4-3-2-pretraining.py"
EDITIONS: dict[str, Edition] = {"4-3-2-pretraining.ipynb": "student", "4-3-2-pretraining-solved.ipynb": "solved"}
"""File name -> edition. The student's has the name that the lesson gives it."""
PAGE = "instructor.md"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def find_source() -> Path:
    """The source file: inside an installed package, or beside the package in a checkout.

    Raises:
        GptexpError: it is in neither place.
    """
    package = Path(gptexp.__file__).resolve().parent
    places = [package / "builtin/reports/notebook" / SOURCE, package.parent / "reports/notebook" / SOURCE]
    for place in places:
        if is_file(place):
            return place
    raise GptexpError(f"the notebook's source {SOURCE} is missing from this installation; reinstall gptexp")


def build_files() -> dict[str, bytes]:
    """Every file of the notebook by its name, made from the source. The same source gives the same bytes.

    Raises:
        GptexpError: the source is missing or wrong, or nbformat is not installed.
    """
    path = find_source()
    try:
        cells = read_cells(read_user_file(path).decode())
    except OSError as error:
        raise GptexpError(f"{path} can't be read ({explain(error)})") from error
    files = {name: _write_notebook(take_edition(cells, edition)) for name, edition in EDITIONS.items()}
    return {**files, PAGE: write_page(cells).encode()}


def write_files(folder: Path, *, replace: bool = False) -> list[Path]:
    """Write the files into `folder`, which is made where it isn't there; returns their paths.

    Args:
        replace: write over files with another content, too: a notebook in which somebody has worked is one.

    Raises:
        GptexpError: there are such files, or the folder can't be written.
    """
    files = build_files()
    for name, content in files.items():
        if not replace and kind_of(folder / name) is not None and not _holds(folder / name, content):
            raise GptexpError(
                f"{folder / name} is there and was changed, or comes from another gptexp; nothing is written over it: "
                f"name another folder with --out, or add --replace if nobody needs it"
            )
    with disk_errors(folder):
        make_folder(folder)
    for name, content in files.items():
        write_atomic(folder / name, content)
    return [folder / name for name in files]


def _holds(path: Path, content: bytes) -> bool:
    try:
        return read_bytes(path) == content
    except OSError:
        return False


def find_drift(folder: Path) -> list[str]:
    """What in `folder` is not what the source gives, one sentence each; empty where all of it is."""
    problems = []
    for name, content in build_files().items():
        try:
            found = read_bytes(folder / name)
        except FileNotFoundError:
            problems.append(f"{name} is missing")
            continue
        except OSError as error:
            problems.append(f"{name} can't be read ({explain(error)})")
            continue
        if found != content:
            problems.append(f"{name} is not what the source gives today")
    return problems


def _write_notebook(cells: list[tuple[Cell, str]]) -> bytes:
    """The cells as a notebook file: no outputs, no times, and ids that follow from the texts."""
    try:
        import nbformat
    except ImportError:
        raise GptexpError(
            "building the notebook needs nbformat; install it with `pip install 'gptexp[notebook]'`"
        ) from None
    # Half of nbformat has no types.
    v4: Any = nbformat.v4
    write: Any = nbformat.writes
    seen: Counter[str] = Counter()
    made = []
    for cell, text in cells:
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        seen[digest] += 1
        make = v4.new_markdown_cell if cell.is_markdown else v4.new_code_cell
        cell_id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        made.append(make(text, id=cell_id, metadata={"exercise": cell.exercise} if cell.exercise else {}))
    notebook = v4.new_notebook(cells=made, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})
    nbformat.validate(notebook)
    return f"{write(notebook).rstrip()}\n".encode()
