"""The ledger in words, as tables and as claims.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from gptexp.claims.describe import describe_ledger
from gptexp.claims.judge import Judgement, judge_claims
from gptexp.claims.ledger import load_ledger
from gptexp.claims.words import count_verdicts, write_direction, write_truth, write_value
from gptexp.errors import GptexpError
from gptexp.report.chapters import Evidence, fill_chapters
from gptexp.report.claim_tables import tabulate_claims, tabulate_transfer
from gptexp.report.declare import Chapter, Text
from gptexp.report.document import write_plain
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import select_studies
from tests.claims.test_judge import lessons
from tests.report.synthetic import Run, lr_ablation, write_runs

LEDGER = load_ledger("pretraining")


def judge(folder: Path, runs: Sequence[Run]) -> dict[str, Judgement]:
    write_runs(folder, runs)
    return {j.claim.name: j for j in judge_claims(LEDGER.claims, select_studies(load_frames(folder)))}


def rows_of(found: dict[str, Judgement]) -> list[Judgement]:
    return list(found.values())


def test_a_refuted_claim_comes_with_what_would_be_true(tmp_path: Path) -> None:
    """The sentence holds the measured numbers; a claim that isn't refuted has none."""
    found = judge(tmp_path, lessons(3, max_steps=700))
    explodes = found["constant-6e-4-explodes"]
    assert explodes.verdict == "refuted"
    assert write_truth(explodes) == (
        "A constant 6e-4 did not explode: 3 of 3 runs were finite past step 600 (gradients clipped at 1.0)."
    )
    assert write_value(explodes) == "0 of 3 seeds"
    assert [write_truth(j) for j in found.values() if j.verdict != "refuted"] == [""] * (
        len(found) - sum(j.verdict == "refuted" for j in found.values())
    )
    assert all(write_truth(j) for j in found.values() if j.verdict == "refuted")


def test_words_say_how_far_a_direction_goes(tmp_path: Path) -> None:
    """At another scale, with too few seeds, before the step, and without any runs."""
    quick = judge(tmp_path / "quick", lr_ablation())
    suboptimal = quick["constant-3e-4-suboptimal"]
    assert write_direction(suboptimal) == "not at the lesson's scale: points the lesson's way"
    assert write_direction(quick["constant-1e-5-at-10000"]).endswith("end at step 120, too early to tell")
    assert write_direction(quick["noise-is-batches"]).endswith("gptexp run batch-noise --scale lesson --seeds 3")
    short = judge(tmp_path / "short", lessons(1))
    assert write_direction(short["constant-3e-4-suboptimal"]).startswith("not at the lesson's scale (max_steps=120)")
    small = judge(tmp_path / "small", lessons(1, batch_size=1, max_steps=700))
    assert write_direction(small["constant-6e-4-explodes"]) == (
        "not at the lesson's scale (256 tokens a step): points the other way"
    )
    one = judge(tmp_path / "one", lessons(1, max_steps=1100))
    assert one["constant-6e-4-unstable"].verdict == "refuted"
    for run in (runs := lessons(1, max_steps=1100)):
        run.diverge_at = 250
    broken = judge(tmp_path / "broken", runs)["constant-6e-4-explodes"]
    assert write_direction(broken) == "points the lesson's way, and 1 seed can't decide it: 3 are needed"


def test_the_table_has_every_claim_and_counts_them(tmp_path: Path) -> None:
    """Refuted ones first; the caption counts; the CSV has a row for each claim."""
    found = rows_of(judge(tmp_path, lessons(3, max_steps=700)))
    table = tabulate_claims(found)
    assert len(table.rows) == len(table.data) == len(LEDGER.claims)
    # What was measured elsewhere is not measured where it counts.
    verdicts = [row[1].text.replace("not at the lesson's scale", "not measured") for row in table.rows]
    assert verdicts[0] == "refuted"
    assert verdicts == sorted(verdicts, key=["refuted", "confirmed", "underpowered", "not measured"].index)
    assert count_verdicts(found) in table.caption
    assert not any("`" in cell.text for row in table.rows for cell in row)


def test_transfer_shows_sign_and_size_at_every_scale(tmp_path: Path) -> None:
    """One column per scale, small to large; a conclusion that turns is said to turn; one scale alone makes no table."""
    quick = lr_ablation(3)
    for run in quick:
        run.floor += 0.5 * (run.arm == "warmup-cosine")
    both = judge(tmp_path / "both", [*quick, *lessons(3)])
    table = tabulate_transfer(rows_of(both))
    assert table is not None
    assert [column.heading for column in table.columns[1:-1]] == ["quick", "lesson"]
    rows = {str(row[0].order): [cell.text for cell in row] for row in table.rows}
    assert rows["schedule-beats-constant"][1].startswith("+0.3")
    assert rows["schedule-beats-constant"][2].startswith("−0.")
    assert rows["schedule-beats-constant"][2].endswith("], n = 3")
    assert rows["schedule-beats-constant"][3] == "it turns: as stated at lesson"
    assert rows["constant-1e-5-crawls"][3] == "as stated at each"
    assert tabulate_transfer(rows_of(judge(tmp_path / "one", lr_ablation()))) is None


def test_variants_have_columns_of_their_own(tmp_path: Path) -> None:
    """A study with overrides is not mixed with the study as written."""
    changed = lessons(3, weight_decay=0.0)
    for run in changed:
        run.variant = {"weight_decay": 0.0}
    table = tabulate_transfer(rows_of(judge(tmp_path, [*lessons(3), *changed])))
    assert table is not None
    assert [column.heading for column in table.columns[1:-1]] == ["lesson", "lesson weight_decay=0.0"]


def test_a_text_that_asserts_what_is_refuted_is_corrected(tmp_path: Path) -> None:
    """Under the paragraph stands the lesson's sentence with what would be true; one that holds stands alone."""
    found = judge(tmp_path, lessons(3, max_steps=700))
    texts = (
        Text("It explodes.", asserts=("constant-6e-4-explodes",)),
        Text("It starts so.", asserts=("uniform-loss",)),
    )
    evidence = Evidence([], judgements=found)
    (chapter,) = fill_chapters([Chapter("c", "C", texts)], evidence)
    first, correction, last = map(str, chapter.items)
    assert "It explodes." in first
    assert "True instead: A constant" in correction
    assert "did not explode: 3 of 3 runs" in correction
    assert "It starts so." in last
    assert chapter.asserts == ("constant-6e-4-explodes", "uniform-loss")
    with pytest.raises(GptexpError, match=r"asserts 'uniform-los', which is no claim .* did you mean uniform-loss"):
        fill_chapters([Chapter("c", "C", (Text("x", asserts=("uniform-los",)),))], evidence)


def test_claims_json_holds_everything(tmp_path: Path) -> None:
    """Place, predicate, tolerance with its reason, interval, runs and who asserts it, in strict JSON."""
    found = rows_of(judge(tmp_path, lessons(3, max_steps=700)))
    read = json.loads(
        write_plain(describe_ledger(found, {"initial-loss": ["start"]})),
        parse_constant=lambda word: pytest.fail(f"{word} is not JSON"),
    )
    assert sum(read["counts"].values()) == len(read["claims"]) == len(LEDGER.claims)
    rows = {row["name"]: row for row in read["claims"]}
    assert rows["initial-loss"]["asserted_in"] == ["start"]
    explodes = rows["constant-6e-4-explodes"]
    assert (explodes["verdict"], explodes["seeds"], explodes["happened"]) == ("refuted", 3, 0)
    assert len(explodes["run_ids"]) == 3
    assert explodes["needs_scale"] == "lesson"
    assert explodes["true_sentence"].startswith("A constant 6e-4 did not explode")
    ranked = rows["schedule-beats-constant"]
    assert ranked["differs"] == ["max_steps=700"]
    assert ranked["low"] < ranked["difference"] < ranked["high"]
    assert {place["quote"] for place in explodes["places"]} >= {"Step 300: loss NaN."}
