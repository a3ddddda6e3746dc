"""Kills every command at every call that changes the disk. Run as a program: it forks, so it must own its process.

    python -m tests.faults.every_call [--every K] [SCENE...]

Each scene is carried out once undisturbed, and then once for each of its calls (rename, unlink, fsync, write, ...), or
for every K-th: the process is killed before that call (in the middle of a write), what must hold right then is checked,
the same command is given again, and what it leaves must equal what the undisturbed one left, to the bit. Prints a line
per scene: how many kills, at which calls.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.calls import KILLED, prepare_to_fork, run_child
from tests.faults.scenes import SCENES, Scene
from tests.studies.tiny import write_corpus


def reply_of(scene: Scene, folder: Path) -> str:
    """What `check` found, found by a child: this process must not begin threads."""
    out = folder.parent / "found.json"

    def child() -> None:
        out.write_text(json.dumps(scene.check(folder), sort_keys=True, default=str))

    status, _, said = run_child(child)
    assert status == 0, said
    return out.read_text()


def live(what: str, scene: Scene, folder: Path) -> None:
    """One step of a scene in a child, which has to succeed."""
    status, _, said = run_child(lambda: getattr(scene, what)(folder))
    assert status == 0, f"{what}: {said}"


def kill_everywhere(scene: Scene, scratch: Path, every: int) -> Counter[str]:
    """Returns the kills by the call before which they came.

    Raises:
        AssertionError: something was lost, and at which call.
    """
    folder, template = scratch / "work", scratch / "template"
    template.mkdir()
    write_corpus(template / "corpus.txt")
    # Runs know their corpus by its path, so every attempt takes place in the same folder.
    template.rename(folder)
    live("prepare", scene, folder)
    shutil.copytree(folder, template, symlinks=True)
    status, calls, said = run_child(lambda: scene.act(folder), count=True)
    assert status == 0, said
    expected = reply_of(scene, folder)
    killed: Counter[str] = Counter()
    for number in range(0, len(calls), every):
        shutil.rmtree(folder)
        shutil.copytree(template, folder, symlinks=True)
        try:
            status, _, said = run_child(lambda: scene.act(folder), kill_at=number)
            if status == 0:
                # The first time it also filled the cache of tokens: this time there are fewer calls.
                break
            assert status == KILLED, f"it ended with {status}: {said}"
            live("midway", scene, folder)
            live("act", scene, folder)
            found = reply_of(scene, folder)
            assert found == expected, f"it left {found}, and undisturbed {expected}"
        except AssertionError as error:
            raise AssertionError(f"{scene.name}, killed at call {number} ({calls[number]}): {error}") from None
        killed[calls[number]] += 1
    return killed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("scenes", nargs="*")
    options = parser.parse_args()
    prepare_to_fork()
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    total = 0
    for scene in SCENES:
        if options.scenes and scene.name not in options.scenes:
            continue
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=where) as scratch:
            os.environ["GPTEXP_CACHE_DIR"] = str(Path(scratch) / "cache")
            os.environ["WANDB_MODE"] = "disabled"
            os.chdir(scratch)
            killed = kill_everywhere(scene, Path(scratch), options.every)
        total += killed.total()
        by_call = ", ".join(f"{name} {count}" for name, count in sorted(killed.items()))
        print(f"{scene.name}: {killed.total()} kills in {time.monotonic() - started:.0f} s ({by_call})", flush=True)
    print(f"{total} kills, nothing lost")


if __name__ == "__main__":
    sys.setswitchinterval(0.005)
    main()
