"""Texts of records that would act where a report's files are opened: in spreadsheets, in MDX, in a reader's eyes."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from gptexp.records import SampleRecord
from gptexp.report.build import build_report
from gptexp.report.cells import write_csv
from gptexp.report.finish import finish_text
from gptexp.report.markdown import escape_markdown
from gptexp.text import defuse_cell
from tests.report.synthetic import Run, write_runs

TURNED = "safe\u202eevil\u2066x\u200f"
FORMULA = "=cmd|'/c calc'!A1"


@pytest.mark.parametrize(
    "text",
    [
        FORMULA,
        "+1+cmd",
        "-@SUM(A1)",
        "@SUM(A1)",
        "\t=1",
        "\rx",
        "\n=1",
        "  =1",
        "\u200b=1",
        "\ufeff@x",
        "＝1",
        "-cosine",
    ],
)
def test_a_formula_becomes_text(text: str) -> None:
    """Whatever a spreadsheet would work out starts with an apostrophe, also behind what isn't seen."""
    assert defuse_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-0.5", "+3e-4", "-inf", "plain", "a=1", "\nROMEO:", "3-1", "", " x"])
def test_numbers_and_plain_texts_stay(text: str) -> None:
    """A sign before a number, or a formula's letter further on, is no formula."""
    assert defuse_cell(text) == text


@pytest.mark.parametrize("kind", [object, "str", "category"])
def test_every_column_of_a_csv_is_harmless(kind: str) -> None:
    """Cells and headings, one column or several, mixed types too; numbers are what they were."""
    texts = pd.Series([FORMULA, "a"], dtype=kind)
    for frame in (
        pd.DataFrame({"=x": texts}),
        pd.DataFrame({"=x": texts, "n": [-1, 2], "f": [-0.5, 1.0]}),
        pd.DataFrame({"=x": texts, "mixed": pd.Series([-3, "@x"], dtype=object), "f": [-0.5, 1.0]}),
    ):
        rows = list(csv.reader(io.StringIO(write_csv(frame))))
        assert rows[0][0] == "'=x"
        assert rows[1][0] == f"'{FORMULA}"
        if "f" in frame:
            assert rows[1][-1] == "-0.5"
        if "mixed" in frame:
            assert [row[1] for row in rows[1:]] == ["-3", "'@x"]


def test_markdown_is_no_code() -> None:
    """Braces, dollars and tildes, with which MDX and its extensions start something, are escaped."""
    assert escape_markdown("{7*7} $x$ ~a~ <B> import x") == r"\{7\*7\} \$x\$ \~a\~ &lt;B&gt; import x"


def test_json_keeps_the_value() -> None:
    """In JSON a turning character is an escape: what is read is what was recorded."""
    text = finish_text("x.json", json.dumps({"a": TURNED}, ensure_ascii=False))
    assert isinstance(text, str)
    assert text.isascii()
    assert json.loads(text) == {"a": TURNED}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report over runs with such texts in every field that takes some."""
    folder = tmp_path_factory.mktemp("hostile")
    text = f"{FORMULA} {TURNED} {{7*7}}"
    sample = SampleRecord(20, "final", None, 3.0, text, text + "\n=1+1")
    asked = {"question": text, "hypothesis": text, "variant": {"corpus": text}, "samples": [sample]}
    config = {"max_steps": 20, "sample_prompt": text}
    write_runs(
        folder / "runs", [Run(f"{text} {n}", f"{text} {n}", 1, {**config, "lr": 0.1 * n}, **asked) for n in (1, 2)]
    )
    build_report(None, runs_dir=folder / "runs", out=folder / "out")
    return folder / "out"


def test_no_file_of_a_report_turns_its_direction(hostile: Path) -> None:
    """Page, attributes, titles, SVG, CSV, Markdown, JSON, alt text: no such character is left as it is."""
    paths = [path for path in hostile.rglob("*.*") if path.suffix != ".png"]
    assert {path.suffix for path in paths} >= {".html", ".svg", ".csv", ".md", ".json", ".txt"}
    for path in paths:
        assert not re.search("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", path.read_text()), path
    assert "safe[U+202E]evil" in (hostile / "index.html").read_text()


def test_no_csv_of_a_report_is_a_formula(hostile: Path) -> None:
    """Labels, arms, prompts, samples: each cell is a number, or starts with none of the letters that act."""
    for path in hostile.rglob("*.csv"):
        for row in csv.reader(io.StringIO(path.read_text(), newline="")):
            for cell in row:
                assert cell == defuse_cell(cell), (path, cell)


def test_no_markdown_of_a_report_is_an_expression(hostile: Path) -> None:
    """No brace stands without its backslash."""
    paths = list((hostile / "tables").glob("*.md"))
    assert paths
    for path in paths:
        assert not re.search(r"(?<!\\)[{}]", path.read_text()), path


def test_the_policy_names_the_one_script(hostile: Path) -> None:
    """Nothing may be loaded or run but the page's own styles and the script whose checksum the policy holds."""
    page = (hostile / "index.html").read_text()
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy
    assert page.index("Content-Security-Policy") < page.index("<title>")
