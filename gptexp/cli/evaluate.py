"""evaluate: the loss of a trained model on held-out text."""

from __future__ import annotations

import math
from pathlib import Path

import click

from gptexp.cli.options import corpus_option, json_option, print_json, runs_dir_option
from gptexp.cli.sample import checkpoint_option, from_hf_option
from gptexp.cli.terminal import say


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
    from gptexp.data.corpus import load_corpus
    from gptexp.measures.curves import perplexity
    from gptexp.training.device import Hardware
    from gptexp.training.evaluate import evaluate

    trained = open_either(runs_dir, run, checkpoint, from_hf)
    named = corpus or (trained.content["config"]["corpus"] if trained.content else None)
    tokens = load_tokens_of(load_corpus(named), trained.tokenizer)
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
