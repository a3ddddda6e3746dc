"""A folder that transformers opens as GPT2LMHeadModel with its tokenizer, and the way back."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from gptexp.config import ModelConfig
from gptexp.data.tokenizer import GPT2_MERGEABLE, Tokenizer, char_tokenizer, load_gpt2_tokenizer
from gptexp.errors import GptexpError, shorten
from gptexp.exchange.tensors import fill_model, take_tensors
from gptexp.exchange.tokenizers import spell_piece, write_tokenizer
from gptexp.files import explain, list_folder, make_folder, read_user_file, write_atomic
from gptexp.model.gpt import GPT
from gptexp.training.sample import TEMPERATURE, TOP_K

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
LARGEST_WEIGHTS = 2**36
"""Bytes of a weights file; GPT-2 XL has 6 GB."""
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
PART_NAME = re.compile(r"[A-Za-z0-9._-]+\.safetensors")


@dataclass(frozen=True)
class Pretrained:
    """A model of a folder that transformers opens."""

    model: GPT
    tokenizer: Tokenizer


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
    arguments: dict[str, Any] = {"model_args": {name: getattr(config, name) for name in names}}
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
        names = {entry.name for entry in list_folder(folder)}
    except FileNotFoundError:
        return
    except OSError as error:
        raise GptexpError(f"{folder} can't be read: {explain(error)}") from None
    if names and not (WEIGHTS in names and names <= OWN_FILES):
        stranger = min(names - OWN_FILES, default=WEIGHTS)
        raise GptexpError(f"{folder} holds other files ({shorten(stranger)}); name a new folder for the model")


def write_folder(files: dict[str, bytes], folder: Path) -> None:
    """Write the files into `folder`, which is made where it isn't there; the weights last."""
    make_folder(folder)
    for name in sorted(files, key=lambda name: name == WEIGHTS):
        write_atomic(folder / name, files[name])


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


def read_folder(folder: Path) -> Pretrained:
    """The GPT-2 of a folder as transformers writes it, with its tokenizer.

    Weights are read from safetensors files only: a pickle (pytorch_model.bin) could run anything.

    Raises:
        GptexpError: a file is missing or damaged, or the folder holds another kind of model.
    """
    config = read_model_config(folder)
    tokenizer = read_tokenizer(folder)
    if config.vocab_size is not None and config.vocab_size < tokenizer.vocab_size:
        raise GptexpError(
            f"{folder}: its tokenizer has {tokenizer.vocab_size:,} tokens and its model {config.vocab_size:,}"
        )
    model = GPT(config, seed=0)
    try:
        fill_model(model, read_weights(folder))
    except GptexpError as error:
        raise GptexpError(f"{folder} can't be used: {error}") from None
    return Pretrained(model, tokenizer)


def read_model_config(folder: Path) -> ModelConfig:
    """The shape of the model that a folder's config.json describes.

    Raises:
        GptexpError: it is missing or damaged, or describes another function than our model computes.
    """
    content = _read_json(folder, CONFIG)
    if content is None:
        raise GptexpError(f"{folder} has no {CONFIG}; expected a folder that transformers' save_pretrained wrote")
    for name, expected in REQUIRED.items():
        if (found := content.get(name, expected)) != expected:
            raise GptexpError(f"{folder / CONFIG}: {name} is {shorten(found)}, and gptexp computes {expected} alone")
    width = content.get("n_embd")
    if content.get("n_inner") not in (None, 4 * width if isinstance(width, int) else None):
        raise GptexpError(f"{folder / CONFIG}: n_inner is {shorten(content['n_inner'])}, expected 4 times n_embd")
    sizes = {ours: content.get(theirs) for theirs, ours in SIZES.items()}
    try:
        return ModelConfig(vocab_size=content.get("vocab_size", GPT2_MERGEABLE + 1), **sizes)  # type: ignore[arg-type]
    except ValueError as error:
        raise GptexpError(f"{folder / CONFIG} describes no GPT-2: {' '.join(str(error).split())}") from None


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of a folder: of model.safetensors, or of the parts that its index names."""
    index = _read_json(folder, INDEX)
    if index is None:
        names = {WEIGHTS}
    elif isinstance(places := index.get("weight_map"), dict) and places:
        names = set(map(str, places.values()))
    else:
        raise GptexpError(f"{folder / INDEX} names no files of weights")
    tensors: dict[str, Tensor] = {}
    for name in sorted(names):
        if not PART_NAME.fullmatch(name):
            raise GptexpError(f"{folder / INDEX} names {shorten(name)}, which is no safetensors file of that folder")
        try:
            tensors |= load_tensors(read_user_file(folder / name, limit=LARGEST_WEIGHTS))
        except FileNotFoundError:
            raise GptexpError(
                f"{folder} has no {name}; a pytorch_model.bin is not read, since a pickle could run anything: save the "
                f"model anew with transformers (save_pretrained writes safetensors)"
            ) from None
        except OSError as error:
            raise GptexpError(f"{folder / name} can't be read: {explain(error)}") from None
        except (SafetensorError, ValueError) as error:
            raise GptexpError(f"{folder / name} is damaged: {error}") from None
    return tensors


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder: GPT-2's, also where no file of one is there, or one token per character.

    Raises:
        GptexpError: it is another one.
    """
    gpt2 = load_gpt2_tokenizer()
    if (content := _read_json(folder, "tokenizer.json")) is not None:
        model = content.get("model")
        vocabulary = model.get("vocab") if isinstance(model, dict) else None
    elif (content := _read_json(folder, "vocab.json")) is not None:
        vocabulary = content
    else:
        return gpt2
    if not isinstance(vocabulary, dict) or not all(isinstance(number, int) for number in vocabulary.values()):
        raise GptexpError(f"{folder / 'tokenizer.json'} is no tokenizer with a vocabulary of tokens and their ids")
    if all(vocabulary.get(spell_piece(piece)) == rank for rank, piece in enumerate(gpt2.pieces[:GPT2_MERGEABLE])):
        return gpt2
    characters = sorted(vocabulary, key=vocabulary.__getitem__)
    in_order = characters == sorted(characters) and sorted(vocabulary.values()) == list(range(len(vocabulary)))
    if characters and in_order and all(len(character) == 1 for character in characters):
        return char_tokenizer("".join(characters))
    raise GptexpError(
        f"{folder} has a tokenizer of {len(vocabulary):,} tokens that is neither GPT-2's nor one token per character"
    )


def _read_json(folder: Path, name: str) -> dict[str, Any] | None:
    """The content of a file; None where it isn't there."""
    try:
        content = json.loads(read_user_file(folder / name))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GptexpError(f"{folder / name} can't be read: {explain(error)}") from None
    except (ValueError, RecursionError) as error:
        raise GptexpError(f"{folder / name} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise GptexpError(f"{folder / name} holds no JSON object")
    return content


def _write_json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
