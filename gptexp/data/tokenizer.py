"""Text to token ids and back: GPT-2's byte-pair encoding (tiktoken with the shipped merge ranks) or characters."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import tiktoken

from gptexp.errors import GptexpError

TokenIds = npt.NDArray[np.uint16]

RANKS_FILE = "r50k_base.tiktoken"
RANKS_SHA256 = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
"""Source: the hash that tiktoken_ext/openai_public.py pins for r50k_base."""

GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
"""The pattern by which GPT-2 splits text before merging. Source: tiktoken_ext/openai_public.py, r50k_pat_str."""

END_OF_TEXT = "<|endoftext|>"
GPT2_MERGEABLE = 50_256
UINT16_IDS = 65_536
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A vocabulary and its encoder.

    `checksum` is the SHA-256 (hex) of what determines the ids: the ranks file, or the character vocabulary.
    `vocabulary` is the character vocabulary, which a run stores to decode its samples later; None for gpt2.
    """

    name: str
    checksum: str
    vocabulary: str | None
    pieces: tuple[bytes, ...] = field(repr=False)
    """The bytes of each token, by token id."""
    encoder: Callable[[str], TokenIds] = field(repr=False)
    special_ids: frozenset[int] = frozenset()
    """Ids of special tokens, which never occur in a corpus."""

    @property
    def vocab_size(self) -> int:
        return len(self.pieces)

    @functools.cached_property
    def token_bytes(self) -> npt.NDArray[np.int64]:
        """UTF-8 bytes per token id, int64 (vocab_size,): the weights of bits per byte. Special tokens count 0."""
        return np.array([0 if i in self.special_ids else len(piece) for i, piece in enumerate(self.pieces)], np.int64)

    def encode(self, text: str) -> TokenIds:
        """`text` as token ids, uint16 (N,). The gpt2 tokenizer reads `<|endoftext|>` in a text as plain characters.

        Raises:
            GptexpError: a character is not in the vocabulary (char), or tiktoken can't split the text (gpt2).
        """
        return self.encoder(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Token ids (N,) as text. Bytes that are not UTF-8 and ids outside the vocabulary become U+FFFD.

        A model with a padded vocabulary (vocab_size=50304) can sample ids without a token, so they are no error.
        """
        return b"".join(self.piece(int(i)) for i in ids).decode("utf-8", errors="replace")

    def piece(self, token_id: int) -> bytes:
        """The bytes of one token; U+FFFD for an id outside the vocabulary."""
        return self.pieces[token_id] if 0 <= token_id < len(self.pieces) else REPLACEMENT.encode()


@functools.cache
def load_gpt2_tokenizer() -> Tokenizer:
    """GPT-2's tokenizer with 50,257 tokens, from the merge ranks inside this package, without the network.

    Raises:
        GptexpError: the ranks file is missing or has another checksum than the one that tiktoken pins.
    """
    resource = importlib.resources.files("gptexp.data").joinpath(RANKS_FILE)
    try:
        contents = resource.read_bytes()
    except OSError as error:
        raise GptexpError(f"GPT-2's merge ranks ({RANKS_FILE}) can't be read: {error}; reinstall gptexp") from error
    ranks = _parse_ranks(contents)
    encoding = tiktoken.Encoding(
        name="gpt2",
        pat_str=GPT2_PATTERN,
        mergeable_ranks=ranks,
        special_tokens={END_OF_TEXT: GPT2_MERGEABLE},
        explicit_n_vocab=GPT2_MERGEABLE + 1,
    )
    by_rank = sorted(ranks, key=ranks.__getitem__)
    return Tokenizer(
        name="gpt2",
        checksum=RANKS_SHA256,
        vocabulary=None,
        pieces=(*by_rank, END_OF_TEXT.encode()),
        encoder=functools.partial(_encode_gpt2, encoding),
        special_ids=frozenset({GPT2_MERGEABLE}),
    )


def _parse_ranks(contents: bytes) -> dict[bytes, int]:
    """Parse lines of `base64(token) rank` into a dict, after checking the file's checksum."""
    found = hashlib.sha256(contents).hexdigest()
    if found != RANKS_SHA256:
        raise GptexpError(
            f"GPT-2's merge ranks ({RANKS_FILE}) have the SHA-256 {found} instead of {RANKS_SHA256}; reinstall gptexp"
        )
    pairs = (line.split() for line in contents.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}


def _encode_gpt2(encoding: tiktoken.Encoding, text: str) -> TokenIds:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise GptexpError(
            f"character {error.start + 1:,} of the text is {text[error.start]!a}, which UTF-8 can't hold; was it "
            f"typed in another encoding than UTF-8?"
        ) from None
    try:
        return encoding.encode_to_numpy(text, disallowed_special=()).astype(np.uint16)
    except ValueError as error:
        # A known limit of tiktoken: its pattern backtracks over whitespace and fails after about 100,000 characters.
        raise GptexpError(
            f"tiktoken can't split this text of {len(text):,} characters ({error}); "
            f"shorten its long runs of whitespace or use tokenizer=char"
        ) from error


def char_tokenizer(vocabulary: str) -> Tokenizer:
    """A tokenizer with one token per character. Ids number the distinct characters in the order of their code points.

    Args:
        vocabulary: any text that contains every character; order and repetitions don't matter.

    Raises:
        GptexpError: there is no character, or more than 65,536 distinct ones (ids are uint16).
    """
    characters = "".join(sorted(set(vocabulary)))
    if not characters:
        raise GptexpError("a character vocabulary needs at least one character, and this text has none")
    if len(characters) > UINT16_IDS:
        raise GptexpError(
            f"the text has {len(characters):,} distinct characters and the char tokenizer can number {UINT16_IDS:,}; "
            f"use tokenizer=gpt2"
        )
    return Tokenizer(
        name="char",
        checksum=hashlib.sha256(characters.encode("utf-8", "surrogatepass")).hexdigest(),
        vocabulary=characters,
        pieces=tuple(character.encode("utf-8", "surrogatepass") for character in characters),
        encoder=functools.partial(_encode_characters, characters),
    )


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _encode_characters(characters: str, text: str) -> TokenIds:
    known, codes = _code_points(characters), _code_points(text)
    ids = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    strangers = np.flatnonzero(known[ids] != codes)
    if strangers.size:
        position = int(strangers[0])
        raise GptexpError(
            f"character {text[position]!r} at position {position} is not among the {len(characters)} characters "
            f"of this char vocabulary; leave it out or use a run with tokenizer=gpt2"
        )
    return ids.astype(np.uint16)
