"""One measure has one number, wherever it is shown, and a new one is one entry."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import gptexp
from gptexp.claims.ledger import Claim, Place
from gptexp.claims.measurements import measure as measure_claim
from gptexp.comparisons.read import Reading, read_quantity
from gptexp.errors import GptexpError
from gptexp.measures.catalog import LOGGED, MEASURES, RECKONED, RUN, SETTINGS, find_measure, select
from gptexp.measures.measure import NATS, Measure
from gptexp.report.quotes import fill_text, find_quote
from gptexp.report.step_table import losses_at_steps
from gptexp.report.tables import Table, results_table, show_measure, training_table
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import StudyRuns, select_studies
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.plan import plan_runs
from gptexp.studies.request import StudyRequest
from gptexp.studies.scales import find_scale
from gptexp.studies.study import Arm, Study
from gptexp.studies.sweep.worker import read_metric_value
from gptexp.tracking.result import Result
from gptexp.tracking.run_dir import RunDir
from tests.cli.conftest import Call, call
from tests.packages import install_package
from tests.runs.made import make_study, run, steps

__all__ = ["call"]
LAST = 48
SMALL = {
    "n_layer": 1,
    "n_embd": 16,
    "n_head": 2,
    "block_size": 16,
    "batch_size": 2,
    "tokenizer": "char",
    "max_steps": LAST,
    "eval_steps": 1,
    "eval_interval": 16,
    "sample_tokens": 5,
    "outlier_at": 0.5,
}
WITHOUT = {"val_loss_per_gpt2_token", "diverged_step", "peak_memory_mib"}
"""What a run that completes on a CPU may lack."""


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms of two seeds, trained for 48 steps."""
    folder = tmp_path_factory.mktemp("catalog")
    corpus = folder / "text.txt"
    corpus.write_text("".join(f"{n} sees {n * n % 97} hills by the sea.\n" for n in range(400)), encoding="utf-8")
    arms = (Arm("a", "arm a", {"min_lr": 1e-5}), Arm("b", "arm b", {"lr": 1e-3}))
    study = Study(name="s", question="Is it one?", hypothesis="", source="", arms=arms)
    for item in plan_runs([StudyRequest(study, find_scale("quick"), 2, SMALL, str(corpus))], folder / "runs"):
        item.run_dir.append_member(item.member())
        job = Job(item.run, str(item.run_dir.path), str(corpus), "gptexp run s", item.member())
        assert execute(job, [], lambda: False, pytest.fail).outcome == "completed"
    return folder / "runs"


@pytest.fixture(scope="module")
def study(runs_dir: Path) -> StudyRuns:
    (one,) = select_studies(load_frames(runs_dir))
    return one


def ask(measure: Measure) -> str:
    """The measure as claims and sentences ask for it."""
    return f"{measure.name}@{LAST}" if measure.step == "must" else measure.name


def read(study: StudyRuns, measure: Measure, arm: str = "a") -> Reading:
    """What claims read."""
    found = read_quantity(study, f"{arm}:{ask(measure)}")
    assert found is not None
    return found


def test_every_measure_can_be_read_of_a_run(study: StudyRuns) -> None:
    """Each gives a finite number for both seeds of a completed run, but for what such a run lacks."""
    found = {name: len(read(study, measure).values) for name, measure in MEASURES.items()}
    without = {name for name, n in found.items() if n != 2} - WITHOUT
    assert not without, "no finite number of a run of 48 steps: mend `read`, or name it in WITHOUT"
    assert set(found.values()) <= {0, 2}


def test_no_name_has_two_entries() -> None:
    """And each is registered under its own name."""
    assert len(MEASURES) == sum(map(len, (RUN, RECKONED, LOGGED, SETTINGS)))
    assert all(name == measure.name for name, measure in MEASURES.items())


@pytest.mark.parametrize("name", MEASURES)
def test_a_sentence_quotes_what_a_claim_reads(name: str, study: StudyRuns) -> None:
    """The number in a sentence is that of the claims: of several seeds their mean; perplexity is of the mean loss."""
    measure = MEASURES[name]
    values = list(read(study, measure).values.values())
    quote = find_quote(study, "a", ask(measure))
    if not values:
        assert quote is None
        return
    assert quote is not None
    middle = {"count": len(values), "highest": max(values)}.get(measure.over_seeds, sum(values) / len(values))
    if measure.through:
        middle = math.exp(sum(map(math.log, values)) / len(values))
    assert quote.value == pytest.approx(middle)
    shown = [measure.write(value) for value in values] if measure.is_listed_one_by_one else [measure.write(middle)]
    assert all(text in quote.text for text in shown)


def test_lists_and_comparisons_show_what_a_claim_reads(runs_dir: Path, study: StudyRuns, call: Call) -> None:
    """`runs list --json` and `runs compare --json` give every number of a result as claims have it."""
    place = ("--json", "--runs-dir", str(runs_dir))
    rows = {(row["arm"], row["seed"]): row for row in call("runs", "list", *place).json()}
    assert len(rows) == 4
    (one, other) = [seed for arm, seed in rows if arm == "a"]
    ids = [rows["a", seed]["run_id"] for seed in (one, other)]
    compared = call("runs", "compare", *ids, *place).json()["results"]
    assert [name for name in compared if name != "outcome"] == select(lambda measure: measure.of_result)
    for name in select(lambda measure: measure.of_result):
        values = read(study, MEASURES[name]).values
        assert compared[name]["first"] == values.get(one)
        assert compared[name]["second"] == values.get(other)
        if MEASURES[name].listed:
            assert [rows["a", seed][name] for seed in (one, other)] == [values.get(one), values.get(other)]


def find_cells(table: Table | None, heading: str) -> dict[str, str]:
    """Label of an arm -> what its cell under a heading says, in its first line."""
    assert table is not None
    place = [column.heading for column in table.columns].index(heading)
    return {row[0].text: row[place].text for row in table.rows}


def test_cells_show_what_a_claim_reads(study: StudyRuns) -> None:
    """Every measure of the tables of results and of the training, in every arm; so does the loss at a step."""
    headings = {"best_val_step": "at step"}
    shown = {"final_val_loss", "final_val_bpb", "best_val_loss", "final_train_loss", "perplexity", "best_val_step"}
    trained = {"last_step", "clipped_fraction", "max_grad_norm", "tokens_seen", "epochs", "duration_s"}
    for name in shown | trained:
        measure = find_measure(name)
        cells = find_cells(
            (results_table if name in shown else training_table)(study), headings.get(name, measure.label)
        )
        for arm in study.arms:
            quote = find_quote(study, arm.name, name)
            assert quote is not None
            values = read(study, measure, arm.name).values.values()
            ends = dict.fromkeys(measure.write(value) for value in (min(values), max(values)))
            assert cells[arm.label] == ("–".join(ends) if name == "best_val_step" else measure.write(quote.value))
    at_steps = losses_at_steps(study)
    assert at_steps is not None
    for place, arm in enumerate(study.arms):
        values = read(study, MEASURES["train_loss"], arm.name).values.values()
        assert at_steps.rows[-1][1 + 2 * place].text == MEASURES["train_loss"].write(sum(values) / len(values))


def test_the_rise_of_the_results_is_that_of_the_claims(study: StudyRuns) -> None:
    """The CSV's `rise` is the mean of `val_rise`."""
    table = results_table(study)
    assert table is not None
    values = read(study, MEASURES["val_rise"]).values.values()
    assert table.data.set_index("arm").loc["a", "rise"] == pytest.approx(sum(values) / len(values))


def test_a_sweep_improves_what_a_claim_reads(runs_dir: Path, study: StudyRuns) -> None:
    """Every goal is the catalogue's, but for train_loss: without a step it is the last step's own, as W&B has it."""
    arm = study.arms[0]
    for run_id, seed in zip(arm.run_ids, arm.runs["seed"], strict=True):
        place = RunDir(runs_dir / run_id)
        about = json.loads((place.path / "result.json").read_text())
        result = Result(**{field.name: about[field.name] for field in fields(Result)})
        for name in select(lambda measure: measure.is_goal and measure.name != "train_loss"):
            assert read_metric_value(name, result, place) == read(study, MEASURES[name]).values[int(seed)]
    assert set(select(lambda measure: measure.of_result)) <= {field.name for field in fields(Result)}


def test_noise_means_one_thing(study: StudyRuns) -> None:
    """A sentence that asks for it gets what claims judge, and the noise of the later half by that name alone."""
    noise, late = (find_quote(study, "a", name) for name in ("noise", "late_noise"))
    assert noise is not None
    assert late is not None
    values = read(study, MEASURES["noise"]).values.values()
    assert noise.value == pytest.approx(sum(values) / len(values))
    assert late.value < noise.value


def test_a_name_that_is_no_measure_is_told_with_near_ones(study: StudyRuns) -> None:
    """One sentence, which names the slot of the text; of a claim, the measure."""
    unknown = "there is no measure 'nois'; did you mean noise"
    with pytest.raises(GptexpError, match=f"^the text quotes {{s:a:nois}}: {unknown}"):
        fill_text("It scatters by {s:a:nois}.", {"s": study})
    claim = Claim("c", (Place("A", "b"),), "It scatters.", study="s", quantity="a:nois", stated=1.0)
    with pytest.raises(GptexpError, match=f"^{unknown}"):
        measure_claim(claim, study)


def test_a_new_measure_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is registered it can be claimed, quoted, and shown in a column by its name alone."""
    made = make_study({"a": [run(1), run(2)]}, [*steps([4.0, 3.5]), *steps([5.0, 2.5], seed=2)])
    fall = Measure("fall", NATS, "how far it fell", lambda one, _: float(one.train_losses[0] - one.train_losses[-1]))
    monkeypatch.setitem(MEASURES, "fall", fall)
    claim = Claim("c", (Place("A", "b"),), "It falls.", study="s", quantity="a:fall", relation="above", stated=1.0)
    found = measure_claim(claim, made)
    assert found is not None
    assert (found.value, found.n) == (1.5, 2)
    phrases = fill_text("By {s:a:fall}.", {"s": made})
    assert phrases is not None
    assert [getattr(phrase, "text", phrase) for phrase in phrases] == ["By ", "1.500 (0.500–2.500)", "."]
    data = pd.DataFrame({"arm": ["a"], "n_runs": [2], "above_best": [0.0]})
    column, write = show_measure(made, data, "fall")
    assert column.heading == "how far it fell"
    assert [write(row).full_text for _, row in data.iterrows()] == ["1.500 (0.500–2.500)"]


def list_literals(path: Path) -> Iterator[set[Any]]:
    """The constants of every list, tuple and set that is written down in a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            yield {part.value for part in node.elts if isinstance(part, ast.Constant)}


def test_no_module_lists_the_ends_of_a_run_again() -> None:
    """Where a run ended is a property of measures: nobody writes the names down a second time."""
    ends = set(select(lambda measure: measure.at_the_end))
    package = Path(gptexp.__file__).parent
    again = [path.name for path in package.rglob("*.py") for names in list_literals(path) if len(names & ends) > 1]
    assert again == []


def test_the_list_of_runs_holds_numbers_of_results_only() -> None:
    """Another one would be null in every row: its author reads what shows it."""
    with pytest.raises(GptexpError, match=r"measure fall: listed=True is .*result\.json; .*--measure fall"):
        Measure("fall", NATS, "how far it fell", lambda one, _: 1.0, listed=True)


def test_a_measure_of_another_package_has_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns and claims go by the measure's name, so another entry point's name, or no measure, is one sentence."""
    lines = "[gptexp.measures]\nother_name = their_measures:rise\nno_measure = os:sep\n"
    source = "from gptexp.measures.measure import Measure\nrise = Measure('rise', 's', 'rise')\n"
    install_package(tmp_path, "theirs", lines, {"their_measures": source})
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("other_name", "no_measure"):
        with pytest.raises(GptexpError, match=f"the measure '{name}' of another package is .*; expected a Measure"):
            find_measure(name)
