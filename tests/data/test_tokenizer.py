from __future__ import annotations

import importlib.resources
import pickle
import socket
import string

import numpy as np
import pytest

from gptexp.data import tokenizer as module
from gptexp.data.tokenizer import RANKS_SHA256, char_tokenizer, load_gpt2_tokenizer
from gptexp.errors import GptexpError

MIXED = "The cat sat.\r\n\tnaïve 東京 🙂 <|endoftext|>  x"


def test_gpt2_vocabulary_and_known_ids() -> None:
    """GPT-2 has 50,257 tokens and cuts this sentence into the ids that its users know."""
    tokenizer = load_gpt2_tokenizer()
    assert (tokenizer.name, tokenizer.vocab_size, tokenizer.checksum) == ("gpt2", 50_257, RANKS_SHA256)
    assert tokenizer.vocabulary is None
    ids = tokenizer.encode("The cat sat on the mat")
    assert ids.dtype == np.uint16
    assert ids.tolist() == [464, 3797, 3332, 319, 262, 2603]
    assert tokenizer.decode([50_256]) == "<|endoftext|>"


def test_gpt2_never_uses_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading GPT-2's vocabulary opens no socket and asks no tiktoken cache."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("tiktoken.load.read_file_cached", refuse)
    assert load_gpt2_tokenizer.__wrapped__().vocab_size == 50_257


def test_changed_ranks_are_refused() -> None:
    """A single changed byte in the ranks file is an error that gives the expected and the found checksum."""
    contents = importlib.resources.files("gptexp.data").joinpath(module.RANKS_FILE).read_bytes()
    with pytest.raises(GptexpError, match=rf"have the SHA-256 [0-9a-f]{{64}} instead of {RANKS_SHA256}"):
        module._parse_ranks(contents + b"\n")


@pytest.mark.parametrize("text", [MIXED, "", "\n", "\ufeffa\x00b", string.printable])
@pytest.mark.parametrize("name", ["gpt2", "char"])
def test_text_survives_the_round_trip(name: str, text: str) -> None:
    """decode(encode(text)) is the text, whatever characters it has; the bytes per token add up to its UTF-8 bytes."""
    tokenizer = load_gpt2_tokenizer() if name == "gpt2" else char_tokenizer(MIXED + "\ufeffa\x00b" + string.printable)
    ids = tokenizer.encode(text)
    assert ids.dtype == np.uint16
    assert tokenizer.decode(ids.tolist()) == text
    assert tokenizer.token_bytes.dtype == np.int64
    assert tokenizer.token_bytes.shape == (tokenizer.vocab_size,)
    assert tokenizer.token_bytes[ids].sum() == len(text.encode())


def test_special_token_counts_no_bytes() -> None:
    """<|endoftext|> is no text of the corpus, so bits per byte must not count its letters."""
    assert load_gpt2_tokenizer().token_bytes[50_256] == 0


@pytest.mark.parametrize("name", ["gpt2", "char"])
def test_ids_beyond_the_vocabulary_decode_to_a_replacement(name: str) -> None:
    """A padded model (vocab_size=50304) may sample ids without a token: they become U+FFFD instead of an error."""
    tokenizer = load_gpt2_tokenizer() if name == "gpt2" else char_tokenizer("ab")
    known = int(tokenizer.encode("a")[0])
    assert tokenizer.decode([known, tokenizer.vocab_size, 50_303, known]) == "a\ufffd\ufffda"


def test_char_vocabulary_is_a_set() -> None:
    """Ids follow the sorted distinct characters: order and repetitions of the given text change nothing."""
    one, other = char_tokenizer("cab"), char_tokenizer("abcabc")
    assert one.vocabulary == other.vocabulary == "abc"
    assert one.checksum == other.checksum != char_tokenizer("abd").checksum
    assert one.encode("abc").tolist() == [0, 1, 2]


def test_char_refuses_strangers() -> None:
    """A character outside the vocabulary is named with its position."""
    with pytest.raises(GptexpError, match=r"'z' at position 2 is not among the 3 characters"):
        char_tokenizer("abc").encode("abz")


def test_char_refuses_what_uint16_cannot_number() -> None:
    """More than 65,536 distinct characters don't fit into uint16 ids; an empty vocabulary isn't one."""
    many = "".join(chr(0x10000 + i) for i in range(65_537))
    assert char_tokenizer(many[:-1]).encode(many[65_535]).tolist() == [65_535]
    with pytest.raises(GptexpError, match="65,537 distinct characters"):
        char_tokenizer(many)
    with pytest.raises(GptexpError, match="at least one character"):
        char_tokenizer("")


def test_gpt2_explains_what_tiktoken_cannot_cut() -> None:
    """tiktoken gives up on a million newlines before a word: the user hears why and what to do."""
    with pytest.raises(GptexpError, match="long runs of whitespace or use tokenizer=char"):
        load_gpt2_tokenizer().encode("\t" * 1_000_000 + "a" + "\n" * 1_000_000 + "a")


@pytest.mark.parametrize("name", ["gpt2", "char"])
def test_tokenizers_travel_to_other_processes(name: str) -> None:
    """Launchers pickle what they run."""
    tokenizer = load_gpt2_tokenizer() if name == "gpt2" else char_tokenizer("abc")
    assert pickle.loads(pickle.dumps(tokenizer)).encode("abc").tolist() == tokenizer.encode("abc").tolist()


def test_a_lone_surrogate_is_named() -> None:
    """Python reads bytes of a command line that are no UTF-8 as such; the sentence says which character it is."""
    with pytest.raises(GptexpError, match=r"character 3 of the text is '.udcff', which UTF-8 can't hold"):
        load_gpt2_tokenizer().encode("ab\udcff")
