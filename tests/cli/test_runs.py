from __future__ import annotations

import csv
import io
import json
import math
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gptexp.checksums import unseal
from tests.cli.conftest import TINY, Call, TinyRuns, forget_checksums


@pytest.fixture
def runs(tiny_runs: TinyRuns, tmp_path: Path) -> TinyRuns:
    """A copy that a test may damage."""
    return tiny_runs.copy(tmp_path / "runs")


def append_record(runs: TinyRuns, run_id: str, **fields: object) -> None:
    """One more line in the record log."""
    with (runs.folder / run_id / "records.jsonl").open("a") as log:
        log.write(json.dumps(fields) + "\n")


def test_list_json_is_the_contract(call: Call, tiny_runs: TinyRuns) -> None:
    """One object per run with id, study, arm, seed, scale, outcome and the final losses."""
    rows = call("runs", "list", "--runs-dir", str(tiny_runs.folder), "--json").json()
    assert [row["run_id"] for row in rows] == [tiny_runs.char, tiny_runs.gpt2]
    row = rows[1]
    expected = {"study": "tiny", "arm": "tokens", "seed": 1337, "scale": "quick", "outcome": "completed"}
    assert {key: row[key] for key in expected} == expected
    assert all(isinstance(row[key], float) for key in ("final_train_loss", "final_val_loss", "final_val_bpb"))


def test_the_list_is_a_table_with_whole_names(call: Call, runs: TinyRuns) -> None:
    """One line per run, nothing cut off where the output is no terminal."""
    members = runs.folder / runs.gpt2 / "members.jsonl"
    long_name = "an-arm-with-a-name-that-is-longer-than-any-terminal-would-like-to-have-it"
    member = unseal(json.loads(members.read_text()), members.parent.name)
    members.write_text(json.dumps({**member, "arm": long_name}) + "\n")
    forget_checksums(runs.folder / runs.gpt2)
    lines = call("runs", "list", "--runs-dir", str(runs.folder)).out.splitlines()
    assert len(lines) == 3
    columns = ["run", "study", "arm", "seed", "scale", "outcome", "steps", "train", "val", "flags", "changed"]
    assert lines[0].split() == columns
    assert any(long_name in line for line in lines)


def test_any_measure_is_a_column(call: Call, tiny_runs: TinyRuns) -> None:
    """What the records say, not the result alone; a dash where a run can't tell, and a wrong name is one sentence."""
    place = ("--runs-dir", str(tiny_runs.folder), "--measure", "first_train_loss", "--measure", "train_loss@100000")
    rows = call("runs", "list", *place, "--json").json()
    for row in rows:
        records = map(json.loads, (tiny_runs.folder / row["run_id"] / "records.jsonl").read_text().splitlines())
        assert row["first_train_loss"] == next(line["train_loss"] for line in records if line["kind"] == "step")
        assert row["train_loss@100000"] is None
    lines = call("runs", "list", *place).out.splitlines()
    assert lines[0].split()[9:11] == ["first_train_loss", "train_loss@100000"]
    assert [line.split()[9:11] for line in lines[1:]] == [[f"{row['first_train_loss']:.3f}", "–"] for row in rows]
    wrong = call("runs", "list", *place[:2], "--measure", "firs_train_loss")
    assert (wrong.status, len(wrong.sentences())) == (2, 1)
    assert "there is no measure 'firs_train_loss'; did you mean first_train_loss" in wrong.err


def test_a_measure_that_the_list_has_anyway_changes_nothing(call: Call, runs: TinyRuns) -> None:
    """Its field keeps its type, and the outcome still says where a run was stopped."""
    runs.edit(runs.gpt2, "result.json", lambda result: result.update(outcome="stopped", last_step=4))
    place = ("runs", "list", "--runs-dir", str(runs.folder))
    names = ("last_step", "max_steps", "n_params", "final_val_loss")
    asked = (*place, *(word for name in names for word in ("--measure", name)))
    plain, rows = (call(*words, "--json") for words in (place, asked))
    assert plain.out == rows.out
    lines = call(*asked).out.splitlines()
    assert lines[0].split()[9:13] == list(names)
    assert "stopped at 4 of 6" in lines[2]
    assert f" 4          6  {rows.json()[1]['n_params']:,}               –  " in lines[2]


def test_filters_keep_what_fits(call: Call, runs: TinyRuns) -> None:
    """--study, --scale and --outcome narrow the list down; an empty one says so and suggests a name."""
    runs.edit(runs.char, "result.json", lambda result: result.update(outcome="diverged"))

    def ids(*filters: str) -> list[str]:
        return [
            row["run_id"] for row in call("runs", "list", "--runs-dir", str(runs.folder), *filters, "--json").json()
        ]

    assert ids("--study", "tiny", "--scale", "quick") == [runs.char, runs.gpt2]
    assert ids("--outcome", "diverged") == [runs.char]
    assert ids("--scale", "lesson") == []
    reply = call("runs", "list", "--runs-dir", str(runs.folder), "--study", "tiney")
    assert reply.status == 0
    assert "did you mean tiny?" in reply.err


def test_newest_comes_first_on_demand(call: Call, runs: TinyRuns) -> None:
    """--newest sorts by the end of the runs."""
    runs.edit(runs.gpt2, "result.json", lambda result: result.update(finished_at="2001-01-01T00:00:00+00:00"))
    rows = call("runs", "list", "--runs-dir", str(runs.folder), "--newest", "--json").json()
    assert [row["run_id"] for row in rows] == [runs.char, runs.gpt2]
    runs.edit(runs.gpt2, "result.json", lambda result: result.update(finished_at="2999-01-01T00:00:00+00:00"))
    rows = call("runs", "list", "--runs-dir", str(runs.folder), "--newest", "--json").json()
    assert [row["run_id"] for row in rows] == [runs.gpt2, runs.char]


def test_damaged_folders_are_named_and_hide_nothing(call: Call, runs: TinyRuns) -> None:
    """What can't be read is named on stderr with its reason; stdout stays whole JSON of the others."""
    (runs.folder / runs.char / "config.json").write_text("{ not json")
    (runs.folder / ("f" * 12)).mkdir()
    (runs.folder / ("f" * 12) / "records.jsonl").touch()
    (runs.folder / runs.gpt2 / "result.json").write_text("[]")
    reply = call("runs", "list", "--runs-dir", str(runs.folder), "--json")
    assert reply.status == 0
    assert [(row["run_id"], row["outcome"]) for row in reply.json()] == [(runs.gpt2, "unfinished")]
    named = {line.split(":")[1].rpartition("/")[2]: line for line in reply.sentences()}
    assert set(named) == {runs.char, runs.gpt2, "f" * 12}
    assert "config.json is missing" in named["f" * 12]


def test_an_empty_folder_says_how_to_fill_it(call: Call, tmp_path: Path) -> None:
    """No runs is no error: an empty list, and a hint on stderr."""
    reply = call("runs", "list", "--runs-dir", str(tmp_path / "none"), "--json")
    assert (reply.status, reply.json()) == (0, [])
    assert "gptexp run" in reply.err


def test_a_diverged_loss_is_strict_json(call: Call, runs: TinyRuns) -> None:
    """NaN is a string in JSON and a word in the table, never dropped."""
    runs.edit(runs.gpt2, "result.json", lambda result: result.update(final_train_loss="NaN"))
    rows = call("runs", "list", "--runs-dir", str(runs.folder), "--json").json()
    assert rows[1]["final_train_loss"] == "NaN"
    line = next(
        row for row in call("runs", "list", "--runs-dir", str(runs.folder)).out.splitlines() if runs.gpt2 in row
    )
    assert "nan" in line.split()


@pytest.mark.parametrize("outcome", ["interrupted", "failed", "diverged"])
def test_only_a_completed_run_has_final_losses(call: Call, runs: TinyRuns, outcome: str) -> None:
    """What a run that broke off last measured on its part of the val split is shown as no end anywhere."""
    runs.edit(runs.gpt2, "result.json", lambda result: result.update(outcome=outcome, last_step=4))
    place = ("--runs-dir", str(runs.folder))
    ends = ("final_train_loss", "final_val_loss", "final_val_bpb")
    row = call("runs", "list", *place, "--json").json()[1]
    assert (row["outcome"], *(row[name] for name in ends)) == (outcome, None, None, None)
    results = call("runs", "compare", runs.gpt2, runs.char, *place, "--json").json()["results"]
    assert [results[name]["first"] for name in ends] == [None, None, None]
    assert not set(ends) & set(call("runs", "show", runs.gpt2, *place).out.split())


def test_show_tells_everything_about_a_run(call: Call, tiny_runs: TinyRuns) -> None:
    """Config by its parts, result, who asked, provenance, checkpoints, records and samples; a short id will do."""
    out = call("runs", "show", tiny_runs.gpt2[:7], "--runs-dir", str(tiny_runs.folder)).out
    for part in ("optimizer", "lr=0.0006", "tiny · tokens · quick · seed 1337", "final_val_loss", "step 6", "Samples"):
        assert part in out
    assert "gptexp run tiny" in out


def test_show_json_has_the_last_records(call: Call, tiny_runs: TinyRuns) -> None:
    """--records chooses how many of the last records come; samples are apart."""
    shown = call("runs", "show", tiny_runs.gpt2, "--runs-dir", str(tiny_runs.folder), "--records", "2", "--json").json()
    assert [record["kind"] for record in shown["records"]] == ["eval", "eval"]
    assert {key: shown["config"][key] for key in TINY} == TINY
    assert shown["checkpoints"][-1] == 6
    assert shown["samples"][-1]["trigger"] == "final"


def test_show_makes_control_characters_visible(call: Call, runs: TinyRuns) -> None:
    """Whatever a record, a label or a study name holds, it can't steer the terminal, and markup is text."""
    evil = "\x1b[2J\u202e[red]x"
    append_record(
        runs, runs.gpt2, kind="sample", step=6, trigger=evil, threshold=None, train_loss=None, prompt="", text=evil
    )
    append_record(runs, runs.gpt2, kind="event", step=6, name=evil, detail=evil)
    member = unseal(json.loads((runs.folder / runs.gpt2 / "members.jsonl").read_text()), runs.gpt2)
    (runs.folder / runs.gpt2 / "members.jsonl").write_text(json.dumps({**member, "arm": evil, "label": evil}) + "\n")
    runs.edit(runs.gpt2, "config.json", lambda content: content["corpus"].update(name=evil))
    for arguments in (["show", runs.gpt2], ["list"], ["compare", runs.gpt2, runs.char]):
        out = call("runs", *arguments, "--runs-dir", str(runs.folder)).out
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert "[red]x" in out.replace("\n", "").replace(" ", "")


def test_show_survives_an_unfinished_run(call: Call, runs: TinyRuns) -> None:
    """A run without a result, provenance, checkpoint or record is still shown."""
    folder = runs.folder / runs.gpt2
    for name in ("result.json", "provenance.jsonl", "members.jsonl", "records.jsonl"):
        (folder / name).unlink()
    reply = call("runs", "show", runs.gpt2, "--runs-dir", str(runs.folder))
    assert reply.status == 0
    assert "unfinished" in reply.out


def test_an_ambiguous_id_is_an_error(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """A beginning that several runs share exits with 2 and lists them."""
    for name in ("aa0000000000", "aa1111111111"):
        (tmp_path / name).mkdir()
    reply = call("runs", "show", "aa", "--runs-dir", str(tmp_path))
    assert reply.status == 2
    assert "aa1111111111" in reply.sentences()[0]


def test_a_run_that_has_not_begun_is_one_sentence(call: Call, runs: TinyRuns) -> None:
    """A run that was only asked for is no damage, and there is nothing to show or export."""
    (runs.folder / ("f" * 12)).mkdir()
    for arguments in (["show", "ff"], ["export", "ff", "--format", "csv"]):
        reply = call("runs", *arguments, "--runs-dir", str(runs.folder))
        assert reply.status == 2
        assert "has not begun" in reply.sentences()[0]


def test_a_damaged_run_is_one_sentence(call: Call, runs: TinyRuns) -> None:
    """Without its config a run can't be shown, exported or compared, and the message says why."""
    (runs.folder / runs.gpt2 / "config.json").unlink()
    for arguments in (["show", runs.gpt2], ["export", runs.gpt2, "--format", "csv"], ["compare", runs.char, runs.gpt2]):
        reply = call("runs", *arguments, "--runs-dir", str(runs.folder))
        assert reply.status == 2
        assert len(reply.sentences()) == 1
        assert "config.json is missing" in reply.err


def test_all_formats_export_the_same_table(
    call: Call, runs: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """csv, json and parquet hold one row per record with the same values; NaN is not the same as no value."""
    monkeypatch.chdir(tmp_path)
    step = {"train_loss": "NaN", "lr": 0.1, "grad_norm": "Infinity", "clipped": True}
    append_record(runs, runs.gpt2, kind="step", step=7, tokens_seen=9, step_time_s=0.1, tokens_per_sec=1.0, **step)
    n_records = len((runs.folder / runs.gpt2 / "records.jsonl").read_text().splitlines())
    for name in ("csv", "json", "parquet"):
        reply = call("runs", "export", runs.gpt2[:8], "--format", name, "--runs-dir", str(runs.folder))
        assert reply.out == f"{runs.gpt2}.{name}: {n_records} records\n"
    csv_text = (tmp_path / f"{runs.gpt2}.csv").read_text()
    rows = json.loads((tmp_path / f"{runs.gpt2}.json").read_text())
    parquet = pq.read_table(tmp_path / f"{runs.gpt2}.parquet").to_pylist()
    assert len(rows) == len(parquet) == n_records
    assert (rows[-1]["train_loss"], rows[-1]["grad_norm"], rows[-1]["val_loss"]) == ("NaN", "Infinity", None)
    assert math.isnan(parquet[-1]["train_loss"])
    assert parquet[-1]["val_loss"] is None
    assert f"{runs.gpt2},step,7,NaN,0.1,Infinity,True,9," in csv_text
    lines = list(csv.DictReader(io.StringIO(csv_text)))
    assert len(lines) == n_records
    steps = [row for row in parquet if row["kind"] == "step" and row["step"] <= 6]
    losses = [float(line["train_loss"]) for line in lines if line["kind"] == "step"]
    assert losses[:6] == [row["train_loss"] for row in steps]


def test_show_is_short_whatever_a_run_holds(call: Call, runs: TinyRuns) -> None:
    """Texts of megabytes are cut, with their number of characters, and at once; --json has them whole."""
    text = "To be, or not to be, that is the question\n" * 120_000
    fields = {"trigger": "final", "threshold": None, "train_loss": None, "prompt": text, "text": text}
    append_record(runs, runs.gpt2, kind="sample", step=6, **fields)
    append_record(runs, runs.gpt2, kind="event", step=6, name="note", detail=text)
    start = time.process_time()
    reply = call("runs", "show", runs.gpt2, "--runs-dir", str(runs.folder))
    assert time.process_time() - start < 4
    assert len(reply.out) < 20_000
    assert f"[{len(text) - 2_000:,} more characters]" in " ".join(reply.out.split())
    assert len(call("runs", "show", runs.gpt2, "--json", "--runs-dir", str(runs.folder)).out) > 2 * len(text)


@pytest.mark.parametrize("text", ["=1+1", "\t=x", "-@SUM(A1)", "safe\u202eevil"])
def test_texts_of_the_csv_act_nowhere(text: str, call: Call, runs: TinyRuns) -> None:
    """A sample is no formula in a spreadsheet and doesn't turn its direction; json and parquet have it as it was."""
    fields = {"trigger": "final", "threshold": None, "train_loss": -0.5, "prompt": text, "text": text}
    append_record(runs, runs.gpt2, kind="sample", step=6, **fields)
    out = {
        name: call("runs", "export", runs.gpt2, "--format", name, "--out", "-", "--runs-dir", str(runs.folder)).out
        for name in ("csv", "json")
    }
    row = list(csv.DictReader(io.StringIO(out["csv"], newline="")))[-1]
    assert row["text"] in (f"'{text}", "safe[U+202E]evil")
    assert row["train_loss"] == "-0.5"
    assert json.loads(out["json"])[-1]["text"] == text


@pytest.mark.parametrize("text", ['a "quoted", text', "over\r\nlines", "over\rlines", "over\nlines é"])
def test_texts_survive_the_csv(text: str, call: Call, runs: TinyRuns) -> None:
    """Quotes, commas, line feeds and carriage returns of a sample come back as they were."""
    fields = {"trigger": "final", "threshold": None, "train_loss": None, "prompt": "a", "text": text}
    append_record(runs, runs.gpt2, kind="sample", step=6, **fields)
    out = call("runs", "export", runs.gpt2, "--format", "csv", "--out", "-", "--runs-dir", str(runs.folder)).out
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert rows[-1]["text"] == text


def test_damaged_values_become_empty(call: Call, runs: TinyRuns) -> None:
    """A value of the wrong type is left out, a line that is no record is counted on stderr, the rest is exported."""
    log = runs.folder / runs.gpt2 / "records.jsonl"
    log.write_text("garbage\n" + log.read_text())
    forget_checksums(runs.folder / runs.gpt2)
    append_record(runs, runs.gpt2, kind="eval", step=8, val_loss="low", val_bpb=True, val_tokens=10**30, whole="yes")
    append_record(runs, runs.gpt2, kind="event", step=8, name="\ud800", detail="half a pair")
    for file_format in ("csv", "json", "parquet"):
        out = str(runs.folder / f"out.{file_format}")
        reply = call("runs", "export", runs.gpt2, "--format", file_format, "--out", out, "--runs-dir", str(runs.folder))
        assert reply.status == 0
        assert "1 line" in reply.sentences()[0]
    last = pq.read_table(runs.folder / "out.parquet").to_pylist()[-2]
    assert [last[key] for key in ("step", "val_loss", "val_bpb", "val_tokens", "whole")] == [8, None, None, None, None]


def test_parquet_never_goes_to_a_terminal(call: Call, tiny_runs: TinyRuns) -> None:
    """--out - with parquet is refused with a way out."""
    arguments = ("--format", "parquet", "--out", "-", "--runs-dir", str(tiny_runs.folder))
    reply = call("runs", "export", tiny_runs.gpt2, *arguments)
    assert reply.status == 2
    assert "--out FILE" in reply.sentences()[0]


def test_compare_shows_what_differs(call: Call, tiny_runs: TinyRuns) -> None:
    """Only fields that differ are listed, results come with their difference (second minus first)."""
    ids = (tiny_runs.gpt2, tiny_runs.char)
    comparison = call("runs", "compare", *ids, "--runs-dir", str(tiny_runs.folder), "--json").json()
    assert comparison["config"]["lr"] == [6e-4, 1e-3]
    assert "n_layer" not in comparison["config"]
    loss = comparison["results"]["final_val_loss"]
    assert loss["difference"] == pytest.approx(loss["second"] - loss["first"])
    out = call("runs", "compare", *ids, "--runs-dir", str(tiny_runs.folder)).out
    assert "tokenizer" in out
    assert "n_layer" not in out


def test_compare_warns_where_losses_are_not_comparable(call: Call, runs: TinyRuns) -> None:
    """Nats per token of other tokens or another text are no comparison, and both outputs say so."""

    def note() -> str | None:
        arguments = ("runs", "compare", runs.gpt2, runs.char, "--runs-dir", str(runs.folder))
        comparison = call(*arguments, "--json").json()
        assert comparison["losses_comparable"] == (comparison["note"] is None)
        assert ("not comparable" in call(*arguments).out) == (comparison["note"] is not None)
        text: str | None = comparison["note"]
        return text

    assert "tokenizers differ" in (note() or "")
    runs.edit(runs.char, "config.json", lambda content: content["corpus"].update(checksum="0" * 64))
    assert "corpora differ" in (note() or "")
    same = json.loads((runs.folder / runs.gpt2 / "config.json").read_text())
    runs.edit(
        runs.char,
        "config.json",
        lambda content: content.update(corpus=same["corpus"], tokenizer=same["tokenizer"]),
    )
    assert note() is None


def test_a_run_is_not_compared_with_itself(call: Call, tiny_runs: TinyRuns) -> None:
    """The same run twice is a mistyped id."""
    reply = call("runs", "compare", tiny_runs.gpt2, tiny_runs.gpt2[:5], "--runs-dir", str(tiny_runs.folder))
    assert reply.status == 2
    assert "the same run" in reply.sentences()[0]
