"""What is measured at a step is right, and disturbs nothing."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from gptexp.config import build_config
from gptexp.errors import GptexpError
from gptexp.model.gpt import GPT
from gptexp.studies.resolve import resolve_run
from gptexp.training.activations import find_largest_logit, watch_forward
from gptexp.training.device import Hardware
from gptexp.training.loop import Training
from gptexp.training.metrics import STEP_METRICS, StepMeter, list_layers
from gptexp.training.optimizer import build_optimizer
from tests.studies.tiny import TINY, needs_compiler, read_untimed, run_tiny

BOTH = {"step_metrics": ["grad_norm", "update_ratio"], "metrics_interval": 3}
EVERY = {"step_metrics": list(STEP_METRICS), "metrics_interval": 3}
LAYERS = {
    "token_embedding",
    "position_embedding",
    *(f"blocks.{block}.{part}" for block in (0, 1) for part in ("ln_attn", "attn", "ln_ffn", "ffn")),
    "ln_final",
}


def make_training(**changes: Any) -> Training:
    """A model after one backward pass."""
    config = build_config({**TINY, "vocab_size": 30, "device": "cpu", "precision": "fp32", **changes})
    model = GPT(config, seed=1)
    idx = torch.arange(32).reshape(2, 16) % 30
    model.loss(idx, idx.roll(1)).backward()  # type: ignore[no-untyped-call]
    return Training(config, Hardware("cpu", "fp32"), model, build_optimizer(model, config), lambda step: [])


def test_losses_are_the_same_to_the_bit(tiny_corpus: Path, tmp_path: Path) -> None:
    """Metrics stand in the lines of the steps that they are due at; take them away, and nothing else is different."""
    _, plain = run_tiny(tmp_path, tiny_corpus, grad_clip=0.1, dropout=0.1)
    _, measured = run_tiny(tmp_path, tiny_corpus, grad_clip=0.1, dropout=0.1, **EVERY)
    found = {record["step"]: record.pop("metrics") for record in measured if "metrics" in record}
    assert list(found) == [3, 6, 9, 12]
    assert measured == plain
    of_weights = {f"{metric}/{layer}" for metric in ("grad_norm", "update_ratio") for layer in LAYERS}
    outputs = ["embedding", *(f"blocks.{block}{part}" for block in (0, 1) for part in (".attn", ".ffn", ""))]
    of_pass = {f"activation_rms/{layer}" for layer in outputs} | {f"attention_logit/blocks.{n}.attn" for n in (0, 1)}
    assert set(found[3]) == of_weights | of_pass


@needs_compiler
@pytest.mark.slow
def test_a_compiled_run_is_measured_as_well(tiny_corpus: Path, tmp_path: Path) -> None:
    """And has the losses of a compiled one that isn't."""
    _, plain = run_tiny(tmp_path, tiny_corpus, compile=True)
    _, measured = run_tiny(tmp_path, tiny_corpus, compile=True, **EVERY)
    metrics = [record.pop("metrics") for record in measured if "metrics" in record]
    assert len(metrics) == 4
    assert all(math.isfinite(value) for found in metrics for value in found.values())
    assert measured == plain


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_activations_are_those_of_the_step(precision: str) -> None:
    """The root mean square and the largest logit that one finds by hand, within the precision of the products; nothing
    above the diagonal counts, be it ever so large."""
    training = make_training(precision=precision, step_metrics=["activation_rms", "attention_logit"])
    model, x = training.model, torch.arange(32).reshape(2, 16) % 30
    training.batches = lambda step: [(x, x)]
    found = watch_forward(training, 1)
    with torch.no_grad():
        entering = model.token_embedding(x) + model.position_embedding(torch.arange(16))
        block = model.blocks[0]
        q, k, _ = block.attn.qkv(block.ln_attn(entering)).split(32, dim=2)
        logits = [
            (q[b, i, h : h + 16] @ k[b, j, h : h + 16] / 4).item()
            for b, h, i, j in itertools.product((0, 1), (0, 16), range(16), range(16))
            if j <= i
        ]
        after = block(entering)
    tolerance = 1e-5 if precision == "fp32" else 2e-2
    assert found.rms["embedding"].item() == pytest.approx(entering.square().mean().sqrt().item(), rel=tolerance)
    assert found.rms["blocks.0"].item() == pytest.approx(after.square().mean().sqrt().item(), rel=tolerance)
    assert found.largest_logit["blocks.0.attn"].item() == pytest.approx(max(logits), rel=tolerance)
    ahead = torch.zeros(1, 3, 6)
    ahead[0, 1, 0], ahead[0, 2, 2] = 10.0, 10.0
    assert find_largest_logit(ahead, 1).item() == 0.0


def test_metrics_of_the_forward_pass_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass a step for both, another one for the next step, and hooks and dropout are as they were before."""
    training = make_training(step_metrics=["activation_rms", "attention_logit"], metrics_interval=1, dropout=0.5)
    x = torch.arange(32).reshape(2, 16) % 30
    training.batches = lambda step: [(x, x)]
    passes, run = [], training.model.hidden
    monkeypatch.setattr(training.model, "hidden", lambda idx: passes.append(idx) or run(idx))  # type: ignore[func-returns-value]
    meter = StepMeter(training)
    found = []
    for step in (1, 2):
        meter.begin(step)
        found.append(meter.finish())
    assert len(passes) == 2
    assert found[0] == found[1]
    assert training.model.training
    assert not any(module._forward_hooks for module in training.model.modules())


def test_layer_norms_add_up_to_the_norm_before_clipping(tiny_corpus: Path, tmp_path: Path) -> None:
    """The squares of all layers' gradient norms are the square of the recorded one."""
    _, records = run_tiny(tmp_path, tiny_corpus, grad_clip=0.1, **BOTH)
    for record in records:
        if "metrics" in record:
            squares = [value**2 for name, value in record["metrics"].items() if name.startswith("grad_norm/")]
            assert math.sqrt(sum(squares)) == pytest.approx(record["grad_norm"], rel=1e-5)
            assert record["clipped"]


def test_an_update_ratio_is_the_change_by_the_weights() -> None:
    """A layer whose weights all grow by a hundredth has the ratio 0.01; one that stays has 0."""
    training = make_training(step_metrics=["update_ratio"], metrics_interval=1)
    meter = StepMeter(training)
    meter.begin(1)
    with torch.no_grad():
        for weight in list_layers(training.model)["blocks.1.ffn"]:
            weight *= 1.01
    ratios = meter.finish()
    assert ratios.pop("update_ratio/blocks.1.ffn") == pytest.approx(0.01, rel=1e-4)
    assert set(ratios.values()) == {0.0}


def test_nothing_is_measured_where_nothing_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its steps, and where none is asked for, a metric isn't even called."""
    monkeypatch.setitem(STEP_METRICS, "grad_norm", lambda training, step: pytest.fail("it was called"))
    for changes in ({}, {"step_metrics": ["grad_norm"], "metrics_interval": 2}):
        meter = StepMeter(make_training(**changes))
        meter.begin(1)
        assert meter.finish() == {}


def test_every_parameter_is_in_one_layer() -> None:
    """What a metric sums over layers is summed over the model."""
    model = make_training().model
    layers = list_layers(model)
    assert set(layers) == LAYERS
    assert sum(len(weights) for weights in layers.values()) == len(list(model.parameters()))


def test_an_unknown_metric_is_refused(tiny_corpus: Path) -> None:
    """Before any training, with the names that there are."""
    with pytest.raises(GptexpError, match="there is no metric 'update_ration'; did you mean update_ratio"):
        resolve_run(build_config({**TINY, "step_metrics": ["update_ration"]}), str(tiny_corpus))


def test_measuring_makes_another_run_and_its_interval_alone_does_not(tiny_corpus: Path) -> None:
    """A run that is done without metrics has none to show; how often nothing is measured decides nothing."""

    def run_id(**changes: Any) -> str:
        return resolve_run(build_config({**TINY, **changes}), str(tiny_corpus)).run_id

    assert run_id(metrics_interval=5) == run_id()
    assert len({run_id(), run_id(step_metrics=["grad_norm"]), run_id(**BOTH)}) == 3


def test_a_resumed_run_measures_what_it_would_have(tiny_corpus: Path, tmp_path: Path) -> None:
    """Which steps are measured follows from the step, so a run that was stopped and goes on has the same metrics."""
    from gptexp.studies.execute import execute
    from tests.studies.tiny import make_job

    _, whole = run_tiny(tmp_path / "whole", tiny_corpus, **BOTH)
    job = make_job(tmp_path / "halved", tiny_corpus, **BOTH)
    asked = iter([False] * 6 + [True])
    execute(job, [], lambda: next(asked, False), lambda message: None)
    assert execute(job, [], lambda: False, lambda message: None).outcome == "completed"
    assert read_untimed(Path(job.run_dir)) == whole
