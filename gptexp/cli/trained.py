"""A trained run, opened for use: its model, its tokenizer and what its records say of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptexp.advice import advise
from gptexp.cli.terminal import say
from gptexp.errors import GptexpError
from gptexp.files import explain
from gptexp.tracking.advice import advise_anew, advise_going_on

if TYPE_CHECKING:
    from gptexp.data.tokenizer import Tokenizer
    from gptexp.model.gpt import GPT
    from gptexp.tracking.run_dir import RunDir


@dataclass(frozen=True)
class Trained:
    """A model that can be used, and where it comes from."""

    name: str
    """The run's id, or the folder of a model that another tool wrote."""
    model: GPT
    tokenizer: Tokenizer
    step: int | None
    """Of the weights; None where it isn't known."""
    prompt: str
    """What it continues where nobody says."""
    content: dict[str, Any] | None = None
    """The run's config.json; None for a model of another tool."""
    run_dir: RunDir | None = None


def open_run(runs_dir: Path, run: str, checkpoint: str) -> Trained:
    """The run whose id begins with `run`, with the weights of one of its checkpoints.

    Raises:
        GptexpError: there is no such run or checkpoint, or it can't be read.
    """
    from gptexp.tracking.run_dir import find_run

    run_dir = find_run(runs_dir, run)
    content = read_content(run_dir)
    folders = choose_checkpoints(run_dir, checkpoint)
    tokenizer = load_tokenizer(content, run_dir)
    model, step = load_model(content, folders, run_dir)
    prompt = str(content["config"].get("sample_prompt", "\n"))
    return Trained(run_dir.path.name, model, tokenizer, step, prompt, content, run_dir)


def open_folder(folder: Path) -> Trained:
    """A GPT-2 from a folder on this disk, as transformers or `gptexp export` writes it.

    Raises:
        GptexpError: it can't be read, or holds another kind of model.
    """
    from gptexp.exchange.read import read_folder
    from gptexp.text import clean_text
    from gptexp.training.device import resolve_device

    found = read_folder(folder)
    return Trained(clean_text(folder.name), found.model.to(resolve_device("auto")), found.tokenizer, None, "\n")


def open_either(runs_dir: Path, run: str | None, checkpoint: str, from_hf: Path | None) -> Trained:
    """What a command line names: a run, or a folder.

    Raises:
        GptexpError: it names both or neither.
    """
    if (run is None) == (from_hf is None):
        raise GptexpError("name either a run (its id; gptexp runs list shows all) or a folder with --from-hf DIR")
    if from_hf is not None and checkpoint != "last":
        raise GptexpError(f"--step {checkpoint} chooses among the checkpoints of a run; a folder has one model")
    return open_folder(from_hf) if from_hf is not None else open_run(runs_dir, str(run), checkpoint)


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
        which = f"step {step}" + (", its best" if wanted == "best" else "")
        kept = ", ".join(str(number) for number in sorted(by_step))
        raise GptexpError(f"run {run_id} has no checkpoint of {which}, only of step {kept}; use one of these, or last")
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
