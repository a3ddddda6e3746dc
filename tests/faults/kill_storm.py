"""Trains a tiny study while killing it again and again. Run as a program: it forks, so it must own its process.

    python -m tests.faults.kill_storm FOLDER CORPUS PRECISION KILLS

Each attempt is a forked child that executes one run; it is killed with SIGKILL after a random time, which is at most
what one undisturbed attempt took on this machine. Prints the number of kills survived once at least KILLS happened and
every run is done.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.tracking.run_dir import RunDir
from tests.faults.calls import prepare_to_fork
from tests.studies.tiny import make_job

CONFIG = {"max_steps": 40, "checkpoint_interval": 3, "eval_interval": 6, "sample_interval": 9, "grad_accum_steps": 2}
UNDISTURBED_S = 60


def attempt(job: Job, life_s: float) -> bool:
    """Execute in a child for at most `life_s`; returns whether it had to be killed."""
    child = os.fork()
    if child == 0:
        try:
            execute(job, [], lambda: False, lambda message: None)
        except BaseException as error:
            print(f"attempt failed: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    deadline = time.monotonic() + life_s
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            if status:
                sys.exit("an attempt failed by itself")
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def storm(folder: Path, corpus: Path, precision: str, kills: int) -> int:
    """Kill until `kills` is reached, over as many seeds as it takes; every run ends done."""
    chance = random.Random(7)
    survived, seed = 0, 0
    started = time.monotonic()
    if attempt(make_job(folder.with_name("first"), corpus, precision=precision, **CONFIG), UNDISTURBED_S):
        sys.exit(f"an undisturbed run took more than {UNDISTURBED_S} s")
    longest_life_s = time.monotonic() - started
    while survived < kills:
        job = make_job(folder, corpus, precision=precision, seed=seed, **CONFIG)
        while not RunDir(Path(job.run_dir)).is_done():
            survived += attempt(job, chance.uniform(0, longest_life_s))
        seed += 1
    return survived


if __name__ == "__main__":
    prepare_to_fork()
    print(storm(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
