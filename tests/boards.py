"""A package of somebody else's, with trackers for gptexp."""

from __future__ import annotations

from pathlib import Path

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
    about = folder / "boards-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: boards\nVersion: 1.0\n")
    trackers = "board = boards:choose\nbroken = boards_broken:choose\nnumber = boards:NUMBER\nwandb = boards:choose\n"
    (about / "entry_points.txt").write_text(f"[gptexp.trackers]\n{trackers}")
    (folder / "boards.py").write_text(f"{MODULE}\nNUMBER = 7\n")
    (folder / "boards_broken.py").write_text("raise RuntimeError('no display')")
