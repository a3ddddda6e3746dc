"""The processes of one run: started here by the first of them, or by torchrun."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist

from gptexp.config import RunConfig
from gptexp.errors import GptexpError
from gptexp.processes import safe_path
from gptexp.studies.job import Job
from gptexp.training.distributed import Group, join_group

LOOK_S = 0.05
"""Between two looks whether a process is there."""
READY, BEGUN, OVER, ERROR = "ready-{}", "begun", "over", "error-{}"
"""Keys of the store: a follower is there; torchrun's run has begun, and is over; why a follower can't go on."""
HOST = "127.0.0.1"


@contextlib.contextmanager
def gather(job: Job) -> Iterator[Group | None]:
    """The processes that train a run together, this one being the leader; None for a run of one process.

    What they train they are told by `assign`, once or several times.

    Raises:
        GptexpError: there are fewer GPUs than processes, or one of them died.
    """
    config = job.run.config
    size, device = config.world_size, config.device
    if size == 1:
        yield None
        return
    if is_under_torchrun():
        store: Any = open_torchrun_store()
        store.set(BEGUN, device)
        with _lead(store, size, device) as group:
            yield group
        return
    if device == "cuda" and (there := torch.cuda.device_count()) < size:
        raise GptexpError(f"world_size={size} needs so many GPUs, and this process sees {there}; use fewer processes")
    store = dist.TCPStore(HOST, 0, size, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    followers = [_start_follower(store.port, rank, size, device) for rank in range(1, size)]
    try:
        _await_followers(store, followers)
        with _lead(store, size, device) as group:
            yield group
    except RuntimeError as error:
        # One that died is noticed by the next exchange with it.
        _explain_loss(store, followers, str(error))
        raise
    finally:
        for follower in followers:
            follower.kill()
            follower.wait()


@contextlib.contextmanager
def _lead(store: Any, size: int, device: str) -> Iterator[Group]:
    """The leader's group; at its end the followers are told that nothing is left to train."""
    with join_group(store, 0, size, device) as group:
        try:
            yield group
        finally:
            # One that died can't be told.
            with contextlib.suppress(RuntimeError):
                group.tell(None)


def assign(group: Group | None, job: Job, config: RunConfig) -> None:
    """Tell the followers what they train next: a run's text with a config; without a group nobody has to know."""
    if group is not None:
        content = {**job.content, "config": config.model_dump(mode="json")}
        group.tell({"content": content, "corpus": job.corpus})


def _start_follower(port: int, rank: int, size: int, device: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "gptexp.studies.follower", str(port), str(rank), str(size), device]
    with safe_path():
        # It finds gptexp where this process did.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _await_followers(store: Any, followers: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait until all are there: once they exchange gradients, one that never came would be waited for in vain."""
    while not store.check([READY.format(rank) for rank in range(1, len(followers) + 1)]):
        _explain_loss(store, followers, "")
        time.sleep(LOOK_S)


def _explain_loss(store: Any, followers: Sequence[subprocess.Popen[bytes]], symptom: str) -> None:
    """Raises:
    GptexpError: a follower died; nothing is raised where all live.
    """
    if symptom:
        # What it died of may take a moment longer than its connection.
        time.sleep(20 * LOOK_S)
    for rank, follower in enumerate(followers, start=1):
        if (status := follower.poll()) is not None:
            told = store.get(ERROR.format(rank)).decode() if store.check([ERROR.format(rank)]) else ""
            reason = told or f"it ended with exit status {status}"
            raise GptexpError(
                f"process {rank + 1} of the {len(followers) + 1} that train this run together is gone: {reason}"
            ) from None


def is_under_torchrun() -> bool:
    """Whether torchrun started this process, or the process that started it."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def read_torchrun() -> tuple[int, int]:
    """This process's number among those of torchrun, and how many they are.

    Raises:
        GptexpError: torchrun didn't say.
    """
    try:
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    except (KeyError, ValueError):
        raise GptexpError("torchrun's RANK and WORLD_SIZE are no numbers; start gptexp train with torchrun") from None


def open_torchrun_store(*, hosts: bool = False) -> Any:
    """The store that all processes of torchrun see.

    Args:
        hosts: serve it, where torchrun itself doesn't.
    """
    environment = os.environ
    serves = hosts and environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    store = dist.TCPStore(environment["MASTER_ADDR"], int(environment["MASTER_PORT"]), is_master=serves)  # type: ignore[attr-defined]
    return dist.PrefixStore(f"gptexp-{environment.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)  # type: ignore[attr-defined]


@contextlib.contextmanager
def lead_torchrun() -> Iterator[None]:
    """What torchrun's first process does around its command: at its end the other processes may go."""
    if not is_under_torchrun():
        yield
        return
    store = open_torchrun_store(hosts=True)
    try:
        yield
    finally:
        with contextlib.suppress(RuntimeError):
            store.set(OVER, "yes")
