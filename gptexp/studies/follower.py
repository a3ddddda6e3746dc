"""A process that trains a run together with the one that records it (`gptexp.training.distributed`)."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import Any

import torch.distributed as dist

from gptexp.config import build_config
from gptexp.errors import GptexpError, read_first_line
from gptexp.studies.execute import build_training
from gptexp.studies.resolve import read_run_tokens
from gptexp.studies.together import BEGUN, ERROR, HOST, LOOK_S, OVER, READY, open_torchrun_store
from gptexp.training.device import Hardware, prepare_cpu
from gptexp.training.distributed import follow, join_group

ORPHAN_POLL_S = 0.5
"""Between two looks whether the leader's process is still there."""


def follow_run(store: Any, rank: int, size: int, device: str) -> None:
    """One run, from what the leader says of it to its last step; of a fork its parent's steps may come first."""
    with join_group(store, rank, size, device) as group:
        for task in iter(group.tell, None):
            config = build_config(task["content"]["config"])
            prepare_cpu(config.n_threads)
            tokens = read_run_tokens(task["corpus"], task["content"])
            follow(build_training(config, Hardware(config.device, config.precision), tokens), group)


def follow_torchrun(rank: int, size: int) -> None:
    """What torchrun's other processes do: wait for the first one's run, follow it, and go when that one is done."""
    _end_with_parent()
    store = open_torchrun_store()
    while not store.check([OVER]):
        if store.check([BEGUN]):
            follow_run(store, rank, size, store.get(BEGUN).decode())
            return
        time.sleep(LOOK_S)


def _end_with_parent() -> None:
    """Ctrl-C and SIGTERM are the leader's to understand. A process whose parent is gone ends at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(ORPHAN_POLL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """`python -m gptexp.studies.follower PORT RANK SIZE DEVICE`, started by `gather`."""
    port, rank, size = (int(word) for word in sys.argv[1:4])
    _end_with_parent()
    store = dist.TCPStore(HOST, port, size, is_master=False, wait_for_workers=False)  # type: ignore[attr-defined]
    store.set(READY.format(rank), "yes")
    try:
        follow_run(store, rank, size, sys.argv[4])
    except (GptexpError, RuntimeError) as error:
        # Where the leader is gone, nobody asks.
        with contextlib.suppress(RuntimeError):
            store.set(ERROR.format(rank), read_first_line(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
