"""The command sample: a trained run continues a text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gptexp.advice import advise
from gptexp.cli.options import json_option, print_json, runs_dir_option
from gptexp.cli.terminal import say
from gptexp.errors import GptexpError
from gptexp.files import explain
from gptexp.text import visible
from gptexp.tracking.advice import advise_anew, advise_going_on

if TYPE_CHECKING:
    from gptexp.data.tokenizer import Tokenizer
    from gptexp.model.gpt import GPT
    from gptexp.tracking.run_dir import RunDir


@click.command("sample")
@click.argument("run")
@click.option("--prompt", metavar="TEXT", default=None, help="Text to continue  [default: the run's own sample prompt]")
@click.option("--tokens", type=click.IntRange(min=1), default=200, show_default=True, help="Tokens to write.")
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    default=0.8,
    show_default=True,
    help="Below 1 favours likely tokens; 0 always takes the likeliest.",
)
@click.option(
    "--top-k", type=click.IntRange(min=1), default=200, show_default=True, help="Draw from the K likeliest tokens."
)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**63 - 1),
    default=1337,
    show_default=True,
    help="Seed of the random draws.",
)
@click.option("--checkpoint", metavar="STEP|best|last", default="last", show_default=True, help="Which weights.")
@runs_dir_option
@json_option
def sample_command(
    run: str,
    prompt: str | None,
    tokens: int,
    temperature: float,
    top_k: int,
    seed: int,
    checkpoint: str,
    runs_dir: Path,
    as_json: bool,
) -> None:
    """Let a trained RUN continue a text. RUN is a run id or the beginning of one.

    \b
    Examples:
      gptexp sample 4f95ca --prompt "ROMEO:"
      gptexp sample 4f95ca --prompt "ROMEO:" --tokens 50 --temperature 0
      gptexp sample 4f95ca --checkpoint best --seed 2
    """
    from gptexp.tracking.run_dir import find_run

    run_dir = find_run(runs_dir, run)
    content = read_content(run_dir)
    folders = choose_checkpoints(run_dir, checkpoint)
    tokenizer = load_tokenizer(content, run_dir)
    if prompt is None:
        prompt = str(content["config"].get("sample_prompt", "\n"))
    if not prompt:
        raise GptexpError("the prompt is empty and there is nothing to continue; give it at least one character")
    ids = tokenizer.encode(prompt)
    model, step = load_model(content, folders, run_dir)
    text = continue_text(model, ids.tolist(), tokenizer, tokens, seed=seed, temperature=temperature, top_k=top_k)
    if as_json:
        print_json({"run_id": run_dir.path.name, "step": step, "prompt": prompt, "text": text, "seed": seed})
    else:
        say(visible(text))


def read_content(run_dir: RunDir) -> dict[str, Any]:
    """The run's config.json.

    Raises:
        GptexpError: it is missing or damaged.
    """
    try:
        content = run_dir.read_config()
    except PermissionError as error:
        raise GptexpError(f"run {run_dir.path.name} can't be read: {explain(error)}") from None
    except (OSError, ValueError) as error:
        reason = "config.json is missing" if isinstance(error, FileNotFoundError) else str(error)
        again = advise_going_on(run_dir)
        raise GptexpError(f"run {run_dir.path.name} can't be read: {reason}; {again} writes it again") from None
    if not isinstance(content.get("config"), dict) or not isinstance(content.get("tokenizer"), dict):
        again = advise_anew(run_dir)
        raise GptexpError(
            f"run {run_dir.path.name} can't be read: config.json lacks its parts; {again} trains it again"
        )
    return content


def choose_checkpoints(run_dir: RunDir, wanted: str) -> list[Path]:
    """The suitable checkpoint folders, best choice first.

    Raises:
        GptexpError: there is no checkpoint, or not the wanted one.
    """
    from gptexp.training.checkpoint import list_checkpoints

    run_id = run_dir.path.name
    folders = {path.name.removeprefix("step-"): path for path in list_checkpoints(run_dir.checkpoints)}
    by_step = {int(name): path for name, path in folders.items() if name.isdecimal()}
    if not by_step:
        raise GptexpError(f"run {run_id} has no checkpoint: {explain_missing_weights(run_dir)}")
    if wanted == "last":
        return list(by_step.values())
    if wanted != "best" and not wanted.isdecimal():
        raise GptexpError(f"--checkpoint {wanted!r} is neither a step number nor best nor last")
    step = best_step(run_dir) if wanted == "best" else int(wanted)
    if step is None:
        raise GptexpError(f"run {run_id} was never evaluated, so its best checkpoint is unknown; use last")
    if step not in by_step:
        which = f"step {step}" + (", its best," if wanted == "best" else "")
        kept = ", ".join(str(number) for number in sorted(by_step))
        raise GptexpError(f"run {run_id} has no checkpoint of {which} only of step {kept}; use one of these, or last")
    return [by_step[step]]


def explain_missing_weights(run_dir: RunDir) -> str:
    """Why a run has no checkpoint, and what to do about it."""
    from gptexp.tracking.run_log import read_records

    others = advise("gptexp runs list", run_dir.path.parent)
    try:
        result = run_dir.read_result()
    except ValueError:
        result = None
    if result is None or not run_dir.is_done():
        if not any(True for _ in read_records(run_dir.records)):
            return f"it was never trained; choose another from {others}"
        return f"it was stopped before its first checkpoint; {advise_going_on(run_dir)} resumes it"
    if result.last_step == 0:
        return f"it ended before its first step; choose another from {others}"
    gone = "they were removed, as `gptexp runs gc --weights` does"
    if result.outcome == "diverged":
        gone += ", or it diverged before its first checkpoint"
    return f"{gone}; {advise_anew(run_dir)} trains it again, or choose another from {others}"


def best_step(run_dir: RunDir) -> int | None:
    """The step of the lowest val loss so far; None if there was no evaluation."""
    from gptexp.tracking.run_log import read_records

    # The last evaluation uses the whole split, the others a subset: their losses can't be compared.
    losses = {
        int(record["step"]): float(record["val_loss"])
        for record in read_records(run_dir.records)
        if record["kind"] == "eval" and not record["whole"] and math.isfinite(record["val_loss"])
    }
    return min(losses, key=losses.__getitem__, default=None)


def load_tokenizer(content: dict[str, Any], run_dir: RunDir) -> Tokenizer:
    """The tokenizer of the run. A character vocabulary is read from its config.json.

    Raises:
        GptexpError: the vocabulary is missing or doesn't match its checksum.
    """
    from gptexp.data.tokenizer import char_tokenizer, load_gpt2_tokenizer

    about = content["tokenizer"]
    is_char = about.get("name") == "char"
    tokenizer = char_tokenizer(str(about.get("vocabulary") or "")) if is_char else load_gpt2_tokenizer()
    if tokenizer.checksum != about.get("checksum"):
        raise GptexpError(
            f"the tokenizer of run {run_dir.path.name} has the checksum {about.get('checksum')} in its config.json and "
            f"{tokenizer.checksum} here; its text would be nonsense; {advise_anew(run_dir)} trains it again"
        )
    return tokenizer


def load_model(content: dict[str, Any], folders: list[Path], run_dir: RunDir) -> tuple[GPT, int]:
    """The model with the weights of the first readable checkpoint, and the step of that checkpoint.

    Raises:
        GptexpError: no checkpoint can be read.
    """
    from gptexp.config import build_config
    from gptexp.training.checkpoint import DamagedCheckpoint
    from gptexp.training.device import resolve_device
    from gptexp.training.weights import load_model as load_weights

    run_id, config = run_dir.path.name, build_config(content["config"])
    if config.vocab_size is None:
        raise GptexpError(
            f"run {run_id} can't be read: its config.json has no vocab_size; {advise_anew(run_dir)} trains it again"
        )
    reasons = []
    for folder in folders:
        try:
            model, step = load_weights(config, folder)
        except DamagedCheckpoint as error:
            reasons.append(" ".join(str(error).split()))
            continue
        if reasons:
            say(f"gptexp: damaged checkpoint {reasons[-1]}; these are the weights of step {step}", err=True)
        return model.to(resolve_device("auto")), step
    again = advise_anew(run_dir) if run_dir.is_done() else advise_going_on(run_dir)
    raise GptexpError(f"run {run_id} has no checkpoint that can be read ({reasons[0]}); {again} trains it again")


def continue_text(
    model: GPT, ids: list[int], tokenizer: Tokenizer, n_tokens: int, *, seed: int, temperature: float, top_k: int
) -> str:
    """The prompt and `n_tokens` sampled tokens after it, as text."""
    import torch

    from gptexp.training.sample import generate

    prompt = torch.tensor(ids, dtype=torch.int64, device=model.token_embedding.weight.device)
    return tokenizer.decode(generate(model, prompt, n_tokens, seed=seed, temperature=temperature, top_k=top_k).tolist())
