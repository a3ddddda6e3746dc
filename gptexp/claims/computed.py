"""Quantities that judge claims without training: arithmetic, the code itself, PyTorch's behaviour.

Each function is small and deterministic and returns one number that doesn't depend on the scale.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.utils.data import DataLoader, TensorDataset

from gptexp.config import build_config
from gptexp.data.tokenizer import load_gpt2_tokenizer
from gptexp.data.trace import trace_text
from gptexp.lesson import gpt_loop, mnist_loop
from gptexp.lesson.compare import LOOPS, align, find_unquoted, read_function
from gptexp.lesson.digits import read_digits_losses
from gptexp.lesson.val_loss import Windows
from gptexp.measures.from_log import share_rises, smooth_after_early
from gptexp.model.gpt import GPT
from gptexp.model.size import count_params
from gptexp.training.optimizer import build_optimizer, gradient_norm, take_step

VOCABULARY = 50_257
GPT2 = build_config({"vocab_size": VOCABULARY, "block_size": 1024})
"""GPT-2 124M with its original context of 1,024 tokens; the lesson trains it with 256."""
SMALL = build_config({"vocab_size": 400, "block_size": 16, "n_layer": 2, "n_head": 2, "n_embd": 32})
SENTENCE = "The cat sat on the mat"
VAL_STEPS = 20
CORE = ("model", "cross_entropy", "zero_grad", "backward", "step")


def compute(name: str) -> float:
    """The quantity called `name`, rounded to four decimals, because the last bits of sums differ between machines.

    Raises:
        KeyError: the name is unknown.
    """
    return _compute(name)


@functools.cache
def _compute(name: str) -> float:
    return round(float(COMPUTED[name]()), 4)


def _count_parts(text: str, what: str) -> int:
    trace = trace_text(text, load_gpt2_tokenizer())
    return len(trace.pairs) if what == "predictions" else len(trace.ids)


def _match_offsets() -> float:
    """How many of the predictions in "The cat sat" have the target that the lesson names."""
    targets = [target.strip() for _, target in trace_text("The cat sat", load_gpt2_tokenizer()).pairs]
    return sum(found == said for found, said in zip(targets, ("cat", "sat"), strict=True))


def _match_windows() -> float:
    """Share of the positions of a training window whose target is the next token."""
    tokens = torch.arange(1000)
    x, y = Windows(tokens, 256)[1]
    return float((y == tokens[256 + 1 : 256 + 257]).float().mean()) * float(torch.equal(x, tokens[256:512]))


def _count_targets() -> float:
    """Targets per position of a window: 1 if T input tokens give T predictions."""
    x, y = Windows(torch.arange(1000), 256)[0]
    return y.numel() / x.numel()


@torch.no_grad()
def _compare_passes() -> float:
    """Largest difference between the logits of one forward pass and those of one pass per prefix."""
    model = GPT(SMALL, seed=0).eval()
    idx = torch.arange(SMALL.block_size)[None] * 7 % 400
    together = model(idx)
    apart = torch.cat([model(idx[:, :end])[:, -1:] for end in range(1, idx.shape[1] + 1)], dim=1)
    return float((together - apart).abs().max())


def _reshape_loss() -> float:
    """Difference between the loss over flattened positions and the mean of the losses of single positions."""
    draw = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(2, 5, 400, generator=draw), torch.randint(400, (2, 5), generator=draw)
    flat = F.cross_entropy(logits.reshape(10, 400), targets.reshape(10))
    single = [F.cross_entropy(logits[b, t], targets[b, t]) for b, t in itertools.product(range(2), range(5))]
    return float((flat - torch.stack(single).mean()).abs())


def _compare_vocabularies() -> float:
    """Largest difference between the cross-entropy of a uniform guess and the log of the number of classes."""
    losses = {size: F.cross_entropy(torch.zeros(1, size), torch.tensor([3])).item() for size in (10, VOCABULARY)}
    return max(abs(loss - math.log(size)) for size, loss in losses.items())


def _decay_apart() -> float:
    """Difference between p·(1 − lr·weight_decay) and a weight after a step of PyTorch's AdamW with zero gradient."""
    weight = torch.tensor([2.0])
    gradient, average, square = torch.zeros(3, 1)
    # What `torch.optim.AdamW.step` calls. Making one of that class imports torch's compiler, which takes seconds.
    adamw(
        [weight],
        [gradient],
        [average],
        [square],
        [],
        [torch.tensor(0.0)],
        amsgrad=False,
        beta1=0.9,
        beta2=0.999,
        lr=0.1,
        weight_decay=0.5,
        eps=1e-8,
        maximize=False,
    )
    return abs(weight.item() - 2.0 * (1 - 0.1 * 0.5))


def _clip(norm: float) -> tuple[Tensor, Tensor]:
    """The gradient before and after clipping at 1.0, for a gradient with the given norm; float (72,) each."""
    model = nn.Linear(8, 8)
    before = torch.randn(72, generator=torch.Generator().manual_seed(0))
    before *= norm / before.norm()
    model.weight.grad, model.bias.grad = before[:64].reshape(8, 8).clone(), before[64:].clone()
    take_step(build_optimizer(model, build_config({})), gradient_norm(model), 1.0, loss=torch.zeros(()))
    return before, torch.cat([model.weight.grad.flatten(), model.bias.grad])


def _compare_directions() -> float:
    """Cosine of the angle between a gradient of norm 12.3 before and after clipping."""
    return F.cosine_similarity(*_clip(12.3), dim=0).item()


def _count_first_batches(shuffle: bool) -> int:
    """Number of different batches among the first batches of `VAL_STEPS` new iterators."""
    data = TensorDataset(torch.arange(200))
    draw = torch.Generator().manual_seed(0)
    loader = DataLoader(data, batch_size=4, shuffle=shuffle, generator=draw)
    return len({tuple(next(iter(loader))[0].tolist()) for _ in range(VAL_STEPS)})


def _repeat_cycle() -> float:
    """Share of batches in the second round of itertools.cycle that equal the batch at the same place in the first."""
    draw = torch.Generator().manual_seed(0)
    loader = DataLoader(TensorDataset(torch.arange(200)), batch_size=4, shuffle=True, generator=draw)
    batches = [tuple(x.tolist()) for (x,) in itertools.islice(itertools.cycle(loader), 2 * len(loader))]
    first, second = batches[: len(loader)], batches[len(loader) :]
    return sum(one == other for one, other in zip(first, second, strict=True)) / len(loader)


def _read_loop(function: Callable[..., object]) -> list[ast.stmt]:
    """The statements that a training loop executes per batch, including nested ones."""
    tree = ast.parse(inspect.getsource(function))
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For)]
    inner = next(loop for loop in loops if any(_goes_backward(part) for part in loop.body))
    return [part for statement in inner.body for part in ast.walk(statement) if isinstance(part, ast.stmt)]


def _goes_backward(statement: ast.stmt) -> bool:
    """Whether a statement is the call of the backward pass itself, not a loop that contains it."""
    return isinstance(statement, ast.Expr) and "backward" in ast.unparse(statement)


def _count_extra_lines() -> int:
    """Number of lines of the GPT loop that have no counterpart in the classifier's: the + marks of the page."""
    left, right = (read_function(module, name, "loop").splitlines() for module, name in LOOPS)
    return align(left, right).count("added")


def _compare_loops() -> float:
    """1.0 if both loops have all code of the document and make exactly the calls in `CORE`, in that order; else 0.0."""
    if find_unquoted():
        return 0.0
    orders = []
    for function in (gpt_loop.train_gpt, mnist_loop.train_classifier):
        text = [ast.unparse(statement) for statement in _read_loop(function)]
        orders.append([name for line in text for name in CORE if f"{name}(" in line and "clip" not in line])
    return float(orders[0] == orders[1] == list(CORE))


def _measure_init(residual: bool) -> float:
    """Standard deviation of the residual projections of a 12-layer model, or of its other matrices."""
    model = GPT(SMALL.override({"n_layer": 12, "n_embd": 64}), seed=0)
    names = [name for name, weight in model.named_parameters() if weight.dim() == 2]
    chosen = [name for name in names if name.endswith("proj.weight") == residual]
    weights = dict(model.named_parameters())
    return torch.cat([weights[name].detach().flatten() for name in chosen]).std().item()


def _measure_digits_noise() -> float:
    """Noise (nats) of a classifier's loss around its smoothed curve, as `noise` of a run; mean over stored seeds."""
    found = [smooth_after_early(np.array(losses)) for losses in read_digits_losses()]
    return float(np.mean([np.std(curve[0]) for curve in found if curve is not None]))


def _share_digits_rises() -> float:
    """As `rising_share` of a run at the last step of the classifier; mean over the stored seeds."""
    return float(np.mean([share_rises(np.array(losses)) for losses in read_digits_losses()]))


def _read_adam_lr() -> float:
    return float(inspect.signature(torch.optim.Adam).parameters["lr"].default)


COMPUTED: dict[str, Callable[[], float]] = {
    "uniform-loss": lambda: math.log(VOCABULARY),
    "gpt2-parameters": lambda: count_params(GPT2) / 1e6,
    "embedding-parameters": lambda: VOCABULARY * GPT2.n_embd / 1e6,
    "sentence-tokens": lambda: _count_parts(SENTENCE, "tokens"),
    "sentence-predictions": lambda: _count_parts(SENTENCE, "predictions"),
    "offset-targets": _match_offsets,
    "window-offset": _match_windows,
    "targets-per-position": _count_targets,
    "one-pass-difference": _compare_passes,
    "reshaped-loss-difference": _reshape_loss,
    "uniform-loss-difference": _compare_vocabularies,
    "decoupled-decay-difference": _decay_apart,
    "clipped-norm": lambda: _clip(12.3)[1].norm().item(),
    "clipped-direction": _compare_directions,
    "val-batches-seen": lambda: _count_first_batches(shuffle=False),
    "train-batches-seen": lambda: _count_first_batches(shuffle=True),
    "cycle-repeats": _repeat_cycle,
    "extra-lines": _count_extra_lines,
    "same-core": _compare_loops,
    "init-sigma": lambda: _measure_init(residual=False),
    "residual-init-sigma": lambda: _measure_init(residual=True) * math.sqrt(2 * 12),
    "adam-default-lr": _read_adam_lr,
    "digits-noise": _measure_digits_noise,
    "digits-rising-share": _share_digits_rises,
}
"""Name -> function that computes it; numbers of parameters are in millions."""
