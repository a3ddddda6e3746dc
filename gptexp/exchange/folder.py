"""Writes a folder that transformers opens as GPT2LMHeadModel with its tokenizer, or one for nanoGPT."""

from __future__ import annotations

import contextlib
import json
import secrets
from pathlib import Path
from typing import Any

from safetensors.torch import save as save_tensors

from gptexp.config import ModelConfig
from gptexp.data.tokenizer import GPT2_MERGEABLE, Tokenizer
from gptexp.errors import GptexpError, shorten
from gptexp.exchange.tensors import take_tensors
from gptexp.exchange.tokenizers import write_tokenizer
from gptexp.files import (
    REMOVED,
    clear_removed,
    disk_errors,
    exists,
    explain,
    list_folder,
    make_folder,
    remove_tree,
    rename,
    sync_folder,
    write_new,
)
from gptexp.model.gpt import GPT
from gptexp.training.sample import TEMPERATURE, TOP_K

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
MODEL_ARGS = "model_args"
"""Key in the config.json of an export for nanoGPT: its name for the shape of a model."""
REQUIRED = {
    "model_type": "gpt2",
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "tie_word_embeddings": True,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}
"""What our model computes; a checkpoint that says otherwise is another function. A key that isn't there has this value.
Source: transformers `GPT2Config`."""
SIZES = {"n_positions": "block_size", "n_layer": "n_layer", "n_head": "n_head", "n_embd": "n_embd"}
OWN_FILES = {WEIGHTS, CONFIG, "README.md", "generation_config.json", "tokenizer.json", "tokenizer_config.json"} | {
    *("vocab.json", "merges.txt")
}
"""What an export writes; a folder of these alone is written anew."""


def make_hf_files(model: GPT, tokenizer: Tokenizer, card: str) -> dict[str, bytes]:
    """The files of a folder for transformers: name -> content. fp32, so that logits are the run's own.

    Args:
        card: the model card, Markdown.

    Raises:
        GptexpError: GPT-2 has no place for the model.
    """
    tensors = take_tensors(model, transposed=True, with_biases=True)
    texts = {
        CONFIG: _write_json(describe_model(model.config, tokenizer)),
        "generation_config.json": _write_json(describe_generation(tokenizer)),
        **write_tokenizer(tokenizer, model.config.block_size),
        "README.md": card,
    }
    # The format is how transformers knows that torch wrote it.
    return {WEIGHTS: save_tensors(tensors, {"format": "pt"})} | {name: text.encode() for name, text in texts.items()}


def make_nanogpt_files(model: GPT, tokenizer: Tokenizer, card: str) -> dict[str, bytes]:
    """The weights with nanoGPT's names and shapes, and its `model_args`: name -> content.

    Raises:
        GptexpError: GPT-2 has no place for the model.
    """
    config = model.config
    tensors = take_tensors(model, transposed=False, with_biases=False)
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()
    names = ("n_layer", "n_head", "n_embd", "block_size", "bias", "vocab_size", "dropout")
    arguments: dict[str, Any] = {MODEL_ARGS: {name: getattr(config, name) for name in names}}
    arguments["tokenizer"] = tokenizer.name
    if tokenizer.vocabulary is not None:
        # As nanoGPT's meta.pkl of its character data.
        arguments["itos"] = list(tokenizer.vocabulary)
    texts = {CONFIG: _write_json(arguments), "README.md": card}
    return {WEIGHTS: save_tensors(tensors, {"format": "pt"})} | {name: text.encode() for name, text in texts.items()}


def check_target(folder: Path) -> None:
    """Refuse a folder that holds something else than an exported model, so that nothing of the user's is overwritten.

    Raises:
        GptexpError: what is there.
    """
    try:
        target = folder.resolve()
        names = {entry.name for entry in list_folder(target, target) if not entry.name.startswith(REMOVED)}
    except FileNotFoundError:
        return
    except RuntimeError:
        raise GptexpError(f"{folder} is a link that leads to itself; name another folder") from None
    except OSError as error:
        raise GptexpError(f"{folder} can't be read: {explain(error)}") from None
    if names and not (WEIGHTS in names and names <= OWN_FILES):
        stranger = min(names - OWN_FILES, default=WEIGHTS)
        raise GptexpError(f"{folder} holds other files ({shorten(stranger)}); name a new folder for the model")


def write_folder(files: dict[str, bytes], folder: Path) -> None:
    """Write the files into `folder`, which is made where it isn't there: all of them or, where the disk is full, none.

    They are written to a folder inside it first, whose name says to `clear_removed` that nobody needs it.

    Raises:
        DiskError: they can't be written; what was in the folder is unchanged.
    """
    target = folder.resolve()
    fresh = target / f"{REMOVED}{secrets.token_hex(4)}"
    is_new = not exists(target)
    with disk_errors(folder):
        try:
            make_folder(target)
            clear_removed(target, target)
            for name, content in files.items():
                write_new(fresh / name, content, target)
            for name in sorted(files, key=lambda name: name == WEIGHTS):
                rename(fresh / name, target / name, target)
            sync_folder(target)
            remove_tree(fresh, target)
        except BaseException:
            with contextlib.suppress(OSError):
                remove_tree(fresh, target)
                if is_new and not list_folder(target):
                    remove_tree(target)
            raise


def describe_model(config: ModelConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """config.json of a GPT-2 in transformers."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        **REQUIRED,
        **{theirs: getattr(config, ours) for theirs, ours in SIZES.items()},
        "n_ctx": config.block_size,
        "n_inner": None,
        "vocab_size": config.vocab_size,
        "attn_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "initializer_range": 0.02,
        **_special_ids(tokenizer),
        "dtype": "float32",
        "torch_dtype": "float32",
    }


def describe_generation(tokenizer: Tokenizer) -> dict[str, Any]:
    """generation_config.json: samples are drawn as `gptexp sample` draws them."""
    return {"do_sample": True, "temperature": TEMPERATURE, "top_k": TOP_K, **_special_ids(tokenizer)}


def _special_ids(tokenizer: Tokenizer) -> dict[str, int | None]:
    end = None if tokenizer.vocabulary is not None else GPT2_MERGEABLE
    return {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}


def _write_json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
