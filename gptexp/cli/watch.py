"""watch: the study page in a browser while runs are going."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from webbrowser import open_new_tab

import click

from gptexp.cli.options import NumberRange, json_option, print_json, runs_dir_option
from gptexp.cli.terminal import say
from gptexp.errors import GptexpError

if TYPE_CHECKING:
    from gptexp.report.document import BuiltReport
    from gptexp.runs.frames import Frames


@click.command("watch")
@click.argument("name", required=False)
@runs_dir_option
@click.option("--study", "studies", multiple=True, metavar="STUDY", help="Only this study; repeatable.")
@click.option("--scale", "scales", multiple=True, metavar="SCALE", help="Only this scale; repeatable.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to serve on; any other than this machine's own asks for a token.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes any free one.")
@click.option("--every", type=NumberRange(min=0.1), default=2.0, show_default=True, help="Seconds between two looks.")
@click.option("--open/--no-open", "opens", default=False, help="Open a browser.  [default: no-open]")
@json_option
def watch_command(
    name: str | None,
    runs_dir: Path,
    studies: tuple[str, ...],
    scales: tuple[str, ...],
    host: str,
    port: int,
    every: float,
    opens: bool,
    as_json: bool,
) -> None:
    """Serve the page of a report on this machine, and make it again as records come.

    Any process that writes into the folder is seen: gptexp run in another terminal, sweep agents, jobs of a cluster on
    a shared disk. NAME is a file in reports/, as for gptexp report. Ctrl-C ends it; the runs go on.

    \b
    Examples:
      gptexp watch
      gptexp watch --study lr-ablation --open
      gptexp watch --runs-dir somewhere/runs --port 0
    """
    from gptexp.report.watch import PageServer, Watcher

    def make() -> tuple[BuiltReport, list[dict[str, Any]]]:
        from gptexp.report.build import make_report
        from gptexp.runs.frames import load_frames

        frames = load_frames(runs_dir)
        report = make_report(name, runs_dir=runs_dir, frames=frames, studies=studies or None, scales=scales or None)
        return report, list_running(frames)

    watcher = Watcher(runs_dir, make, every)
    try:
        server = PageServer((host, port), watcher)
    except OSError as error:
        raise GptexpError(
            f"{host}:{port} can't be served on ({error.strerror}); choose another --port or --host"
        ) from None
    stop = threading.Event()
    making = threading.Thread(target=watcher.run, args=(stop,), daemon=True)
    with server:
        making.start()
        say(f"The page: {server.url} (Ctrl-C ends it; runs go on)")
        if as_json:
            print_json("gptexp.watch/1", {"url": server.url, "runs_dir": str(runs_dir)}, on_one_line=True)
        if opens:
            open_new_tab(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("")
        finally:
            stop.set()


def list_running(frames: Frames) -> list[dict[str, Any]]:
    """Label, step, max_steps and newest train loss of every run that has begun and not ended."""
    rows = []
    runs = frames.runs[frames.runs["outcome"].eq("unfinished")]
    newest = frames.steps.groupby("run_id").tail(1).set_index("run_id") if len(frames.steps) else None
    labels = frames.members.drop_duplicates("run_id").set_index("run_id")
    for run in runs.to_dict("records"):
        last = newest.loc[run["run_id"]] if newest is not None and run["run_id"] in newest.index else None
        label = labels.loc[run["run_id"]] if run["run_id"] in labels.index else None
        loss = math.nan if last is None else float(last["train_loss"])
        rows.append(
            {
                "label": run["run_id"] if label is None else f"{label['label']} · seed {label['seed']}",
                "step": 0 if last is None else int(last["step"]),
                "max_steps": int(run["max_steps"]),
                "train_loss": loss if math.isfinite(loss) else None,
            }
        )
    return rows
