"""A package of somebody else's, with trackers for gptexp."""

from __future__ import annotations

from pathlib import Path

from tests.packages import install_package

MODULE = """
class Board:
    wants_every_run = False

    def find_lacking(self, over, noted):
        return frozenset()

    def build(self, run_dir, warn):
        return Told()


class Told:
    def start(self, info):
        print("told of", info.run_id, flush=True)

    def log(self, record):
        pass

    def finish(self, result):
        print("ended", result.outcome, flush=True)

    def asked_to_stop(self):
        return False


def choose(options):
    return Board()
"""


def install_boards(folder: Path) -> None:
    """Put it there as pip does: a tracker `board`, one that can't be imported, one that is no function, and one with
    the name of ours."""
    trackers = "board = boards:choose\nbroken = boards_broken:choose\nnumber = boards:NUMBER\nwandb = boards:choose\n"
    modules = {"boards": f"{MODULE}\nNUMBER = 7\n", "boards_broken": "raise RuntimeError('no display')"}
    install_package(folder, "boards", f"[gptexp.trackers]\n{trackers}", modules)
