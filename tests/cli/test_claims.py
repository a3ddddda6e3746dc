"""`gptexp claims`, and `gptexp report lesson --strict` on runs that refute the lesson and on runs that don't."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.claims.test_judge import lessons
from tests.cli.conftest import Call, strip_styles
from tests.report.synthetic import lr_ablation, write_runs


@pytest.fixture
def quick_runs(tmp_path: Path) -> Path:
    write_runs(tmp_path / "quick", lr_ablation(3))
    return tmp_path / "quick"


def write_lesson_runs(folder: Path, diverge_at: int | None, **config: int) -> Path:
    """Three seeds of the lesson's model at a constant 6e-4, 700 steps."""
    runs = [run for run in lessons(3, max_steps=700, **config) if run.arm == "constant-6e-4"]
    for run in runs:
        run.diverge_at = diverge_at
    write_runs(folder, runs)
    return folder


COUNTS = "61 claims. Computed: 2 refuted, 21 confirmed. By runs: 1 confirmed, 33 not measured. Not measurable: 4"


def test_the_ledger_is_printed_by_verdict(call: Call, quick_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal of 80 columns every claim once, with counts at the end."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    reply = call("claims", "--runs-dir", str(quick_runs))
    assert reply.status == 0
    lines = strip_styles(reply.out)
    assert max(len(line) for line in lines[:-2]) <= 80
    headings = [line.rstrip() for line in lines if re.fullmatch(r"[a-z ]+ \(\d+\) *", line)]
    assert headings == ["refuted (2)", "confirmed (22)", "not measured (33)", "not measurable (4)"]
    assert sum(line.startswith("constant-3e-4-suboptimal ") for line in lines) == 1
    assert COUNTS in "\n".join(lines)


def test_a_pipe_gets_a_line_for_each_claim(call: Call, quick_runs: Path) -> None:
    """Its verdict first and its name whole, so that both are found by grep."""
    reply = call("claims", "--runs-dir", str(quick_runs))
    claims = {
        claim["name"]: claim["verdict"] for claim in call("claims", "--runs-dir", str(quick_runs), "--json").json()
    }
    lines = reply.out.splitlines()
    found = [re.fullmatch(r"(\w+(?: \w+)?)  +(\S+)(?:  +(.*))?", line) for line in lines[: len(claims)]]
    assert {match[2]: match[1] for match in found if match} == claims
    assert lines == [line.rstrip() for line in lines]
    assert COUNTS in reply.out
    assert "not at the lesson's scale" in reply.out


def test_json_has_one_object_per_claim(call: Call, quick_runs: Path) -> None:
    """All claims in the order of the document; names narrow it down."""
    rows = call("claims", "--runs-dir", str(quick_runs), "--json").json()
    assert len(rows) >= 25
    assert {row["verdict"] for row in rows} <= {"confirmed", "refuted", "underpowered", "not measured"}
    assert rows[0]["name"] == "parameter-count"
    (row,) = call("claims", "schedule-beats-constant", "--runs-dir", str(quick_runs), "--json").json()
    assert (row["verdict"], row["scale"], row["as_stated"], row["seeds"]) == ("not measured", "quick", True, 3)


def test_a_name_shows_the_claim_in_full(call: Call, quick_runs: Path) -> None:
    """Where it stands, its predicate and why, the runs, and the command that would measure it."""
    out = " ".join(call("claims", "schedule-beats-constant", "--runs-dir", str(quick_runs)).out.split())
    for part in (
        "The schedule is not a trick",
        "Misconceptions Table",
        "warmup-cosine:final_train_loss below constant-6e-4:final_train_loss",
        "only the sign counts",
        "n_layer=2",
        "gptexp run lr-ablation --scale lesson --seeds 3",
    ):
        assert part in out


def test_without_any_runs_the_computed_claims_are_judged(call: Call, tmp_path: Path) -> None:
    """No runs folder is no error: counts and arithmetic need none."""
    reply = call("claims", "--runs-dir", str(tmp_path / "none"))
    assert reply.status == 0
    assert "2 refuted, 21 confirmed" in reply.out


def test_an_unknown_claim_is_refused(call: Call, tmp_path: Path) -> None:
    """A mistyped name is answered with near ones."""
    reply = call("claims", "inital-loss", "--runs-dir", str(tmp_path))
    assert reply.status == 2
    assert "did you mean initial-loss" in reply.sentences()[0]


@pytest.mark.slow
def test_strict_fails_on_the_lessons_sentence_about_6e_4(call: Call, tmp_path: Path) -> None:
    """Runs of the lesson's model that stay finite refute it: exit 1, the page written, the true sentence beside it."""
    runs = write_lesson_runs(tmp_path / "runs", None)
    reply = call("report", "lesson", "--runs-dir", str(runs), "--out", str(tmp_path / "page"), "--strict")
    assert reply.status == 1
    assert "“6e-4 explodes at step 300”" in reply.out
    assert "chapter schedule" in reply.out
    truth = "A constant 6e-4 did not explode: 3 of 3 runs were finite past step 600"
    assert truth in reply.out
    page = (tmp_path / "page" / "evidence.html").read_text(encoding="utf-8")
    saying = page[page.index('class="saying refuted"') :].partition("</blockquote>")
    assert "explodes at step 300" in saying[0]
    assert "did not explode: 3 of 3 runs" in saying[2]
    rows = json.loads((tmp_path / "page" / "claims.json").read_text())["claims"]
    assert [row["name"] for row in rows if row["verdict"] == "refuted" and row["asserted_in"]] == [
        "constant-6e-4-explodes"
    ]
    assert call("report", "lesson", "--runs-dir", str(runs), "--out", str(tmp_path / "page")).status == 0
    checked = call("report", "lesson", "--runs-dir", str(runs), "--out", str(tmp_path / "page"), "--check", "--strict")
    assert checked.status == 1


@pytest.mark.slow
@pytest.mark.parametrize(("diverge_at", "n_layer"), [(290, 12), (None, 6)], ids=["it explodes", "a smaller model"])
def test_strict_passes_where_nothing_is_refuted(
    call: Call, tmp_path: Path, diverge_at: int | None, n_layer: int
) -> None:
    """Runs that explode as the lesson says, and finite runs of a model that is not the lesson's: exit 0."""
    runs = write_lesson_runs(tmp_path / "runs", diverge_at, n_layer=n_layer)
    reply = call("report", "lesson", "--runs-dir", str(runs), "--out", str(tmp_path / "page"), "--strict")
    assert reply.status == 0, reply.out
    assert "nothing that the page asserts is refuted" in reply.out


def test_a_small_batch_gives_a_direction_beside_the_verdict(call: Call, tmp_path: Path) -> None:
    """The verdict stands on runs of the lesson's batch, and says which; one window a step points somewhere, no more."""
    sizes = {16: {}, 1: {"batch_size": 1}}
    runs = []
    for size, variant in sizes.items():
        for run in lr_ablation(1, 700, scale="lesson", variant=variant):
            run.config |= {"n_layer": 12, "n_head": 12, "n_embd": 768, "block_size": 256, "batch_size": size}
            runs.append(run)
    write_runs(tmp_path, runs)
    (row,) = call("claims", "constant-6e-4-explodes", "--runs-dir", str(tmp_path), "--json").json()
    assert (row["verdict"], row["trained"]) == ("refuted", "4,096 tokens a step in fp32")
    ways = {way["way"]: way["verdict"] for way in row["ways"]}
    assert ways["clipped at 1.0"] == "refuted"
    assert ways["without clipping"] == "not measured"
    assert {one["trained"]: one["judges"] for one in row["transfer"]} == {
        "4,096 tokens a step in fp32": True,
        "256 tokens a step in fp32": False,
    }
    shown = " ".join(call("claims", "constant-6e-4-explodes", "--runs-dir", str(tmp_path)).out.split())
    assert "only a direction: 256 tokens a step" in shown
    assert "tokens=768 to 16384" in shown.replace(",", "")


def test_a_long_name_of_a_study_leaves_room_for_what_it_says(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In 80 columns, whatever the runs were changed by."""
    monkeypatch.setenv("COLUMNS", "80")
    runs = lr_ablation()
    for run in runs:
        run.variant = {"batch_size": 8, "block_size": 16, "max_steps": 120, "n_embd": 32, "optimizer": "adam"}
    write_runs(tmp_path, runs)
    out = call("claims", "schedule-beats-constant", "--runs-dir", str(tmp_path)).out
    assert "warmup-cosine:final_train_loss below" in " ".join(out.split())
