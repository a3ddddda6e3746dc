"""Arms on different texts, or in different tokens: said, and never compared by their losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gptexp.claims.judge import judge_claim
from gptexp.claims.ledger import Claim, Place
from gptexp.comparisons.differences import find_differences
from gptexp.comparisons.factors import find_factors
from gptexp.comparisons.ladder import read_ladder
from gptexp.comparisons.speed import measure_speed
from gptexp.comparisons.summary import summarize_arms
from gptexp.comparisons.validity import find_limits
from gptexp.report.facts import list_facts
from gptexp.report.findings import state_findings
from gptexp.report.repeat import write_repeat
from gptexp.report.tables import results_table
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import StudyRuns, select_studies
from tests.report.synthetic import CORPUS, Run, write_runs

LONG = {"max_steps": 100, "eval_interval": 10}
PLAYS, DOCS = CORPUS, {**CORPUS, "name": "python-docs", "checksum": "d0c5" * 16}
RATES = (1e-4, 1e-3)


def make_study(runs_dir: Path, runs: list[Run]) -> StudyRuns:
    write_runs(runs_dir, runs)
    (study,) = select_studies(load_frames(runs_dir))
    return study


def cross(*corpora: dict[str, Any], rates: tuple[float, ...] = RATES, config: Any = None, **fields: Any) -> list[Run]:
    """Arms that cross corpora with peak rates, three seeds each."""
    return [
        Run(
            f"{place}-{lr:g}",
            f"{corpus['name']} at {lr:g}",
            seed=seed,
            config={**LONG, "lr": lr, "corpus": corpus["name"], "schedule": "constant", **(config or [{}, {}])[place]},
            corpus=corpus,
            asked_at=f"2025-01-01T00:00:0{len(rates) * place + rates.index(lr)}Z",
            floor=3.0 + place + (lr - RATES[0]) * 100 + seed / 100,
            **fields,
        )
        for seed in (1, 2, 3)
        for place, corpus in enumerate(corpora)
        for lr in rates
    ]


def test_arms_on_different_texts_are_not_compared(tmp_path: Path) -> None:
    """Every difference stays within one text; the page names each arm's text and says why first."""
    study = make_study(tmp_path, cross(PLAYS, DOCS))
    found = find_differences(study)
    assert [(one.kind, one.what, one.against) for one in found] == [
        ("arm", "tinyshakespeare at 0.001", "tinyshakespeare at 0.0001"),
        ("arm", "python-docs at 0.001", "python-docs at 0.0001"),
        (
            "main effect",
            "lr 0.001",
            "lr 0.0001, averaged over corpus tinyshakespeare and corpus python-docs",
        ),
    ]
    sentence = find_limits(study)[0]
    assert sentence.startswith("The runs learn from different texts (tinyshakespeare at 0.0001 / tinyshakespeare at")
    assert "python-docs at 0.001: python-docs)" in sentence
    findings = state_findings(study)
    assert findings[0].text == sentence
    (headline,) = [finding.text for finding in findings if finding.kind == "headline"]
    assert "On tinyshakespeare, tinyshakespeare at 0.0001 ends lowest" in headline
    assert "on python-docs, python-docs at 0.0001 ends lowest" in headline
    table = results_table(study)
    assert table is not None
    assert [column.heading for column in table.columns][:2] == ["arm", "corpus"]
    assert [row[1].text for row in table.rows] == ["tinyshakespeare"] * 2 + ["python-docs"] * 2
    assert [row[2 + 2].text for row in table.rows].count("lowest") == 2


def test_one_arm_per_text_leaves_nothing_to_compare(tmp_path: Path) -> None:
    """Two arms, two texts: no difference at all, no word of scatter, and each arm's end by itself."""
    study = make_study(tmp_path, cross(PLAYS, DOCS, rates=(1e-3,)))
    assert find_differences(study) == []
    assert measure_speed(study) is None
    assert summarize_arms(study)["above_best"].isna().all()
    assert len(find_limits(study)) == 1
    (headline,) = [finding.text for finding in state_findings(study) if finding.kind == "headline"]
    assert ": On tinyshakespeare, tinyshakespeare at 0.001 ends at val loss" in headline
    assert "lowest" not in headline


def test_two_texts_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """a/input.txt and b/input.txt are both called input.txt: the first digits of their checksums tell them apart."""
    one, other = {**PLAYS, "name": "input.txt"}, {**DOCS, "name": "input.txt"}
    study = make_study(tmp_path, cross(one, other, rates=(1e-3,)))
    (factor,) = find_factors(study)
    assert factor.ordered == ["corpus input.txt (86c4e6aa)", "corpus input.txt (d0c5d0c5)"]
    assert dict(list_facts(study))["corpus"].startswith("input.txt (86c4e6aa) / input.txt (d0c5d0c5)")


def test_the_vocabulary_of_a_text_is_no_factor_of_its_own(tmp_path: Path) -> None:
    """The characters of two texts number differently: what sets the arms apart is still the corpus."""
    config = [{"vocab_size": 65, "tokenizer": "char"}, {"vocab_size": 98, "tokenizer": "char", "sample_prompt": " "}]
    study = make_study(tmp_path, cross(PLAYS, DOCS, config=config))
    assert [factor.name for factor in find_factors(study)] == ["corpus", "lr"]


def test_arms_in_different_tokens_are_not_compared(tmp_path: Path) -> None:
    """One text read in characters and in GPT-2's tokens: losses per token can't be compared."""
    config = [{"tokenizer": "char", "vocab_size": 65}, {"tokenizer": "gpt2"}]
    study = make_study(tmp_path, cross(PLAYS, PLAYS, rates=(1e-3,), config=config))
    assert find_differences(study) == []
    sentence = find_limits(study)[0]
    assert sentence.startswith("The runs read their text in different tokens")
    assert "tinyshakespeare in char tokens" in sentence
    assert "bits per byte can" in sentence


def test_a_ladder_on_two_texts_has_no_pairs(tmp_path: Path) -> None:
    """The rates of each text are a series of their own, with the first loss of that text, and the two aren't paired."""
    study = make_study(tmp_path, cross(PLAYS, DOCS, rates=(1e-4, 3e-4, 1e-3, 3e-3)))
    assert {one.kind for one in find_differences(study)} <= {"main effect"}
    ladder = read_ladder(study)
    assert ladder is not None
    assert (len(ladder.series), ladder.paired) == (2, None)


@pytest.mark.parametrize(("other", "verdict"), [(PLAYS, "confirmed"), (DOCS, "not measured")], ids=["same", "other"])
def test_a_claim_does_not_compare_losses_of_two_texts(tmp_path: Path, other: dict[str, Any], verdict: str) -> None:
    """A claim that holds one arm's loss below another's is judged on one text only."""
    study = make_study(tmp_path, cross(PLAYS, other, rates=(1e-3,)))
    claim = Claim(
        "lower",
        (Place("x", "y"),),
        "z",
        study="lr-ablation",
        quantity="0-0.001:final_val_loss",
        relation="below",
        other="1-0.001:final_val_loss",
        of_the_loop=True,
    )
    judgement = judge_claim(claim, [study])
    assert judgement.verdict == verdict
    assert judgement.measured is not None
    assert bool(judgement.measured.incomparable) is (verdict == "not measured")


def test_arms_without_a_shared_seed_are_named(tmp_path: Path) -> None:
    """Arms of different seeds have no pairs: a difference between them is one of luck too."""
    runs = [
        Run(name, name, seed=seed, config={**LONG, "lr": lr}) for name, seed, lr in (("a", 1, 1e-3), ("b", 2, 2e-3))
    ]
    assert find_limits(make_study(tmp_path / "two", runs))[0].startswith("No two arms share a seed: without pairs")
    more = [*runs, Run("c", "c", seed=1, config={**LONG, "lr": 3e-3})]
    assert find_limits(make_study(tmp_path / "three", more))[0].startswith("No other arm has a seed of b: ")


def test_a_run_is_repeated_with_its_own_text_and_seeds(tmp_path: Path) -> None:
    """The command for it names no corpus where its study has several, and counts its arm's own seeds."""
    runs = [
        Run("a", "a", seed=5, config={**LONG, "corpus": "tinyshakespeare"}, corpus=PLAYS),
        Run("b", "b", seed=1337, config={**LONG, "corpus": "python-docs"}, corpus=DOCS),
    ]
    study = make_study(tmp_path / "two", runs)
    second = study.arms[1].runs.iloc[0].to_dict()
    assert write_repeat(study, second) == "gptexp run lr-ablation --scale quick --seeds 1"
    file = make_study(tmp_path / "file", [Run("a", "a", corpus={**PLAYS, "name": "mine.txt"})])
    assert "--corpus" not in write_repeat(file, file.runs.iloc[0].to_dict())
