"""Reads a GPT-2 from a folder: one that transformers opens, or one that `gptexp export` wrote for nanoGPT."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from gptexp.config import ModelConfig
from gptexp.data.tokenizer import GPT2_MERGEABLE, Tokenizer, char_tokenizer, load_gpt2_tokenizer
from gptexp.errors import GptexpError, shorten
from gptexp.exchange.folder import CONFIG, MODEL_ARGS, REQUIRED, SIZES, WEIGHTS
from gptexp.exchange.tensors import fill_model
from gptexp.exchange.tokenizers import spell_piece
from gptexp.files import explain, kind_of, list_folder, read_user_file
from gptexp.model.gpt import GPT
from gptexp.model.size import count_params

INDEX = "model.safetensors.index.json"
LARGEST_WEIGHTS = 2**36
"""Bytes of a weights file; GPT-2 XL has 6 GB."""
FAR_TOO_MANY = 100
PART_NAME = re.compile(r"[A-Za-z0-9._-]+\.safetensors")


@dataclass(frozen=True)
class Pretrained:
    """A model of a folder."""

    model: GPT
    tokenizer: Tokenizer


def read_folder(folder: Path) -> Pretrained:
    """The GPT-2 of a folder as transformers or `gptexp export` writes it, with its tokenizer.

    Weights are read from safetensors files only: a pickle (pytorch_model.bin) could run anything.

    Raises:
        GptexpError: a file is missing or damaged, or the folder holds another kind of model.
    """
    content = _read_json(folder, CONFIG)
    if content is None and kind_of(folder.resolve()) != "folder":
        raise GptexpError(f"there is no folder {folder}")
    if content is None:
        raise GptexpError(f"{folder} has no {CONFIG}, which transformers' save_pretrained and gptexp export write")
    is_nanogpt = MODEL_ARGS in content
    config = _read_shape(folder, content[MODEL_ARGS]) if is_nanogpt else _read_hf_shape(folder, content)
    tokenizer = _read_nanogpt_tokenizer(folder, content) if is_nanogpt else read_tokenizer(folder)
    if config.vocab_size is not None and config.vocab_size < tokenizer.vocab_size:
        raise GptexpError(
            f"{folder}: its tokenizer has {tokenizer.vocab_size:,} tokens and its model {config.vocab_size:,}"
        )
    weights = read_weights(folder)
    n_held, n_described = sum(tensor.numel() for tensor in weights.values()), count_params(config)
    if n_described > FAR_TOO_MANY * n_held:
        # Said before a model of that size asks for memory.
        raise GptexpError(
            f"{folder / CONFIG} describes a model of {n_described:,} parameters, and the weights beside it are "
            f"{n_held:,}"
        )
    model = GPT(config, seed=0)
    try:
        fill_model(model, weights, transposed=not is_nanogpt)
    except GptexpError as error:
        raise GptexpError(f"{folder} can't be used: {error}") from None
    return Pretrained(model, tokenizer)


def _read_hf_shape(folder: Path, content: Mapping[str, Any]) -> ModelConfig:
    """The shape of the model that the config.json of transformers describes.

    Raises:
        GptexpError: it describes another function than our model computes.
    """
    for name, expected in REQUIRED.items():
        if (found := content.get(name, expected)) != expected:
            raise GptexpError(f"{folder / CONFIG}: {name} is {shorten(found)}, and gptexp computes {expected} alone")
    width = content.get("n_embd")
    if content.get("n_inner") not in (None, 4 * width if isinstance(width, int) else None):
        raise GptexpError(f"{folder / CONFIG}: n_inner is {shorten(content['n_inner'])}, expected 4 times n_embd")
    sizes = {ours: content.get(theirs) for theirs, ours in SIZES.items()}
    return _read_shape(folder, {"vocab_size": GPT2_MERGEABLE + 1} | sizes | _pick(content, "vocab_size"))


def _read_shape(folder: Path, sizes: object) -> ModelConfig:
    """Raises:
    GptexpError: they are not the sizes of a model.
    """
    names = ("vocab_size", *SIZES.values())
    given: dict[str, Any] = sizes if isinstance(sizes, dict) else {}
    fields: dict[str, Any] = {name: given.get(name) for name in names} | _pick(given, "bias")
    try:
        if fields["vocab_size"] is None:
            raise ValueError("it has no vocab_size")
        return ModelConfig(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        field, message = str(first["loc"][0]) if first["loc"] else "", first["msg"]
        value = f"{field} is {shorten(fields.get(field))}: " if field else ""
        raise GptexpError(f"{folder / CONFIG} describes no GPT-2: {value}{message[0].lower()}{message[1:]}") from None
    except ValueError as error:
        raise GptexpError(f"{folder / CONFIG} describes no GPT-2: {error}") from None


def _pick(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: content[name]} if name in content else {}


def _read_nanogpt_tokenizer(folder: Path, content: Mapping[str, Any]) -> Tokenizer:
    """That of an export for nanoGPT: GPT-2's, or one of the characters in `itos`."""
    if content.get("tokenizer") == "gpt2":
        return load_gpt2_tokenizer()
    characters: Any = content.get("itos")
    is_text = isinstance(characters, list) and all(isinstance(one, str) and len(one) == 1 for one in characters)
    if not is_text or characters != sorted(set(characters)):
        raise GptexpError(f"{folder / CONFIG} names neither GPT-2's tokenizer nor characters in their order (itos)")
    return char_tokenizer("".join(characters))


def list_files(folder: Path) -> list[str]:
    """The files of a folder that `read_folder` reads.

    Raises:
        OSError: the folder can't be read.
    """
    read = {CONFIG, INDEX, "tokenizer.json", "vocab.json"}
    return [entry.name for entry in list_folder(folder) if entry.name in read or PART_NAME.fullmatch(entry.name)]


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
