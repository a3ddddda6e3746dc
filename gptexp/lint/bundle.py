"""The numbers of a report that was made: those of its tables."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from gptexp.errors import GptexpError
from gptexp.files import explain, list_folder, read_bytes
from gptexp.lint.numbers import read_numbers


def read_bundle(folder: Path) -> list[tuple[str, float]]:
    """Every number of tables/*.csv with the file that it stands in: cells that hold a number and nothing else.

    The table of claims is left out: it repeats what the lesson says, right or wrong.

    Raises:
        GptexpError: the folder holds no report, or it can't be read.
    """
    try:
        entries = list_folder(folder / "tables", folder)
        names = [one.name for one in entries if one.name.endswith(".csv") and not one.name.startswith("claims")]
        numbers = [
            (f"tables/{name}", number.value)
            for name in names
            for row in csv.reader(io.StringIO(read_bytes(folder / "tables" / name, folder).decode()))
            for cell in row
            for number in read_numbers(cell)
            if number.text == cell.strip()
        ]
    except (OSError, ValueError) as error:
        reason = explain(error) if isinstance(error, OSError) else str(error)
        raise GptexpError(f"the report in {folder} can't be read: {reason}") from None
    if not numbers:
        raise GptexpError(f"{folder} holds no report; gptexp report lesson writes one, to reports/out/lesson")
    return numbers
