"""Cuts the power after every call of a command. Run as a program: it forks, so it must own its process.

    python -m tests.faults.every_power_cut [--every K] [--again J] [SCENE...]

Of each state of the disk that a cut may leave (`tests.faults.power`): a result has its whole log, a checkpoint the
records that it was saved with, a page and a pack all of their files; and after every J-th state the same command is
given again, and has to end as if nothing had happened.
"""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
import tempfile
from pathlib import Path

from tests.faults.calls import prepare_to_fork, run_child
from tests.faults.every_call import live, reply_of
from tests.faults.power import STATES, Disk, Recorder
from tests.faults.scenes import SCENES, Scene
from tests.studies.tiny import write_corpus

RECORDED = ("run", "run resumed", "rm", "gc", "pack", "report")
"""Optuna's journal is written by Optuna."""


def record(scene: Scene, folder: Path, out: Path) -> None:
    """Carry a scene out, and write its calls to `out`."""
    recorder = Recorder()
    recorder.install()
    scene.act(folder)
    out.write_bytes(pickle.dumps(list(recorder.calls)))


def cut_everywhere(scene: Scene, scratch: Path, every: int, again: int) -> tuple[int, int]:
    """Returns the states that were looked at, and after how many of them the command was given again.

    Raises:
        AssertionError: something was lost, and after which call.
    """
    folder, template = scratch / "work", scratch / "template"
    folder.mkdir()
    write_corpus(folder / "corpus.txt")
    live("prepare", scene, folder)
    shutil.copytree(folder, template)
    status, _, said = run_child(lambda: record(scene, folder, scratch / "calls"))
    assert status == 0, said
    calls = pickle.loads((scratch / "calls").read_bytes())
    expected = reply_of(scene, folder)
    disk = Disk(folder, template)
    states = repeats = 0
    for number, call in enumerate(calls):
        disk.play(call)
        if number % every:
            continue
        for state in STATES:
            shutil.rmtree(folder)
            disk.crash(folder, state)
            states += 1
            try:
                live("midway", scene, folder)
                if states % again == 0:
                    repeats += 1
                    live("act", scene, folder)
                    found = reply_of(scene, folder)
                    assert found == expected, f"it left {found}, and undisturbed {expected}"
            except AssertionError as error:
                place = f"{scene.name}, power cut ({state}) after call {number} ({call[:3]})"
                raise AssertionError(f"{place}: {error}") from None
    return states, repeats


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--again", type=int, default=7)
    parser.add_argument("scenes", nargs="*")
    options = parser.parse_args()
    prepare_to_fork()
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for scene in SCENES:
        if scene.name not in (options.scenes or RECORDED):
            continue
        with tempfile.TemporaryDirectory(dir=where) as scratch:
            os.environ["GPTEXP_CACHE_DIR"] = str(Path(scratch) / "cache")
            os.environ["WANDB_MODE"] = "disabled"
            os.chdir(scratch)
            states, repeats = cut_everywhere(scene, Path(scratch), options.every, options.again)
        print(f"{scene.name}: {states} states after a power cut, {repeats} gone on from", flush=True)


if __name__ == "__main__":
    main()
