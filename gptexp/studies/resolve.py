"""From a config to a run: `auto` settled, corpus and tokenizer read, and the run id that follows from all of it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gptexp.config import LINE_FEED, RunConfig
from gptexp.data.batches import Tokens, check_length, load_tokens, load_tokens_of
from gptexp.data.corpus import Corpus, load_corpus
from gptexp.data.tokenizer import char_tokenizer
from gptexp.errors import GptexpError, shorten
from gptexp.identity import identity_hash
from gptexp.machine import count_cores
from gptexp.model.size import count_params
from gptexp.names import list_needs
from gptexp.text import clean_text
from gptexp.training.device import choose_threads, read_memory_bytes, resolve_device, resolve_hardware
from gptexp.training.metrics import check_step_metrics
from gptexp.version import ENGINE_VERSION, LATER_FIELDS


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
def read_tokens(corpus_name: str | None, tokenizer_name: str, vocabulary: str | None = None) -> Tokens:
    """Tokens of a corpus, read once per process.

    Args:
        corpus_name: None where nobody named one.
        vocabulary: the characters of a char tokenizer; None takes those of the corpus.

    Raises:
        GptexpError: the corpus can't be had, or is unfit.
    """
    corpus = _read_corpus(corpus_name)
    if vocabulary is None:
        return load_tokens(corpus, tokenizer_name)
    try:
        return load_tokens_of(corpus, char_tokenizer(vocabulary))
    except GptexpError as error:
        raise GptexpError(f"corpus {corpus.name!r} doesn't fit the weights to start from: {error}") from None


def read_run_tokens(corpus_name: str | None, content: Mapping[str, Any]) -> Tokens:
    """Tokens of a corpus as a run of this config.json reads them. Raises: as `read_tokens`."""
    config = content["config"]
    # Weights that a run starts from bring their vocabulary; any other is the corpus's own.
    vocabulary = content["tokenizer"]["vocabulary"] if config.get("init_from") else None
    return read_tokens(corpus_name, config["tokenizer"], vocabulary)


@functools.cache
def _read_corpus(name: str | None) -> Corpus:
    return load_corpus(name)


@functools.cache
def count_val_bytes(tokens: Tokens) -> int:
    """UTF-8 bytes of the val split, counted once per process."""
    return int(tokens.tokenizer.token_bytes[tokens.val].sum())


def resolve_run(
    config: RunConfig, corpus_name: str | None, jobs: int | None = None, vocabulary: str | None = None
) -> ResolvedRun:
    """Settle everything that decides the numbers of a run, and name it by their hash.

    Args:
        jobs: runs that share this machine's cores; None for one at a time.
        vocabulary: as for `read_tokens`.

    Raises:
        GptexpError: the corpus or the device can't be had, the corpus is shorter than a window, or the vocabulary of
            the config is smaller than the tokenizer's, samples that can't be written, or more memory than there is.
    """
    tokens = read_tokens(corpus_name, config.tokenizer, vocabulary)
    check_length(tokens, config.block_size)
    check_samples(config)
    check_step_metrics(config.step_metrics)
    resolved = resolve_config(config, tokens, jobs)
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
            "val_bytes": count_val_bytes(tokens),
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


def check_samples(config: RunConfig) -> None:
    """Refuse samples that no model could write, and thresholds that no loss falls under.

    Raises:
        GptexpError: the value, and what would do.
    """
    if not config.sample_prompt:
        raise GptexpError("sample_prompt='' gives the model nothing to continue; leave it out, or give it a character")
    if low := [loss for loss in config.sample_losses if loss <= 0]:
        raise GptexpError(f"sample_losses: no loss falls under {low[0]:g}; expected numbers above 0, such as [4, 3]")


def choose_prompt(prompt: str, tokens: Tokens) -> str:
    """The prompt; where it is a line feed, the usual one, and the corpus has none, a space or its first character.

    Raises:
        GptexpError: the tokenizer has no token for some of the prompt.
    """
    first: str = tokens.tokenizer.decode(tokens.train[:1].tolist())
    choices = (prompt, " ", first) if prompt == LINE_FEED else (prompt,)
    for choice in choices:
        with contextlib.suppress(GptexpError):
            tokens.tokenizer.encode(choice)
            return choice
    text = tokens.tokenizer.decode(tokens.train[:8].tolist())
    raise GptexpError(
        f"sample_prompt={shorten(prompt)} can't be written in the characters of corpus {tokens.corpus.name!r}; name a "
        f"beginning for the samples that can, such as sample_prompt={text.split()[0] if text.split() else text!r}"
    )


def check_memory(config: RunConfig) -> None:
    """Refuse a run that this machine can't hold, before anything asks for that memory.

    Counted is what no run can do without: fp32 weights, gradients and both moments, and half-precision activations of
    one micro-batch between the layers.

    Raises:
        GptexpError: how much it needs at least, and how much there is.
    """
    width, vocab_size = config.n_embd, config.vocab_size or 0
    n_params = 12 * config.n_layer * width**2 + (vocab_size + config.block_size) * width
    n_activations = config.batch_size * config.block_size * width * config.n_layer
    n_windows = config.batch_size * (config.grad_accum_steps + 2 * config.block_size)
    needed, there = 16 * n_params + 2 * n_activations + 8 * n_windows, read_memory_bytes(config.device)
    if there is not None and needed > there:
        raise GptexpError(
            f"n_layer={config.n_layer}, n_embd={width}, block_size={config.block_size}, vocab_size={vocab_size} and "
            f"batch_size={config.batch_size} (grad_accum_steps={config.grad_accum_steps}) need at least "
            f"{needed / 2**30:,.1f} GiB, and this machine's {config.device} has {there / 2**30:,.1f} GiB; choose a "
            f"smaller model or a smaller batch"
        )


def resolve_config(config: RunConfig, tokens: Tokens, jobs: int | None = None) -> RunConfig:
    """`config` with every None and `auto` replaced by what it stands for, and what decides nothing set to one value.

    Raises:
        GptexpError: vocab_size is smaller than the tokenizer's, the device or the memory can't be had, or the corpus
            lacks a character of the prompt for samples.
    """
    vocab_size = tokens.tokenizer.vocab_size if config.vocab_size is None else config.vocab_size
    if vocab_size < tokens.tokenizer.vocab_size:
        raise GptexpError(
            f"vocab_size={vocab_size} is smaller than the {tokens.tokenizer.vocab_size:,} tokens of tokenizer "
            f"{tokens.tokenizer.name!r}; leave vocab_size out or raise it"
        )
    sized = config.model_copy(update={"vocab_size": vocab_size, "device": resolve_device(config.device)})
    check_memory(sized)
    if config.threads == "auto":
        cores = max(1, count_cores() // ((jobs or 1) * sized.world_size))
        sized = sized.model_copy(update={"threads": choose_threads(sized, cores)})
    hardware = resolve_hardware(sized)
    needs = list_needs(config.schedule)
    return sized.model_copy(
        update={
            # Only the name that it is called by: the path itself is what the corpus is loaded by.
            "corpus": clean_text(tokens.corpus.name),
            # No weights are drawn where a run starts from others.
            "init": config.init if config.init_from is None else RunConfig.model_fields["init"].default,
            "sample_prompt": choose_prompt(config.sample_prompt, tokens),
            "device": hardware.device,
            "precision": hardware.precision,
            # How often nothing is measured decides nothing.
            "metrics_interval": config.metrics_interval if config.step_metrics else LATER_FIELDS["metrics_interval"],
            # A constant rate has no phases: two arms that differ only there are the same run.
            "warmup_steps": config.resolved_warmup_steps if "warmup_steps" in needs else 0,
            "min_lr": config.resolved_min_lr if "min_lr" in needs else config.lr,
            "decay_steps": config.resolved_decay_steps if "decay_steps" in needs else None,
        }
    )
