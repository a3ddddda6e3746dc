"""The command bench: how fast a training step is, compared with a plain loop and with its matrix products alone."""

from __future__ import annotations

import click

from gptexp.cli.options import corpus_option, json_option, print_json, scale_option
from gptexp.errors import GptexpError


@click.command("bench")
@scale_option
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a config field; repeatable.")
@corpus_option
@click.option(
    "--precision",
    type=click.Choice(["all", "fp32", "bf16"]),
    default="all",
    show_default=True,
    help="Precision of gptexp's loop; all: fp32, and bf16 if it is faster here.",
)
@click.option("--steps", type=click.IntRange(min=1), default=5, show_default=True, help="Timed steps per round.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Rounds, in turns.")
@click.option("--compile", "with_compile", is_flag=True, help="Also time both loops through torch.compile.")
@click.option(
    "--overheads/--no-overheads",
    default=True,
    help="Also time what a run does besides its steps.  [default: overheads]",
)
@json_option
def bench_command(
    scale: str | None,
    settings: tuple[str, ...],
    corpus: str | None,
    precision: str,
    steps: int,
    rounds: int,
    with_compile: bool,
    overheads: bool,
    as_json: bool,
) -> None:
    """Time the training step of this machine.

    It is compared with the lesson's loop as a student would write it (all logits at once, F.cross_entropy, AdamW
    without options, fp32) and with the floor, the step's matrix products alone. The loops take turns, each in its own
    process.

    \b
    Examples:
      gptexp bench
      gptexp bench --scale char --rounds 10
      gptexp bench --scale char --steps 20 --compile
      gptexp bench --set batch_size=8 --set threads=2 --json
    """
    from gptexp.bench.measure import BenchRequest, choose_precisions, run_bench
    from gptexp.cli.bench_table import print_bench, show_progress
    from gptexp.config import build_config, parse_assignment
    from gptexp.machine import describe_cpu
    from gptexp.studies.request import choose_scale, take_corpus
    from gptexp.studies.resolve import read_tokens
    from gptexp.training.device import describe_gpu

    chosen = choose_scale(scale)
    values = dict(parse_assignment(text) for text in settings)
    if "precision" in values:
        named = f"precision={values['precision']}"
        raise GptexpError(f"--set {named} has no place here: --precision says which precisions are timed")
    corpus = take_corpus(values, corpus)
    config = build_config({**chosen.settings, **values})
    if config.init_from is not None:
        raise GptexpError("init_from has no place here: a step takes as long whatever weights it begins with")
    # compile=true as a config field means --compile: otherwise there would be no uncompiled loop to compare with.
    with_compile, config = with_compile or config.compile, config.override({"compile": False})
    # As in a run, the choice of precision=auto depends on the vocabulary size.
    vocab_size = config.vocab_size or read_tokens(corpus, config.tokenizer).tokenizer.vocab_size
    precisions, left_out = choose_precisions(precision, config.override({"vocab_size": vocab_size}))
    request = BenchRequest(config, corpus, precisions, steps, rounds, with_compile, overheads)
    n_sides = (len(precisions) + 1) * (2 if with_compile else 1)
    with show_progress(rounds, n_sides, with_overheads=overheads) as progress:
        found = run_bench(request, progress)
    machine = describe_gpu() if found["device"] != "cpu" else describe_cpu()
    found = {"scale": chosen.name, "settings": values, "machine": machine, "left_out": left_out, **found}
    if as_json:
        print_json("gptexp.bench/1", found)
    else:
        print_bench(found)
