"""Damages files of run folders, packs, pages and sweeps in every way, and looks whether that is noticed or harmless.

    python -m tests.faults.fuzz --count 500 --seed 1

Each mutation is one change of one file. It must be noticed (by `runs verify`, `report --check`, or a sentence of the
command that reads it) or change nothing that any command shows; no command may hang, fail with a traceback, or take
more than a gigabyte.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.faults.mutations import EXCHANGED, KINDS, mutate
from tests.faults.world import Seen, World, make_world

PATIENCE_S = 10
MOST_MIB = 1024
SHARES = {"runs": 10, "pack": 4, "page": 3, "sweep": 3}
"""How often each kind of folder is chosen."""


REPEATED = ("the run that went on", "trial ")
"""What is done again where it is lost."""


class Hang(BaseException):
    """A command that does not end."""


@dataclass(frozen=True)
class Case:
    """One mutation and what came of it."""

    area: str
    file: str
    kind: str
    verdict: str
    """noticed or harmless; else what went wrong."""

    @property
    def is_good(self) -> bool:
        return self.verdict in ("noticed", "harmless")

    def __str__(self) -> str:
        return f"{self.area}/{self.file}, {self.kind}: {self.verdict}"


def fuzz(world: World, scratch: Path, *, count: int, seed: int) -> Iterator[Case]:
    """`count` mutations, the same for the same seed. Every kind comes equally often."""
    draw = random.Random(seed)
    areas = world.areas()
    baselines = {}
    for name, look in areas.items():
        shutil.copytree(world.folder / name, scratch / name, symlinks=True)
        baselines[name] = look(scratch / name, None)
    done = 0
    while done < count:
        area = draw.choices(list(SHARES), list(SHARES.values()))[0]
        kind = KINDS[done % len(KINDS)]
        folder = scratch / area
        shutil.rmtree(folder)
        shutil.copytree(world.folder / area, folder, symlinks=True)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        path = draw.choice(files)
        if not mutate(path, kind, draw, find_donor(path, files, draw) if kind == EXCHANGED else None):
            continue
        done += 1
        changed = path.relative_to(folder)
        yield Case(area, str(changed), kind, judge(partial(areas[area], folder, changed), baselines[area]))


def find_donor(path: Path, files: list[Path], draw: random.Random) -> Path | None:
    """Another file of the same name, else any other of the same ending."""
    same = [other for other in files if other.name == path.name and other != path]
    alike = [other for other in files if other.suffix == path.suffix and other != path]
    return draw.choice(same or alike) if same or alike else None


def judge(look: Callable[[], Seen], baseline: Seen) -> str:
    """What came of a mutation, in a word or a sentence."""
    before = reset_peak()
    try:
        with deadline():
            seen = look()
    except Hang:
        return f"HANGS for more than {PATIENCE_S} s"
    except MemoryError:
        return "RUNS OUT OF MEMORY"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"FAILS with {type(error).__name__}: {str(error)[:100]} ({Path(place.filename).name}:{place.lineno})"
    taken = read_peak() - before
    if taken > MOST_MIB:
        return f"TAKES {taken:.0f} MiB"
    if seen.notices - baseline.notices:
        return "noticed"
    changed = [name for name, digest in baseline.numbers.items() if seen.numbers.get(name, digest) != digest]
    gone = [name for name in baseline.numbers if name not in seen.numbers and not name.startswith(REPEATED)]
    return f"CHANGES {', '.join(changed + gone)} UNNOTICED" if changed or gone else "harmless"


@contextmanager
def deadline() -> Iterator[None]:
    """Raises:
    Hang: the block takes too long.
    """

    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def reset_peak() -> float:
    """MiB in use; the peak counts from now on, where the system can do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0.0
    return read_status("VmRSS")


def read_peak() -> float:
    """MiB at the most since `reset_peak`."""
    return read_status("VmHWM") if os.path.exists("/proc/self/clear_refs") else 0.0  # noqa: PTH110


def read_status(name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GPTEXP_CACHE_DIR"] = f"{folder}/cache"
        world = make_world(Path(folder) / "world")
        for number, case in enumerate(fuzz(world, Path(folder) / "scratch", count=options.count, seed=options.seed), 1):
            counts[case.kind, case.verdict if case.is_good else "WRONG"] += 1
            if not case.is_good:
                print(f"{number}: {case}", flush=True)
    words = ("noticed", "harmless", "WRONG")
    print(f"{'':26}" + "".join(f"{word:>10}" for word in words))
    for kind in KINDS:
        print(f"{kind:26}" + "".join(f"{counts[kind, word]:>10}" for word in words))
    totals = [sum(n for (_, found), n in counts.items() if found == word) for word in words]
    print(f"{'all':26}" + "".join(f"{total:>10}" for total in totals))
    return 1 if totals[2] else 0


if __name__ == "__main__":
    sys.exit(main())
