"""The mirror in Weights & Biases. The run directory stays the truth; W&B may fail at any time.

What lies where in a W&B run:

config           the resolved RunConfig, flat; `gptexp` beside it holds what else config.json has (run_id,
                 engine_version, corpus, tokenizer, n_params), `provenance`, `files` (copies, to be read back), and, in
                 a sweep, `resolved`: the fields that the sweep holds in another spelling
history          one row per record, in the order of the record log; W&B's own `_step` is a row's place in it. The
                 names are those of `gptexp.mirrors.wandb_rows`. The last row holds `samples`, the table of all texts
summary          every field of result.json, and in `gptexp.result` its text
"""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from gptexp.errors import GptexpError
from gptexp.measures.ends import list_unsaid
from gptexp.mirrors.protocol import RunInfo, Tracker
from gptexp.mirrors.wandb_artifacts import log_checkpoint, log_corpus, make_table
from gptexp.mirrors.wandb_client import begin_run, choose_project
from gptexp.mirrors.wandb_folder import mark_synced, note_offline, prepare_folder
from gptexp.mirrors.wandb_labels import make_labels
from gptexp.mirrors.wandb_limits import explain_client_error, fit_value
from gptexp.mirrors.wandb_rows import copy_files, copy_result, make_row
from gptexp.mirrors.wandb_server import (
    PROBE_S,
    QUIET_SETTINGS,
    advise_sync,
    inside_sweep,
    server_name,
    why_unreachable,
)
from gptexp.mirrors.wandb_server import is_logged_in as is_logged_in
from gptexp.records import Record, SampleRecord
from gptexp.text import hide_paths_in
from gptexp.tracking.places import publish_config
from gptexp.tracking.result import DONE, STOPPED, Result
from gptexp.tracking.run_dir import MirrorPlace, RunDir

Mode = Literal["online", "offline", "disabled"]
PREEMPTED = 130
"""Exit code of a W&B run that was interrupted or stopped: not zero, so that a preempted trial is handed out again."""
STOP_NEWS_S = 20.0
"""In a sweep, how long an interrupted trial waits for the news that W&B stopped it; the client asks every 15 s."""
FLUSH_S = 2.0
"""How old what the client holds back from the disk can be."""


def choose_mode(asked: str | None) -> Mode:
    """The W&B mode: what was asked for, else WANDB_MODE, else online where an API key is found, else offline.

    Raises:
        GptexpError: online was asked for and nobody is logged in (there is never a prompt), or an unknown mode.
    """
    mode = asked or os.environ.get("WANDB_MODE") or ("online" if is_logged_in() else "offline")
    if mode not in ("online", "offline", "disabled"):
        raise GptexpError(f"W&B mode {mode!r} is unknown; use online, offline or disabled")
    if mode == "online" and not is_logged_in():
        what = "--wandb online" if asked else "WANDB_MODE=online"
        raise GptexpError(f"{what} needs a W&B account: run `wandb login` first, or use --wandb offline")
    return mode  # type: ignore[return-value]


class WandbTracker(Tracker):
    """Mirrors one run: one W&B run with the run id as its id (in a sweep: the trial's), our step as the axis.

    Rows carry an explicit W&B step, their place among all rows of the run. A resumed run sends its earlier rows again:
    those that W&B kept it drops, those that it lost it takes, so the history has neither duplicates nor holes.
    """

    def __init__(
        self,
        mode: Mode,
        *,
        patience_s: float = 60.0,
        warn: Callable[[str], None] = lambda message: None,
        log_checkpoint: bool = False,
    ) -> None:
        """Args:
        patience_s: how long `finish` may take to send what is left, in seconds.
        warn: where what a person should know goes.
        log_checkpoint: whether the last weights of a completed run are stored as an artifact.
        """
        self._mode = mode
        self._patience_s = patience_s
        self._warn = warn
        self._log_checkpoint = log_checkpoint
        self._place: MirrorPlace | None = None
        self._run: Any = None
        self._project: str
        self._info: RunInfo
        self._samples: list[SampleRecord] = []
        self._rows = 0
        self._stop = threading.Event()
        self._handed_over = threading.Event()

    def asked_to_stop(self) -> bool:
        """Whether somebody, or the sweep's early termination, stopped the run in W&B."""
        return self._stop.is_set()

    def choose_patience(self) -> float:
        """Seconds that the end of the run should wait for the mirror.

        Where the server doesn't answer: only until the client has everything, which then lies on the disk.
        """
        if self._mode == "offline" or why_unreachable(PROBE_S) is None:
            return self._patience_s
        self._handed_over.wait(self._patience_s)
        return FLUSH_S

    def start(self, info: RunInfo) -> None:
        """Raises:
        GptexpError: the client or the server took no mirror of this run.
        """
        self._info = info
        if info.is_over and not inside_sweep():
            # What is told again goes on where it is; a trial has a W&B run of its own.
            self._place = RunDir(Path(info.run_dir)).read_mirror()
        try:
            self._project = self._place.project if self._place else choose_project(self._warn)
            self._run = self._open(info)
            self._run.define_metric("step")
            self._run.define_metric("*", step_metric="step")
            if inside_sweep():
                # From now on, so that a trial which is killed without a word is handed out again.
                self._run.mark_preempting()
            self._note_what_the_sweep_holds(info)
        except Exception as error:
            raise GptexpError(
                f"W&B took no mirror ({explain_client_error(error)}); {advise_sync(info.run_dir)}"
            ) from None
        corpus = fit_value(publish_config(info.about)["corpus"])
        self._attempt("the corpus as an artifact", lambda: log_corpus(self._run, corpus))
        for record in info.earlier:
            self.log(record)

    def log(self, record: Record) -> None:
        self._send(make_row(record))
        if isinstance(record, SampleRecord):
            self._samples.append(record)

    def finish(self, result: Result) -> None:
        """Raises:
        GptexpError: the server did not take everything in time; what is left lies on the disk.
        """
        fields = {name: fit_value(value) for name, value in dataclasses.asdict(result).items() if value is not None}
        # A board that ranks runs by their final loss must not find one that has none (yet).
        hidden = list_unsaid(result.outcome, result.last_step, self._info.config["max_steps"])
        self._run.summary.update({name: value for name, value in fields.items() if name not in hidden})
        self._run.summary.update({"gptexp": {"result": fit_value(copy_result(result))}})
        if result.outcome in DONE and (self._mode == "offline" or why_unreachable(PROBE_S) is None):
            # Artifacts wait for the server, which the end of the run must not. They come with a result only: the table
            # takes a row, and an interrupted run goes on with rows of its own at that place.
            if self._samples:
                self._attempt("the table of texts", lambda: self._send({"samples": make_table(self._samples)}))
            if self._log_checkpoint and result.outcome == "completed":
                self._attempt("the last weights", lambda: log_checkpoint(self._run, Path(self._info.run_dir)))
        self._handed_over.set()
        try:
            self._run.finish(exit_code=self._choose_exit_code(result.outcome))
        except TimeoutError:
            raise GptexpError(advise_sync(self._info.run_dir)) from None
        run_dir = RunDir(Path(self._info.run_dir))
        if self._mode == "offline":
            note_offline(run_dir, result)
        elif why_unreachable(PROBE_S) is None:
            self._note_place(self._run, result)
        if self._info.is_over and (place := run_dir.read_mirror()) and place.has_all_of(result):
            mark_synced(run_dir)

    def _note_place(self, run: Any, result: Result | None = None) -> None:
        """Leave in the run folder where the mirror is, and which `result` it holds; None while there is none."""
        if run.url:
            holds = result.finished_at if result else None
            place = MirrorPlace(run.entity, run.project, run.id, run.url, whole=result is not None, holds=holds)
            RunDir(Path(self._info.run_dir)).write_mirror(place)

    def _choose_exit_code(self, outcome: str) -> int:
        """The exit code of the W&B run; the service hands a trial out again if it isn't 0.

        Source: https://docs.wandb.ai/models/sweeps/signal-handling-sweep-runs
        """
        if outcome in ("interrupted", STOPPED):
            # A run that was stopped where it was asked to goes on, too: neither finished nor crashed.
            if inside_sweep():
                # SIGTERM is how an agent ends early terminations too: the client learns a little later whether it was.
                self._stop.wait(STOP_NEWS_S)
            if self.asked_to_stop():
                return 0
            self._run.mark_preempting()
            return PREEMPTED
        # A trial that fails would fail again, and again.
        return 1 if outcome == "failed" and not inside_sweep() else 0

    def _attempt(self, what: str, send: Callable[[], None]) -> None:
        """Send what the mirror can do without: a refusal is said, and costs no more."""
        try:
            send()
        except Exception as error:
            self._warn(f"W&B did not take {what} ({explain_client_error(error)}); the mirror goes on without")

    def _open(self, info: RunInfo) -> Any:
        """The W&B run; offline where the server is out of reach or refuses it, so that it can be sent later."""
        run_dir = RunDir(Path(info.run_dir))
        if self._mode == "online":
            reason = why_unreachable(PROBE_S)
            refused = reason is None
            if refused:
                prepare_folder(run_dir, anew=False)
                try:
                    run = begin_run(self._arguments(info, "online"), make_labels(info), self._warn)
                    self._note_place(run)
                    return run
                except Exception as error:
                    reason = explain_client_error(error)
            self._mode = "offline"
            what = "does not take this run" if refused else "is out of reach"
            self._warn(f"{server_name()} {what} ({reason}); {advise_sync(info.run_dir)}")
        prepare_folder(run_dir, anew=True)
        note_offline(run_dir, None)
        return begin_run(self._arguments(info, "offline"), make_labels(info), self._warn)

    def _arguments(self, info: RunInfo, mode: str) -> dict[str, Any]:
        """What `wandb.init` is called with, labels aside."""
        import wandb

        files = copy_files(Path(info.run_dir))
        about = {"run_id": info.run_id, **publish_config(info.about), "files": files}
        about["provenance"] = hide_paths_in(info.provenance)
        return {
            "entity": self._place.entity if self._place else None,
            "project": self._project,
            "id": self._place.name if self._place else info.run_id,
            "dir": info.run_dir,
            "mode": mode,
            "resume": "allow",
            "config": fit_value({**info.config, "gptexp": about}),
            "settings": wandb.Settings(
                **QUIET_SETTINGS,
                x_transaction_log_flush_interval=FLUSH_S / 2,
                x_graphql_retry_max=20,
                x_graphql_timeout_seconds=30,
                # A worker takes run after run: one that failed or hangs must not get the next one's rows.
                reinit="create_new",
                finish_timeout=self._patience_s,
                finish_timeout_raises=True,
                # A function of its own, since the client copies its settings and a lock can't be copied.
                stop_fn=lambda: self._stop.set(),
            ),
        }

    def _note_what_the_sweep_holds(self, info: RunInfo) -> None:
        """A sweep's values can't be changed: where ours are other, because resolved, they are noted beside."""
        held = self._run.config.as_dict()
        resolved = {key: value for key, value in fit_value(info.config).items() if held.get(key) != value}
        if resolved:
            self._run.config.update({"gptexp": {**held["gptexp"], "resolved": resolved}}, allow_val_change=True)

    def _send(self, row: dict[str, Any]) -> None:
        # W&B warns about rows that it already has; after a resume that is as it should be.
        if self._rows >= self._run.starting_step:
            self._run.log(row, step=self._rows)
        self._rows += 1
