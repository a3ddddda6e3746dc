"""Tokenizers as the files that transformers reads: tokenizer.json for all, vocab.json and merges.txt for GPT-2."""

from __future__ import annotations

import functools
import json
from typing import Any

from gptexp.data.tokenizer import END_OF_TEXT, GPT2_MERGEABLE, Tokenizer

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


@functools.cache
def spell_bytes() -> dict[int, str]:
    """Byte -> the visible character that stands for it in GPT-2's files.

    Source: openai/gpt-2 `src/encoder.py`, bytes_to_unicode.
    """
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + place) for place, byte in enumerate(others)}


def spell_piece(piece: bytes) -> str:
    """The bytes of a token as GPT-2's files write them."""
    spelling = spell_bytes()
    return "".join(spelling[byte] for byte in piece)


def find_merge(piece: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two tokens that byte-pair encoding merges last to get `piece`: earlier merges come first."""
    parts = [piece[place : place + 1] for place in range(len(piece))]
    while len(parts) > 2:
        merges = [ranks.get(parts[place] + parts[place + 1], GPT2_MERGEABLE) for place in range(len(parts) - 1)]
        place = min(range(len(merges)), key=merges.__getitem__)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts[0], parts[1]


@functools.cache
def list_merges(pieces: tuple[bytes, ...]) -> tuple[tuple[str, str], ...]:
    """GPT-2's merges in their order, spelled as in merges.txt."""
    ranks = {piece: rank for rank, piece in enumerate(pieces[:GPT2_MERGEABLE])}
    merges = (find_merge(piece, ranks) for piece in pieces[:GPT2_MERGEABLE] if len(piece) > 1)
    return tuple((spell_piece(left), spell_piece(right)) for left, right in merges)


def write_tokenizer(tokenizer: Tokenizer, block_size: int) -> dict[str, str]:
    """The files of a tokenizer: name -> content.

    Args:
        block_size: the longest context, in tokens.
    """
    return _write_gpt2(tokenizer, block_size) if tokenizer.vocabulary is None else _write_char(tokenizer, block_size)


def _write_gpt2(tokenizer: Tokenizer, block_size: int) -> dict[str, str]:
    vocabulary = {spell_piece(piece): rank for rank, piece in enumerate(tokenizer.pieces[:GPT2_MERGEABLE])}
    vocabulary[END_OF_TEXT] = GPT2_MERGEABLE
    merges = [" ".join(pair) for pair in list_merges(tokenizer.pieces)]
    end = {"id": GPT2_MERGEABLE, "content": END_OF_TEXT, "special": True} | dict.fromkeys(
        ("single_word", "lstrip", "rstrip", "normalized"), False
    )
    # A text that spells <|endoftext|> is read as plain characters here, and as that token by transformers.
    settings = {
        "tokenizer_class": "GPT2Tokenizer",
        "model_max_length": block_size,
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "add_prefix_space": False,
    }
    model = {"vocab": vocabulary, "merges": merges}
    return {
        "vocab.json": _write_json(vocabulary),
        "merges.txt": "\n".join(["#version: 0.2", *merges, ""]),
        "tokenizer.json": _write_json(_describe(model, [end], pre_tokenizer=BYTE_LEVEL, decoder=BYTE_LEVEL)),
        "tokenizer_config.json": _write_json(settings),
    }


def _write_char(tokenizer: Tokenizer, block_size: int) -> dict[str, str]:
    """Byte-pair encoding without merges: every character is a token, and the decoder joins them without spaces."""
    vocabulary = {character: number for number, character in enumerate(tokenizer.vocabulary or "")}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": block_size,
        "clean_up_tokenization_spaces": False,
    }
    return {
        "tokenizer.json": _write_json(_describe({"vocab": vocabulary, "merges": []}, [], decoder={"type": "Fuse"})),
        "tokenizer_config.json": _write_json(settings),
    }


def _describe(model: dict[str, Any], added: list[dict[str, Any]], **parts: Any) -> dict[str, Any]:
    """A tokenizer.json. Source of its fields: huggingface/tokenizers, `Tokenizer.save`."""
    names = ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")
    plain = dict.fromkeys(("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"))
    flags = dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), False)
    return {
        "version": "1.0",
        "added_tokens": added,
        **dict.fromkeys(names),
        **parts,
        "model": {"type": "BPE", **plain, **flags, **model},
    }


def _write_json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
