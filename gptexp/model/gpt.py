"""GPT-2 with the lesson's class names: CausalSelfAttention, FeedForward, Block, GPT.

Shapes: B windows, T tokens, C = n_embd, V = vocab_size.
Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; openai/gpt-2 `src/model.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gptexp.config import ModelConfig
from gptexp.model.attention import attend, takes_products
from gptexp.model.embedding import TokenEmbedding
from gptexp.model.gelu import gelu
from gptexp.model.loss import LogitsBuffer, Softmax, linear_cross_entropy, softmax_and_gradient

INIT_STD = 0.02
"""Standard deviation of GPT-2's initial weights. Source: openai/gpt-2 `src/model.py`, `w_init_stdev`."""

RECOMPUTED_ELEMENTS = 2**19
"""From this many hidden values (tokens x width) on, the outputs of pre-LN layer norms and of GELUs aren't kept for the
backward pass but recomputed to the same bits. At 124M parameters this saves three eighths of all activations and costs
about 1% of a step."""


def compute_again(part: Callable[[Tensor], Tensor], x: Tensor, is_large: bool) -> Tensor:
    """`part(x)`, with activation checkpointing if `is_large`: only `x` is kept, and the rest is recomputed.

    If `part` is a layer norm or GELU followed by a linear layer, only the former is recomputed, because recomputation
    stops at the last tensor that is needed: the linear layer's input.
    """
    # torch.compile decides itself what to keep.
    if not (is_large and x.requires_grad) or torch.compiler.is_compiling():
        return part(x)
    return cast(Tensor, checkpoint(part, x, use_reentrant=False, preserve_rng_state=False))


@dataclass
class LayerCache:
    """Key-value cache of a layer: keys and values of earlier positions, so that they aren't recomputed."""

    keys: Tensor
    """float (B, n_head, block_size, C / n_head), filled up to `length`."""
    values: Tensor
    """As `keys`."""
    length: int = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append the next T positions, float (B, n_head, T, C / n_head); returns keys and values of all positions."""
        before, self.length = self.length, self.length + keys.shape[2]
        self.keys[:, :, before : self.length] = keys
        self.values[:, :, before : self.length] = values
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]


class CausalSelfAttention(nn.Module):
    """Multi-head attention in which position t attends to positions 0..t."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.dropout = config.dropout
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.proj_dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, norm: nn.Module | None, *, is_large: bool = False, cache: LayerCache | None = None
    ) -> Tensor:
        """float (B, T, C) -> float (B, T, C).

        Args:
            norm: layer norm applied to `x` first (pre-LN), or None.
            is_large: recompute the layer norm and the attention weights in the backward pass instead of keeping them.
            cache: keys and values of the positions before `x`; either it is empty, or T is 1.
        """
        B, T, C = x.shape
        qkv = compute_again(lambda x: self.qkv(norm(x)), x, is_large) if norm else self.qkv(x)
        dropout = self.dropout if self.training else 0.0
        if cache is None and takes_products(qkv, dropout):
            y = attend(qkv, self.n_head, keeps_weights=not is_large)
            return cast(Tensor, self.proj_dropout(self.proj(y)))
        q, k, v = (
            part.view(B, T, self.n_head, C // self.n_head).transpose(1, 2) for part in torch.split(qkv, C, dim=2)
        )
        if cache is not None:
            k, v = cache.append(k, v)
        # A single position attends to all cached positions and needs no mask.
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=T > 1)
        return cast(Tensor, self.proj_dropout(self.proj(y.transpose(1, 2).reshape(B, T, C))))


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them; the hidden layer is four times as wide."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.expand = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.gelu: Callable[[Tensor], Tensor] = gelu
        self.proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, norm: nn.Module | None, *, is_large: bool = False) -> Tensor:
        """float (B, T, C) -> float (B, T, C); `norm` and `is_large` as in CausalSelfAttention."""
        wide = compute_again(lambda x: self.expand(norm(x)), x, is_large) if norm else self.expand(x)
        narrow = compute_again(lambda wide: self.proj(self.gelu(wide)), wide, is_large)
        return cast(Tensor, self.dropout(narrow))


class Block(nn.Module):
    """Transformer block: attention, then feed-forward, each with a residual connection.

    Pre-LN (GPT-2) normalises the input of each half: x + f(norm(x)). Post-LN (the original transformer) normalises the
    sum: norm(x + f(x)). Xiong et al., arXiv 2002.04745, compare the two.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.recomputes_from = RECOMPUTED_ELEMENTS
        self.is_pre = config.norm == "pre"
        self.ln_attn = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.attn = CausalSelfAttention(config)
        self.ln_ffn = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.ffn = FeedForward(config)

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """float (B, T, C) -> float (B, T, C); `cache` as in CausalSelfAttention."""
        is_large = x.numel() >= self.recomputes_from
        if self.is_pre:
            x = x + self.attn(x, self.ln_attn, is_large=is_large, cache=cache)
            return cast(Tensor, x + self.ffn(x, self.ln_ffn, is_large=is_large))
        x = self.ln_attn(x + self.attn(x, None, is_large=is_large, cache=cache))
        return cast(Tensor, self.ln_ffn(x + self.ffn(x, None, is_large=is_large)))


class GPT(nn.Module):
    """The whole model. The token embedding is also the output layer (tied)."""

    def __init__(self, config: ModelConfig, *, seed: int) -> None:
        """Draw the initial weights on the CPU from `seed` alone, so that they are the same on every device.

        Raises:
            ValueError: `config.vocab_size` is None; resolve the config with its tokenizer first.
        """
        super().__init__()
        if config.vocab_size is None:
            raise ValueError("vocab_size is None: resolve the config with its tokenizer first")
        self.config = config
        # torch.nn draws initial weights from the global generator: seed it here, and restore it afterwards.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.token_embedding = TokenEmbedding(config.vocab_size, config.n_embd)
            self.position_embedding = nn.Embedding(config.block_size, config.n_embd)
            self.dropout = nn.Dropout(config.dropout)
            self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
            # A post-LN block already ends with a layer norm.
            self.ln_final = nn.LayerNorm(config.n_embd, bias=config.bias) if config.norm == "pre" else nn.Identity()
            if config.init == "gpt2":
                self._init_gpt2()
        self._logits_buffer = LogitsBuffer()
        self._compiled_hidden: Callable[[Tensor], Tensor] | None = None
        self._compiled_softmax: Softmax | None = None

    def compile_training(self) -> None:
        """Make `loss` use torch.compile when gradients are enabled. Its first call compiles."""
        # Without the reset, every call would search the code compiled for earlier models.
        torch.compiler.reset()
        self._compiled_hidden = torch.compile(self.hidden, dynamic=False)
        self._compiled_softmax = torch.compile(softmax_and_gradient, dynamic=False)

    def forget_compiled(self) -> None:
        """Release the compiled functions: they hold a reference to the model, which would outlive its run."""
        self._compiled_hidden = self._compiled_softmax = None

    def _init_gpt2(self) -> None:
        """N(0, 0.02); projections into the residual stream scaled by 1/sqrt(2 n_layer); biases zero."""
        residual_std = INIT_STD / math.sqrt(2 * self.config.n_layer)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=residual_std if name.endswith(".proj") else INIT_STD)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def hidden(self, idx: Tensor, caches: Sequence[LayerCache] | None = None) -> Tensor:
        """int64 (B, T), T <= block_size -> float (B, T, C): the hidden states that the output layer reads.

        Args:
            caches: one per block, for the positions before `idx`; either they are empty, or T is 1.
        """
        first = caches[0].length if caches else 0
        positions = torch.arange(first, first + idx.shape[1], device=idx.device)
        x = self.dropout(self.token_embedding(idx) + self.position_embedding(positions))
        for number, block in enumerate(self.blocks):
            x = block(x, caches[number] if caches else None)
        return cast(Tensor, self.ln_final(x))

    def empty_caches(self, windows: int) -> list[LayerCache]:
        """One empty cache per block, for `windows` windows of at most block_size tokens."""
        config, weight = self.config, self.position_embedding.weight
        shape = (windows, config.n_head, config.block_size, config.n_embd // config.n_head)
        return [LayerCache(weight.new_empty(shape), weight.new_empty(shape)) for _ in self.blocks]

    def forward(self, idx: Tensor) -> Tensor:
        """int64 (B, T) -> logits float (B, T, V)."""
        return F.linear(self.hidden(idx), self.token_embedding.weight)

    def loss(self, idx: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy over all B x T predictions, in nats per token.

        Args:
            idx: int64 (B, T), the inputs.
            targets: int64 (B, T), the next token at every position.

        Returns:
            float32 scalar.
        """
        compiled = self._compiled_hidden if torch.is_grad_enabled() else None
        x = (compiled or self.hidden)(idx).flatten(0, 1)
        device_type = x.device.type
        if torch.is_autocast_enabled(device_type):
            x = x.to(torch.get_autocast_dtype(device_type))
        # A kept buffer is faster. For large steps it is not kept: unused in the backward pass, it would raise the peak
        # memory, which is reached there.
        buffer = self._logits_buffer if x.numel() < RECOMPUTED_ELEMENTS else LogitsBuffer()
        # On a CPU linear_cross_entropy has a faster method; without gradients there is nothing to fuse.
        softmax = self._compiled_softmax if compiled and device_type != "cpu" else None
        with torch.autocast(device_type, enabled=False):
            return linear_cross_entropy(x, self.token_embedding.weight, targets.flatten(), buffer, softmax)

    def n_params(self) -> int:
        """Number of trained parameters; the tied embedding counts once."""
        return sum(parameter.numel() for parameter in self.parameters())
