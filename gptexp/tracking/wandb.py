"""The mirror in Weights & Biases. The run directory stays the truth; W&B may fail at any time."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import netrc
import os
import shutil
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from gptexp.errors import GptexpError
from gptexp.records import EvalRecord, EventRecord, Record, SampleRecord, StepRecord
from gptexp.tracking.run_dir import Result
from gptexp.tracking.tracker import RunInfo

Mode = Literal["online", "offline", "disabled"]
DEFAULT_PROJECT = "gptexp"


def choose_mode(asked: str | None) -> Mode:
    """The W&B mode: what was asked for, else WANDB_MODE, else online where an API key is found, else offline.

    Raises:
        GptexpError: online was asked for and nobody is logged in (there is never a prompt), or an unknown mode.
    """
    mode = asked or os.environ.get("WANDB_MODE") or ("online" if is_logged_in() else "offline")
    if mode not in ("online", "offline", "disabled"):
        raise GptexpError(f"W&B mode {mode!r} is unknown; use online, offline or disabled")
    if mode == "online" and not is_logged_in():
        raise GptexpError("--wandb online needs a W&B account: run `wandb login` first, or use --wandb offline")
    return mode  # type: ignore[return-value]


def is_logged_in() -> bool:
    """Whether an API key is at hand, in WANDB_API_KEY or the netrc file. The key itself is not looked at."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    with contextlib.suppress(OSError, netrc.NetrcParseError):
        return netrc.netrc(path).authenticators(host) is not None
    return False


class WandbTracker:
    """Mirrors one run: one W&B run with the run id as its id, our step as the axis of all metrics.

    Rows carry an explicit W&B step, their place among all rows of the run. A resumed run sends its earlier rows again:
    those that W&B kept it drops, those that it lost it takes, so the history has neither duplicates nor holes.
    """

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._run: Any = None
        self._samples: list[list[Any]] = []
        self._rows = 0

    def start(self, info: RunInfo) -> None:
        import wandb

        logging.getLogger("wandb").setLevel(logging.ERROR)
        member = info.member
        study, arm = member.get("study", "train"), member.get("arm", "train")
        if self._mode == "offline":
            # A new offline file will hold the whole history; parts from before would only double it when synced.
            for part in Path(info.run_dir).glob(f"wandb/offline-run-*-{info.run_id}"):
                shutil.rmtree(part, ignore_errors=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", DEFAULT_PROJECT),
            id=info.run_id,
            name=f"{study} {arm} seed {info.config['seed']}",
            group=f"{study}/{member['scale']}" if member else None,
            job_type=arm,
            tags=[tag for tag in (study, member.get("scale"), info.about["corpus"]["name"]) if tag],
            notes=member.get("question"),
            dir=info.run_dir,
            mode=self._mode,
            resume="allow",
            config={**info.config, **info.about, "member": member, "provenance": info.provenance},
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                save_code=False,
                # The stored command line and environment could hold secrets; provenance has what is needed.
                x_disable_meta=True,
                x_disable_stats=True,
                init_timeout=20,
            ),
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        for record in info.earlier:
            self.log(record)

    def log(self, record: Record) -> None:
        fields = {name: value for name, value in dataclasses.asdict(record).items() if value is not None}
        match record:
            case StepRecord():
                self._send(fields)
            case EvalRecord(whole=whole):
                prefix = "final_" if whole else ""
                losses = {f"{prefix}{name}": fields[name] for name in ("val_loss", "val_bpb")}
                self._send({"step": record.step, **losses})
            case SampleRecord():
                self._samples.append([record.step, record.trigger, record.train_loss, record.prompt, record.text])
            case EventRecord():
                self._run.summary[f"event/{record.name}"] = f"step {record.step}: {record.detail}"

    def finish(self, result: Result) -> None:
        import wandb

        if self._samples:
            columns: list[str | int] = ["step", "trigger", "train_loss", "prompt", "text"]
            self._send({"samples": wandb.Table(columns=columns, data=[*self._samples])})
        self._run.summary.update(
            {name: value for name, value in dataclasses.asdict(result).items() if value is not None}
        )
        self._run.finish(exit_code=0)

    def _send(self, row: dict[str, Any]) -> None:
        # W&B warns about rows that it already has; after a resume that is as it should be.
        if self._rows >= self._run.starting_step:
            self._run.log(row, step=self._rows)
        self._rows += 1
