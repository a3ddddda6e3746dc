"""The loops that the lesson shows are real: they train, and the wrong one is wrong in the way the page says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gptexp.claims.computed import COMPUTED, compute
from gptexp.claims.ledger import load_ledger
from gptexp.config import build_config
from gptexp.lesson import compare
from gptexp.lesson.compare import LOOPS, QUOTED, read_function
from gptexp.lesson.digits import SEEDS, read_digits_losses, train_on_digits
from gptexp.lesson.gpt_loop import cycle, train_gpt
from gptexp.lesson.mnist_loop import load_digits, train_classifier
from gptexp.lesson.val_loss import Windows, estimate_right, estimate_wrong
from gptexp.model.gpt import GPT
from gptexp.report.code import CodePair, Listing, colour
from gptexp.report.exhibits import Source, find_exhibit
from gptexp.report.loaders import DIGITS, NotMeasured, measure_loaders
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import select_studies
from gptexp.studies.locate import find_files
from gptexp.training.loop import Training, train
from gptexp.training.optimizer import build_optimizer
from gptexp.training.schedule import learning_rate
from tests.report.synthetic import Run, append_member, write_run
from tests.studies.tiny import TINY, make_job, run_tiny
from tests.tolerance import LOSS_DRIFT


def test_the_classifier_loop_learns_digits() -> None:
    """The loop that the student knows takes scikit-learn's digits from a guess among ten to nearly no loss.

    ln 10 = 2.30 where the logits are zero; those of PyTorch's init are not, by some 0.2.
    """
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn, which is not installed")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = train_classifier(model, load_digits(64, seed=0), optimizer, n_epochs=3)
    assert len(losses) == 3 * 29
    assert losses[0] == pytest.approx(2.3, abs=0.15)
    assert sum(losses[-10:]) / 10 < 0.3


def test_the_gpt_loop_is_the_engines_loop() -> None:
    """On the same batches the loop that a student types gives the losses of gptexp's own, step by step."""
    config = build_config({**TINY, "vocab_size": 40, "device": "cpu", "precision": "fp32", "schedule": "warmup-cosine"})
    draw = torch.Generator().manual_seed(1)
    text = torch.randint(0, 40, (config.max_steps, 4, 17), generator=draw)
    batches = [(window[:, :-1], window[:, 1:]) for window in text]

    student = GPT(config, seed=3)
    optimizer = build_optimizer(student, config)
    losses = train_gpt(student, batches, optimizer, config.max_steps, lambda step: learning_rate(step + 1, config))

    class Watch:
        def __init__(self) -> None:
            self.losses: list[float] = []

        def steps(self) -> range:
            return range(1, config.max_steps + 1)

        def before_update(self, step: int) -> None: ...

        def after_step(self, step: int, lr: float, loss: float, grad_norm: float) -> None:
            self.losses.append(loss)

        def diverged(self, *_: object) -> None:
            raise AssertionError

    from gptexp.training.device import Hardware

    engine, watch = GPT(config, seed=3), Watch()
    training = Training(
        config, Hardware("cpu", "fp32"), engine, build_optimizer(engine, config), lambda step: [batches[step - 1]]
    )
    train(training, watch)  # type: ignore[arg-type]
    assert losses == pytest.approx(watch.losses, abs=LOSS_DRIFT)


def test_cycle_goes_round_and_shuffles_again() -> None:
    """After the last batch comes a new epoch, in another order."""
    numbers = DataLoader(range(20), batch_size=20, shuffle=True, generator=torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    batches = cycle(numbers)
    first, second = next(batches), next(batches)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(20))  # type: ignore[attr-defined]
    assert first.tolist() != second.tolist()  # type: ignore[attr-defined]


def test_the_wrong_loop_sees_only_the_first_batch() -> None:
    """Its estimate is the first batch's value, whatever the others hold; the right one's is the mean."""

    def measure(x: Tensor, y: Tensor) -> float:
        assert (y - x == 1).all()
        return x.float().mean().item()

    loader = DataLoader(Windows(torch.arange(41), 4), batch_size=2, shuffle=False)
    assert len(loader) == 5
    assert estimate_wrong(measure, loader, 5) == pytest.approx(3.5)
    assert estimate_right(measure, loader, 5) == pytest.approx(19.5)


def test_estimates_come_from_a_runs_own_weights(tmp_path: Path, tiny_corpus: Path) -> None:
    """A trained run gives both estimates: the right one near its recorded val loss, the wrong one its first batch's.

    Numbers are rounded to DIGITS. Twenty batches of 64 tokens differ from the whole split by chance: 0.2 nats at most.
    """
    run_tiny(tmp_path / "runs", tiny_corpus, max_steps=30, lr=1e-2)
    job = make_job(tmp_path / "runs", tiny_corpus, max_steps=30, lr=1e-2)
    append_member(Path(job.run_dir), Run("scheduled", study="text-milestones"))
    (study,) = select_studies(load_frames(tmp_path / "runs"))
    estimates = measure_loaders(study, tmp_path / "runs")
    assert estimates.wrong == estimates.batches[0] != estimates.right
    assert estimates.right == pytest.approx(sum(estimates.batches) / len(estimates.batches), abs=10.0**-DIGITS)
    assert estimates.right == pytest.approx(estimates.whole, abs=0.2)
    assert estimates == measure_loaders(study, tmp_path / "runs")


def test_without_weights_there_is_a_reason_and_no_number(tmp_path: Path) -> None:
    """Runs without a checkpoint, and records without runs, say so."""
    write_run(tmp_path, Run("scheduled", study="text-milestones"))
    (study,) = select_studies(load_frames(tmp_path))
    with pytest.raises(NotMeasured, match="kept no weights"):
        measure_loaders(study, tmp_path)
    with pytest.raises(NotMeasured, match="came without weights"):
        measure_loaders(study, None)


def test_shown_code_is_the_code_that_runs() -> None:
    """A function is shown as its file has it, without docstring and notes to linters, and still compiles."""
    source = read_function("lesson/gpt_loop.py", "train_gpt")
    compile(source, "shown", "exec")
    assert source.startswith("def train_gpt(")
    assert '"""' not in source
    assert "type: ignore" not in source
    assert "clip_grad_norm_" in source


def test_common_lines_meet_and_new_ones_are_marked() -> None:
    """Both sides have as many rows; a row is the same text on both, and the heartbeat is among the common ones."""
    left, right = show_loops()
    assert len(left.lines) == len(right.lines)
    common = []
    for a, b in zip(left.lines, right.lines, strict=True):
        texts = ["".join(text for _, text in line.tokens).strip() for line in (a, b)]
        assert (a.kind == "same") == (b.kind == "same") == (texts[0] == texts[1] and a.kind != "absent")
        common += [texts[0]] if a.kind == "same" else []
    heartbeat = ["optimizer.zero_grad()", "loss.backward()", "optimizer.step()"]
    assert [line for line in common if line in heartbeat] == heartbeat
    added = ["".join(text for _, text in line.tokens) for line in right.lines if line.kind == "added"]
    assert any("clip_grad_norm_" in line for line in added)
    assert any("learning_rate(step)" in line for line in added)


def show_loops() -> tuple[Listing, Listing]:
    """The two loops as the page has them."""
    content = find_exhibit("loops")(Source())
    assert isinstance(content, CodePair)
    return content.listings


def test_the_page_marks_as_many_lines_as_the_claim_counts() -> None:
    """The + signs that a reader counts are the number that the verdict on “3-4 extra lines” stands on."""
    _, right = show_loops()
    assert sum(line.kind == "added" for line in right.lines) == compute("extra-lines")


def test_the_loops_have_all_code_that_the_document_has_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line is the document's own; where a loop lacks one, the loops are not judged to be the lesson's."""
    document = (find_files("reports/ledger")["pretraining"].parent / load_ledger("pretraining").document).read_text()
    assert [code for lines in QUOTED.values() for code in lines if code not in document.replace("&apos;", "'")] == []
    assert {name for _, name in LOOPS} == set(QUOTED)
    judge = COMPUTED["same-core"]
    assert judge() == 1.0
    monkeypatch.setitem(compare.QUOTED, "train_gpt", (*QUOTED["train_gpt"], "scaler.step(optimizer)"))
    assert judge() == 0.0


def test_the_stored_curves_are_those_of_the_loop() -> None:
    """The classifier's curves beside the code are what its loop gives, step by step.

    Other processors sum in another order: 290 steps of Adam make a few thousandths of a nat of it.
    """
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn, which is not installed")
    stored = read_digits_losses()
    assert len(stored) == len(SEEDS)
    assert train_on_digits(SEEDS[0]) == pytest.approx(stored[0], abs=5e-3)


def test_colouring_keeps_every_character() -> None:
    """The tokens of a line, joined, are the line."""
    source = 'def f(x):\n\n    # a "comment"\n    return f"{x}" + \'<b>\'\n'
    assert "\n".join("".join(text for _, text in line) for line in colour(source)) == source
