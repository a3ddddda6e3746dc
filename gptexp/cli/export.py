"""export: the model of a run, in the format of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gptexp.cli.options import UserPath, json_option, print_json, runs_dir_option
from gptexp.cli.sample import checkpoint_option
from gptexp.cli.terminal import say

if TYPE_CHECKING:
    from gptexp.cli.trained import Trained


@click.command("export")
@click.argument("run")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["hf", "safetensors"]),
    default="hf",
    show_default=True,
    help="hf: a folder that transformers opens, with its tokenizer. safetensors: weights with nanoGPT's names.",
)
@click.option("--out", type=UserPath(file_okay=False), required=True, metavar="DIR", help="Folder to write.")
@checkpoint_option
@runs_dir_option
@json_option
def export_command(run: str, file_format: str, out: Path, checkpoint: str, runs_dir: Path, as_json: bool) -> None:
    """Write the model of a RUN so that other tools open it. RUN is a run id or the beginning of one.

    \b
    Examples:
      gptexp export 4f95ca --out my-model
      gptexp export 4f95ca --step best --out my-model
      gptexp export 4f95ca --format safetensors --out for-nanogpt
    """
    from gptexp.cli.trained import open_run
    from gptexp.exchange.folder import check_target, make_hf_files, make_nanogpt_files, write_folder

    check_target(out)
    trained = open_run(runs_dir, run, checkpoint)
    card = describe_run(trained, "transformers" if file_format == "hf" else "pytorch")
    make_files = make_hf_files if file_format == "hf" else make_nanogpt_files
    files = make_files(trained.model, trained.tokenizer, card)
    write_folder(files, out)
    if as_json:
        about = {"run_id": trained.name, "step": trained.step, "file_format": file_format}
        print_json("gptexp.export/1", {**about, "folder": str(out), "files": sorted(files)})
        return
    say(f"{out}: {', '.join(sorted(files))}")
    if file_format == "hf":
        say(f'transformers opens it: AutoModelForCausalLM.from_pretrained("{out}"), and AutoTokenizer in the same way')


def describe_run(trained: Trained, library: str) -> str:
    """The model card."""
    from gptexp.exchange.card import write_card
    from gptexp.tracking.lines import scan_lines

    assert trained.run_dir is not None
    assert trained.content is not None
    assert trained.step is not None
    processes = scan_lines(trained.run_dir.provenance, trained.run_dir.within).rows
    losses = read_losses(trained)
    return write_card(trained.model, trained.content, processes[-1] if processes else {}, losses, trained.step, library)


def read_losses(trained: Trained) -> dict[str, float | None]:
    """The losses that the run recorded for these weights."""
    from gptexp.records import EvalRecord
    from gptexp.tracking.run_log import read_typed_records
    from gptexp.training.progress import fold

    assert trained.run_dir is not None
    records = [one for one in read_typed_records(trained.run_dir.records) if one.step <= (trained.step or 0)]
    losses: dict[str, float | None] = {}
    for record in records:
        if isinstance(record, EvalRecord) and record.step == trained.step:
            where = "the whole val split" if record.whole else "fixed val windows"
            losses[f"val loss, {where}"] = record.val_loss
            losses[f"bits per byte, {where}"] = record.val_bpb
    return {**losses, "train loss, mean of the last 10 steps": fold(records).train_loss}
