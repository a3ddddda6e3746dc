"""What the page says first."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from gptexp.comparisons.summary import summarize_arms
from gptexp.report.facts import list_shared_config
from gptexp.report.findings import Finding, state_findings
from gptexp.report.tables import results_table
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import select_studies
from tests.report.synthetic import CORPUS, Run, initial_loss, lr_ablation, write_runs


def find(tmp_path: Path, runs: list[Run]) -> list[Finding]:
    write_runs(tmp_path, runs)
    (study,) = select_studies(load_frames(tmp_path))
    return state_findings(study)


def test_clipping_that_never_fired_comes_first(tmp_path: Path) -> None:
    """A study of clipping in which no step was clipped says so before anything else."""
    arms = [Run("on", study="clipping", config={"grad_clip": 1000.0})]
    arms.append(Run("off", study="clipping", config={"grad_clip": None}, corpus={**CORPUS, "fallback": True}))
    findings = find(tmp_path, arms)
    assert [finding.kind for finding in findings[:2]] == ["limit", "warning"]
    assert findings[0].text.startswith("Clipping never fired")


def test_clipping_that_fired_gets_no_such_warning(tmp_path: Path) -> None:
    """With clipped steps in one arm the study stands."""
    runs = [Run("on", study="clipping"), Run("off", study="clipping", config={"grad_clip": None})]
    findings = find(tmp_path, runs)
    assert not [finding for finding in findings if finding.kind == "limit"]
    assert not [finding for finding in findings if "never fired" in finding.text]


def test_a_stand_in_corpus_is_a_warning(tmp_path: Path) -> None:
    """Runs on the fallback corpus say so loudly and name it."""
    corpus = {**CORPUS, "name": "python-docs", "fallback": True}
    findings = find(tmp_path, [Run("a", corpus=corpus)])
    assert findings[0].kind == "warning"
    assert "python-docs, the stand-in" in findings[0].text


def test_the_headline_ranks_arms_in_numbers(tmp_path: Path) -> None:
    """The lowest arm with its val loss, the others with their distance, as recorded."""
    runs = lr_ablation()
    headline = next(finding for finding in find(tmp_path, runs) if finding.kind == "headline").text
    frame = load_frames(tmp_path).runs.set_index("run_id")
    best, worst = frame.loc[runs[3].run_id, "final_val_loss"], frame.loc[runs[2].run_id, "final_val_loss"]
    assert f": warmup + cosine ends lowest, at val loss {best:.3f}. Behind it: " in headline
    assert f"constant 1e-5 at {worst:.3f} (+{worst - best:.3f})" in headline


def test_arms_that_seeds_cover_are_not_told_apart(tmp_path: Path) -> None:
    """The headline says of each arm whether its pairs tell it from the lowest; one seed says nothing of the kind."""
    near = [Run(arm, seed=seed, floor=3.0 + 0.02 * seed) for arm in "ab" for seed in (1, 2, 3)]
    far = [Run("c", seed=seed, floor=5.0 + 0.02 * seed) for seed in (1, 2, 3)]
    headline = next(f for f in find(tmp_path / "three", [*near, *far]) if f.kind == "headline").text
    assert headline.count("not told apart") == 1
    assert "not told apart" not in headline[headline.index("; ") :].partition("c at")[2]
    alone = find(tmp_path / "one", [run for run in (*near, *far) if run.seed == 1])
    assert not any("not told apart" in finding.text for finding in alone)
    assert ("One seed: a direction, no interval.", "warning") in [(found.text, found.kind) for found in alone]


def test_a_spike_is_told_and_counted(tmp_path: Path) -> None:
    """A flagged run is named with the step of its spike, and several seeds are counted."""
    runs = [Run("a", config={"outlier_at": 0.5, "max_steps": 80}, floor=9.0, seed=seed) for seed in (1, 2)]
    two, one = ([f.text for f in find(tmp_path / name, some)] for name, some in (("two", runs), ("one", runs[:1])))
    assert "a spiked in 2 of 2 runs." in two
    assert any(text.startswith("a spiked at step 40 (recovered)") for text in one)
    # Its loss there is that of a batch that was made, and no rise of the training.
    assert not [text for text in (*two, *one) if "rose" in text]


def test_the_lead_says_which_model_it_is(tmp_path: Path) -> None:
    """Its size where it is not the lesson's; of the lesson's own, and of arms that differ in their norm, nothing."""
    lesson = {"n_layer": 12, "n_head": 12, "n_embd": 768, "block_size": 256}
    for name, config, lead in (
        ("small", {}, "A model of 1.6M parameters, not the lesson's of 124M: "),
        ("lesson", lesson, ""),
        ("biasless", {**lesson, "norm": "post"}, "Not quite the lesson's model (norm=post): "),
    ):
        findings = find(tmp_path / name, [Run("a", config=config)])
        headline = next(finding.text for finding in findings if finding.kind == "headline")
        assert headline.startswith(f"{lead}a ends at")
    both = [Run("a", config=lesson), Run("b", config={**lesson, "norm": "post"})]
    headline = next(finding.text for finding in find(tmp_path / "norms", both) if finding.kind == "headline")
    assert headline.startswith("a ends lowest")


def test_initial_losses_stand_beside_their_prediction(tmp_path: Path) -> None:
    """An untrained study is summed up by measured and predicted losses, and no prediction where there is none."""
    findings = find(tmp_path, initial_loss(1))
    headline = next(finding for finding in findings if finding.kind == "headline").text
    assert "GPT-2 init starts at 10.831 (predicted 10.831)" in headline
    assert "PyTorch default init starts at 42.325 nats per token" in headline or "42.325;" in headline


def test_arms_are_ranked_by_the_seeds_that_all_have(tmp_path: Path) -> None:
    """An arm with more seeds, the later ones worse, is still the lowest where each pair says so."""
    runs = [Run("clip", seed=seed, floor=3.0 + 0.1 * seed) for seed in (1, 2, 3, 4, 5)]
    runs += [Run("no-clip", seed=seed, floor=3.05 + 0.1 * seed) for seed in (1, 2, 3)]
    headline = next(found for found in find(tmp_path, runs) if found.kind == "headline").text
    assert "clip ends lowest" in headline
    assert "no-clip ends lowest" not in headline
    assert "(over the 3 seeds that all have)" in headline
    (study,) = select_studies(load_frames(tmp_path))
    summary = summarize_arms(study).set_index("arm")
    assert summary.loc["clip", "above_best"] == 0
    assert summary.loc["no-clip", "above_best"] > 0.01
    table = results_table(study)
    assert table is not None
    assert "nats, same seeds" in [column.note for column in table.columns]


def test_arms_of_other_seeds_are_not_ranked_in_silence(tmp_path: Path) -> None:
    """Where they share none, the headline says so."""
    runs = [Run("a", seed=1), Run("b", seed=2, floor=3.5)]
    headline = next(found for found in find(tmp_path, runs) if found.kind == "headline").text
    assert "(over other seeds)" in headline


def test_passes_over_the_corpus_are_those_of_each_arm(tmp_path: Path) -> None:
    """Arms of other lengths saw the corpus more or less often."""
    runs = [Run(name, config={"max_steps": steps, "eval_interval": 50}) for name, steps in (("a", 100), ("b", 400))]
    texts = [found.text for found in find(tmp_path, runs)]
    (told,) = (text for text in texts if text.startswith("Every training token"))
    assert re.search(r"seen \S+ to \S+ times, by arm, on average", told)


def test_the_common_step_counts_runs_that_left_no_result(tmp_path: Path) -> None:
    """One run stopped at 80, one at step 30 and still going: 30 is the last step of both."""
    runs = [Run("a", stop_at=80, is_stopped=True), Run("b", stop_at=30)]
    runs = [replace(run, config={"max_steps": 200}) for run in runs]
    headline = next(found for found in find(tmp_path, runs) if found.kind == "headline").text
    assert "At step 30, the last that all runs got to" in headline
    assert " a at " in f" {headline}"
    assert " b at " in headline


def test_settings_that_arms_differ_in_are_not_shared(tmp_path: Path) -> None:
    """Also where some arms have none, as of a threshold of clipping; what no arm has is shared."""
    write_runs(tmp_path, [Run("on", config={"grad_clip": 1.0}), Run("off", config={"grad_clip": None})])
    (study,) = select_studies(load_frames(tmp_path))
    shared = dict(list_shared_config(study))
    assert "grad_clip" not in shared
    assert shared["outlier_at"] == "null"
    assert shared["n_layer"] == "2"
