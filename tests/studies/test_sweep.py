"""The search itself: who works on which trial, what the trials try, and when one stops early."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import optuna
import pytest

from gptexp.studies.job import Job
from gptexp.studies.launchers import JobContext
from gptexp.studies.resolve import _read_corpus, read_tokens
from gptexp.studies.runner import execute_job
from gptexp.studies.sweep.journal import JOURNAL, Claim, SweepJournal, hold_session
from gptexp.studies.sweep.pruner import BandPruner
from gptexp.studies.sweep.ranking import measure_importance, rank_trials
from gptexp.studies.sweep.trial import Sweep, plan_sweep
from gptexp.studies.sweep.worker import Slot, TrialEnd, TrialStart, work_on_sweep
from gptexp.tracking.result import Result
from tests.studies.sweeps import LR, make_content, make_sweep, parse
from tests.studies.tiny import run_tiny

RANGES = {"lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1}, "dropout": {"min": 0.0, "max": 0.5}}


def claim_all(journal: SweepJournal, *, value: float | None = 1.0) -> list[dict[str, Any]]:
    """Claim and finish trials until there are none left; returns their settings."""
    tried = []
    while (claim := journal.claim()) is not None:
        tried.append(claim.settings)
        journal.finish(claim, "completed", value, {"run_id": "0" * 12, "detail": ""})
    return tried


def work(sweep: Sweep, session: str, *, stop_after: int = 10**9) -> list[Any]:
    """A worker's life in this process; it is asked to stop when `stop_after` trials have started."""
    events: list[Any] = []
    slot = Slot(0, sweep, session, (), "gptexp sweep")
    work_on_sweep(slot, JobContext(events.append, lambda: sum(isinstance(e, TrialStart) for e in events) >= stop_after))
    return events


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_a_finite_space_is_tried_once(method: str, tmp_path: Path, tiny_corpus: Path) -> None:
    """Two processes that take turns try every point, and none of them twice, whatever the method."""
    sweep = make_sweep(tmp_path, tiny_corpus, 40, method=method)
    with hold_session(sweep.folder) as one, hold_session(sweep.folder) as two:
        journals, tried = [SweepJournal(sweep, one), SweepJournal(sweep, two)], []
        while (claim := journals[len(tried) % 2].claim()) is not None:
            tried.append(json.dumps(claim.settings))
            if len(tried) % 3:
                journals[(len(tried) - 1) % 2].finish(claim, "completed", float(len(tried)), {})
        assert journals[1].claim() is None
    assert len(tried) == len(set(tried)) == 6


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_search_goes_on_as_if_it_had_not_stopped(method: str, tmp_path: Path, tiny_corpus: Path) -> None:
    """What is tried follows from the file and the trials before, not from which process asks."""
    sweeps = [
        make_sweep(tmp_path / name, tiny_corpus, n, method=method, parameters=RANGES)
        for name, n in (("a", 14), ("b", 5), ("b", 14))
    ]
    tried = []
    for sweep in sweeps:
        with hold_session(sweep.folder) as session:
            tried.append(claim_all(SweepJournal(sweep, session)))
    assert tried[0] == tried[1] + tried[2]
    assert len({json.dumps(settings) for settings in tried[0]}) == 14


def test_bayes_learns(tmp_path: Path, tiny_corpus: Path) -> None:
    """After many trials TPE proposes learning rates near the best ones; a random search doesn't."""
    near = {}
    for method in ("random", "bayes"):
        sweep = make_sweep(tmp_path / method, tiny_corpus, 40, method=method, parameters={"lr": RANGES["lr"]})
        with hold_session(sweep.folder) as session:
            journal = SweepJournal(sweep, session)
            while (claim := journal.claim()) is not None:
                loss = abs(math.log10(claim.settings["lr"]) + 3)
                journal.finish(claim, "completed", loss, {})
            near[method] = sum(row.value is not None and row.value < 0.3 for row in journal.rows()[20:])
    assert near["bayes"] >= 2 * near["random"]


def test_a_trial_whose_process_died_is_taken_up(tmp_path: Path, tiny_corpus: Path) -> None:
    """A running trial is left alone while its process lives; afterwards it is the first that is claimed, as it was."""
    sweep = make_sweep(tmp_path, tiny_corpus, 2)
    with hold_session(sweep.folder) as other:
        lost = SweepJournal(sweep, other).claim()
        with hold_session(sweep.folder) as session:
            second = SweepJournal(sweep, session).claim()
    assert lost is not None
    assert second is not None
    assert second.place == 2
    with hold_session(sweep.folder) as session:
        journal = SweepJournal(sweep, session)
        again = [journal.claim(), journal.claim()]
        assert [(claim.number, claim.settings, claim.why) for claim in again if claim] == [
            (lost.number, lost.settings, "taken up"),
            (second.number, second.settings, "taken up"),
        ]
        assert journal.claim() is None


def test_whoever_lost_a_trial_has_no_say_in_it(tmp_path: Path, tiny_corpus: Path) -> None:
    """A process that was given up, and comes back with a result, doesn't overwrite the one that took over."""
    sweep = make_sweep(tmp_path, tiny_corpus, 1)
    with hold_session(sweep.folder) as gone:
        old = SweepJournal(sweep, gone)
        claim = old.claim()
    assert claim is not None
    with hold_session(sweep.folder) as session:
        journal = SweepJournal(sweep, session)
        taken = journal.claim()
        assert taken is not None
        assert not old.finish(claim, "completed", 9.0, {})
        assert journal.finish(taken, "completed", 1.0, {})
        assert [row.value for row in journal.rows()] == [1.0]


def test_a_failed_trial_is_tried_again_by_the_next_command(tmp_path: Path, tiny_corpus: Path) -> None:
    """Not by the one that saw it fail; it keeps its place, so the number of trials stays what was asked for."""
    sweep = make_sweep(tmp_path, tiny_corpus, 1)
    with hold_session(sweep.folder) as session:
        journal = SweepJournal(sweep, session)
        claim = journal.claim()
        assert claim is not None
        journal.finish(claim, "failed", None, {"detail": "no disk"})
        assert journal.claim() is None
        assert [(row.state, row.about["detail"]) for row in journal.rows()] == [("failed", "no disk")]
    with hold_session(sweep.folder) as session:
        journal = SweepJournal(sweep, session)
        again = journal.claim()
        assert again is not None
        assert (again.place, again.settings, again.why) == (1, claim.settings, "again")
        journal.finish(again, "completed", 2.0, {})
        assert [row.state for row in journal.rows()] == ["completed"]


def test_a_half_written_line_does_not_lose_the_sweep(tmp_path: Path, tiny_corpus: Path) -> None:
    """A process killed in the middle of writing to the journal leaves it readable."""
    sweep = make_sweep(tmp_path, tiny_corpus, 3)
    with hold_session(sweep.folder) as session:
        claim = SweepJournal(sweep, session).claim()
        with (sweep.folder / JOURNAL).open("a") as file:
            file.write('{"op_code": 4, "wor')
        journal = SweepJournal(sweep, session)
        assert [row.settings for row in journal.rows()] == [claim.settings if claim else None]
        assert len(claim_all(journal)) == 2


def test_an_edited_file_is_another_sweep(tmp_path: Path, tiny_corpus: Path) -> None:
    """Trials of a file that was changed under the same name don't count for the new one; more trials do."""
    with hold_session(make_sweep(tmp_path, tiny_corpus).folder) as session:
        claim_all(SweepJournal(make_sweep(tmp_path, tiny_corpus, 2), session))
        assert len(SweepJournal(make_sweep(tmp_path, tiny_corpus, 5), session).rows()) == 2
        edited = make_sweep(tmp_path, tiny_corpus, parameters={"lr": {"values": [1e-3, 5e-3]}})
        assert SweepJournal(edited, session).rows() == []


def test_another_text_is_another_sweep(tmp_path: Path, tiny_corpus: Path) -> None:
    """Losses on another corpus, even one of the same name, are never ranked together with these."""
    before = make_sweep(tmp_path, tiny_corpus).key
    assert make_sweep(tmp_path, tiny_corpus).key == before
    tiny_corpus.write_text(tiny_corpus.read_text().replace("Ada", "Ida"))
    read_tokens.cache_clear()
    _read_corpus.cache_clear()
    assert make_sweep(tmp_path, tiny_corpus).key != before


def test_no_new_trial_after_the_target(tmp_path: Path, tiny_corpus: Path) -> None:
    """metric.target ends the search as soon as a trial has reached it."""
    sweep = make_sweep(tmp_path, tiny_corpus, metric={"name": "val_loss", "target": 2.0})
    with hold_session(sweep.folder) as session:
        assert len(claim_all(SweepJournal(sweep, session), value=1.9)) == 1


def test_only_the_best_share_passes_a_band() -> None:
    """At a band a trial goes on if it is among the best 1/eta that have come there; elsewhere nothing is judged."""
    study = optuna.create_study(pruner=BandPruner((2, 4), 2))
    verdicts = []
    for value in (5.0, 6.0, 4.0, 4.5, math.nan):
        trial = study.ask()
        trial.report(9.0, 1)
        assert not trial.should_prune()
        trial.report(value, 2)
        verdicts.append(trial.should_prune())
        trial.report(99.0, 3)
        assert not trial.should_prune()
    assert verdicts == [False, True, False, False, True]


def test_a_trial_is_the_run_that_train_makes(tmp_path: Path, tiny_corpus: Path) -> None:
    """A config that was run before is answered from its record, and a trial's records are those of an ordinary run."""
    result, records = run_tiny(tmp_path, tiny_corpus, lr=1e-3, schedule="constant")
    provenance = (tmp_path / result.run_id / "provenance.jsonl").read_text()
    sweep = make_sweep(
        tmp_path, tiny_corpus, parameters={"lr": {"values": [1e-3, 1e-2]}, "schedule": {"value": "constant"}}
    )
    with hold_session(sweep.folder) as session:
        work(sweep, session)
        rows = SweepJournal(sweep, session).rows()
    assert [row.state for row in rows] == ["completed", "completed"]
    assert rows[0].about["run_id"] == result.run_id
    assert rows[0].value == [r["val_loss"] for r in records if r["kind"] == "eval"][-1]
    assert (tmp_path / result.run_id / "provenance.jsonl").read_text() == provenance
    members = [json.loads(line) for row in rows for line in (tmp_path / row.about["run_id"] / "members.jsonl").open()]
    assert {member["study"] for member in members} == {"sweep/tiny"}
    assert len({member["definition"] for member in members}) == 1


def test_a_stopped_trial_goes_on_where_it_was(tmp_path: Path, tiny_corpus: Path) -> None:
    """Asked to stop, a worker leaves a checkpoint; the next one takes the same trial up and finishes it."""
    sweep = make_sweep(tmp_path, tiny_corpus, 2)
    with hold_session(sweep.folder) as session:
        events = work(sweep, session, stop_after=1)
    ends = [event for event in events if isinstance(event, TrialEnd)]
    assert [(end.state, end.about["last_step"]) for end in ends] == [("stopped", 1)]
    with hold_session(sweep.folder) as session:
        work(sweep, session)
        rows = SweepJournal(sweep, session).rows()
    assert [row.state for row in rows] == ["completed", "completed"]
    run_dir = tmp_path / rows[0].about["run_id"]
    assert [json.loads(line)["from_step"] for line in (run_dir / "provenance.jsonl").open()] == [0, 1]


def test_a_pruned_trial_is_stopped_and_can_be_resumed(tmp_path: Path, tiny_corpus: Path) -> None:
    """Hyperband stops the worse trial at its band through a checkpoint; it counts as pruned, with its last loss."""
    early = {"type": "hyperband", "min_iter": 2, "eta": 2}
    parameters = {"lr": {"values": [1e-2, 1e-5]}}
    sweep = make_sweep(tmp_path, tiny_corpus, early_terminate=early, parameters=parameters)
    with hold_session(sweep.folder) as session:
        work(sweep, session)
        rows = rank_trials(SweepJournal(sweep, session).rows(), "minimize")
    assert [(row.state, row.settings["lr"]) for row in rows] == [("completed", 1e-2), ("pruned", 1e-5)]
    run_dir = tmp_path / rows[1].about["run_id"]
    assert json.loads((run_dir / "result.json").read_text())["outcome"] == "interrupted"
    assert rows[1].about["last_step"] == 4
    assert (run_dir / "checkpoints" / "step-00000004").exists()
    evaluations = [json.loads(line) for line in (run_dir / "records.jsonl").open()]
    assert rows[1].value == [record["val_loss"] for record in evaluations if record["kind"] == "eval"][-1]


def test_a_pruned_trial_stays_pruned(tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another evaluation may come before the run has heard that it is to stop: it takes nothing back."""
    asked: list[int] = []

    def only_at_first(journal: SweepJournal, claim: Claim, evaluations: list[float]) -> bool:
        asked.append(len(evaluations))
        return len(asked) == 1

    def hear_late(job: Job, context: JobContext) -> Result:
        return execute_job(job, JobContext(context.emit, lambda: len(asked) > 1 and context.should_stop()))

    monkeypatch.setattr(SweepJournal, "should_prune", only_at_first)
    monkeypatch.setattr("gptexp.studies.sweep.worker.execute_job", hear_late)
    sweep = make_sweep(tmp_path, tiny_corpus, 1, early_terminate={"type": "hyperband", "min_iter": 2, "eta": 2})
    with hold_session(sweep.folder) as session:
        (end,) = [event for event in work(sweep, session) if isinstance(event, TrialEnd)]
    assert end.state == "pruned"
    assert end.about["last_step"] < 12


def test_a_diverged_trial_is_a_result_and_the_last(tmp_path: Path, tiny_corpus: Path) -> None:
    """It counts, it says what happened, and no finite trial stands behind it."""
    sweep = make_sweep(tmp_path, tiny_corpus, parameters={"lr": {"values": [1e30, 1e-3]}})
    with hold_session(sweep.folder) as session:
        work(sweep, session)
        rows = rank_trials(SweepJournal(sweep, session).rows(), "minimize")
    assert [row.state for row in rows] == ["completed", "diverged"]
    assert rows[1].about["detail"].startswith("diverged at step 2")


def test_a_trial_that_fits_no_run_fails_alone(
    tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the check before the first trial could not find fails its trial with the reason; the others go on."""
    monkeypatch.setattr("gptexp.studies.sweep.trial.check_values", lambda sweep: None)
    parameters = {"n_embd": {"values": [32, 33]}, "lr": {"value": 1e-3}}
    sweep = make_sweep(tmp_path, tiny_corpus, 2, method="random", parameters=parameters)
    with hold_session(sweep.folder) as session:
        work(sweep, session)
        rows = rank_trials(SweepJournal(sweep, session).rows(), "minimize")
    assert [row.state for row in rows] == ["completed", "failed"]
    assert "n_embd=33" in rows[1].about["detail"]


def test_importance_names_what_matters(tmp_path: Path, tiny_corpus: Path) -> None:
    """The parameter that decides the loss gets nearly all; with too few trials nothing is claimed."""
    sweep = make_sweep(tmp_path, tiny_corpus, 40, method="random", parameters=RANGES)
    with hold_session(sweep.folder) as session:
        journal = SweepJournal(sweep, session)
        while (claim := journal.claim()) is not None:
            loss = (math.log10(claim.settings["lr"]) + 3) ** 2
            journal.finish(claim, "completed", loss, {})
            if claim.place == 9:
                assert measure_importance(journal).shares == {}
                assert "too few completed trials to say (9, 10 needed)" in measure_importance(journal).note
        shares = measure_importance(journal).shares
    assert list(shares) == ["lr", "dropout"]
    assert shares["lr"] > 0.7
    assert sum(shares.values()) == pytest.approx(1)


def test_seeds_of_one_config_are_one_arm(tmp_path: Path, tiny_corpus: Path) -> None:
    """A sweep over seeds gives replicates: the same arm, another seed."""
    sweep = make_sweep(tmp_path, tiny_corpus, parameters={"lr": LR, "seed": {"values": [1, 2]}})
    requests = [sweep.request({"lr": 1e-3, "seed": seed}) for seed in (1, 2)]
    assert requests[0].study.arms == requests[1].study.arms
    assert [request.seed_values(request.study.arms[0]) for request in requests] == [[1], [2]]


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
@pytest.mark.parametrize("lr", [{"values": [1e-3, 1e-2, 1e-4]}, {"min": 1e-5, "max": 1e-2}])
def test_each_point_gets_all_its_seeds(tmp_path: Path, tiny_corpus: Path, method: str, lr: dict[str, Any]) -> None:
    """Trials in a row are one point with seed after seed, whatever the search; no point comes twice."""
    if method == "grid" and "min" in lr:
        return
    content = parse(make_content(method=method, parameters={"lr": lr}))
    sweep = plan_sweep(content, "quick", str(tiny_corpus), tmp_path, 6, "quick", 2)
    with hold_session(sweep.folder) as session:
        journal = SweepJournal(sweep, session)
        claims = [journal.claim() for _ in range(6)]
    drawn = [claim.settings for claim in claims if claim]
    assert [settings["seed"] for settings in drawn] == [1337, 1338] * 3
    rates = [settings["lr"] for settings in drawn]
    assert rates[::2] == rates[1::2]
    assert len(set(rates)) == 3
