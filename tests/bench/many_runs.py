"""A runs folder as large as a sweep leaves it: `python -m tests.bench.many_runs FOLDER [RUNS] [STEPS]`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.report.synthetic import Run, write_run

STUDIES = ("lr-ablation", "clipping", "warmup-by-decay", "clip-threshold", "batch-noise")
RATES = (1e-3, 6e-4, 3e-4, 1e-5)


def write_many_runs(folder: Path, n_runs: int = 1000, n_steps: int = 1000) -> None:
    """`n_runs` finished runs of `n_steps` steps: five studies of four arms, as many seeds as it takes."""
    for number in range(n_runs):
        study = STUDIES[number % len(STUDIES)]
        rate = RATES[number // len(STUDIES) % len(RATES)]
        seed = number // (len(STUDIES) * len(RATES))
        config = {"max_steps": n_steps, "eval_interval": 50, "lr": rate, "schedule": "constant"}
        run = Run(f"lr-{rate:g}", f"constant {rate:g}", seed, config, floor=3 + rate * 100, study=study, scale="char")
        write_run(folder, run)


if __name__ == "__main__":
    write_many_runs(Path(sys.argv[1]), *(int(word) for word in sys.argv[2:4]))
