"""From a config to a run: `auto` settled, corpus and tokenizer read, and the run id that follows from all of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch

from gptexp import ENGINE_VERSION
from gptexp.config import ModelConfig, RunConfig, build_config, identity_hash
from gptexp.data.batches import Tokens, check_length, load_tokens
from gptexp.data.corpus import Corpus, load_corpus
from gptexp.errors import GptexpError
from gptexp.model.gpt import GPT
from gptexp.training.device import resolve_hardware


@dataclass(frozen=True)
class ResolvedRun:
    """One run, ready to be trained: `content` is its config.json."""

    run_id: str
    config: RunConfig
    content: dict[str, Any]

    @property
    def epochs(self) -> float:
        """Passes over the train split."""
        return self.config.max_steps * self.config.tokens_per_step / float(self.content["corpus"]["train_tokens"])


@functools.cache
def read_tokens(corpus_name: str | None, tokenizer_name: str) -> Tokens:
    """Tokens of a corpus, read once per process.

    Args:
        corpus_name: None where nobody named one.

    Raises:
        GptexpError: the corpus can't be had, or is unfit.
    """
    return load_tokens(_read_corpus(corpus_name), tokenizer_name)


@functools.cache
def _read_corpus(name: str | None) -> Corpus:
    return load_corpus(name)


def resolve_run(config: RunConfig, corpus_name: str | None) -> ResolvedRun:
    """Settle everything that decides the numbers of a run, and name it by their hash.

    Raises:
        GptexpError: the corpus or the device can't be had, the corpus is shorter than a window, or the vocabulary of
            the config is smaller than the tokenizer's, or the corpus lacks a character of the prompt for samples.
    """
    tokens = read_tokens(corpus_name, config.tokenizer)
    check_length(tokens, config.block_size)
    check_prompt(config.sample_prompt, tokens)
    resolved = resolve_config(config, tokens)
    corpus, tokenizer = tokens.corpus, tokens.tokenizer
    fields = resolved.model_dump(mode="json")
    run_id = identity_hash(fields, ENGINE_VERSION, corpus.checksum, tokenizer.checksum)
    content = {
        "run_id": run_id,
        "engine_version": ENGINE_VERSION,
        "config": fields,
        "corpus": {
            "name": corpus.name,
            "checksum": corpus.checksum,
            "source": corpus.source,
            "fallback": corpus.fallback,
            "train_tokens": len(tokens.train),
            "val_tokens": len(tokens.val),
            "val_bytes": int(tokenizer.token_bytes[tokens.val].sum()),
        },
        "tokenizer": {
            "name": tokenizer.name,
            "checksum": tokenizer.checksum,
            "vocab_size": tokenizer.vocab_size,
            "vocabulary": tokenizer.vocabulary,
        },
        "n_params": count_params(resolved),
    }
    return ResolvedRun(run_id, resolved, content)


def check_prompt(prompt: str, tokens: Tokens) -> None:
    """Raises:
    GptexpError: the tokenizer has no token for some of the prompt.
    """
    try:
        tokens.tokenizer.encode(prompt)
    except GptexpError:
        text = tokens.tokenizer.decode(tokens.train[:8].tolist())
        raise GptexpError(
            f"sample_prompt={prompt!r} can't be written in the characters of corpus {tokens.corpus.name!r}; name a "
            f"beginning for the samples that can, such as sample_prompt={text.split()[0] if text.split() else text!r}"
        ) from None


def resolve_config(config: RunConfig, tokens: Tokens) -> RunConfig:
    """`config` with every None and `auto` replaced by what it stands for, and what decides nothing set to one value.

    Raises:
        GptexpError: vocab_size is smaller than the tokenizer's, or the device can't be had.
    """
    hardware = resolve_hardware(config.device, config.precision)
    vocab_size = tokens.tokenizer.vocab_size if config.vocab_size is None else config.vocab_size
    if vocab_size < tokens.tokenizer.vocab_size:
        raise GptexpError(
            f"vocab_size={vocab_size} is smaller than the {tokens.tokenizer.vocab_size:,} tokens of tokenizer "
            f"{tokens.tokenizer.name!r}; leave vocab_size out or raise it"
        )
    is_constant = config.schedule == "constant"
    decays = config.schedule not in ("constant", "warmup-constant")
    return build_config(
        {
            **config.model_dump(),
            "vocab_size": vocab_size,
            "corpus": tokens.corpus.name,
            "device": hardware.device,
            "precision": hardware.precision,
            # A constant rate has no phases: two arms that differ only there are the same run.
            "warmup_steps": 0 if is_constant else config.resolved_warmup_steps,
            "min_lr": config.resolved_min_lr if decays else config.lr,
            "decay_steps": config.resolved_decay_steps if config.schedule == "wsd" else None,
        }
    )


def count_params(config: ModelConfig) -> int:
    """Trained numbers of the model, the tied embedding counted once."""
    return _count_params(ModelConfig(**{name: getattr(config, name) for name in ModelConfig.model_fields}))


@functools.cache
def _count_params(config: ModelConfig) -> int:
    with torch.device("meta"):
        return GPT(config, seed=0).n_params()
