"""A disk that fills up, at every kind of write: one sentence, whole records, and on it goes when there is room."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gptexp.files import DiskError
from gptexp.records import decode_record
from gptexp.studies.execute import execute
from tests.studies.tiny import make_job, read_untimed, run_tiny

SIZES_KIB = (8, 16, 40, 120, 160, 220, 300, 400, 500)
"""A tiny run writes some 500 KiB: the sizes end it in its config, log, checkpoints and result."""


def mount(folder: Path, kib: int, *, again: bool = False) -> bool:
    options = f"{'remount,' if again else ''}size={kib}k"
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True).returncode
        == 0
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount(folder, 8):
        pytest.skip("mounting a small file system needs root; CI has it")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing(tmp_path: Path, tiny_corpus: Path, small_disk: Path) -> None:
    """At nine sizes of disk: a clear sentence, whole lines, and with room the records of an undisturbed run."""
    _, undisturbed = run_tiny(tmp_path / "calm", tiny_corpus)
    refusals = 0
    for kib in SIZES_KIB:
        assert mount(small_disk, kib, again=True)
        job = make_job(small_disk, tiny_corpus)
        with contextlib.suppress(DiskError):
            execute(job, [], lambda: False, lambda message: None)
            continue
        refusals += 1
        with pytest.raises(DiskError, match="no space left on the disk"):
            execute(job, [], lambda: False, lambda message: None)
        log = Path(job.run_dir) / "records.jsonl"
        for line in log.read_text().splitlines() if log.exists() else []:
            assert decode_record(line)
    assert refusals >= 5
    assert mount(small_disk, 20_000, again=True)
    assert execute(job, [], lambda: False, lambda message: None).outcome == "completed"
    assert read_untimed(Path(job.run_dir)) == undisturbed
