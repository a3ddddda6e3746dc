"""The tensors of a GPT under the names of transformers' GPT-2, which nanoGPT uses too.

Sources: transformers `models/gpt2/modeling_gpt2.py`; karpathy/nanoGPT `model.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from gptexp.config import ModelConfig
from gptexp.errors import GptexpError, shorten
from gptexp.model.gpt import GPT

HEAD = "lm_head.weight"
"""The output layer. It is tied to the token embedding, and some files hold it a second time."""
PREFIX = "transformer."
OUTER = {"token_embedding": "wte", "position_embedding": "wpe", "ln_final": "ln_f"}
LINEAR = {"attn.qkv": "attn.c_attn", "attn.proj": "attn.c_proj", "ffn.expand": "mlp.c_fc", "ffn.proj": "mlp.c_proj"}
NORMS = {"ln_attn": "ln_1", "ln_ffn": "ln_2"}
MASKS = re.compile(r"h\.\d+\.attn\.(masked_)?bias")
"""Causal masks, which older files hold beside the weights."""


def name_as_gpt2(name: str) -> str:
    """`blocks.3.attn.qkv.weight` -> `transformer.h.3.attn.c_attn.weight`."""
    module, _, kind = name.rpartition(".")
    if module in OUTER:
        return f"{PREFIX}{OUTER[module]}.{kind}"
    _, number, part = module.split(".", 2)
    return f"{PREFIX}h.{number}.{(LINEAR | NORMS)[part]}.{kind}"


def is_linear(name: str) -> bool:
    """Whether one of our names is the weight of a linear layer, which transformers stores transposed (Conv1D)."""
    return name.endswith(".weight") and any(name.endswith(f".{part}.weight") for part in LINEAR)


def take_tensors(model: GPT, *, transposed: bool, with_biases: bool) -> dict[str, Tensor]:
    """The weights of a model, float32, by the names of GPT-2.

    Args:
        transposed: weights of linear layers are (in, out), as in transformers; else (out, in), as in nanoGPT.
        with_biases: biases that the model doesn't have are there as zeros; transformers' GPT-2 always has them.

    Raises:
        GptexpError: a post-LN model, which GPT-2 is not.
    """
    check_norm(model.config)
    tensors = {}
    for name, tensor in model.state_dict().items():
        value = tensor.detach().float().cpu()
        tensors[name_as_gpt2(name)] = (value.t() if transposed and is_linear(name) else value).contiguous()
    if with_biases and not model.config.bias:
        for name in [
            name for name in tensors if name.endswith(".weight") and not name.endswith(("wte.weight", "wpe.weight"))
        ]:
            width = tensors[name].shape[-1 if transposed or tensors[name].dim() == 1 else 0]
            tensors[name.removesuffix("weight") + "bias"] = torch.zeros(width)
    return tensors


def check_norm(config: ModelConfig) -> None:
    """Raises GptexpError for a model that no GPT-2 can stand for."""
    if config.norm != "pre":
        raise GptexpError(
            f"norm={config.norm} can't be exported: GPT-2 has its layer norms before attention and feed-forward "
            f"(norm=pre), and the formats have no other place for them"
        )


def fill_model(model: GPT, tensors: Mapping[str, Tensor], *, transposed: bool) -> None:
    """Put the tensors of a checkpoint of GPT-2 into `model`.

    Args:
        transposed: as for `take_tensors`.

    Raises:
        GptexpError: a tensor is missing, one too many, or of another shape.
    """
    found = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items() if name != HEAD}
    state = {}
    for name, own in model.state_dict().items():
        other = name_as_gpt2(name).removeprefix(PREFIX)
        if other not in found:
            raise GptexpError(f"the weights lack the tensor {other}, which a GPT-2 of this config has")
        tensor = found.pop(other).float()
        tensor = tensor.t() if transposed and is_linear(name) else tensor
        if tensor.shape != own.shape:
            shapes = f"{tuple(tensor.shape)}, and the config says {tuple(own.shape)}"
            raise GptexpError(f"the tensor {other} has the shape {shapes}")
        state[name] = tensor
    if strangers := sorted(name for name in found if not MASKS.fullmatch(name)):
        raise GptexpError(f"the weights hold {shorten(strangers[0])}, which no GPT-2 has")
    model.load_state_dict(state)
