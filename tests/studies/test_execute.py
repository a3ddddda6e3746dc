"""One run: what it records, that it repeats to the bit, and that it goes on exactly where it stopped."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gptexp.config import build_config
from gptexp.errors import GptexpError
from gptexp.mirrors.protocol import RunInfo
from gptexp.model.gpt import GPT
from gptexp.records import Record, StepRecord
from gptexp.studies.execute import build_training, execute
from gptexp.studies.peak_memory import PeakMemory
from gptexp.studies.resolve import read_tokens
from gptexp.studies.results import report_failure
from gptexp.tracking.housekeeping import remove_run
from gptexp.tracking.run_dir import RunDir
from gptexp.training.checkpoint import list_checkpoints
from gptexp.training.device import Hardware
from tests.studies.tiny import make_job, needs_compiler, read_untimed, run_tiny
from tests.tolerance import LOSS_DRIFT, NORM_DRIFT


def of_kind(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [record for record in records if record["kind"] == kind]


def test_a_run_leaves_everything_it_promises(tmp_path: Path, tiny_corpus: Path) -> None:
    """Steps 1..n, evaluations at 0, every interval and the end, samples, one result; no optimizer state stays."""
    result, records = run_tiny(tmp_path, tiny_corpus, final_eval="whole")
    assert result.outcome == "completed"
    assert [record["step"] for record in of_kind(records, "step")] == list(range(1, 13))
    assert [(r["step"], r["whole"]) for r in of_kind(records, "eval")] == [
        (0, False),
        (4, False),
        (8, False),
        (12, False),
        (12, True),
    ]
    assert [(r["step"], r["trigger"]) for r in of_kind(records, "sample")] == [
        (0, "initial"),
        (5, "interval"),
        (10, "interval"),
        (12, "final"),
    ]
    whole = of_kind(records, "eval")[-1]
    content = json.loads((tmp_path / result.run_id / "config.json").read_text())
    assert whole["val_tokens"] == content["corpus"]["val_tokens"] - 1
    assert result.final_val_loss == whole["val_loss"]
    assert result.tokens_seen == 12 * 4 * 16
    assert of_kind(records, "step")[-1]["train_loss"] < of_kind(records, "step")[0]["train_loss"]
    left = {
        path.name for folder in list_checkpoints(tmp_path / result.run_id / "checkpoints") for path in folder.iterdir()
    }
    assert "model.safetensors" in left


def test_two_identical_runs_agree_to_the_bit(tmp_path: Path, tiny_corpus: Path) -> None:
    """The same config gives the same records, also when another run came in between."""
    _, first = run_tiny(tmp_path / "a", tiny_corpus, dropout=0.1)
    run_tiny(tmp_path / "a", tiny_corpus, lr=1e-4)
    _, second = run_tiny(tmp_path / "b", tiny_corpus, dropout=0.1)
    assert first == second


@pytest.mark.slow
@needs_compiler
def test_a_compiled_run_goes_on_exactly_and_agrees_with_the_plain_one(tmp_path: Path, tiny_corpus: Path) -> None:
    """Its steps repeat to the bit after an interruption; uncompiled ones differ by rounding and have another id."""
    _, plain = run_tiny(tmp_path / "a", tiny_corpus)
    result, compiled = run_tiny(tmp_path / "a", tiny_corpus, compile=True)
    assert len(list((tmp_path / "a").iterdir())) == 2
    losses = [[record["train_loss"] for record in of_kind(records, "step")] for records in (plain, compiled)]
    assert losses[0] == pytest.approx(losses[1], abs=LOSS_DRIFT)
    job = make_job(tmp_path / "b", tiny_corpus, compile=True)
    asked = iter([False] * 7 + [True] * 100)
    notes: list[str] = []
    assert execute(job, [], lambda: next(asked), notes.append).outcome == "interrupted"
    assert notes == ["compiling the training pass: half a minute the first time, seconds once this machine has done it"]
    assert execute(job, [], lambda: False, notes.append).final_val_loss == result.final_val_loss
    assert read_untimed(Path(job.run_dir)) == compiled
    processes = (Path(job.run_dir) / "provenance.jsonl").read_text().splitlines()
    assert all(json.loads(process)["compile_s"] > 0 for process in processes)


@pytest.mark.slow
@needs_compiler
@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() != "AVX512", reason="needs registers to be told apart")
def test_code_for_other_registers_is_not_found_again(
    tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache of compiled code that was filled with wide registers serves narrow ones too: they compile anew."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    losses = []
    for capability in ("avx512", "avx2"):
        monkeypatch.setenv("ATEN_CPU_CAPABILITY", capability)
        _, records = run_tiny(tmp_path / capability, tiny_corpus, compile=True, max_steps=4)
        losses.append([record["train_loss"] for record in of_kind(records, "step")])
    assert losses[0] == pytest.approx(losses[1], abs=LOSS_DRIFT)


def test_a_machine_that_cannot_compile_is_one_sentence(
    tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What torch says is shortened to its first line, with the way out behind it."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("No working C++ compiler found\n\nSet TORCHDYNAMO_VERBOSE=1")

    monkeypatch.setattr(torch, "compile", lambda function, **_: refuse)
    with pytest.raises(GptexpError, match=r"compile=true: .*\(No working C\+\+ compiler found\); .* set compile=false"):
        run_tiny(tmp_path, tiny_corpus, compile=True)


@pytest.mark.parametrize(
    "changes",
    [{}, {"dropout": 0.2}, {"grad_accum_steps": 3}, {"precision": "bf16"}, {"sample_interval": 3, "eval_interval": 3}],
    ids=["plain", "dropout", "accumulation", "bf16", "all-on-the-boundary"],
)
def test_interrupted_and_resumed_equals_undisturbed(tmp_path: Path, tiny_corpus: Path, changes: dict[str, Any]) -> None:
    """Stopped after every single step and started again each time, the records are those of one undisturbed run. After
    the last of its 12 steps a run isn't stopped: only its end is missing.
    """
    result, undisturbed = run_tiny(tmp_path / "a", tiny_corpus, **changes)
    job = make_job(tmp_path / "b", tiny_corpus, **changes)
    outcomes = [execute(job, [], lambda: True, lambda message: None).outcome for _ in range(12)]
    assert outcomes == ["interrupted"] * 11 + ["completed"]
    assert read_untimed(Path(job.run_dir)) == undisturbed
    resumed = RunDir(Path(job.run_dir)).read_result()
    assert resumed is not None
    assert resumed.best_val_step == result.best_val_step
    assert resumed.final_train_loss == result.final_train_loss
    assert len((Path(job.run_dir) / "provenance.jsonl").read_text().splitlines()) == 12


def test_a_crash_between_checkpoints_repeats_only_what_was_lost(tmp_path: Path, tiny_corpus: Path) -> None:
    """A process that dies between checkpoints leaves records that are cut back, computed again, and equal."""
    _, undisturbed = run_tiny(tmp_path / "a", tiny_corpus)
    job = make_job(tmp_path / "b", tiny_corpus)

    def die() -> bool:
        if json.loads((Path(job.run_dir) / "records.jsonl").read_text().splitlines()[-1])["step"] >= 8:
            raise SystemError("pulled the plug")
        return False

    with pytest.raises(SystemError):
        execute(job, [], die, lambda message: None)
    with (Path(job.run_dir) / "records.jsonl").open("a") as log:
        log.write('{"kind": "step", "step": 9, "train_lo')
    execute(job, [], lambda: False, lambda message: None)
    assert read_untimed(Path(job.run_dir)) == undisturbed


def test_a_damaged_checkpoint_falls_back_and_says_so(tmp_path: Path, tiny_corpus: Path) -> None:
    """With its newest checkpoint truncated a run goes on from the one before, with a warning and equal records."""
    _, undisturbed = run_tiny(tmp_path / "a", tiny_corpus)
    job = make_job(tmp_path / "b", tiny_corpus)
    stop_at_7 = iter([False] * 6 + [True])
    execute(job, [], lambda: next(stop_at_7), lambda message: None)
    newest = list_checkpoints(Path(job.run_dir) / "checkpoints")[0]
    assert newest.name == "step-00000007"
    (newest / "model.safetensors").write_bytes(b"")
    warnings: list[str] = []
    execute(job, [], lambda: False, warnings.append)
    assert len(warnings) == 1
    assert "step-00000007" in warnings[0]
    assert read_untimed(Path(job.run_dir)) == undisturbed


def test_a_done_run_is_not_trained_again(tmp_path: Path, tiny_corpus: Path) -> None:
    """A second execution answers from the record and writes nothing."""
    job = make_job(tmp_path, tiny_corpus)
    first = execute(job, [], lambda: False, lambda message: None)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert execute(job, [], lambda: False, lambda message: None) == first
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_a_run_that_was_removed_before_its_turn_still_belongs_to_its_study(tmp_path: Path, tiny_corpus: Path) -> None:
    """`runs rm` between the plan and the training: without its row no table would have the run, and none would say so.

    A row that is there already is not written again.
    """
    member: dict[str, Any] = {"study": "s", "arm": "a", "scale": "quick", "seed": 1337, "variant": {}}
    member |= {"definition": "0" * 12, "asked_at": "2026-01-01T00:00:00+00:00"}
    job = replace(make_job(tmp_path, tiny_corpus), member=member)
    run_dir = RunDir(Path(job.run_dir))
    run_dir.append_member(member)
    remove_run(run_dir)
    execute(job, [], lambda: False, print)
    assert run_dir.read_members() == [member]
    run_dir.forget_result()
    execute(job, [], lambda: False, print)
    assert run_dir.read_members() == [member]


def test_divergence_is_a_result(tmp_path: Path, tiny_corpus: Path) -> None:
    """A rate that explodes ends as `diverged` with the step and the place; its curve up to there stays."""
    result, records = run_tiny(tmp_path, tiny_corpus, lr=1e30, schedule="constant", grad_clip=None, weight_decay=0.0)
    assert result.outcome == "diverged"
    steps = of_kind(records, "step")
    assert result.diverged_step == steps[-1]["step"] > 1
    assert steps[-1]["train_loss"] in ("NaN", "Infinity") or steps[-1]["grad_norm"] in ("NaN", "Infinity")
    assert result.diverged_where
    assert result.last_finite_train_loss is not None
    assert math.isfinite(result.last_finite_train_loss)
    assert RunDir(tmp_path / result.run_id).is_done()


def test_accumulation_equals_a_larger_batch(tmp_path: Path, tiny_corpus: Path) -> None:
    """Three micro-batches of 4 are one batch of 12: same windows, same losses but for rounding."""
    _, accumulated = run_tiny(tmp_path, tiny_corpus, grad_accum_steps=3)
    _, at_once = run_tiny(tmp_path, tiny_corpus, batch_size=12)
    for a, b in zip(of_kind(accumulated, "step"), of_kind(at_once, "step"), strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], abs=LOSS_DRIFT)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=NORM_DRIFT)


def test_sampling_never_changes_training(tmp_path: Path, tiny_corpus: Path) -> None:
    """With or without samples, the losses are the same to the bit, also under dropout."""
    _, without = run_tiny(tmp_path, tiny_corpus, sample_interval=None, dropout=0.1)
    _, with_samples = run_tiny(tmp_path, tiny_corpus, sample_interval=1, dropout=0.1)
    assert of_kind(without, "step") == of_kind(with_samples, "step")


def test_a_sample_per_loss_threshold(tmp_path: Path, tiny_corpus: Path) -> None:
    """Each threshold that the loss passes under has one sample, and its weights; several at once share the lowest's."""
    changes = {"max_steps": 60, "sample_interval": None, "sample_losses": [9.0, 8.0, 3.0, 2.8]}
    result, records = run_tiny(tmp_path, tiny_corpus, **changes)
    samples = [record for record in of_kind(records, "sample") if record["trigger"] == "loss"]
    assert [record["threshold"] for record in samples] == [8.0, 3.0, 2.8]
    assert all(record["train_loss"] < record["threshold"] for record in samples)
    kept = {int(path.name.removeprefix("step-")) for path in list_checkpoints(tmp_path / result.run_id / "checkpoints")}
    assert kept == {result.best_val_step, 60, *(record["step"] for record in samples)}


def test_the_outlier_batch_is_labelled_and_spikes(tmp_path: Path, tiny_corpus: Path) -> None:
    """One step has the outlier batch: an event names it and its gradient is the largest since the start."""
    _, records = run_tiny(tmp_path, tiny_corpus, max_steps=40, outlier_at=0.75, grad_clip=1.0)
    (event,) = of_kind(records, "event")
    assert (event["name"], event["step"]) == ("outlier-batch", 30)
    norms = {record["step"]: record["grad_norm"] for record in of_kind(records, "step")}
    assert norms[30] == max(norm for step, norm in norms.items() if step > 10)


def test_a_failing_tracker_changes_nothing(tmp_path: Path, tiny_corpus: Path) -> None:
    """A mirror that breaks in the middle is dropped with one warning; the run and the other mirrors go on."""

    class Broken:
        def start(self, info: RunInfo) -> None: ...

        def log(self, record: Record) -> None:
            if record.step == 5:
                raise OSError("connection reset")

        def finish(self, result: object) -> None:
            raise AssertionError("dropped trackers hear nothing")

    class Counting(Broken):
        steps = 0

        def log(self, record: Record) -> None:
            self.steps += isinstance(record, StepRecord)

        def finish(self, result: object) -> None: ...

    job, counting, warnings = make_job(tmp_path, tiny_corpus), Counting(), []
    result = execute(job, [Broken(), counting], lambda: False, warnings.append)
    assert result.outcome == "completed"
    assert counting.steps == 12
    assert warnings == ["Broken failed and is left out: OSError: connection reset"]


def test_golden_first_steps(tmp_path: Path, tiny_corpus: Path) -> None:
    """The first losses are those of ENGINE_VERSION 2: a refactor that changes them must say why and raise it.

    They are written with six digits; what remains is how differently processors round.
    """
    _, records = run_tiny(tmp_path, tiny_corpus)
    losses = [record["train_loss"] for record in of_kind(records, "step")][:4]
    assert losses == pytest.approx(GOLDEN_LOSSES, abs=LOSS_DRIFT + 0.5e-6)


GOLDEN_LOSSES = [3.511628, 3.361283, 3.384217, 3.256458]


def test_small_changes_stay_small(tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny training hands differences on, but doesn't blow them up: what tolerances of other tests rest on."""
    _, plain = run_tiny(tmp_path / "plain", tiny_corpus, max_steps=20)
    init, change = GPT._init_gpt2, 3e-6

    def init_a_little_off(model: GPT) -> None:
        init(model)
        draw = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weights in model.parameters():
                weights.mul_(1 + change * (2 * torch.randint(2, weights.shape, generator=draw) - 1))

    monkeypatch.setattr(GPT, "_init_gpt2", init_a_little_off)
    _, moved = run_tiny(tmp_path / "moved", tiny_corpus, max_steps=20)
    assert plain != moved
    for a, b in zip(of_kind(plain, "step"), of_kind(moved, "step"), strict=True):
        assert b["train_loss"] == pytest.approx(a["train_loss"], abs=3 * change)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=20 * change)


def test_a_run_over_epochs_reads_each_chunk_once(tiny_corpus: Path, tmp_path: Path) -> None:
    """`sampler=epochs` reaches the training: one epoch's batches start at every chunk of the text, each once."""
    job = make_job(tmp_path, tiny_corpus, sampler="epochs")
    tokens = read_tokens(str(tiny_corpus), "char")
    training = build_training(build_config(job.content["config"]), Hardware("cpu", "fp32"), tokens)
    n_chunks = (len(tokens.train) - 1) // 16
    n_steps = n_chunks // 4
    inputs = torch.cat([x for step in range(1, n_steps + 1) for x, _ in training.batches(step)])
    text = torch.from_numpy(tokens.train[: n_chunks * 16].astype(np.int64)).view(n_chunks, 16)
    # Chunks of this text repeat, so they are counted.
    known, seen = (Counter(tuple(row.tolist()) for row in rows) for rows in (text, inputs))
    assert seen.total() == n_steps * 4
    assert n_chunks - 4 < seen.total() <= n_chunks
    assert seen <= known


@pytest.mark.skipif(torch.cuda.is_available(), reason="counts the GPU's memory")
def test_the_peak_of_memory_is_that_of_the_run(tmp_path: Path, tiny_corpus: Path) -> None:
    """What the process held before the run began doesn't count, or the peak is left open."""
    before = run_tiny(tmp_path, tiny_corpus, max_steps=1)[0].peak_memory_mib
    torch.ones(2**28)
    after = run_tiny(tmp_path, tiny_corpus, max_steps=2)[0].peak_memory_mib
    assert after is None or (before is not None and 50 < after < before + 512)


@pytest.mark.skipif(torch.cuda.is_available(), reason="counts the GPU's memory")
def test_the_peak_is_open_where_it_can_not_be_counted_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a worker's first run the system's count is known; of its later ones only where it can be reset."""
    monkeypatch.setattr("gptexp.studies.peak_memory.CLEAR_REFS", tmp_path / "missing" / "clear_refs")
    memory = PeakMemory()
    memory.restart()
    first = memory.read_mib()
    assert first is not None or sys.platform == "win32"
    memory.restart()
    assert memory.read_mib() is None


def test_a_worker_that_died_says_nothing_of_its_memory(tmp_path: Path, tiny_corpus: Path) -> None:
    """The process that reports a failure is another one."""
    assert report_failure(make_job(tmp_path, tiny_corpus), "its process was killed").peak_memory_mib is None
