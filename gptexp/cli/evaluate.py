"""evaluate: the loss of a trained model on held-out text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gptexp.cli.options import corpus_option, json_option, print_json, runs_dir_option
from gptexp.cli.sample import checkpoint_option, from_hf_option
from gptexp.cli.terminal import say
from gptexp.errors import GptexpError
from gptexp.text import visible

if TYPE_CHECKING:
    from gptexp.cli.trained import Trained
    from gptexp.data.corpus import Corpus


@click.command("evaluate")
@click.argument("run", required=False)
@checkpoint_option
@from_hf_option
@corpus_option
@runs_dir_option
@json_option
def evaluate_command(
    run: str | None, checkpoint: str, from_hf: Path | None, corpus: str | None, runs_dir: Path, as_json: bool
) -> None:
    """Measure a model's loss over the whole val split of a corpus, beside that of a uniform guess.

    RUN is a run id or the beginning of one. Its own corpus is taken unless another is named. Computed in fp32, so a run
    that was trained in bf16 may differ from its records in the third digit.

    \b
    Examples:
      gptexp evaluate 4f95ca
      gptexp evaluate 4f95ca --corpus my_text.txt
      gptexp evaluate --from-hf ./gpt2
    """
    from gptexp.cli.trained import open_either
    from gptexp.data.batches import check_length, load_tokens_of, val_windows
    from gptexp.measures.curves import perplexity
    from gptexp.training.device import Hardware
    from gptexp.training.evaluate import evaluate

    trained = open_either(runs_dir, run, checkpoint, from_hf)
    tokens = load_tokens_of(load_corpus_for(trained, corpus), trained.tokenizer)
    block_size = trained.model.config.block_size
    check_length(tokens, block_size)
    device = trained.model.token_embedding.weight.device.type
    windows = val_windows(tokens.val, block_size=block_size, limit=None)
    found = evaluate(trained.model, windows, tokens.tokenizer.token_bytes, Hardware(device, "fp32"))
    uniform = math.log(trained.model.config.vocab_size or 1)
    row = {
        "model": trained.name,
        "step": trained.step,
        "corpus": tokens.corpus.name,
        "tokens": found.tokens,
        "val_loss": found.loss,
        "perplexity": perplexity(found.loss),
        "bits_per_byte": found.bits_per_byte,
        "uniform_loss": uniform,
    }
    if as_json:
        print_json("gptexp.evaluation/1", row)
        return
    at = "" if trained.step is None else f" at step {trained.step:,}"
    say(f"{trained.name}{at} on the val split of {tokens.corpus.name}, {found.tokens:,} tokens:")
    say(
        f"loss {found.loss:.4f} nats per token, perplexity {row['perplexity']:,.1f}, "
        f"{found.bits_per_byte:.4f} bits per byte"
    )
    say(f"a uniform guess has {uniform:.4f} nats per token")


def load_corpus_for(trained: Trained, named: str | None) -> Corpus:
    """The corpus that is named, else the run's own.

    Raises:
        GptexpError: it can't be had, or what has the name of the run's own is another text.
    """
    from gptexp.cli.run_compare import read_checksum
    from gptexp.data.corpus import load_corpus

    if named is not None or trained.content is None:
        return load_corpus(named)
    name = trained.content["config"]["corpus"]
    corpus, expected = load_corpus(name), read_checksum(trained.content.get("corpus"))
    if corpus.checksum != expected:
        raise GptexpError(
            f"run {trained.name} was trained on a corpus {visible(str(name))} with the checksum {str(expected)[:12]}, "
            f"and {corpus.source} has {corpus.checksum[:12]}: it is another text; name the one to take with --corpus"
        )
    return corpus
