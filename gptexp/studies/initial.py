"""The weights that a run starts from where `init_from` names a folder: read, checked, and told by their checksum.

As with a corpus, the record has a checksum and the worker gets a path: the same weights in another folder make the same
run.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gptexp.errors import GptexpError
from gptexp.exchange.read import list_files, read_folder
from gptexp.files import explain, kind_of, read_user_file, stamp_of
from gptexp.model.gpt import GPT
from gptexp.paths import read_path
from gptexp.text import spell_name

if TYPE_CHECKING:
    from gptexp.studies.request import StudyRequest
    from gptexp.studies.study import Arm

INIT_FROM = "init_from"
"""The config field: a folder where somebody asks for a run, the name of the weights where one is recorded."""
NAME_PREFIX = "sha256:"
NAME_DIGITS = 16
POSITIONS = "position_embedding.weight"
SHAPE = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "bias", "norm")
"""Config fields that weights decide, besides the tokenizer."""


@dataclass(frozen=True)
class InitialWeights:
    """What a run that starts from a folder needs to know of it."""

    folder: str
    """As it was named."""
    name: str
    """`sha256:` and the first digits of the weights' checksum."""
    fields: Mapping[str, Any]
    """Config fields that the weights decide."""
    vocabulary: str | None
    """The characters of a char tokenizer; None for gpt2."""


def read_initial(folder: str) -> InitialWeights:
    """Read a folder with weights; one that hasn't changed since is read once per process.

    Raises:
        GptexpError: it isn't there, is damaged, or holds another kind of model.
    """
    if folder.startswith(NAME_PREFIX):
        raise GptexpError(
            f"init_from={spell_name(folder)} is the checksum of weights that a run began with; name the folder that "
            f"holds them"
        )
    path = _find_folder(folder)
    try:
        stamps = tuple((name, *stamp_of(path / name)) for name in list_files(path))
    except OSError as error:
        raise GptexpError(f"init_from={spell_name(folder)} can't be read: {explain(error)}") from None
    return _read_once(folder, stamps)


def find_weights(request: StudyRequest, arm: Arm) -> InitialWeights | None:
    """The weights that an arm's runs start from; None where they are drawn from the seed. Raises: as `read_initial`."""
    folder = {**request.study.merge(arm, request.scale), **request.overrides}.get(INIT_FROM)
    return read_initial(folder) if isinstance(folder, str) else None


def _find_folder(folder: str) -> Path:
    path = read_path(folder)
    if kind_of(path.resolve()) != "folder":
        raise GptexpError(
            f"init_from={spell_name(folder)} is no folder on this machine; name one with a GPT-2, as transformers' "
            f"save_pretrained or `gptexp export` writes it"
        )
    return path


@functools.lru_cache(maxsize=64)
def _read_once(folder: str, stamps: tuple[tuple[str, int, int], ...]) -> InitialWeights:
    found = read_folder(read_path(folder))
    fields = {name: getattr(found.model.config, name) for name in SHAPE}
    tokenizer = found.tokenizer
    return InitialWeights(
        folder, name_weights(found.model), {**fields, "tokenizer": tokenizer.name}, tokenizer.vocabulary
    )


def name_weights(model: GPT) -> str:
    """The name of a model's weights: equal tensors have the same name, whatever files they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.float().contiguous().numpy().astype("<f4", copy=False).data)
    return NAME_PREFIX + digest.hexdigest()[:NAME_DIGITS]


def settle_fields(merged: Mapping[str, Any], named: Collection[str]) -> dict[str, Any]:
    """The fields of a run that starts from weights: what these decide replaces what a scale says, and their name stands
    in place of the folder's.

    Args:
        merged: config fields, `init_from` among them.
        named: those that somebody chose; the others are a scale's.

    Raises:
        GptexpError: the folder can't be read, or a field was chosen otherwise than the weights have it.
    """
    folder = merged[INIT_FROM]
    if not isinstance(folder, str):
        return dict(merged)
    weights = read_initial(folder)
    chosen = {name: merged[name] for name in weights.fields if name in named and merged.get(name) is not None}
    for name, here in chosen.items():
        there = weights.fields[name]
        if here != there and not (name == "block_size" and isinstance(here, int) and here < there):
            bound = "at most " if name == "block_size" else ""
            raise GptexpError(
                f"{name}={here!s:.40}, and the weights in {spell_name(folder)} have {bound}{name}={there}; leave "
                f"{name} out, or name other weights with init_from"
            )
    return {**merged, **weights.fields, **chosen, INIT_FROM: weights.name}


def fill_initial(model: GPT, name: str, folder: str | None) -> None:
    """Put the weights of a folder into the model of a run that begins at step 0.

    Args:
        name: of the weights that the run was planned with.
        folder: None where nobody named one.

    Raises:
        GptexpError: there is no folder, or it holds other weights now.
    """
    if folder is None:
        raise GptexpError(f"this run begins with the weights {name}, and no folder that holds them was named")
    found = read_folder(_find_folder(folder)).model
    if (now := name_weights(found)) != name:
        raise GptexpError(
            f"the weights in {spell_name(folder)} have changed since this run was planned (they were {name}, and are "
            f"{now}); start the command again"
        )
    state = found.state_dict()
    # With causal attention, positions that are never read decide nothing: a shorter context is the same function.
    state[POSITIONS] = state[POSITIONS][: model.config.block_size]
    with torch.no_grad():
        model.load_state_dict(state)


def pack_initial(folder: str) -> dict[str, bytes]:
    """The files of a folder with weights, for a worker that can't see it."""
    path = read_path(folder)
    return {name: read_user_file(path / name, limit=2**36) for name in list_files(path)}
