"""What the forward pass of a step computes, layer by layer: how large activations and attention logits are.

It is a pass of its own, without gradients, over a few windows of the step's first batch and with the weights that its
gradients belong to. The training's own pass is left as it is: compiled, fused or recomputed, it has no hooks, and a run
that is watched has the same losses to the bit. Dropout is off, so that no random number is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from gptexp.model.gpt import GPT, Block
from gptexp.training.loop import Training

WATCHED_TOKENS = 256
"""The pass takes as many windows as fit into so many tokens, and at least one. On one thread, in turn with plain steps,
it adds 17% to a step of scale char (768 tokens) and 9% to one of 1,024 tokens at 124M."""


@dataclass(frozen=True)
class Activations:
    """What one pass holds. Values are float32 scalars on the model's device, by layer in the order of the pass."""

    rms: dict[str, Tensor] = field(default_factory=dict)
    """Root mean square of what a layer gives: `blocks.3.attn` and `blocks.3.ffn` before they are added to the residual
    stream, `blocks.3` the residual stream after the block, `embedding` what enters the first block."""
    largest_logit: dict[str, Tensor] = field(default_factory=dict)
    """`blocks.3.attn` -> the largest q·k/√d over all heads, queries, and the keys that each may see."""


def watch_forward(training: Training, step: int) -> Activations:
    """The activations of a step. The pass is made once, however many metrics read it."""
    if training.kept.get("step") != step:
        training.kept = {"step": step, "activations": _run_forward(training, step)}
    found: Activations = training.kept["activations"]
    return found


def _run_forward(training: Training, step: int) -> Activations:
    model = training.model
    x, _ = next(iter(training.batches(step)))
    found = Activations()
    products: dict[str, Tensor] = {}
    handles = _add_hooks(model, found, products)
    model.eval()
    try:
        with torch.no_grad(), training.hardware.autocast():
            model.hidden(x[: max(1, WATCHED_TOKENS // x.shape[1])])
    finally:
        model.train()
        for handle in handles:
            handle.remove()
    for layer, qkv in products.items():
        found.largest_logit[layer] = find_largest_logit(qkv, model.config.n_head)
    return found


def _add_hooks(model: GPT, found: Activations, products: dict[str, Tensor]) -> list[Any]:
    """Hooks that note the layers' outputs, and the queries, keys and values of each attention."""

    def note(layer: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            found.rms[layer] = torch.linalg.vector_norm(output, dtype=torch.float32) / math.sqrt(output.numel())

        return hook

    def keep(layer: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            products[layer] = output

        return hook

    handles: list[Any] = [model.dropout.register_forward_hook(note("embedding"))]
    for number, block in enumerate(cast(Iterable[Block], model.blocks)):
        layer = f"blocks.{number}"
        handles += [
            block.attn.qkv.register_forward_hook(keep(f"{layer}.attn")),
            block.attn.register_forward_hook(note(f"{layer}.attn")),
            block.ffn.register_forward_hook(note(f"{layer}.ffn")),
            block.register_forward_hook(note(layer)),
        ]
    return handles


def find_largest_logit(qkv: Tensor, n_head: int) -> Tensor:
    """The largest q·k/√d of causal attention, float32 scalar.

    Args:
        qkv: float (B, T, 3C), queries, keys and values beside each other.
    """
    B, T, width = qkv.shape
    q, k, _ = (part.transpose(1, 2) for part in qkv.float().view(B, T, 3, n_head, width // (3 * n_head)).unbind(2))
    unseen = torch.ones(T, T, dtype=torch.bool, device=qkv.device).triu_(1)
    # Scaled after the maximum, which is the same number: the scale is positive.
    return cast(Tensor, (q @ k.mT).masked_fill_(unseen, -torch.inf).amax() * q.shape[-1] ** -0.5)
