"""sample: a trained model continues a text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gptexp.cli.options import NumberRange, UserPath, is_given, json_option, print_json, runs_dir_option
from gptexp.cli.terminal import say
from gptexp.errors import GptexpError

if TYPE_CHECKING:
    from gptexp.cli.trained import Trained

checkpoint_option = click.option(
    "--checkpoint", "--step", metavar="STEP|best|last", default="last", show_default=True, help="Which weights."
)
from_hf_option = click.option(
    "--from-hf",
    type=UserPath(file_okay=False),
    default=None,
    metavar="DIR",
    help="A GPT-2 on this disk as transformers saves it, in place of a run.",
)


@click.command("sample")
@click.argument("run", required=False)
@click.option("--prompt", metavar="TEXT", default=None, help="Text to continue  [default: the run's own sample prompt]")
@click.option("--tokens", type=click.IntRange(min=1), default=200, show_default=True, help="Tokens to write.")
@click.option(
    "--temperature",
    type=NumberRange(min=0),
    default=0.8,
    show_default=True,
    help="Below 1 favours likely tokens; 0 always takes the likeliest.",
)
@click.option(
    "--top-k", type=click.IntRange(min=1), default=200, show_default=True, help="Draw from the K likeliest tokens."
)
@click.option(
    "--top-p",
    type=NumberRange(min=0, min_open=True, max=1),
    default=1.0,
    show_default=True,
    help="Draw from the likeliest tokens that together have this probability.",
)
@click.option("--samples", type=click.IntRange(min=1), default=1, show_default=True, help="Texts to write.")
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**63 - 1),
    default=1337,
    show_default=True,
    help="Seed of the random draws; each further text takes the next.",
)
@checkpoint_option
@click.option("--milestones", is_flag=True, help="Show what the run wrote on its way, from its records.")
@from_hf_option
@runs_dir_option
@json_option
def sample_command(
    run: str | None,
    prompt: str | None,
    tokens: int,
    temperature: float,
    top_k: int,
    top_p: float,
    samples: int,
    seed: int,
    checkpoint: str,
    milestones: bool,
    from_hf: Path | None,
    runs_dir: Path,
    as_json: bool,
) -> None:
    """Let a trained RUN continue a text. RUN is a run id or the beginning of one.

    \b
    Examples:
      gptexp sample 4f95ca --prompt "ROMEO:"
      gptexp sample 4f95ca --prompt "ROMEO:" --samples 3 --top-p 0.9
      gptexp sample 4f95ca --step best --temperature 0
      gptexp sample 4f95ca --milestones
      gptexp sample --from-hf ./gpt2 --prompt "The cat"
    """
    from gptexp.cli.trained import open_either

    if milestones:
        if run is None or from_hf is not None:
            raise GptexpError("--milestones shows the records of a run; name one by its id")
        drawing = ("prompt", "tokens", "temperature", "top_k", "top_p", "samples", "seed", "checkpoint")
        if given := [name for name in drawing if is_given(click.get_current_context(), name)]:
            raise GptexpError(
                f"--milestones shows what the run wrote while it was trained, and --{given[0].replace('_', '-')} "
                f"decides nothing there; leave one of them out"
            )
        show_milestones(runs_dir, run, as_json=as_json)
        return
    trained = open_either(runs_dir, run, checkpoint, from_hf)
    prompt = trained.prompt if prompt is None else prompt
    if not prompt:
        raise GptexpError("the prompt is empty and there is nothing to continue; give it at least one character")
    ids = trained.tokenizer.encode(prompt).tolist()
    settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    seeds = [(seed + number) % 2**63 for number in range(samples)]
    if as_json:
        written = [prompt + "".join(draw_text(trained, ids, tokens, one, settings)) for one in seeds]
        texts = [{"seed": one, "text": text} for one, text in zip(seeds, written, strict=True)]
        origin = {"run_id": trained.name if trained.run_dir else None, "step": trained.step, "prompt": prompt}
        print_json("gptexp.sample/1", {**origin, "text": written[0], "seed": seed, "samples": texts})
        return
    for number, one in enumerate(seeds, 1):
        if samples > 1:
            say(f"--- {number} of {samples}, seed {one}")
        say(prompt, end="")
        for piece in draw_text(trained, ids, tokens, one, settings):
            say(piece, end="")
        say("" if number == samples else "\n")


def draw_text(trained: Trained, ids: list[int], n_tokens: int, seed: int, settings: dict[str, Any]) -> Iterator[str]:
    """What the model writes after the prompt, piece by piece; a character is given once all its bytes are there."""
    import torch

    from gptexp.training.sample import draw_tokens

    prompt = torch.tensor(ids, dtype=torch.int64, device=trained.model.token_embedding.weight.device)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in draw_tokens(trained.model, prompt, n_tokens, seed=seed, **settings):
        if text := decoder.decode(trained.tokenizer.piece(token)):
            yield text
    if rest := decoder.decode(b"", final=True):
        yield rest


def show_milestones(runs_dir: Path, run: str, *, as_json: bool) -> None:
    """The samples that a run recorded while it was trained, from the first to the last."""
    from gptexp.tracking.run_dir import find_run
    from gptexp.tracking.run_log import read_records

    run_dir = find_run(runs_dir, run)
    records = [record for record in read_records(run_dir.records) if record["kind"] == "sample"]
    if not records:
        raise GptexpError(
            f"run {run_dir.path.name} recorded no samples; train it with sample_interval=100, or with "
            f'"sample_losses=[8,6,4]"'
        )
    rows = [{name: record[name] for name in ("step", "train_loss", "prompt", "text")} for record in records]
    if as_json:
        print_json("gptexp.milestones/1", {"run_id": run_dir.path.name, "samples": rows})
        return
    for row in rows:
        loss = "before the first step" if row["train_loss"] is None else f"train loss {row['train_loss']:.3f}"
        say(f"--- step {row['step']:,}, {loss}")
        say(f"{row['text']}\n")
