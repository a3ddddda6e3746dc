"""lint: the author's text, sentence by sentence, against the published records."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "reports/published/2026-11/records"
PAGE = ROOT / "reports/published/2026-11/page"
DOCUMENT = ROOT / "reports/ledger/pretraining-lesson.md"


def lint(call: Call, path: Path, *words: str) -> dict[int, dict[str, Any]]:
    """Line -> finding."""
    rows = call("lint", str(path), "--runs-dir", str(RECORDS), "--json", *words).json()
    return {row["line"]: row for row in rows}


def write(folder: Path, *lines: str) -> Path:
    path = folder / "text.mdx"
    path.write_text("\n\n".join(lines), encoding="utf-8")
    return path


def measured(call: Call, claim: str) -> float:
    (row,) = call("claims", claim, "--runs-dir", str(RECORDS), "--json").json()
    return float(row["value"])


def test_right_wrong_and_stale_sentences(call: Call, tmp_path: Path) -> None:
    """Each line of a planted text gets its status, with what is true instead."""
    first = measured(call, "initial-loss-is-10.8")
    path = write(
        tmp_path,
        "The model has 124.4 million parameters.",
        '"The cat sat on the mat" gives 6 prediction tasks.',
        "The untrained model starts at a loss of about 9.31.",
        f"The untrained model starts at a loss of about {first:.2f}.",
        "The val loss of our best run was 3.717 nats.",
        "I had 3 coffees.",
    )
    found = lint(call, path, "--bundle", str(PAGE))
    assert {line: row["status"] for line, row in found.items()} == {
        1: "confirmed",
        3: "refuted",
        5: "stale",
        7: "confirmed",
        9: "unknown",
    }
    assert "trains 5 predictions" in found[3]["says"]
    assert f"{first:.3f}" in found[5]["says"]


def test_numbers_of_the_report_are_confirmed(call: Call, tmp_path: Path) -> None:
    """A measured number that stands in a table of the bundle names that table; without the bundle it is unknown."""
    with (PAGE / "tables/lr-ablation-results.csv").open(encoding="utf-8", newline="") as file:
        recorded = next(csv.DictReader(file))
    path = write(tmp_path, f"Our own baseline reached a val loss of {float(recorded['final_val_loss_mean']):.4f} nats.")
    assert lint(call, path)[1]["status"] == "unknown"
    found = lint(call, path, "--bundle", str(PAGE))[1]
    assert found["status"] == "confirmed"
    assert "stands in tables/" in found["says"]


def test_a_bound_sentence_fails_the_command(call: Call, tmp_path: Path) -> None:
    """Stale, refuted and misspelt bound sentences exit 1; others only with --strict; a denial is right."""
    said = {
        '<Claim id="uniform-loss">A uniform guess has ln 50,257 = 10.82.</Claim>': 0,
        '<Claim id="uniform-loss">A uniform guess has ln 50,257 = 10.31.</Claim>': 1,
        '<Claim id="six-predictions">Six predictions.</Claim>': 1,
        '<Claim id="six-predictions" verdict="refuted">Five predictions.</Claim>': 0,
        '<Claim id="uniform-loss" verdict="refuted">Not uniform.</Claim>': 1,
        '<Claim id="uniform-los">A uniform guess.</Claim>': 1,
        '"The cat sat on the mat" gives 6 prediction tasks.': 0,
    }
    for text, status in said.items():
        reply = call("lint", str(write(tmp_path, text)), "--runs-dir", str(RECORDS))
        assert reply.status == status, text
    assert call("lint", str(write(tmp_path, text)), "--strict", "--runs-dir", str(RECORDS)).status == 1
    reply = call("lint", str(write(tmp_path, '<Claim id="uniform-los">x</Claim>')), "--runs-dir", str(RECORDS))
    assert "did you mean uniform-loss" in " ".join(reply.out.split())


def test_fix_writes_the_measured_number(call: Call, tmp_path: Path) -> None:
    """Only the stale number of the bound sentence changes, in its own precision; then the text is clean."""
    first = measured(call, "initial-loss-is-10.8")
    lines = (
        "Loss 10.31 stays.",
        '<Claim id="initial-loss-is-10.8">An untrained GPT-2\nstarts at **10.31** nats.</Claim>',
    )
    path = write(tmp_path, *lines)
    assert call("lint", str(path), "--runs-dir", str(RECORDS), "--fix").status == 0
    expected = "\n\n".join((lines[0], lines[1].replace("10.31", f"{first:.2f}")))
    assert path.read_text(encoding="utf-8") == expected
    assert call("lint", str(path), "--runs-dir", str(RECORDS)).status == 0


def test_the_lessons_own_document(call: Call) -> None:
    """Every claim of the ledger is found in it; what is refuted there are the sentences that the runs refute."""
    rows = call("lint", str(DOCUMENT), "--runs-dir", str(RECORDS), "--json").json()
    claims = call("claims", "--runs-dir", str(RECORDS), "--json").json()
    quoted = {row["name"] for row in claims if row["places"]}
    assert quoted <= {row["claim"] for row in rows}
    refuted = {row["name"] for row in claims if row["verdict"] == "refuted"}
    assert {row["claim"] for row in rows if row["status"] == "refuted"} == refuted
    places = sum(len(row["places"]) for row in claims)
    assert len(rows) <= places + 20, "sentences that state no claim are reported"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [("a.docx", b"x", ".docx"), ("a.md", b"\xff\xfe", "UTF-8"), ("a.md", None, "can't be read")],
)
def test_a_file_that_is_no_text(call: Call, tmp_path: Path, name: str, content: bytes | None, sentence: str) -> None:
    """One sentence that names it."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    reply = call("lint", str(tmp_path / name), "--runs-dir", str(RECORDS))
    assert reply.status == 2
    assert sentence in reply.sentences()[0]


def test_a_folder_without_a_report(call: Call, tmp_path: Path) -> None:
    """A bundle that is none is said."""
    path = write(tmp_path, "Text.")
    reply = call("lint", str(path), "--bundle", str(tmp_path), "--runs-dir", str(RECORDS))
    assert reply.status == 2
    assert "holds no report" in reply.sentences()[0]


STALE = '<Claim id="initial-loss-is-10.8">An untrained GPT-2 starts at 10.31 nats.</Claim>'


def test_fix_keeps_what_the_file_is(call: Call, tmp_path: Path) -> None:
    """A link stays a link and its file is mended; mode, byte order mark and line ends stay."""
    path, link = write(tmp_path, ""), tmp_path / "link.mdx"
    path.write_bytes(b"\xef\xbb\xbfText.\r\n\r\n" + STALE.encode())
    path.chmod(0o640)
    link.symlink_to(path.name)
    assert call("lint", str(link), "--runs-dir", str(RECORDS), "--fix").status == 0
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_bytes().startswith(b"\xef\xbb\xbfText.\r\n\r\n<Claim")
    assert b"10.31" not in path.read_bytes()


def test_fix_leaves_a_read_only_file(call: Call, tmp_path: Path) -> None:
    """Whoever made it read-only wants it as it is."""
    path = write(tmp_path, STALE)
    path.chmod(0o444)
    reply = call("lint", str(path), "--runs-dir", str(RECORDS), "--fix")
    assert reply.status == 1
    assert "is read-only" in reply.sentences()[0]
    assert path.read_text(encoding="utf-8") == STALE


def test_fix_that_could_not_be_made_fails(call: Call, tmp_path: Path) -> None:
    """A number that stands in an attribute too isn't touched, that is said, and the sentence is still stale."""
    text = STALE.replace("10.31", '<b title="10.31">10.31</b>')
    path = write(tmp_path, text)
    reply = call("lint", str(path), "--runs-dir", str(RECORDS), "--fix")
    assert reply.status == 1
    assert "1 not written" in reply.out
    assert path.read_text(encoding="utf-8") == text
