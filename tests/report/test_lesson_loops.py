"""The loops that the lesson shows are real: they train, and the wrong one is wrong in the way the page says."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gptexp.claims.computed import COMPUTED, compute
from gptexp.claims.ledger import load_ledger
from gptexp.config import RunConfig, build_config
from gptexp.lesson import compare
from gptexp.lesson.compare import LOOPS, QUOTED, Part, read_function
from gptexp.lesson.digits import SEEDS, read_digits_losses, train_on_digits
from gptexp.lesson.gpt_loop import cycle
from gptexp.lesson.mnist_loop import load_digits, train_classifier
from gptexp.lesson.val_loss import Windows, estimate_right, estimate_wrong
from gptexp.model.gpt import GPT
from gptexp.report.code import CodeShown, Listing, colour
from gptexp.report.exhibits import Source, find_exhibit
from gptexp.report.loaders import DIGITS, NotMeasured, measure_loaders
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import select_studies
from gptexp.studies.locate import find_files
from gptexp.training.device import Hardware
from gptexp.training.loop import Training, train
from gptexp.training.optimizer import split_by_decay
from gptexp.training.schedule import learning_rate
from gptexp.training.torch_scheduler import torch_scheduler
from tests.report.synthetic import Run, append_member, write_run
from tests.studies.tiny import TINY, make_job, run_tiny
from tests.tolerance import LOSS_DRIFT

TORCH_PARTS = ("LinearLR", "CosineAnnealingLR", "SequentialLR")


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


TINY_TEXT = {**TINY, "vocab_size": 40, "device": "cpu", "precision": "fp32", "schedule": "warmup-cosine"}
Batches = list[tuple[Tensor, Tensor]]


def draw_batches(config: RunConfig) -> Batches:
    """Random text, a batch of four windows for every step."""
    text = torch.randint(0, 40, (config.max_steps, 4, 17), generator=torch.Generator().manual_seed(1))
    return [(window[:, :-1], window[:, 1:]) for window in text]


class Shown:
    """Names for code that a page shows, as a student's notebook would have them; its losses are kept."""

    def __init__(self, **names: Any) -> None:
        self.losses: list[float] = []
        self.names = {"torch": torch, "nn": nn, "math": math, "islice": islice, "F": self, **names}

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        loss = F.cross_entropy(logits, targets)
        self.losses.append(loss.item())
        return loss

    def run(self, module: str, function: str, part: Part) -> dict[str, Any]:
        exec(compile(read_function(module, function, part), function, "exec"), self.names)
        return self.names


def plain_adamw(model: nn.Module, config: RunConfig) -> torch.optim.Optimizer:
    """torch.optim.AdamW as it comes: the engine's fused one divides by the clipping factor where this multiplies."""
    return torch.optim.AdamW(split_by_decay(model.parameters(), config.weight_decay), lr=config.lr)


def make_student(config: RunConfig, batches: Batches) -> Shown:
    """The names that the lesson's GPT loops use, for a model of the engine."""
    model = GPT(config, seed=3)
    return Shown(
        model=model,
        optimizer=plain_adamw(model, config),
        train_iter=iter(batches),
        max_steps=config.max_steps,
        learning_rate=lambda step: learning_rate(step, config),
    )


def train_engine(config: RunConfig, batches: Batches, model: GPT) -> list[float]:
    """The losses of gptexp's own loop on the same batches."""
    losses: list[float] = []

    class Watch:
        def steps(self) -> range:
            return range(1, config.max_steps + 1)

        def before_update(self, step: int) -> None: ...

        def after_step(self, step: int, lr: float, loss: float, grad_norm: float) -> None:
            losses.append(loss)

        def diverged(self, *_: object) -> None:
            raise AssertionError

    own = Training(config, Hardware("cpu", "fp32"), model, plain_adamw(model, config), lambda step: [batches[step - 1]])
    train(own, Watch())  # type: ignore[arg-type]
    return losses


class PlainLoss(GPT):
    """The engine's model with the lesson's cross-entropy, which rounds otherwise than the engine's slices."""

    def loss(self, idx: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(self(idx).flatten(0, 1), targets.flatten())


def test_the_shown_gpt_loop_gives_the_engines_losses_to_the_bit() -> None:
    """The text on the page, run: on the same batches each loss is the engine's, and its own loss is near rounding."""
    config = build_config(TINY_TEXT)
    batches = draw_batches(config)
    student = make_student(config, batches)
    student.run("lesson/gpt_loop.py", "train_gpt", "loop")
    assert student.losses == train_engine(config, batches, PlainLoss(config, seed=3))
    assert student.losses == pytest.approx(train_engine(config, batches, GPT(config, seed=3)), abs=LOSS_DRIFT)
    assert len(student.losses) == config.max_steps


def test_the_shown_classifier_loop_is_the_one_that_learns() -> None:
    """The text on the page gives the losses of the function that the tests train with, to the bit."""
    images, labels = torch.rand(32, 8), torch.arange(32) % 4
    loader = [(images[:16], labels[:16]), (images[16:], labels[16:])]

    def build() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Linear(8, 4)
        return model, torch.optim.Adam(model.parameters(), lr=1e-2)

    model, optimizer = build()
    shown = Shown(model=model, optimizer=optimizer, train_loader=loader, n_epochs=3)
    shown.run("lesson/mnist_loop.py", "train_classifier", "loop")
    model, optimizer = build()
    assert shown.losses == train_classifier(model, loader, optimizer, 3)
    assert len(shown.losses) == 6


def test_the_shown_whole_loop_trains_evaluates_writes_and_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text on the page, run: the short loop's losses to the bit, val losses of other batches, a text, weights."""
    monkeypatch.chdir(tmp_path)
    config = build_config(TINY_TEXT)
    batches = draw_batches(config)
    short, whole = make_student(config, batches), make_student(config, batches)
    short.run("lesson/gpt_loop.py", "train_gpt", "loop")
    whole.names |= {"val_loader": batches[:3], "every": config.max_steps // 2, "generate": lambda _: "a text"}
    whole.run("lesson/whole_loop.py", "train_and_watch", "loop")
    half = config.max_steps // 2
    val, trained = [*range(half, half + 3), *range(2 * half + 3, 2 * half + 6)], whole.losses
    assert [loss for place, loss in enumerate(trained) if place not in val] == short.losses
    saved = torch.load(tmp_path / "checkpoint.pt")
    assert saved["step"] == config.max_steps
    assert saved["model"].keys() == whole.names["model"].state_dict().keys()
    assert capsys.readouterr().out.count("a text") == 2


def test_both_shown_schedules_give_the_engines_rates() -> None:
    """By hand to the bit at every step; torch's three lines to the bit what torch's parts give the engine."""
    config = build_config({"lr": 6e-4, "min_lr": 6e-5, "warmup_steps": 50, "max_steps": 1000})
    by_hand = Shown().run("lesson/schedule.py", "learning_rate", "all")["learning_rate"]
    wanted = [learning_rate(step, config) for step in range(1, 1001)]
    assert [by_hand(step, 6e-4, 6e-5, 50, 1000) for step in range(1, 1001)] == wanted
    optimizers = [torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=6e-4) for _ in range(2)]
    parts = {name: getattr(torch.optim.lr_scheduler, name) for name in TORCH_PARTS}
    names = {**parts, "optimizer": optimizers[0], "floor": 6e-5, "warmup_steps": 50, "max_steps": 1000}
    shown = Shown(**names).run("lesson/schedule.py", "make_scheduler", "body")["scheduler"]
    engine = torch_scheduler(optimizers[1], config)
    for step, rate in enumerate(wanted, 1):
        mine, its = (optimizer.param_groups[0]["lr"] for optimizer in optimizers)
        assert mine == its == pytest.approx(rate, rel=1e-9), step
        for optimizer, scheduler in zip(optimizers, (shown, engine), strict=True):
            optimizer.step()
            scheduler.step()


def test_shown_code_is_short() -> None:
    """The hook's loops have six to ten lines, the schedule eight by hand and three with torch; no hints."""
    counts = {
        function: len(read_function(f"lesson/{module}.py", function, part).splitlines())
        for module, function, part in (
            ("mnist_loop", "train_classifier", "loop"),
            ("gpt_loop", "train_gpt", "loop"),
            ("schedule", "learning_rate", "all"),
            ("schedule", "make_scheduler", "body"),
        )
    }
    assert counts == {"train_classifier": 7, "train_gpt": 10, "learning_rate": 6, "make_scheduler": 3}
    assert "->" not in read_function("lesson/schedule.py", "learning_rate")
    assert "->" not in read_function("lesson/val_loss.py", "estimate_right")


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
    assert any("learning_rate(step + 1)" in line for line in added)


def show_loops() -> tuple[Listing, Listing]:
    """The two loops as the page has them."""
    content = find_exhibit("loops")(Source())
    assert isinstance(content, CodeShown)
    left, right = content.listings
    return left, right


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
