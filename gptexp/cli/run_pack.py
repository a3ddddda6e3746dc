"""The command runs pack: writes records in a form that is small enough to commit."""

from __future__ import annotations

from pathlib import Path

import click

from gptexp.advice import advise
from gptexp.cli.options import UserPath, json_option, print_json, runs_dir_option
from gptexp.cli.terminal import say
from gptexp.errors import GptexpError


@click.command("pack")
@click.option("--out", type=UserPath(file_okay=False), required=True, help="Folder of the packed runs.")
@click.option("--study", "studies", multiple=True, metavar="STUDY", help="Only runs of this study; repeatable.")
@click.option("--scale", "scales", multiple=True, metavar="SCALE", help="Only runs at this scale; repeatable.")
@click.option("--add", is_flag=True, help="Keep the runs that --out holds already.")
@runs_dir_option
@json_option
def pack_command(
    out: Path, studies: tuple[str, ...], scales: tuple[str, ...], add: bool, runs_dir: Path, as_json: bool
) -> None:
    """Pack the records of studies, without weights, into Parquet files that are small enough to commit beside a page.

    `report`, `claims` and `runs list` take the folder as --runs-dir, so anyone can make the page without training.
    Numbers on the page that need the weights are measured now and packed too.

    A pack takes the place of the one that --out holds. With --add its runs join those: evidence grows run by run, and
    from several machines. Of a run that is in both the one that came to its end counts, of two that didn't the longer
    one, else the one that --out holds. --runs-dir may then be a pack, too.

    \b
    Examples:
      gptexp runs pack --scale char --out reports/published/char/records
      gptexp runs pack --add --out reports/published/char/records
      gptexp report lesson --runs-dir reports/published/char/records --out reports/published/char/page
    """
    from gptexp.files import list_folder, size_of
    from gptexp.report.loaders import measure_all
    from gptexp.runs.folders import read_run_folders
    from gptexp.runs.frames import load_frames
    from gptexp.runs.pack_files import is_leftover
    from gptexp.runs.packed import LOGS, join_packed, write_packed
    from gptexp.runs.study_runs import select_studies
    from gptexp.studies.scales import find_scale
    from gptexp.tracking.packs import is_packed

    for scale in scales:
        find_scale(scale)
    if is_packed(runs_dir) and not add:
        raise GptexpError(f"{runs_dir} is packed already; add its runs to another pack with --add")
    if not is_packed(out) and not all(is_leftover(entry.name) for entry in list_folder(out, out)):
        raise GptexpError(f"{out} holds other files; choose an empty folder or a new one with --out")
    all_runs = select_studies(load_frames(runs_dir), studies or None, scales or None)
    run_ids = {run_id for study in all_runs for run_id in study.run_ids}
    if not run_ids:
        raise GptexpError(
            f"{runs_dir} holds no such runs of a study; {advise('gptexp runs list', runs_dir)} shows what there is"
        )
    frames = load_frames(runs_dir, run_ids, whole_logs=True)
    folders, _ = read_run_folders(runs_dir, run_ids)
    logs = {name: getattr(frames, name) for name in LOGS}
    loaders, more = measure_all(all_runs, runs_dir), ""
    if add and is_packed(out):
        joined = join_packed(out, folders, logs, loaders)
        replaced = f", {joined.n_replaced} got further" if joined.n_replaced else ""
        kept = f", {joined.n_kept} there already" if joined.n_kept else ""
        more = f"{joined.n_added} runs added{replaced}{kept}: "
        folders, logs, loaders = joined.packing
    write_packed(out, folders, logs, loaders)
    size = sum(size_of(out / entry.name) for entry in list_folder(out, out) if entry.kind == "file")
    n_steps = len(logs["steps"])
    if as_json:
        about = {"folder": str(out), "n_runs": len(folders), "n_steps": n_steps, "n_bytes": size}
        print_json("gptexp.pack/1", {**about, "run_ids": sorted(folder.run_id for folder in folders)})
    say(f"{more}{len(folders)} runs, {n_steps:,} steps in {out}: {size / 2**20:.1f} MiB")
