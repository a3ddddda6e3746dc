"""A study with as many arms as one likes: `python -m tests.bench.many_arms FOLDER [ARMS] [STEPS] [SEEDS]`."""

from __future__ import annotations

import sys
from pathlib import Path

from gptexp.records import SampleRecord
from tests.report.synthetic import Run, write_run


def write_many_arms(folder: Path, n_arms: int = 100, n_steps: int = 200, n_seeds: int = 1) -> None:
    """One study of `n_arms` arms that differ in rate and weight decay, each with a sample every quarter."""
    for arm in range(n_arms):
        config = {"max_steps": n_steps, "eval_interval": n_steps // 4, "lr": 1e-4 * (1 + arm // 4)}
        config |= {"weight_decay": 0.1 * (arm % 4), "warmup_steps": n_steps // 10}
        for seed in range(1, n_seeds + 1):
            run = Run(f"arm-{arm}", f"arm {arm}", seed, config, floor=3 + 0.01 * (arm * 7 % n_arms), study="wide")
            text = f"ROMEO:\nWhat arm {arm} wrote. " * 12
            run.samples = [
                SampleRecord(step, "interval", None, 4.0, "ROMEO:", text)
                for step in range(n_steps // 4, n_steps + 1, n_steps // 4)
            ]
            write_run(folder, run)


if __name__ == "__main__":
    write_many_arms(Path(sys.argv[1]), *(int(word) for word in sys.argv[2:5]))
