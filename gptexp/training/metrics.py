"""Numbers that a run measures at some of its steps, beside the loss: what `step_metrics` names.

A metric is a function in STEP_METRICS, or an entry point of another package (`gptexp.step_metrics`). It is called when
the gradients of a step are there and the weights are still the old ones. It returns a function that is called when the
weights are the new ones, and gives the numbers by layer. A new metric is one function: records, packs, mirrors and
frames take its numbers under `metric/layer`.

A metric only reads. It changes neither weights nor gradients and draws no random numbers, so losses are the same to the
bit with it and without it. It returns tensors on the model's device: CUDA is waited for once, after the step, for all
numbers together, and not at all at steps without a measurement. `step_time_s` includes the measuring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from gptexp.errors import GptexpError
from gptexp.model.gpt import GPT
from gptexp.records import check_metrics
from gptexp.registry import Registry
from gptexp.training.activations import watch_forward
from gptexp.training.loop import Training

ByLayer = Mapping[str, Tensor]
"""Layer -> float scalar."""
StepMetric = Callable[[Training, int], Callable[[], ByLayer]]
"""(training, step), before the weights change -> what gives the numbers after that."""


def measure_grad_norm(training: Training, step: int) -> Callable[[], ByLayer]:
    """L2 norm of each layer's gradient before clipping. The squares of all layers add up to that of `grad_norm`.

    It reads each gradient once.
    """
    layers = list_layers(training.model)
    norms = find_norms({name: [w.grad for w in weights if w.grad is not None] for name, weights in layers.items()})
    return lambda: norms


def measure_update_ratio(training: Training, step: int) -> Callable[[], ByLayer]:
    """L2 norm of the change of each layer's weights in this step, divided by that of the weights before it.

    About 1e-3 is usual. Far above it a layer loses what it has learned, far below it learns hardly anything.
    It keeps a copy of all weights from before the update to after it: 4 bytes more a parameter at these steps.

    Source: Stanford CS231n, "Ratio of weights:updates", https://cs231n.github.io/neural-networks-3/#ratio
    """
    layers = list_layers(training.model)
    before = {layer: [weight.detach().clone() for weight in weights] for layer, weights in layers.items()}

    def finish() -> ByLayer:
        sizes = find_norms(before)
        for layer, weights in layers.items():
            for new, old in zip(weights, before[layer], strict=True):
                # In the place of the copy, which nobody reads again: the sign doesn't matter to a norm.
                old.sub_(new.detach())
        changes = find_norms(before)
        return {layer: changes[layer] / sizes[layer] for layer in layers}

    return finish


def measure_activation_rms(training: Training, step: int) -> Callable[[], ByLayer]:
    """Root mean square of the activations of each layer: `gptexp.training.activations`.

    It takes a forward pass over a few windows, which it shares with `attention_logit`.
    """
    rms = watch_forward(training, step).rms
    return lambda: rms


def measure_attention_logit(training: Training, step: int) -> Callable[[], ByLayer]:
    """The largest attention logit of each block, over all heads, before the softmax.

    Where it grows over about 50, the softmax looks at a single position and training tends to break.

    Source: Wortsman et al., arXiv 2309.14322, section 3.1.1 (growth of the attention logits); Dehghani et al., arXiv
    2302.05442, section 3.1.
    """
    logits = watch_forward(training, step).largest_logit
    return lambda: logits


STEP_METRICS: dict[str, StepMetric] = {
    "grad_norm": measure_grad_norm,
    "update_ratio": measure_update_ratio,
    "activation_rms": measure_activation_rms,
    "attention_logit": measure_attention_logit,
}
_METRICS = Registry("metric", "gptexp.step_metrics", STEP_METRICS)
"""Those, and the ones of other packages."""


def list_layers(model: GPT) -> dict[str, list[Tensor]]:
    """The parameters of each layer: token_embedding, position_embedding, blocks.3.attn, blocks.3.ln_ffn, ln_final."""
    layers: dict[str, list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        parts = name.split(".")
        layers.setdefault(".".join(parts[:3] if parts[0] == "blocks" else parts[:1]), []).append(parameter)
    return layers


def find_norms(layers: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
    """The L2 norm of all tensors of each layer together, float scalars. The squares of all layers are taken at once."""
    squares = torch.stack([torch.linalg.vector_norm(tensor) for own in layers.values() for tensor in own]).square()
    parts = torch.split(squares, [len(own) for own in layers.values()])
    return {layer: part.sum().sqrt() for layer, part in zip(layers, parts, strict=True)}


def check_step_metrics(names: Sequence[str]) -> None:
    """Refuse metrics that there are none of.

    Raises:
        GptexpError: the first of them.
    """
    for name in names:
        try:
            _METRICS.find(name)
        except GptexpError as error:
            raise GptexpError(f"step_metrics: {error}") from None


class StepMeter:
    """Measures one training's `step_metrics` at the steps at which they are due."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._open: dict[str, Callable[[], ByLayer]] = {}

    def begin(self, step: int) -> None:
        """Before the weights change."""
        config = self._training.config
        if config.step_metrics and step % config.metrics_interval == 0:
            with torch.no_grad():
                self._open = {name: _METRICS.find(name)(self._training, step) for name in config.step_metrics}

    def finish(self) -> dict[str, float]:
        """After the weights have changed, the numbers by `metric/layer`; none where none were due.

        Raises:
            ValueError: a metric gave something else than numbers by layer.
        """
        if not self._open:
            return {}
        with torch.no_grad():
            found = {f"{name}/{layer}": value for name, end in self._open.items() for layer, value in end().items()}
            self._open, self._training.kept = {}, {}
            numbers = torch.stack([value.float() for value in found.values()]).tolist() if found else []
        return check_metrics(dict(zip(found, numbers, strict=True)))
